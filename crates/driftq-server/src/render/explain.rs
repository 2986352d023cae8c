//! An explanation as it goes over the wire, with its sentence for people.

use super::last_error;
use crate::shelf::{Miss, Shelf};
use driftq_api::{ExplainCode, ExplainState, ExplainedDeadLetter, ExplainedLease, Explanation, RunStatus};
use driftq_core::{AttemptRef, DeadLetterReason, Explained, MessageAt, State, Why};
use driftq_engine::Readers;

/// An explanation but for what has to be read from the log.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    explanation: Explanation,
    history: Vec<AttemptRef>,
    reason: Option<DeadLetterReason>,
}

impl Seen {
    /// Looks at an explanation.
    pub(crate) fn of(state: &State, readers: &dyn Readers, explained: &Explained<'_>) -> Self {
        let consumers = explained.reader.map(|group| readers.of(group.id));
        let (standing, code) = verdict(&explained.why, consumers.unwrap_or(0));
        let dead = match &explained.why {
            Why::DeadLettered(at, dead) | Why::Expired(Some((at, dead))) => Some((*at, *dead)),
            _ => None,
        };
        let mut explanation = Explanation {
            topic: explained.topic.map_or_else(String::new, |topic| topic.name.as_str().to_owned()),
            partition: explained.at.partition.0,
            offset: explained.at.offset.0,
            group: explained.group.as_ref().map(|group| group.as_str().to_owned()),
            run_id: explained.run.as_ref().map(|run| run.id.as_str().to_owned()),
            state: standing,
            code,
            message: String::new(),
            until_ms: until(state, &explained.why),
            lease: match &explained.why {
                Why::Leased(lease) => Some(ExplainedLease {
                    owner: lease.owner.as_str().to_owned(),
                    lease_id: lease.id.to_string(),
                    until_ms: state.wall_at(lease.until).0,
                }),
                _ => None,
            },
            attempts: explained.attempts.0,
            max_attempts: Some(explained.max_attempts).filter(|max| *max > 0),
            last_error: None,
            ahead: match explained.why {
                Why::Behind(ahead) => Some(ahead),
                Why::Due => Some(0),
                _ => None,
            },
            consumers,
            dead_letter: dead.map(|(at, dead)| dead_letter(state, at, dead)),
            run_status: explained.run.as_ref().map(|run| status(run.status)),
        };
        explanation.message = sentence(&explanation, explained);
        Self { explanation, history: explained.history.to_vec(), reason: dead.map(|(_, dead)| dead.reason) }
    }
}

/// The explanation with the errors of its attempts.
pub(crate) fn explanation(shelf: &Shelf<'_>, seen: &Seen) -> Result<Explanation, Miss> {
    let errors = last_error(shelf, &seen.history, seen.reason)?;
    Ok(Explanation {
        last_error: Some(errors).filter(|errors| !errors.is_empty()),
        ..seen.explanation.clone()
    })
}

fn verdict(why: &Why<'_>, consumers: u64) -> (ExplainState, ExplainCode) {
    match why {
        Why::Removed => (ExplainState::Removed, ExplainCode::Expired),
        Why::Leased(_) => (ExplainState::Leased, ExplainCode::Leased),
        Why::Backoff(_) => (ExplainState::Waiting, ExplainCode::Backoff),
        Why::Delayed(_) => (ExplainState::Waiting, ExplainCode::Delayed),
        Why::Behind(_) if consumers > 0 => (ExplainState::Waiting, ExplainCode::Behind),
        Why::Due if consumers > 0 => (ExplainState::Waiting, ExplainCode::Due),
        Why::Behind(_) => (ExplainState::Waiting, ExplainCode::Behind),
        Why::Due => (ExplainState::Waiting, ExplainCode::NoConsumer),
        Why::NoGroup => (ExplainState::Waiting, ExplainCode::NoGroup),
        Why::Acked => (ExplainState::Settled, ExplainCode::Acked),
        Why::KeyAcked | Why::OtherGroup => (ExplainState::Settled, ExplainCode::SkippedDuplicate),
        Why::DeadLettered(..) => (ExplainState::DeadLettered, ExplainCode::DeadLettered),
        Why::RunEnded => (ExplainState::Settled, ExplainCode::RunEnded),
        Why::Expired(Some(_)) => (ExplainState::DeadLettered, ExplainCode::Expired),
        Why::Expired(None) => (ExplainState::Settled, ExplainCode::Expired),
    }
}

fn until(state: &State, why: &Why<'_>) -> Option<u64> {
    match why {
        Why::Leased(lease) => Some(state.wall_at(lease.until).0),
        Why::Backoff(due) => Some(state.wall_at(*due).0),
        Why::Delayed(due) => Some(due.0),
        Why::Removed
        | Why::Behind(_)
        | Why::Due
        | Why::NoGroup
        | Why::Acked
        | Why::KeyAcked
        | Why::OtherGroup
        | Why::DeadLettered(..)
        | Why::RunEnded
        | Why::Expired(_) => None,
    }
}

fn dead_letter(state: &State, at: MessageAt, dead: &driftq_core::DeadLetterState) -> ExplainedDeadLetter {
    let topic = state.topics.get(&at.topic);
    ExplainedDeadLetter {
        topic: topic.map_or_else(String::new, |topic| topic.name.as_str().to_owned()),
        partition: at.partition.0,
        offset: at.offset.0,
        state: super::dead_letters::state_of(dead),
    }
}

fn status(status: driftq_core::RunStatus) -> RunStatus {
    super::runs::status(status)
}

fn sentence(shown: &Explanation, explained: &Explained<'_>) -> String {
    let group = shown.group.as_deref().unwrap_or("-");
    let until = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), time);
    let place = shown
        .dead_letter
        .as_ref()
        .map(|dead| format!("{}, partition {}, offset {}", dead.topic, dead.partition, dead.offset));
    let place = place.unwrap_or_default();
    match &explained.why {
        Why::Removed => "It is not kept any more.".to_owned(),
        Why::Leased(lease) => {
            format!("{} works on it; the lease ends at {}.", lease.owner, until(shown.until_ms))
        }
        Why::Backoff(_) => format!(
            "Attempt {} failed; the next one is due at {} (POST /v1/retry-now ends the wait).",
            shown.attempts,
            until(shown.until_ms)
        ),
        Why::Delayed(_) => {
            format!("It is delayed until {} (POST /v1/retry-now ends the wait).", until(shown.until_ms))
        }
        Why::Behind(ahead) if shown.consumers == Some(0) => {
            format!("{ahead} messages of its partition come first, and no consumer of group {group} is connected.")
        }
        Why::Behind(ahead) => format!("{ahead} messages of its partition come first."),
        Why::Due if shown.code == ExplainCode::NoConsumer => {
            format!("It is next, and no consumer of group {group} is connected.")
        }
        Why::Due => "It is next; every connected consumer of the group holds as much as it may, or is about to get it.".to_owned(),
        Why::NoGroup if shown.group.is_none() => "No group ever read the topic.".to_owned(),
        Why::NoGroup => format!("Nobody ever read the topic with group {group}; its first consume begins at the oldest message."),
        Why::Acked => format!("Group {group} is done with it: it was acked, or the group was moved past it."),
        Why::KeyAcked => format!("Group {group} acked another message with the same idempotency key."),
        Why::OtherGroup => "It was redriven for another group only.".to_owned(),
        Why::DeadLettered(_, dead) => {
            format!("It was given up ({}); its dead letter is {place}, {}.", dead.reason.as_str(), dead.word())
        }
        Why::RunEnded => "Its run has ended, or was started again with another command.".to_owned(),
        Why::Expired(Some((_, dead))) => {
            format!("Its deadline passed; its dead letter is {place}, {}.", dead.word())
        }
        Why::Expired(None) => "Its deadline passed.".to_owned(),
    }
}

fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| format!("{ms} ms"), |at| at.to_string())
}
