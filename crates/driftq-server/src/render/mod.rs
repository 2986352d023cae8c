//! Domain to wire: plain functions over a [`Shelf`] that turn stored facts into JSON.
//!
//! Promise: what a user gave is handed back as it was given; nothing here changes anything.

pub(crate) mod attempts;
pub(crate) mod dead_letters;
pub(crate) mod diff;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod groups;
pub(crate) mod messages;
pub(crate) mod redrive_jobs;
pub(crate) mod runs;
pub(crate) mod topics;

use crate::shelf::{Miss, Shelf};
use driftq_api::{AttemptRecord, Failure, RetryPolicy};
use driftq_core::{AttemptRef, DeadLetterReason, ErrorInfo, FailureCause, MessageAt, Millis, WallTime};

/// The longest `last_error`, bytes.
const LAST_ERROR_MAX: usize = 4 * 1024;
/// What stands between two reasons.
const BETWEEN: &str = " | ";
/// How a deadline reads among the reasons.
const DEADLINE: &str = "deadline_exceeded";

/// A message's place in words.
pub(crate) fn message_id(at: MessageAt) -> String {
    format!("msg_{:x}_{:x}_{:x}", at.topic.0, at.partition.0, at.offset.0)
}

pub(crate) fn failure(error: &ErrorInfo) -> Failure {
    Failure { message: error.message.clone(), kind: error.kind.clone(), stack: error.stack.clone() }
}

/// An error as a timeline and a run show it. Browsers see both, so the stack stays with the dead letter.
pub(crate) fn failure_in_public(error: &ErrorInfo) -> Failure {
    Failure { stack: None, ..failure(error) }
}

/// A policy, with the fields that say something.
pub(crate) fn policy(policy: &driftq_core::RetryPolicy) -> RetryPolicy {
    let said = |wait: Millis| Some(wait.0).filter(|ms| *ms > 0);
    RetryPolicy {
        max_attempts: Some(policy.max_attempts).filter(|max| *max > 0),
        backoff_ms: said(policy.backoff),
        max_backoff_ms: said(policy.max_backoff),
        jitter_ms: said(policy.jitter),
    }
}

/// The reasons of earlier attempts, joined; the newest are kept.
pub(crate) fn last_error(
    shelf: &Shelf<'_>,
    history: &[AttemptRef],
    reason: Option<DeadLetterReason>,
) -> Result<String, Miss> {
    let mut reasons = Vec::with_capacity(history.len() + 1);
    for attempt in history {
        if let Some(failed) = attempt.failed {
            reasons.push(shelf.failed(failed)?.error.message);
        }
    }
    if reason == Some(DeadLetterReason::DeadlineExceeded)
        && reasons.last().is_none_or(|last| last != DEADLINE)
    {
        reasons.push(DEADLINE.to_owned());
    }
    let joined = reasons.join(BETWEEN);
    let from = joined.len().saturating_sub(LAST_ERROR_MAX);
    let from = (from..joined.len()).find(|at| joined.is_char_boundary(*at)).unwrap_or(joined.len());
    Ok(joined[from..].to_owned())
}

/// The attempts of a message, by their records.
pub(crate) fn attempts(
    shelf: &Shelf<'_>,
    history: &[AttemptRef],
    cut_short_at: WallTime,
) -> Result<Vec<AttemptRecord>, Miss> {
    history.iter().map(|attempt| one_attempt(shelf, attempt, cut_short_at)).collect()
}

fn one_attempt(
    shelf: &Shelf<'_>,
    attempt: &AttemptRef,
    cut_short_at: WallTime,
) -> Result<AttemptRecord, Miss> {
    let delivered = shelf.delivered(attempt)?;
    let (ended, cause, error) = match attempt.failed {
        Some(at) => {
            let failed = shelf.failed(at)?;
            (failed.wall, failed.cause, failure(&failed.error))
        }
        None => {
            let error = Failure { message: DEADLINE.to_owned(), ..Failure::default() };
            (cut_short_at, FailureCause::DeadlineExceeded, error)
        }
    };
    Ok(AttemptRecord {
        attempt: delivered.attempt.0,
        owner: delivered.owner.as_str().to_owned(),
        started_at_ms: delivered.wall.0,
        ended_at_ms: ended.0,
        reason: cause.as_str().to_owned(),
        error,
        worker_version: delivered.worker_version,
    })
}
