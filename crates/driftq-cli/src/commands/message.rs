//! `driftq explain` and `driftq retry-now`: one message, or a run's command.

use driftq_client::{
    DeadLetterId,
    api::{ExplainCode, ExplainQuery, ExplainState, Explanation, RetryNowRequest},
};

use super::run::status;
use crate::{
    Context, Outcome,
    args::{MessageOrRunArgs, RetryNowArgs},
    error::CliError,
    hints::at_a_prompt,
    output::{Tone, Word},
    text::{moment, shorten},
};

pub(super) async fn explain(args: MessageOrRunArgs, context: &Context) -> Result<Outcome, CliError> {
    let address = args.message.address;
    let query = ExplainQuery {
        topic: address.as_ref().map(|address| address.topic.clone()),
        partition: address.as_ref().map(|address| address.partition),
        offset: address.as_ref().map(|address| address.offset),
        group: args.group,
        run_id: args.message.run,
    };
    let explained = context.client.explain(&query).await?;
    if context.output.is_json() {
        context.output.json(&explained)?;
        return Ok(Outcome::Good);
    }
    context.output.line([Word::new(at_a_prompt(&explained.message), tone(&explained))])?;
    context.output.gap()?;
    context.output.facts(facts(&explained))?;
    Ok(Outcome::Good)
}

fn facts(explained: &Explanation) -> Vec<(&'static str, Word)> {
    let address = DeadLetterId {
        topic: explained.topic.clone(),
        partition: explained.partition,
        offset: explained.offset,
    };
    let attempts = match explained.max_attempts {
        Some(max) if max > 0 => format!("{} of {max}", explained.attempts),
        _ => explained.attempts.to_string(),
    };
    let lease = explained.lease.as_ref();
    let dead = explained.dead_letter.as_ref();
    let facts = [
        ("message", Some(Word::from(address))),
        ("group", explained.group.as_ref().map(Word::from)),
        ("run", explained.run_id.as_ref().map(Word::from)),
        ("run's status", explained.run_status.map(status)),
        ("state", Some(Word::new(explained.state.as_str(), tone(explained)))),
        ("because", Some(Word::from(explained.code.as_str()))),
        ("until", explained.until_ms.map(moment).map(Word::from)),
        ("held by", lease.map(|lease| Word::from(&lease.owner))),
        ("held until", lease.map(|lease| Word::from(moment(lease.until_ms)))),
        ("attempts", Some(Word::from(attempts))),
        (
            "last error",
            explained
                .last_error
                .as_deref()
                .filter(|said| !said.is_empty())
                .map(|said| Word::from(shorten(said))),
        ),
        ("before it", explained.ahead.map(Word::from)),
        ("consumers", explained.consumers.map(Word::from)),
        (
            "dead letter",
            dead.map(|dead| {
                Word::from(format_args!(
                    "{}/{}/{} ({})",
                    dead.topic,
                    dead.partition,
                    dead.offset,
                    dead.state.as_str()
                ))
            }),
        ),
    ];
    facts.into_iter().filter_map(|(name, word)| Some((name, word?))).collect()
}

fn tone(explained: &Explanation) -> Tone {
    match (explained.state, explained.code) {
        (ExplainState::Settled | ExplainState::Removed, _) => Tone::Quiet,
        (ExplainState::DeadLettered, _) | (_, ExplainCode::NoConsumer | ExplainCode::NoGroup) => Tone::Bad,
        (ExplainState::Leased | ExplainState::Waiting, _) => Tone::Busy,
    }
}

pub(super) async fn retry_now(args: RetryNowArgs, context: &Context) -> Result<Outcome, CliError> {
    let address = args.message.address;
    let request = RetryNowRequest {
        topic: address.as_ref().map(|address| address.topic.clone()),
        partition: address.as_ref().map(|address| address.partition),
        offset: address.as_ref().map(|address| address.offset),
        group: args.group,
        run_id: args.message.run,
        reason: args.reason,
    };
    let due = context.client.retry_now(&request).await?;
    if context.output.is_json() {
        context.output.json(&due)?;
        return Ok(Outcome::Good);
    }
    let address = DeadLetterId { topic: due.topic, partition: due.partition, offset: due.offset };
    let was = format!("was {}", due.was.as_str());
    context.output.line([Word::from(address), Word::new(due.status, Tone::Good), Word::from(was)])?;
    Ok(Outcome::Good)
}
