//! Dead letters: what is kept of a message that was given up, and how it leaves the list.
//!
//! Promise: a dead letter is a reference to the original's content and to its attempts' records, never a copy. It
//! leaves the list of open ones once: redriven, replayed or discarded.

use crate::closing::{Because, draft_closing};
use crate::draft::Draft;
use crate::{
    Attempt, Closing, DeadLetterAt, DeadLetterClosed, DeadLetterMarked, DeadLetterReason, DeadLettered,
    Discard, Fingerprint, GroupName, MessageAt, Note, Position, Record, Rejection, Reply, RetryPolicy, RunOf,
    State, TopicKind, WallTime,
};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How many of a message's newest attempts are kept besides the first.
pub const HISTORY_NEWEST_MAX: usize = 32;

/// One attempt, by the records that tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRef {
    /// The `Delivered` record.
    pub delivered: Position,
    /// The `Failed` record; `None` when the attempt was cut short by the message's deadline.
    pub failed: Option<Position>,
}

/// What a dead letter knows of its original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterState {
    /// The message that failed.
    pub original: MessageAt,
    /// The record that holds its content.
    pub content: Position,
    /// The group that failed it; `None` when it is for all.
    pub group: Option<GroupName>,
    /// Why.
    pub reason: DeadLetterReason,
    /// How many attempts.
    pub attempts: Attempt,
    /// The first attempt and the newest ones.
    pub history: Vec<AttemptRef>,
    /// The run whose command it is.
    pub run: Option<RunOf>,
    /// The policy a redrive gets back.
    pub policy: Option<RetryPolicy>,
    /// When, wall clock.
    pub wall: WallTime,
    /// How it left the list, if it did.
    pub closed: Option<Closing>,
    /// Its kind of failure.
    pub fingerprint: Fingerprint,
    /// The record that tells who closed it, when and why.
    pub noted: Option<Position>,
}

impl DeadLetterState {
    /// `open`, `redriven`, `replayed` or `discarded`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.closed {
            None => "open",
            Some(Closing::Redriven { .. }) => "redriven",
            Some(Closing::Replayed { .. }) => "replayed",
            Some(Closing::Discarded { .. }) => "discarded",
        }
    }
}

/// Adds an attempt, keeping the first and the newest [`HISTORY_NEWEST_MAX`].
pub(crate) fn remember_attempt(history: &mut Vec<AttemptRef>, attempt: AttemptRef) {
    if history.len() > HISTORY_NEWEST_MAX {
        history.remove(1);
    }
    history.push(attempt);
}

/// What is known when a message is given up.
pub(crate) struct GivenUp {
    pub(crate) original: MessageAt,
    pub(crate) group: Option<GroupName>,
    pub(crate) reason: DeadLetterReason,
    pub(crate) attempts: Attempt,
    pub(crate) history: Vec<AttemptRef>,
    pub(crate) fingerprint: Fingerprint,
}

/// Drafts the append of a dead letter to `dlq.<topic>`, making that topic if need be; answers where it goes.
pub(crate) fn draft_dead_letter(draft: &mut Draft<'_>, given_up: GivenUp) -> MessageAt {
    let state = draft.state;
    let topic = state.topics.get(&given_up.original.topic).expect("a message that fails has its topic");
    let partition =
        topic.partition(given_up.original.partition).expect("a message that fails has its partition");
    let entry = partition.entry(given_up.original.offset).expect("a message that fails is kept");
    let note = partition.note(given_up.original.offset);
    // Groups that only read a run's command fail a message, not the run.
    let run = partition
        .command(given_up.original.offset)
        .filter(|of| state.runs.get(&of.run).is_some_and(|run| given_up.group.as_ref() == Some(&run.group)));
    let (dlq, count) =
        draft.ensure_topic(&topic.name.dead_letters(), topic.partition_count(), TopicKind::DeadLetters);
    let at = draft.next_message(dlq, crate::PartitionId(given_up.original.partition.0 % count));
    draft.push(Record::DeadLettered(alloc::boxed::Box::new(DeadLettered {
        at,
        original: given_up.original,
        content: note.and_then(|note| note.content).unwrap_or(entry.position),
        group: given_up.group,
        reason: given_up.reason,
        attempts: given_up.attempts,
        history: given_up.history,
        run,
        tenant: topic.tenant(&entry).cloned(),
        policy: topic.policy(&entry),
        wall: state.wall,
        bytes: entry.bytes,
    })));
    draft.push(Record::DeadLetterMarked(DeadLetterMarked { at, fingerprint: given_up.fingerprint }));
    at
}

pub(crate) fn apply_dead_lettered(state: &mut State, position: Position, fact: &DeadLettered) {
    let Some(topic) = state.topic_effect(fact.at.topic, position) else { return };
    let dead = DeadLetterState {
        original: fact.original,
        content: fact.content,
        group: fact.group.clone(),
        reason: fact.reason,
        attempts: fact.attempts,
        history: fact.history.clone(),
        run: fact.run,
        policy: fact.policy,
        wall: fact.wall,
        closed: None,
        // One that an older release made has no other.
        fingerprint: Fingerprint::of_reason(fact.reason),
        noted: None,
    };
    let note =
        Note { content: Some(fact.content), dead: Some(alloc::boxed::Box::new(dead)), ..Note::default() };
    let appended = crate::topic::Appended {
        position,
        bytes: fact.bytes,
        policy: None,
        tenant: fact.tenant.clone(),
        due: None,
        key: None,
        run: None,
        note,
    };
    topic.append(fact.at, appended);
    state.index_dead_letter(fact.at);
    state.tally.dead_of.insert((fact.original, fact.at), ());
}

pub(crate) fn apply_marked(state: &mut State, position: Position, fact: DeadLetterMarked) {
    if state.topic_effect(fact.at.topic, position).is_some() {
        state.mark_dead_letter(fact.at, fact.fingerprint);
    }
}

pub(crate) fn decide_discard(draft: &mut Draft<'_>, discard: Discard) -> Result<Reply, Rejection> {
    let (at, dead) = find(draft.state, &discard.dead_letter)?;
    if dead.closed.is_some() {
        return Err(Rejection::DeadLetterClosed(dead.word()));
    }
    let because = Because {
        actor: discard.actor,
        reason: Some(discard.reason.clone()).filter(|reason| !reason.is_empty()),
        moved: None,
    };
    draft_closing(draft, at, Closing::Discarded { reason: discard.reason }, false, because);
    Ok(Reply::Discarded)
}

pub(crate) fn apply_closed(state: &mut State, position: Position, fact: &DeadLetterClosed) {
    if state.topic_effect(fact.at.topic, position).is_none() {
        return;
    }
    state.unindex_dead_letter(fact.at);
    let Some(topic) = state.topics.get_mut(&fact.at.topic) else { return };
    let Some(partition) = topic.partition_mut(fact.at.partition) else { return };
    partition.rare_mut().open_dead.remove(&fact.at.offset);
    if let Some(dead) = topic.dead_letter_mut(fact.at) {
        dead.closed = Some(fact.how.clone());
    }
}

/// Finds a dead letter by its place.
pub(crate) fn find<'a>(
    state: &'a State,
    at: &DeadLetterAt,
) -> Result<(MessageAt, &'a DeadLetterState), Rejection> {
    let topic = state.topic(&at.topic).ok_or(Rejection::UnknownDeadLetter)?;
    let note = topic.partition(at.partition).and_then(|partition| partition.note(at.offset));
    let dead = note.and_then(|note| note.dead.as_deref()).ok_or(Rejection::UnknownDeadLetter)?;
    Ok((MessageAt { topic: topic.id, partition: at.partition, offset: at.offset }, dead))
}
