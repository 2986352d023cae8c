//! Events of a timeline: flat objects with the same first six fields.

use super::failure_in_public;
use crate::json;
use crate::shelf::{Miss, Shelf};
use driftq_api::{BrokerEvent, DeadLetterAddress, Failure, Fields, NewEvent, RawValue, RunEvent};
use driftq_core::{Content, EVENTS_PREFIX, Event, EventAppended, Position, Record};

/// What a plain produce cannot set.
const SET_BY_BROKER: [&str; 6] = ["seq", "ts", "run_id", "replay_seq", "attempt", "source"];

/// An event by the record that appended it.
pub(crate) fn event_at(shelf: &Shelf<'_>, position: Position) -> Result<RunEvent, Miss> {
    match &*shelf.record(position)? {
        Record::EventAppended(appended) => event(shelf, appended),
        _ => Err(crate::shelf::unreadable(position)),
    }
}

/// An event.
pub(crate) fn event(shelf: &Shelf<'_>, appended: &EventAppended) -> Result<RunEvent, Miss> {
    let topic = shelf.name(appended.topic)?;
    let NewEvent { kind, fields } = own_part(shelf, &appended.event)?;
    Ok(RunEvent {
        seq: appended.offset.0 + 1,
        ts: appended.wall.0,
        kind,
        run_id: topic.strip_prefix(EVENTS_PREFIX).unwrap_or_default().to_owned(),
        replay_seq: appended.of.replay_seq.0,
        attempt: appended.attempt.0,
        fields,
    })
}

/// Type and fields of an event, without those that all have.
fn own_part(shelf: &Shelf<'_>, event: &Event) -> Result<NewEvent, Miss> {
    let broker = match event {
        Event::Worker { json } => {
            return Ok(serde_json::from_slice(json).unwrap_or_else(|_| opaque(json)));
        }
        Event::Produced { content } => return Ok(produced(content)),
        Event::Created { workflow } => BrokerEvent::RunCreated { workflow: workflow.as_str().to_owned() },
        Event::Received { owner, lease_until } => {
            BrokerEvent::WorkerReceived { owner: owner.as_str().to_owned(), lease_until_ms: lease_until.0 }
        }
        Event::AttemptFailed { cause, failure, max_attempts } => BrokerEvent::RunAttemptFailed {
            reason: cause.as_str().to_owned(),
            error: error(shelf, Some(*failure), "")?,
            max_attempts: *max_attempts,
        },
        Event::RetryScheduled { at, delay, next_attempt, max_attempts } => BrokerEvent::RunRetryScheduled {
            at_ms: at.0,
            delay_ms: delay.0,
            next_attempt: next_attempt.0,
            max_attempts: *max_attempts,
        },
        Event::DeadLettered { reason, at, failure } => BrokerEvent::RunDlq {
            reason: reason.as_str().to_owned(),
            error: error(shelf, *failure, reason.as_str())?,
            dlq: DeadLetterAddress {
                topic: shelf.name(at.topic)?,
                partition: at.partition.0,
                offset: at.offset.0,
            },
        },
        Event::Failed { failure } => BrokerEvent::RunFailed { error: error(shelf, *failure, "failed")? },
        Event::Succeeded { result } => BrokerEvent::RunSucceeded { result: json::raw(result) },
        Event::Cancelled { actor: _ } => BrokerEvent::RunCancelled {},
        Event::ReplayRequested(asked) => BrokerEvent::RunReplayRequested {
            actor: asked.actor.clone(),
            from_step: asked.from_step.as_ref().map(|step| step.as_str().to_owned()),
            changed: asked.changed.clone(),
        },
        Event::StepCompleted { step, duration } => BrokerEvent::StepCompleted {
            step: step.as_str().to_owned(),
            duration_ms: duration.map(|duration| duration.0),
        },
    };
    let flat = json::bytes_of(&broker);
    Ok(serde_json::from_slice(&flat).unwrap_or_else(|_| opaque(&flat)))
}

/// What the `Failed` record at this position says.
fn error(shelf: &Shelf<'_>, at: Option<Position>, otherwise: &str) -> Result<Failure, Miss> {
    match at {
        Some(at) => Ok(failure_in_public(&shelf.failed(at)?.error)),
        None => Ok(Failure { message: otherwise.to_owned(), ..Failure::default() }),
    }
}

/// A plain produce: an object with a `type` is shown flat, anything else as a message.
fn produced(content: &[u8]) -> NewEvent {
    let value = Content::decode(content).map(|content| content.value).unwrap_or_else(|_| b"null".to_vec());
    shown(&value)
}

fn shown(value: &[u8]) -> NewEvent {
    let mut event = serde_json::from_slice::<NewEvent>(value).unwrap_or_else(|_| opaque(value));
    event.fields.0.retain(|(name, _)| !SET_BY_BROKER.contains(&name.as_str()));
    event.fields.0.push(("source".to_owned(), json::raw_of(&"produce")));
    event
}

fn opaque(value: &[u8]) -> NewEvent {
    let value: Box<RawValue> = json::raw(value);
    NewEvent { kind: "message".to_owned(), fields: Fields(vec![("value".to_owned(), value)]) }
}
