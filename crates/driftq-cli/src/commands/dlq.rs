//! `driftq dlq`.

use driftq_client::{
    ClientError, DeadLetterId,
    api::{
        AttemptRecord, DeadLetter, DeadLetterDetail, DeadLetterQuery, DeadLetterState, DiscardRequest,
        RedriveRequest, RedriveResponse, RunDeadLetter,
    },
};
use serde::Serialize;

use crate::{
    Context, Outcome,
    args::{DlqCommand, DlqDiscardArgs, DlqListArgs, DlqRedriveArgs, DlqShowArgs},
    commands::json_option,
    error::CliError,
    output::{Output, Tone, Word},
    text::{moment, shorten, span},
};

/// How many dead letters are asked for at once.
const PAGE_MAX: u32 = 200;

pub(super) async fn run(command: DlqCommand, context: &Context) -> Result<Outcome, CliError> {
    match command {
        DlqCommand::List(args) => list(args, context).await,
        DlqCommand::Show(args) => show(args, context).await,
        DlqCommand::Redrive(args) => redrive(args, context).await,
        DlqCommand::Discard(args) => discard(args, context).await,
    }
}

async fn list(args: DlqListArgs, context: &Context) -> Result<Outcome, CliError> {
    let mut query = DeadLetterQuery {
        topic: args.topic,
        group: args.group,
        run_id: args.run,
        reason: args.reason,
        ..DeadLetterQuery::default()
    };
    let (mut left, mut items) = (args.limit, Vec::new());
    while left > 0 {
        query.limit = Some(left.min(PAGE_MAX));
        let page = context.client.dead_letters(&query).await?;
        left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        if context.output.is_json() {
            page.items.iter().try_for_each(|item| context.output.json(item))?;
        } else {
            items.extend(page.items);
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    context.output.table(
        ["ADDRESS", "GROUP", "REASON", "ATTEMPTS", "WHEN", "RUN", "LAST ERROR"],
        items.iter().map(|item: &DeadLetter| {
            [
                Word::from(address(&item.topic, item.partition, item.offset)),
                Word::from(&item.group),
                Word::from(&item.reason),
                Word::from(item.attempts),
                Word::from(moment(item.routed_at_ms)),
                Word::from(item.run_id.as_deref().unwrap_or_default()),
                Word::from(shorten(&item.last_error)),
            ]
        }),
    )?;
    if query.cursor.is_some() {
        context.output.note("there are more; ask with a larger --limit");
    }
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

fn show_letter(letter: &DeadLetterDetail, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(letter);
    }
    let original = address(&letter.original_topic, letter.original_partition, letter.original_offset);
    let facts = [
        ("address", Some(Word::from(address(&letter.topic, letter.partition, letter.offset)))),
        ("state", Some(state(letter.state))),
        ("failed as", Some(Word::from(original))),
        ("group", some(&letter.group)),
        ("reason", Some(Word::from(&letter.reason))),
        ("attempts", Some(Word::from(letter.attempts))),
        ("when", Some(Word::from(moment(letter.routed_at_ms)))),
        ("run", letter.run_id.as_ref().map(Word::from)),
        ("tenant", letter.tenant_id.as_ref().map(Word::from)),
        ("key", some(&letter.key)),
        ("value", Some(Word::from(letter.value.get()))),
    ];
    output.facts(facts.into_iter().filter_map(|(name, word)| Some((name, word?))))?;
    history(&letter.history, output)
}

fn show_run(letter: &RunDeadLetter, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(letter);
    }
    output.facts([
        ("run", Word::from(&letter.run_id)),
        ("replay", Word::from(letter.replay_seq)),
        ("address", Word::from(address(&letter.topic, letter.partition, letter.offset))),
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
            let kind = attempt.error.kind.as_ref().map(|kind| format!("{kind}: ")).unwrap_or_default();
            [
                Word::from(attempt.attempt),
                Word::from(&attempt.owner),
                Word::from(moment(attempt.started_at_ms)),
                Word::from(span(attempt.ended_at_ms.saturating_sub(attempt.started_at_ms))),
                Word::from(&attempt.reason),
                Word::from(shorten(&format!("{kind}{}", attempt.error.message))),
            ]
        }),
    )
}

async fn redrive(args: DlqRedriveArgs, context: &Context) -> Result<Outcome, CliError> {
    let request = RedriveRequest {
        value: json_option("value", args.value)?,
        target_topic: args.target_topic,
        all_groups: args.all_groups.then_some(true),
        ..RedriveRequest::default()
    };
    let mut each = Each::default();
    for id in args.addresses {
        let Some(answer) = each.take(&id, context.client.redrive(&id, &request).await, context)? else {
            continue;
        };
        if context.output.is_json() {
            context.output.json(&answer)?;
            continue;
        }
        let from = address(&id.topic, id.partition, id.offset);
        let (status, what) = match answer {
            RedriveResponse::Redriven { topic, partition, offset, message_id: _ } => {
                ("redriven as", address(&topic, partition, offset))
            }
            RedriveResponse::Replayed { run_id, replay_seq } => {
                ("replayed", format!("{run_id} replay {replay_seq}"))
            }
        };
        context.output.line([Word::from(from), Word::new(status, Tone::Good), Word::from(what)])?;
    }
    Ok(each.outcome())
}

async fn discard(args: DlqDiscardArgs, context: &Context) -> Result<Outcome, CliError> {
    #[derive(Serialize)]
    struct Discarded<'a> {
        status: &'a str,
        topic: &'a str,
        partition: u32,
        offset: u64,
    }

    let request = DiscardRequest { reason: args.reason };
    let mut each = Each::default();
    for id in args.addresses {
        let Some(answer) = each.take(&id, context.client.discard(&id, &request).await, context)? else {
            continue;
        };
        let (status, topic) = (answer.status.as_str(), id.topic.as_str());
        if context.output.is_json() {
            context.output.json(&Discarded { status, topic, partition: id.partition, offset: id.offset })?;
        } else {
            let from = address(topic, id.partition, id.offset);
            context.output.line([Word::from(from), Word::new(status, Tone::Good)])?;
        }
    }
    Ok(each.outcome())
}

/// Several addresses, one of which may be refused: the others still get their turn.
#[derive(Default)]
struct Each {
    refused: bool,
}

impl Each {
    /// The answer; `None` after a refusal, which is told. Anything but a refusal ends the command.
    fn take<T>(
        &mut self,
        id: &DeadLetterId,
        answer: Result<T, ClientError>,
        context: &Context,
    ) -> Result<Option<T>, CliError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(ClientError::Refused(refusal)) if !refusal.retryable => {
                self.refused = true;
                let from = address(&id.topic, id.partition, id.offset);
                context.output.note(format_args!("error: {from}: {refusal}"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn outcome(&self) -> Outcome {
        if self.refused { Outcome::Bad } else { Outcome::Good }
    }
}

fn state(state: DeadLetterState) -> Word {
    let tone = match state {
        DeadLetterState::Open => Tone::Bad,
        DeadLetterState::Redriven | DeadLetterState::Replayed => Tone::Good,
        DeadLetterState::Discarded => Tone::Quiet,
    };
    Word::new(state.as_str(), tone)
}

fn address(topic: &str, partition: u32, offset: u64) -> String {
    format!("{topic}/{partition}/{offset}")
}

fn some(text: &str) -> Option<Word> {
    (!text.is_empty()).then(|| Word::from(text))
}
