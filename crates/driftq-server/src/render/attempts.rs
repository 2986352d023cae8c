//! A run's attempts, read off its timeline.
//!
//! Promise: what is told of an attempt is what the broker's own events tell; a lease that was given back unused leaves
//! no attempt, as the next one has its number.

use super::failure_in_public;
use crate::shelf::{Miss, Shelf};
use driftq_api::{AttemptOutcome, Failure, RunAttempt};
use driftq_core::{Event, EventAppended, FailureCause, MessageAt, PartitionId, Position, Record};

/// An attempt, and where its command is to be found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) attempt: RunAttempt,
    /// The sequence number of the event that began it.
    pub(crate) seq: u64,
    /// The command's place in its topic.
    pub(crate) command: Option<(PartitionId, driftq_core::Offset)>,
}

/// Reads the attempts that begin among these events; the last one may still be open.
pub(crate) fn read(shelf: &Shelf<'_>, events: &[(u64, Position)]) -> Result<Vec<Found>, Miss> {
    let mut found: Vec<Found> = Vec::new();
    for (seq, position) in events {
        let record = shelf.record(*position)?;
        if let Record::EventAppended(event) = &*record {
            follow(shelf, &mut found, *seq, *position, event)?;
        }
    }
    Ok(found)
}

fn follow(
    shelf: &Shelf<'_>,
    found: &mut Vec<Found>,
    seq: u64,
    position: Position,
    event: &EventAppended,
) -> Result<(), Miss> {
    match &event.event {
        Event::Received { owner, .. } => {
            found.pop_if(|last| last.attempt.outcome == AttemptOutcome::Running && is_of(last, event));
            let delivered = delivered(shelf, position)?;
            found.push(Found {
                attempt: RunAttempt {
                    replay_seq: event.of.replay_seq.0,
                    attempt: event.attempt.0,
                    owner: owner.as_str().to_owned(),
                    worker_version: delivered.as_ref().and_then(|delivered| delivered.worker_version.clone()),
                    started_at_ms: event.wall.0,
                    ended_at_ms: None,
                    duration_ms: None,
                    outcome: AttemptOutcome::Running,
                    error: None,
                    steps: Vec::new(),
                },
                seq,
                command: delivered.map(|delivered| (delivered.of.partition, delivered.of.offset)),
            });
        }
        Event::StepCompleted { step, .. } => {
            if let Some(last) = found.last_mut().filter(|last| is_of(last, event)) {
                last.attempt.steps.push(step.as_str().to_owned());
            }
        }
        Event::AttemptFailed { cause, failure, .. } => {
            let outcome = match cause {
                FailureCause::LeaseExpired => AttemptOutcome::LeaseExpired,
                FailureCause::Nack | FailureCause::DeadlineExceeded => AttemptOutcome::Failed,
            };
            let failed = shelf.failed(*failure)?;
            end(found, event, outcome, Some(failure_in_public(&failed.error)));
        }
        Event::Succeeded { .. } => end(found, event, AttemptOutcome::Succeeded, None),
        Event::Cancelled { .. } => end(found, event, AttemptOutcome::Cancelled, None),
        Event::Created { .. }
        | Event::RetryScheduled { .. }
        | Event::DeadLettered { .. }
        | Event::Failed { .. }
        | Event::ReplayRequested(_)
        | Event::Worker { .. }
        | Event::Produced { .. } => {}
    }
    Ok(())
}

fn is_of(found: &Found, event: &EventAppended) -> bool {
    (found.attempt.replay_seq, found.attempt.attempt) == (event.of.replay_seq.0, event.attempt.0)
}

fn end(found: &mut [Found], event: &EventAppended, outcome: AttemptOutcome, error: Option<Failure>) {
    let open = found.last_mut().filter(|last| is_of(last, event));
    let Some(last) = open.filter(|last| last.attempt.outcome == AttemptOutcome::Running) else { return };
    let attempt = &mut last.attempt;
    attempt.ended_at_ms = Some(event.wall.0);
    attempt.duration_ms = Some(event.wall.0.saturating_sub(attempt.started_at_ms));
    attempt.outcome = outcome;
    attempt.error = error;
}

/// The delivery that a `worker.received` tells of: the record right before it, of the same transition.
fn delivered(shelf: &Shelf<'_>, received: Position) -> Result<Option<driftq_core::Delivered>, Miss> {
    let before = Position(received.0.saturating_sub(1));
    match &*shelf.record(before)? {
        Record::Delivered(delivered) => Ok(Some((**delivered).clone())),
        _ => Ok(None),
    }
}

/// The input that a command carries, by the record that appended it.
pub(crate) fn input(shelf: &Shelf<'_>, command: Position) -> Result<Option<Vec<u8>>, Miss> {
    match &*shelf.record(command)? {
        Record::MessageAppended(message) => match &message.body {
            driftq_core::Body::RunCommand { input, .. } => shelf.input(*input).map(Some),
            driftq_core::Body::Inline(_) | driftq_core::Body::Of(_) | driftq_core::Body::Edited { .. } => {
                Ok(None)
            }
        },
        _ => Ok(None),
    }
}

/// The record that appended an attempt's command.
pub(crate) fn command_of(
    state: &driftq_core::State,
    run: &driftq_core::Run,
    found: &Found,
) -> Option<Position> {
    let (partition, offset) = found.command?;
    state.position_of(MessageAt { topic: run.command.topic, partition, offset })
}
