//! Dead letters, in a list, one by one, and as a run's.

use super::messages::{self, Message};
use super::{attempts, failure_in_public, last_error};
use crate::convert::dead_letters::job_id;
use crate::shelf::{Miss, Shelf, unreadable};
use driftq_api::{
    AttemptRecord, DeadLetter, DeadLetterAddress, DeadLetterClosing, DeadLetterDetail, DeadLetterState,
    Failure, Fingerprint, RunDeadLetter,
};
use driftq_core::{Closing, DLQ_PREFIX, DeadLetterKind, DeadLetterReason, MessageAt, Position, Record};

/// Bytes of values and errors that one page reads.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

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
        fingerprint: dead.fingerprint.to_string(),
        routed_at_ms: dead.wall.0,
        run_id: seen.run_id.clone(),
        tenant_id: seen.tenant_id.clone(),
        key,
        value,
        headers,
        state: state_of(dead),
    })
}

/// Up to `limit` dead letters with that text, if one is searched for; and how many were looked at, so that the next page
/// goes on behind them.
pub(crate) fn page(
    shelf: &Shelf<'_>,
    found: &[Seen],
    text: Option<&str>,
    limit: usize,
) -> Result<(Vec<DeadLetter>, usize), Miss> {
    let (mut items, mut looked, mut bytes) = (Vec::new(), 0, 0);
    for seen in found {
        if items.len() >= limit || (looked > 0 && bytes >= PAGE_BYTES_MAX) {
            break;
        }
        let letter = dead_letter(shelf, seen)?;
        looked += 1;
        bytes += letter.key.len() + letter.value.get().len() + letter.last_error.len();
        if text.is_none_or(|text| has_text(&letter, text)) {
            items.push(letter);
        }
    }
    Ok((items, looked))
}

/// Whether this text, given in lower case, stands in a dead letter's key, value or errors.
fn has_text(letter: &DeadLetter, text: &str) -> bool {
    let has = |hay: &str| hay.to_lowercase().contains(text);
    let value = letter.value.get();
    // A producer may have escaped what somebody searches for as it is read.
    let unescaped =
        || serde_json::from_str::<serde_json::Value>(value).is_ok_and(|read| has(&read.to_string()));
    has(&letter.key) || has(&letter.last_error) || has(value) || (value.contains("\\u") && unescaped())
}

/// A kind of failure as the state has it.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    kind: DeadLetterKind,
    newest: Seen,
    topics: Vec<String>,
}

impl Kind {
    /// Looks at a kind of failure.
    pub(crate) fn of(state: &driftq_core::State, kind: DeadLetterKind) -> Option<Self> {
        let newest = Seen::of(state, kind.newest, state.dead_letter(kind.newest)?)?;
        let names = kind.topics.iter().filter_map(|id| state.topics.get(id)).map(|topic| topic.name.as_str());
        let original = |name: &str| name.strip_prefix(DLQ_PREFIX).unwrap_or(name).to_owned();
        let topics = names.map(original).collect();
        Some(Self { kind, newest, topics })
    }
}

pub(crate) fn fingerprint(shelf: &Shelf<'_>, found: &Kind) -> Result<Fingerprint, Miss> {
    let (kind, newest) = (&found.kind, &found.newest);
    Ok(Fingerprint {
        fingerprint: kind.fingerprint.to_string(),
        count: kind.count,
        error: newest_error(shelf, &newest.dead)?,
        reason: newest.dead.reason.as_str().to_owned(),
        first_at_ms: kind.first.0,
        last_at_ms: kind.last.0,
        topics: found.topics.clone(),
        groups: kind.groups.iter().map(|group| group.as_str().to_owned()).collect(),
        sample: address(shelf, newest.at)?,
    })
}

/// The error by which a dead letter has its fingerprint, without its stack.
fn newest_error(shelf: &Shelf<'_>, dead: &driftq_core::DeadLetterState) -> Result<Failure, Miss> {
    let failed = dead.history.last().and_then(|attempt| attempt.failed);
    match failed.filter(|_| dead.reason != DeadLetterReason::DeadlineExceeded) {
        Some(at) => Ok(failure_in_public(&shelf.failed(at)?.error)),
        None => Ok(Failure { message: dead.reason.as_str().to_owned(), ..Failure::default() }),
    }
}

fn address(shelf: &Shelf<'_>, at: MessageAt) -> Result<DeadLetterAddress, Miss> {
    Ok(DeadLetterAddress { topic: shelf.name(at.topic)?, partition: at.partition.0, offset: at.offset.0 })
}

/// How a dead letter left the list, with what its note tells.
fn closing(
    shelf: &Shelf<'_>,
    dead: &driftq_core::DeadLetterState,
) -> Result<Option<DeadLetterClosing>, Miss> {
    let Some(how) = &dead.closed else { return Ok(None) };
    let note = match dead.noted {
        Some(at) => match &*shelf.record(at)? {
            Record::ClosingNoted(note) => Some(note.clone()),
            _ => return Err(unreadable(at)),
        },
        None => None,
    };
    let (redriven_to, replay_seq) = match how {
        Closing::Redriven { to } => (Some(address(shelf, *to)?), None),
        Closing::Replayed { replay_seq } => (None, Some(replay_seq.0)),
        Closing::Discarded { .. } => (None, None),
    };
    Ok(Some(DeadLetterClosing {
        state: state_of(dead),
        at_ms: note.as_ref().map(|note| note.wall.0),
        actor: note.as_ref().and_then(|note| note.actor.clone()),
        reason: note.as_ref().and_then(|note| note.reason.clone()),
        job_id: note.as_ref().and_then(|note| note.moved).map(|moved| job_id(moved.job)),
        edited: note.as_ref().filter(|_| redriven_to.is_some()).map(|note| note.edited),
        redriven_to,
        replay_seq,
    }))
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
        fingerprint: listed.fingerprint,
        routed_at_ms: listed.routed_at_ms,
        run_id: listed.run_id,
        tenant_id: listed.tenant_id,
        key: listed.key,
        value: listed.value,
        headers: listed.headers,
        state: listed.state,
        closed: closing(shelf, &seen.dead)?,
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
        Some(at) => failure_in_public(&shelf.failed(at)?.error),
        None => Failure { message: dead.reason.as_str().to_owned(), ..Failure::default() },
    };
    // A run's page is open to browsers: stacks stay with the dead letter itself.
    let in_public =
        |attempt: AttemptRecord| AttemptRecord { error: Failure { stack: None, ..attempt.error }, ..attempt };
    Ok(RunDeadLetter {
        kind: "runs.dlq".to_owned(),
        run_id: run_id.to_owned(),
        replay_seq,
        reason: dead.reason.as_str().to_owned(),
        error,
        command: messages::message(shelf, seen.position)?.value,
        attempts: attempts(shelf, &dead.history, dead.wall)?.into_iter().map(in_public).collect(),
        state: state_of(dead),
        topic: shelf.name(seen.at.topic)?,
        partition: seen.at.partition.0,
        offset: seen.at.offset.0,
        routed_at_ms: dead.wall.0,
    })
}
