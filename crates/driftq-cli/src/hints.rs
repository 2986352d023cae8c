//! What the server advises, as somebody at a prompt does it.
//!
//! Promise: only advice changes, never what went wrong; what is not known here stays as the server said it.

/// Advice that is the same every time, and the command for it.
const SAME: [(&str, &str); 6] = [
    ("say which one with group:", "say which one with --group:"),
    ("POST /v1/retry-now", "`driftq retry-now`"),
    ("GET /v1/dlq/jobs", "`driftq dlq job list`"),
    ("GET /v1/dlq/fingerprints", "`driftq dlq groups`"),
    ("POST /v1/runs/{id}/replay", "`driftq run replay RUN_ID --input JSON`"),
    ("; GET /v1/openapi.json lists what there is", "; is the server older than this command?"),
];

/// What creates a topic; its body follows.
const CREATE: &str = "POST /v1/topics ";

/// The text with commands instead of requests.
pub(crate) fn at_a_prompt(text: &str) -> String {
    let text = SAME.iter().fold(text.to_owned(), |text, (request, command)| text.replace(request, command));
    created(&text).unwrap_or(text)
}

fn created(text: &str) -> Option<String> {
    let (before, after) = text.split_once(CREATE)?;
    let mut bodies = serde_json::Deserializer::from_str(after).into_iter::<serde_json::Value>();
    let body = bodies.next()?.ok()?;
    let name = body.get("name")?.as_str()?;
    let rest = after.get(bodies.byte_offset()..)?;
    Some(format!("{before}`driftq topic create {name}`{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_commands_and_all_else_stays() {
        for (said, shown) in [
            (
                r#"unknown topic "a"; create it with POST /v1/topics {"name":"a"} (NOT_FOUND)"#,
                r#"unknown topic "a"; create it with `driftq topic create a` (NOT_FOUND)"#,
            ),
            ("(POST /v1/retry-now ends the wait).", "(`driftq retry-now` ends the wait)."),
            (
                r#"unknown job "j"; GET /v1/dlq/jobs lists them"#,
                r#"unknown job "j"; `driftq dlq job list` lists them"#,
            ),
            ("POST /v1/topics {broken", "POST /v1/topics {broken"),
            ("nothing of that kind", "nothing of that kind"),
        ] {
            assert_eq!(at_a_prompt(said), shown);
        }
    }
}
