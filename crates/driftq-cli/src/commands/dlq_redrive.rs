//! `driftq dlq redrive` and `driftq dlq discard`: dead letters named one by one.
//!
//! Promise: each named one gets its turn, also when another is refused. An edited value goes with
//! the redrive; the dead letter itself keeps what it had.

use driftq_client::{
    ClientError, DeadLetterId,
    api::{DiscardRequest, RawValue, RedriveRequest, RedriveResponse, ReplayRequest},
};
use serde::{Deserialize, Serialize};

use super::{json_option, stdin_text};
use crate::{
    Context, Outcome,
    args::{AddressOrStdin, DlqDiscardArgs, DlqRedriveArgs, address},
    confirm::confirm,
    editor,
    error::CliError,
    output::{Tone, Word},
};

pub(super) async fn redrive(args: DlqRedriveArgs, context: &Context) -> Result<Outcome, CliError> {
    if args.addresses.contains(&AddressOrStdin::Stdin) && (args.edit || args.value.as_deref() == Some("-")) {
        let both = "standard input gives the addresses, so neither an editor nor --value can have it";
        return Err(CliError::Usage(both.to_owned()));
    }
    let addresses = addresses(args.addresses)?;
    let request = RedriveRequest {
        value: json_option("value", args.value)?,
        target_topic: args.target_topic,
        all_groups: args.all_groups.then_some(true),
        reason: args.reason,
    };
    let mut each = Each::default();
    for id in addresses {
        let answer = if args.edit {
            let Some(answer) = edited(&id, &request, context).await? else {
                each.refused = true;
                context.output.note(unchanged(&id));
                continue;
            };
            answer
        } else {
            context.client.redrive(&id, &request).await
        };
        let Some(answer) = each.take(&id, answer, context)? else { continue };
        if context.output.is_json() {
            context.output.json(&answer)?;
            continue;
        }
        let (status, what) = told(&answer);
        context.output.line([Word::from(&id), Word::new(status, Tone::Good), Word::from(what)])?;
    }
    Ok(each.outcome())
}

/// What is said of a dead letter that was left as it is.
fn unchanged(id: &DeadLetterId) -> String {
    format!("{id}: nothing was changed, so it was not redriven; without --edit it goes as it is")
}

/// All addresses, those in standard input too.
fn addresses(given: Vec<AddressOrStdin>) -> Result<Vec<DeadLetterId>, CliError> {
    let mut all = Vec::new();
    for one in given {
        match one {
            AddressOrStdin::Address(id) => all.push(id),
            AddressOrStdin::Stdin => {
                let text = stdin_text()?;
                let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
                for (index, line) in lines {
                    let id = address(line);
                    all.push(id.map_err(|what| CliError::Usage(format!("line {}: {what}", index + 1)))?);
                }
            }
        }
    }
    Ok(all)
}

/// What became of a dead letter, in words.
pub(super) fn told(answer: &RedriveResponse) -> (&'static str, String) {
    match answer {
        RedriveResponse::Redriven { topic, partition, offset, message_id: _ } => {
            ("redriven as", format!("{topic}/{partition}/{offset}"))
        }
        RedriveResponse::Replayed { run_id, replay_seq } => {
            ("replayed", format!("{run_id} replay {replay_seq}"))
        }
    }
}

/// The part of a run's command that a person edits.
#[derive(Deserialize)]
struct Command {
    input: Box<RawValue>,
}

/// Redrives a dead letter with the value that a person made of its own; a run is replayed with the input.
/// One that was left as it is stays where it is.
pub(super) async fn edited(
    id: &DeadLetterId,
    request: &RedriveRequest,
    context: &Context,
) -> Result<Option<Result<RedriveResponse, ClientError>>, CliError> {
    let letter = match context.client.dead_letter(id).await {
        Ok(letter) => letter,
        Err(error) => return Ok(Some(Err(error))),
    };
    let Some(run_id) = letter.run_id else {
        let Some(value) = editor::edit(&letter.value)? else { return Ok(None) };
        let request = RedriveRequest { value: Some(value), ..request.clone() };
        return Ok(Some(context.client.redrive(id, &request).await));
    };
    let command: Command = serde_json::from_str(letter.value.get())
        .map_err(|error| CliError::Usage(format!("{id} is no command of a run: {error}")))?;
    let Some(input) = editor::edit(&command.input)? else { return Ok(None) };
    let reason = request.reason.clone();
    let replay = ReplayRequest { input: Some(input), reason, ..ReplayRequest::default() };
    let replayed = context.client.replay_run(&run_id, &replay).await;
    Ok(Some(replayed.map(|replay| RedriveResponse::Replayed { run_id, replay_seq: replay.replay_seq })))
}

pub(super) async fn discard(args: DlqDiscardArgs, context: &Context) -> Result<Outcome, CliError> {
    #[derive(Serialize)]
    struct Discarded<'a> {
        status: &'a str,
        topic: &'a str,
        partition: u32,
        offset: u64,
    }

    match args.addresses.as_slice() {
        [only] => confirm(&format!("give up the dead letter {only}"), context)?,
        many => confirm(&format!("give up {} dead letters", many.len()), context)?,
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
            context.output.line([Word::from(&id), Word::new(status, Tone::Good)])?;
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
            Err(error) if error.refusal().is_some_and(|refusal| !refusal.retryable) => {
                self.refused = true;
                context.output.error(&error.into(), Some(&id.to_string()));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn outcome(&self) -> Outcome {
        if self.refused { Outcome::Bad } else { Outcome::Good }
    }
}
