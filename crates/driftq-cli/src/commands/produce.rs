//! `driftq produce`.

use std::fs;

use driftq_client::{
    api::{EnvelopeRequest, ProduceRequest, RawValue},
    json,
};

use crate::{
    Context, Outcome,
    args::{ProduceArgs, millis},
    commands::{produce_lines, stdin_text, without_line_end},
    error::CliError,
    output::{Tone, Word},
};

pub(super) async fn run(mut args: ProduceArgs, context: &Context) -> Result<Outcome, CliError> {
    if args.lines {
        return produce_lines::run(&args, context).await;
    }
    let text = match (args.value.take(), &args.file) {
        (Some(value), _) if value != "-" => value,
        (_, Some(file)) => {
            let failed = |error| CliError::Input { what: file.display().to_string(), error };
            without_line_end(&fs::read_to_string(file).map_err(failed)?).to_owned()
        }
        (_, None) => stdin_text()?,
    };
    let request = request(&args, value(&text, args.string)?);
    if args.dry_run {
        context.output.json(&request)?;
        context.output.note("nothing was stored");
        return Ok(Outcome::Good);
    }
    let produced = context.client.produce(request).await?;
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

/// A message with all that the command line says about it.
pub(super) fn request(args: &ProduceArgs, value: Box<RawValue>) -> ProduceRequest {
    let retry_policy = args.retry.policy();
    let in_envelope = retry_policy.is_some() || args.deadline.is_some() || args.partition.is_some();
    ProduceRequest {
        topic: Some(args.topic.clone()),
        key: args.key.clone(),
        value: Some(value),
        envelope: in_envelope.then(|| EnvelopeRequest {
            retry_policy,
            deadline: args.deadline.clone(),
            partition_override: args.partition,
            ..EnvelopeRequest::default()
        }),
        idempotency_key: args.idempotency_key.clone(),
        tenant_id: args.tenant.clone(),
        delay_ms: args.delay.map(millis),
        headers: (!args.headers.is_empty()).then(|| args.headers.iter().cloned().collect()),
        ..ProduceRequest::default()
    }
}

/// JSON if it reads as JSON, otherwise a string.
pub(super) fn value(text: &str, string: bool) -> Result<Box<RawValue>, CliError> {
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
