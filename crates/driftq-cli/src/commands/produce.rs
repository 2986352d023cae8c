//! `driftq produce`.

use driftq_client::{
    api::{EnvelopeRequest, ProduceRequest, RawValue},
    json,
};

use crate::{
    Context, Outcome,
    args::{ProduceArgs, millis},
    commands::stdin_text,
    error::CliError,
    output::{Tone, Word},
};

pub(super) async fn run(args: ProduceArgs, context: &Context) -> Result<Outcome, CliError> {
    let produced = context.client.produce(request(args)?).await?;
    if context.output.is_json() {
        context.output.json(&produced)?;
        return Ok(Outcome::Good);
    }
    let topic = produced.stored_topic.as_ref().unwrap_or(&produced.topic);
    let address = format!("{topic}/{}/{}", produced.partition, produced.offset);
    let known = produced.duplicate.then(|| Word::new("known already, nothing was stored", Tone::Busy));
    let words = [Word::new(address, Tone::Good), Word::from(produced.message_id)];
    context.output.line(words.into_iter().chain(known))?;
    Ok(Outcome::Good)
}

fn request(args: ProduceArgs) -> Result<ProduceRequest, CliError> {
    let text = match args.value {
        Some(value) if value != "-" => value,
        _ => stdin_text()?,
    };
    let retry_policy = args.retry.policy();
    let in_envelope = retry_policy.is_some() || args.deadline.is_some() || args.partition.is_some();
    Ok(ProduceRequest {
        topic: Some(args.topic),
        key: args.key,
        value: Some(value(&text, args.string)?),
        envelope: in_envelope.then(|| EnvelopeRequest {
            retry_policy,
            deadline: args.deadline,
            partition_override: args.partition,
            ..EnvelopeRequest::default()
        }),
        idempotency_key: args.idempotency_key,
        tenant_id: args.tenant,
        delay_ms: args.delay.map(millis),
        headers: (!args.headers.is_empty()).then(|| args.headers.into_iter().collect()),
        ..ProduceRequest::default()
    })
}

/// JSON if it reads as JSON, otherwise a string.
fn value(text: &str, string: bool) -> Result<Box<RawValue>, CliError> {
    if string {
        return Ok(json(text)?);
    }
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => Ok(json(text)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_if_it_reads_as_json() {
        for (text, string, sent) in [
            (r#"{"a": 1.50}"#, false, r#"{"a": 1.50}"#),
            ("42", false, "42"),
            ("42", true, r#""42""#),
            ("hello", false, r#""hello""#),
            (r#""hello""#, false, r#""hello""#),
            ("{not json}", false, r#""{not json}""#),
        ] {
            assert_eq!(value(text, string).expect("any text is a value").get(), sent, "{text}");
        }
    }
}
