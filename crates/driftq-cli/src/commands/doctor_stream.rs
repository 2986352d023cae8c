//! `driftq doctor SSE_URL`: whether events reach a browser when they happen.
//!
//! What is looked for is what proxies do to streams: hold bytes back until there are many or all,
//! compress them, cut a connection that is silent, drop the headers that forbid all that.

use std::time::Duration;

use driftq_client::Probe;

use super::doctor::{Finding, Verdict};
use crate::Context;

/// The server sends its first bytes with the head, so later they were held back.
const FIRST_BYTES_MAX: Duration = Duration::from_secs(1);

/// The server sends a comment every 15 s when nothing happens; a little more is the way.
const SIGN_OF_LIFE: Duration = Duration::from_secs(17);

pub(super) async fn check(url: &str, listen: Duration, context: &Context) -> Vec<Finding> {
    let mut probe = match context.client.probe(url, "text/event-stream").await {
        Ok(probe) => probe,
        Err(error) => return vec![Finding::new("stream", Verdict::Bad, error.to_string())],
    };
    let kind = probe.header("content-type").unwrap_or_default().to_owned();
    if probe.status != 200 || !kind.starts_with("text/event-stream") {
        return vec![Finding::new("stream", Verdict::Bad, no_stream(&probe, &kind))];
    }
    let opened = format!("opened after {} ms", probe.head_after.as_millis());
    let mut findings = vec![Finding::new("stream", Verdict::Good, opened)];
    findings.push(compression(&probe));
    findings.push(headers(&probe));
    findings.extend(timing(&mut probe, listen).await);
    findings
}

fn no_stream(probe: &Probe, kind: &str) -> String {
    match probe.status {
        204 => "the run has ended and there is nothing more to say; take one that runs".to_owned(),
        401 | 403 => {
            format!("it answers {}: who may read it? (the token goes to the server only)", probe.status)
        }
        200 => format!("it is no event stream but `{kind}`"),
        status => format!("it answers {status}: is that the address that browsers use?"),
    }
}

fn compression(probe: &Probe) -> Finding {
    match probe.header("content-encoding") {
        None | Some("identity") => Finding::new("compression", Verdict::Good, "none"),
        Some(encoding) => {
            let message = format!(
                "something on the way compresses it ({encoding}) and holds events back until a block is full; \
                 switch that off for text/event-stream"
            );
            Finding::new("compression", Verdict::Bad, message)
        }
    }
}

/// The headers that keep proxies from doing so; dropped by one, the next may.
fn headers(probe: &Probe) -> Finding {
    let cache = probe.header("cache-control").unwrap_or_default().to_ascii_lowercase();
    let buffering = probe.header("x-accel-buffering").unwrap_or_default();
    let missing: Vec<_> = [
        (!cache.contains("no-cache")).then_some("`Cache-Control: no-cache`"),
        (!cache.contains("no-transform")).then_some("`Cache-Control: no-transform`"),
        (buffering != "no").then_some("`X-Accel-Buffering: no`"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if missing.is_empty() {
        return Finding::new("headers", Verdict::Good, "proxies are told to pass it on as it is");
    }
    let message = format!("{} got lost on the way; another proxy may hold it back", missing.join(" and "));
    Finding::new("headers", Verdict::Warning, message)
}

/// When the first bytes came, and whether a silent stream shows signs of life.
async fn timing(probe: &mut Probe, listen: Duration) -> Vec<Finding> {
    let Some(first) = probe.next(listen).await else {
        let message = format!(
            "nothing came within {} s although the server sends its first bytes at once: something holds them back",
            listen.as_secs_f32()
        );
        return vec![Finding::new("first bytes", Verdict::Bad, message)];
    };
    let wait = first.after.saturating_sub(probe.head_after);
    let verdict = if wait > FIRST_BYTES_MAX { Verdict::Bad } else { Verdict::Good };
    let held = if verdict == Verdict::Bad { ": something holds bytes back" } else { "" };
    let message = format!("{} ms after the head{held}", wait.as_millis());
    let mut findings = vec![Finding::new("first bytes", verdict, message)];
    let (mut last, mut is_alive, mut longest) = (first.after, is_comment(&first.bytes), Duration::ZERO);
    while let Some(left) = listen.checked_sub(last).filter(|left| !left.is_zero() && !is_alive) {
        let Some(piece) = probe.next(left).await else { break };
        longest = longest.max(piece.after.saturating_sub(last));
        last = piece.after;
        is_alive = is_comment(&piece.bytes);
    }
    findings.push(alive(is_alive, longest, listen));
    findings
}

/// Whether a line in it is a comment, which the server sends when nothing happens.
fn is_comment(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| line.first() == Some(&b':'))
}

fn alive(is_alive: bool, longest: Duration, listen: Duration) -> Finding {
    if is_alive {
        return Finding::new("signs of life", Verdict::Good, "a comment came through");
    }
    if listen < SIGN_OF_LIFE {
        let message = format!(
            "not measured: the server sends one every 15 s of silence, and --listen is {} s",
            listen.as_secs_f32()
        );
        return Finding::new("signs of life", Verdict::Unknown, message);
    }
    if longest > Duration::ZERO {
        let message = format!("events came, at most {} s apart", longest.as_secs());
        return Finding::new("signs of life", Verdict::Good, message);
    }
    let message = format!(
        "nothing came for {} s although the server sends a comment every 15 s: something holds bytes back",
        listen.as_secs()
    );
    Finding::new("signs of life", Verdict::Bad, message)
}
