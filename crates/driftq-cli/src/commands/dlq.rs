//! `driftq dlq`: find dead letters, look at them, and compare their attempts.

use driftq_client::{
    DeadLetterId,
    api::{
        AttemptRecord, DeadLetter, DeadLetterClosing, DeadLetterDetail, DeadLetterDiffQuery, DeadLetterQuery,
        DeadLetterState, Fingerprint, FingerprintQuery, RunDeadLetter,
    },
};

use serde::Serialize;

use super::{differences, dlq_jobs, dlq_redrive};
use crate::{
    Context, Outcome,
    args::{DlqCommand, DlqDiffArgs, DlqGroupsArgs, DlqListArgs, DlqShowArgs},
    error::CliError,
    output::{Output, Tone, Word},
    pages,
    text::{moment, shorten, span},
};

pub(super) async fn run(command: DlqCommand, context: &Context) -> Result<Outcome, CliError> {
    match command {
        DlqCommand::List(args) => list(args, context).await,
        DlqCommand::Groups(args) => groups(args, context).await,
        DlqCommand::Show(args) => show(args, context).await,
        DlqCommand::Diff(args) => diff(args, context).await,
        DlqCommand::Redrive(args) => dlq_redrive::redrive(args, context).await,
        DlqCommand::RedriveAll(args) => dlq_jobs::start(args, context).await,
        DlqCommand::Discard(args) => dlq_redrive::discard(args, context).await,
        DlqCommand::Job(command) => dlq_jobs::run(command, context).await,
        #[cfg(feature = "workbench")]
        DlqCommand::Workbench(args) => super::workbench::run(args, context).await,
    }
}

/// A dead letter with its address as the other commands take it.
#[derive(Serialize)]
struct Listed {
    address: String,
    #[serde(flatten)]
    letter: DeadLetter,
}

async fn list(args: DlqListArgs, context: &Context) -> Result<Outcome, CliError> {
    let query = DeadLetterQuery { q: args.query, ..args.filter.query() };
    let letters = pages::list(args.limit, context, async |limit, cursor| {
        let query = DeadLetterQuery { cursor, limit: Some(limit), ..query.clone() };
        let page = context.client.dead_letters(&query).await?;
        let letters = page
            .items
            .into_iter()
            .map(|letter| Listed { address: DeadLetterId::from(&letter).to_string(), letter });
        Ok((letters.collect(), page.next_cursor))
    })
    .await?;
    context.output.table(
        ["ADDRESS", "GROUP", "REASON", "ATTEMPTS", "WHEN", "RUN", "LAST ERROR"],
        letters.iter().map(|Listed { address, letter }| {
            [
                Word::from(address),
                Word::from(&letter.group),
                Word::from(&letter.reason),
                Word::from(letter.attempts),
                Word::from(moment(letter.routed_at_ms)),
                Word::from(letter.run_id.as_deref().unwrap_or_default()),
                Word::from(shorten(&letter.last_error)),
            ]
        }),
    )?;
    Ok(Outcome::Good)
}

async fn groups(args: DlqGroupsArgs, context: &Context) -> Result<Outcome, CliError> {
    let query = args.filter.fingerprints();
    let groups = pages::list(args.limit, context, async |limit, cursor| {
        let query = FingerprintQuery { cursor, limit: Some(limit), ..query.clone() };
        let page = context.client.fingerprints(&query).await?;
        Ok((page.fingerprints, page.next_cursor))
    })
    .await?;
    context.output.table(
        ["FINGERPRINT", "COUNT", "SINCE", "LAST", "TOPICS", "GROUPS", "ERROR", "FOR EXAMPLE"],
        groups.iter().map(|group: &Fingerprint| {
            let kind = group.error.kind.as_ref().map(|kind| format!("{kind}: ")).unwrap_or_default();
            [
                Word::from(&group.fingerprint),
                Word::new(group.count.to_string(), Tone::Bad),
                Word::from(moment(group.first_at_ms)),
                Word::from(moment(group.last_at_ms)),
                Word::from(group.topics.join(", ")),
                Word::from(group.groups.join(", ")),
                Word::from(shorten(&format!("{kind}{}", group.error.message))),
                Word::from(DeadLetterId::from(group.sample.clone())),
            ]
        }),
    )?;
    Ok(Outcome::Good)
}

async fn show(args: DlqShowArgs, context: &Context) -> Result<Outcome, CliError> {
    match (args.address, args.run) {
        (Some(id), _) => show_letter(&context.client.dead_letter(&id).await?, &context.output)?,
        (None, Some(run_id)) => {
            show_run(&context.client.run_dead_letter(&run_id, None).await?, &context.output)?;
        }
        (None, None) => return Err(CliError::Usage("give an ADDRESS or --run".to_owned())),
    }
    Ok(Outcome::Good)
}

async fn diff(args: DlqDiffArgs, context: &Context) -> Result<Outcome, CliError> {
    let query = DeadLetterDiffQuery { a: args.a, b: args.b };
    let diff = context.client.dead_letter_diff(&args.address, &query).await?;
    if context.output.is_json() {
        context.output.json(&diff)?;
        return Ok(Outcome::Good);
    }
    let names = [&diff.a, &diff.b].map(|attempt| format!("attempt {}", attempt.attempt));
    differences::print(names, &diff.changed, &diff.same, &context.output)?;
    Ok(Outcome::Good)
}

fn show_letter(letter: &DeadLetterDetail, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(letter);
    }
    let original = DeadLetterId {
        topic: letter.original_topic.clone(),
        partition: letter.original_partition,
        offset: letter.original_offset,
    };
    let address =
        DeadLetterId { topic: letter.topic.clone(), partition: letter.partition, offset: letter.offset };
    let facts = [
        ("address", Some(Word::from(address))),
        ("state", Some(state(letter.state))),
        ("failed as", Some(Word::from(original))),
        ("group", some(&letter.group)),
        ("reason", Some(Word::from(&letter.reason))),
        ("fingerprint", some(&letter.fingerprint)),
        ("attempts", Some(Word::from(letter.attempts))),
        ("when", Some(Word::from(moment(letter.routed_at_ms)))),
        ("run", letter.run_id.as_ref().map(Word::from)),
        ("tenant", letter.tenant_id.as_ref().map(Word::from)),
        ("key", some(&letter.key)),
        ("value", Some(Word::from(letter.value.get()))),
    ];
    let closed = letter.closed.as_ref().map(closing).unwrap_or_default();
    let facts = facts.into_iter().filter_map(|(name, word)| Some((name, word?)));
    output.facts(facts.chain(closed))?;
    history(&letter.history, output)
}

/// What became of it: by whom, why, and where it went.
fn closing(closed: &DeadLetterClosing) -> Vec<(&'static str, Word)> {
    let to = closed.redriven_to.clone().map(DeadLetterId::from).map(Word::from);
    let edited = closed.edited.unwrap_or_default().then(|| Word::new("with another value", Tone::Busy));
    let facts = [
        ("closed", closed.at_ms.map(moment).map(Word::from)),
        ("by", closed.actor.as_ref().map(Word::from)),
        ("because", closed.reason.as_ref().map(Word::from)),
        ("job", closed.job_id.as_ref().map(Word::from)),
        ("redriven as", to),
        ("edited", edited),
        ("replay", closed.replay_seq.map(Word::from)),
    ];
    facts.into_iter().filter_map(|(name, word)| Some((name, word?))).collect()
}

fn show_run(letter: &RunDeadLetter, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(letter);
    }
    let address =
        DeadLetterId { topic: letter.topic.clone(), partition: letter.partition, offset: letter.offset };
    output.facts([
        ("run", Word::from(&letter.run_id)),
        ("replay", Word::from(letter.replay_seq)),
        ("address", Word::from(address)),
        ("state", state(letter.state)),
        ("reason", Word::from(&letter.reason)),
        ("error", Word::new(&letter.error.message, Tone::Bad)),
        ("when", Word::from(moment(letter.routed_at_ms))),
        ("command", Word::from(letter.command.get())),
    ])?;
    history(&letter.attempts, output)
}

fn history(attempts: &[AttemptRecord], output: &Output) -> Result<(), CliError> {
    if attempts.is_empty() {
        return Ok(());
    }
    output.gap()?;
    output.table(
        ["ATTEMPT", "OWNER", "STARTED", "TOOK", "REASON", "ERROR"],
        attempts.iter().map(|attempt| {
            [
                Word::from(attempt.attempt),
                Word::from(&attempt.owner),
                Word::from(moment(attempt.started_at_ms)),
                Word::from(span(attempt.ended_at_ms.saturating_sub(attempt.started_at_ms))),
                Word::from(&attempt.reason),
                Word::from(shorten(&said(attempt))),
            ]
        }),
    )
}

/// What went wrong in an attempt, with its type.
pub(super) fn said(attempt: &AttemptRecord) -> String {
    let kind = attempt.error.kind.as_ref().map(|kind| format!("{kind}: ")).unwrap_or_default();
    format!("{kind}{}", attempt.error.message)
}

/// A dead letter's state with its tone.
fn state(state: DeadLetterState) -> Word {
    let tone = match state {
        DeadLetterState::Open => Tone::Bad,
        DeadLetterState::Redriven | DeadLetterState::Replayed => Tone::Good,
        DeadLetterState::Discarded => Tone::Quiet,
    };
    Word::new(state.as_str(), tone)
}

fn some(text: &str) -> Option<Word> {
    (!text.is_empty()).then(|| Word::from(text))
}
