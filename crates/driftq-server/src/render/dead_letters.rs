//! Dead letters, in a list, one by one, and as a run's.

use super::messages::{self, Message};
use super::{attempts, failure, last_error};
use crate::shelf::{Miss, Shelf};
use driftq_api::{DeadLetter, DeadLetterDetail, DeadLetterState, Failure, RunDeadLetter};
use driftq_core::{Closing, MessageAt, Position};

/// A dead letter as the state has it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: MessageAt,
    pub(crate) position: Position,
    pub(crate) dead: driftq_core::DeadLetterState,
    pub(crate) run_id: Option<String>,
    pub(crate) tenant_id: Option<String>,
}

impl Seen {
    /// Looks at a dead letter.
    pub(crate) fn of(
        state: &driftq_core::State,
        at: MessageAt,
        dead: &driftq_core::DeadLetterState,
    ) -> Option<Self> {
        let topic = state.topics.get(&at.topic)?;
        let entry = topic.partition(at.partition)?.entry(at.offset)?;
        let run = dead.run.and_then(|of| state.runs.get(&of.run));
        Some(Self {
            at,
            position: entry.position,
            dead: dead.clone(),
            run_id: run.map(|run| run.id.as_str().to_owned()),
            tenant_id: topic.tenant(&entry).map(|tenant| tenant.as_str().to_owned()),
        })
    }
}

pub(crate) fn state_of(dead: &driftq_core::DeadLetterState) -> DeadLetterState {
    match &dead.closed {
        None => DeadLetterState::Open,
        Some(Closing::Redriven { .. }) => DeadLetterState::Redriven,
        Some(Closing::Replayed { .. }) => DeadLetterState::Replayed,
        Some(Closing::Discarded { .. }) => DeadLetterState::Discarded,
    }
}

pub(crate) fn dead_letter(shelf: &Shelf<'_>, seen: &Seen) -> Result<DeadLetter, Miss> {
    let Message { key, value, headers, .. } = messages::message(shelf, seen.position)?;
    let dead = &seen.dead;
    Ok(DeadLetter {
        topic: shelf.name(seen.at.topic)?,
        partition: seen.at.partition.0,
        offset: seen.at.offset.0,
        original_topic: messages::original(&shelf.name(seen.at.topic)?),
        original_partition: dead.original.partition.0,
        original_offset: dead.original.offset.0,
        group: dead.group.as_ref().map_or_else(String::new, |group| group.as_str().to_owned()),
        reason: dead.reason.as_str().to_owned(),
        attempts: dead.attempts.0,
        last_error: last_error(shelf, &dead.history, Some(dead.reason))?,
        routed_at_ms: dead.wall.0,
        run_id: seen.run_id.clone(),
        tenant_id: seen.tenant_id.clone(),
        key,
        value,
        headers,
        state: state_of(dead),
    })
}

pub(crate) fn detail(shelf: &Shelf<'_>, seen: &Seen) -> Result<DeadLetterDetail, Miss> {
    let listed = dead_letter(shelf, seen)?;
    Ok(DeadLetterDetail {
        topic: listed.topic,
        partition: listed.partition,
        offset: listed.offset,
        original_topic: listed.original_topic,
        original_partition: listed.original_partition,
        original_offset: listed.original_offset,
        group: listed.group,
        reason: listed.reason,
        attempts: listed.attempts,
        last_error: listed.last_error,
        routed_at_ms: listed.routed_at_ms,
        run_id: listed.run_id,
        tenant_id: listed.tenant_id,
        key: listed.key,
        value: listed.value,
        headers: listed.headers,
        state: listed.state,
        history: attempts(shelf, &seen.dead.history, seen.dead.wall)?,
    })
}

pub(crate) fn of_run(
    shelf: &Shelf<'_>,
    run_id: &str,
    replay_seq: u32,
    seen: &Seen,
) -> Result<RunDeadLetter, Miss> {
    let dead = &seen.dead;
    let last = dead.history.iter().rev().find_map(|attempt| attempt.failed);
    let error = match last {
        Some(at) => failure(&shelf.failed(at)?.error),
        None => Failure { message: dead.reason.as_str().to_owned(), ..Failure::default() },
    };
    Ok(RunDeadLetter {
        kind: "runs.dlq".to_owned(),
        run_id: run_id.to_owned(),
        replay_seq,
        reason: dead.reason.as_str().to_owned(),
        error,
        command: messages::message(shelf, seen.position)?.value,
        attempts: attempts(shelf, &dead.history, dead.wall)?,
        state: state_of(dead),
        topic: shelf.name(seen.at.topic)?,
        partition: seen.at.partition.0,
        offset: seen.at.offset.0,
        routed_at_ms: dead.wall.0,
    })
}
