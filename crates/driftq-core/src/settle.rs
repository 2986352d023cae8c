//! Settling: when a group is done with a message, and what a failed attempt leads to.
//!
//! Promise: only the holder of a live lease can ack, nack or extend; the same owner acking again gets the same answer.
//! Exhausted attempts settle the original, append the dead letter and tell the run in one transition.

use crate::dead_letter::{GivenUp, draft_dead_letter, remember_attempt};
use crate::draft::Draft;
use crate::group::{Standing, message_of};
use crate::idempotency::AckedAt;
use crate::lease::{clamped, live_run, take_lease};
use crate::memos::SettledBy;
use crate::retry::brake_after;
use crate::{
    Ack, Acked, AfterFailure, AttemptRef, Claim, DeadLetterReason, ErrorInfo, Event, Extend, Extended,
    Failed, FailureCause, Fingerprint, Group, Lease, MessageAt, MessageOf, Millis, Nack, Pending, Position,
    Record, Rejection, Reply, RunStatus, Skipped, State, Topic, TopicKind, Waiting,
};
use alloc::{boxed::Box, string::ToString, vec::Vec};

/// A claim whose topic, group and partition exist.
struct Found<'a> {
    topic: &'a Topic,
    group: &'a Group,
    of: MessageOf,
    standing: Standing,
}

fn find<'a>(state: &'a State, claim: &Claim) -> Result<Found<'a>, Rejection> {
    let name = || claim.topic.as_str().to_string();
    // Whoever shows a lease was handed the message, by a topic or a group that is deleted now.
    let gone = |unknown| if was_given_out(state, claim) { Rejection::NotOwner } else { unknown };
    let topic = state.topic(&claim.topic).ok_or_else(|| gone(Rejection::UnknownTopic(name())))?;
    let group = topic.group(&claim.group).and_then(|id| state.groups.get(&id));
    let group = group.ok_or_else(|| {
        gone(Rejection::UnknownGroup { topic: name(), group: claim.group.as_str().to_string() })
    })?;
    let progress = group.progress(claim.partition).ok_or_else(|| Rejection::PartitionOutOfRange {
        topic: name(),
        asked: u64::from(claim.partition.0),
        count: topic.partition_count(),
    })?;
    let of = message_of(group.id, claim.partition, claim.offset);
    Ok(Found { topic, group, of, standing: progress.standing(claim.offset) })
}

/// Whether a claim shows a lease that this broker has given out at some time.
fn was_given_out(state: &State, claim: &Claim) -> bool {
    claim
        .lease
        .is_some_and(|lease| lease.epoch <= state.epoch && (1..=state.ids.lease).contains(&lease.serial))
}

impl Found<'_> {
    /// The live lease this claim proves, or why it proves none.
    fn held(&self, state: &State, claim: &Claim) -> Result<Lease, Rejection> {
        match &self.standing {
            // A lease past its `until` is over, whether or not its redelivery is recorded yet.
            Standing::Leased(lease)
                if lease.owner == claim.owner
                    && claim.lease.is_none_or(|id| id == lease.id)
                    && lease.until > state.now
                    && !self.is_expired(state) =>
            {
                Ok(lease.clone())
            }
            Standing::Leased(_) | Standing::Settled | Standing::Waiting(_) => Err(self.lost(state)),
            // It was, before the group was moved or made anew.
            Standing::Unseen if self.was_seen(claim) => Err(Rejection::NotOwner),
            Standing::Unseen => Err(Rejection::NeverDelivered),
        }
    }

    fn was_seen(&self, claim: &Claim) -> bool {
        let is_older = |lease: crate::LeaseId| (1..=self.group.born).contains(&lease.serial);
        claim.lease.is_some_and(is_older)
            || self.group.progress(claim.partition).is_some_and(|progress| claim.offset < progress.seen())
    }

    fn is_expired(&self, state: &State) -> bool {
        let note =
            self.topic.partition(self.of.partition).and_then(|partition| partition.note(self.of.offset));
        note.and_then(|note| note.deadline).is_some_and(|deadline| deadline <= state.wall)
    }

    fn lost(&self, state: &State) -> Rejection {
        let partition = self.topic.partition(self.of.partition);
        let command = partition.and_then(|partition| partition.command(self.of.offset));
        let run = command.and_then(|of| state.runs.get(&of.run).map(|run| (of, run)));
        match run {
            Some((of, run))
                if run.status == RunStatus::Cancelled
                    && run.replay_seq == of.replay_seq
                    && run.group == self.group.name =>
            {
                Rejection::Cancelled
            }
            Some(_) | None => Rejection::NotOwner,
        }
    }

    fn was_settled(&self, how: SettledBy, state: &State, claim: &Claim) -> bool {
        let progress = self.group.progress(claim.partition);
        progress.is_some_and(|progress| progress.was_settled(how, claim, state.now, state.limits.ack_window))
    }
}

pub(crate) fn decide_ack(draft: &mut Draft<'_>, ack: Ack) -> Result<Reply, Rejection> {
    let state = draft.state;
    let found = find(state, &ack.claim)?;
    if matches!(found.standing, Standing::Settled) && found.was_settled(SettledBy::Ack, state, &ack.claim) {
        // Our first answer got lost on its way: say it again, record nothing.
        return Ok(Reply::Acked);
    }
    let lease = found.held(state, &ack.claim)?;
    let run = live_run(state, found.group, ack.claim.partition, ack.claim.offset);
    if run.is_none() && ack.result.is_some() {
        return Err(Rejection::ResultOutsideRun);
    }
    let partition = found.topic.partition(ack.claim.partition);
    let key = partition.and_then(|partition| partition.key(ack.claim.offset));
    let key = key.filter(|_| state.limits.consumed_key_window.0 > 0);
    let limits = &state.limits;
    draft.push(Record::Acked(Acked {
        of: found.of,
        owner: ack.claim.owner.clone(),
        lease: lease.id,
        at: state.now,
        bytes: bytes_of(found.topic, found.of),
        key,
        forget_acks: surplus_memos(found.group, found.of, state),
        forget_keys: key.map_or(0, |_| {
            found.group.consumed.surplus(state.now, limits.consumed_key_window, limits.consumed_keys_max)
        }),
    }));
    if let Some(run) = &run {
        let result = ack.result.unwrap_or_else(|| b"null".to_vec());
        draft.run_event(run, lease.attempt, Event::Succeeded { result });
    }
    Ok(Reply::Acked)
}

pub(crate) fn decide_nack(draft: &mut Draft<'_>, nack: Nack) -> Result<Reply, Rejection> {
    let state = draft.state;
    let found = find(state, &nack.claim)?;
    let repeated = match &found.standing {
        Standing::Waiting(waiting) => waiting
            .nacked_by
            .as_ref()
            .is_some_and(|(owner, lease)| nack.claim.owner == *owner && nack.claim.lease == Some(*lease)),
        Standing::Settled => {
            nack.claim.lease.is_some() && found.was_settled(SettledBy::Nack, state, &nack.claim)
        }
        Standing::Leased(_) | Standing::Unseen => false,
    };
    if repeated {
        return Ok(Reply::Nacked);
    }
    let lease = found.held(state, &nack.claim)?;
    let failure = Failure {
        cause: FailureCause::Nack,
        error: nack.error,
        retry_after: nack.retry_after,
        retryable: nack.retryable,
    };
    fail(draft, found.topic, found.group, found.of, &lease, failure);
    Ok(Reply::Nacked)
}

/// A lease that ended without an answer.
pub(crate) fn decide_expired(draft: &mut Draft<'_>, of: MessageOf) {
    let state = draft.state;
    let Some(group) = state.groups.get(&of.group) else { return };
    let Some(topic) = state.topics.get(&group.topic) else { return };
    let pending = group.progress(of.partition).and_then(|progress| progress.pending_at(of.offset));
    let Some(Pending::Leased(lease)) = pending else { return };
    let failure = Failure {
        cause: FailureCause::LeaseExpired,
        error: ErrorInfo { message: "ack_timeout".to_string(), kind: None, stack: None },
        retry_after: Some(Millis(0)),
        retryable: true,
    };
    fail(draft, topic, group, of, &lease, failure);
}

struct Failure {
    cause: FailureCause,
    error: ErrorInfo,
    retry_after: Option<Millis>,
    retryable: bool,
}

/// Drafts a failed attempt: a retry, or the message's end as a dead letter.
fn fail(draft: &mut Draft<'_>, topic: &Topic, group: &Group, of: MessageOf, lease: &Lease, failure: Failure) {
    let state = draft.state;
    let entry = topic.partition(of.partition).and_then(|partition| partition.entry(of.offset));
    let entry = entry.expect("a leased message is kept");
    let policy = topic.policy(&entry).unwrap_or_default();
    let dead = match topic.kind {
        TopicKind::DeadLetters => None,
        TopicKind::Plain | TopicKind::Timeline(_) if !failure.retryable => {
            Some(DeadLetterReason::NonRetryable)
        }
        TopicKind::Plain | TopicKind::Timeline(_) if policy.is_exhausted(lease.attempt) => {
            Some(DeadLetterReason::MaxAttempts)
        }
        TopicKind::Plain | TopicKind::Timeline(_) => None,
    };
    let wait = failure.retry_after.unwrap_or_else(|| {
        let has_backoff = policy.backoff.0 > 0 || policy.jitter.0 > 0 || policy.max_attempts > 0;
        if has_backoff {
            policy.backoff_after(lease.attempt, draft.draw())
        } else {
            brake_after(lease.attempt)
        }
    });
    let due = state.now.after(wait);
    let fingerprint = dead.map_or(Fingerprint::default(), |_| Fingerprint::of_error(&failure.error));
    let position = draft.next_position();
    draft.push(Record::Failed(Box::new(Failed {
        of,
        lease: lease.id,
        owner: lease.owner.clone(),
        attempt: lease.attempt,
        cause: failure.cause,
        error: failure.error,
        at: state.now,
        wall: state.wall,
        then: if dead.is_some() { AfterFailure::Dead } else { AfterFailure::Retry { due } },
        bytes: entry.bytes,
        forget_acks: if dead.is_some() { surplus_memos(group, of, state) } else { 0 },
    })));
    let run = live_run(state, group, of.partition, of.offset);
    if let Some(run) = &run {
        let max_attempts = policy.max_attempts;
        let failed = Event::AttemptFailed { cause: failure.cause, failure: position, max_attempts };
        draft.run_event(run, lease.attempt, failed);
        if dead.is_none() {
            let next_attempt = lease.attempt.next();
            let scheduled =
                Event::RetryScheduled { at: state.wall_at(due), delay: wait, next_attempt, max_attempts };
            draft.run_event(run, lease.attempt, scheduled);
        }
    }
    let Some(reason) = dead else { return };
    let mut history = lease.history.clone();
    remember_attempt(&mut history, AttemptRef { delivered: lease.delivered, failed: Some(position) });
    let original = MessageAt { topic: topic.id, partition: of.partition, offset: of.offset };
    let given_up = GivenUp {
        original,
        group: Some(group.name.clone()),
        reason,
        attempts: lease.attempt,
        history,
        fingerprint,
    };
    let at = draft_dead_letter(draft, given_up);
    if let Some(run) = &run {
        draft.run_event(run, lease.attempt, Event::DeadLettered { reason, at, failure: Some(position) });
        draft.run_event(run, lease.attempt, Event::Failed { failure: Some(position) });
    }
}

pub(crate) fn decide_extend(draft: &mut Draft<'_>, extend: &Extend) -> Result<Reply, Rejection> {
    let state = draft.state;
    let found = find(state, &extend.claim)?;
    found.held(state, &extend.claim)?;
    let until = state.now.after(clamped(extend.lease));
    draft.push(Record::Extended(Extended { of: found.of, until }));
    Ok(Reply::Extended { until: state.wall_at(until) })
}

fn bytes_of(topic: &Topic, of: MessageOf) -> u32 {
    topic.partition(of.partition).and_then(|p| p.entry(of.offset)).map_or(0, |entry| entry.bytes)
}

/// How many remembered acks leave when one more comes.
fn surplus_memos(group: &Group, of: MessageOf, state: &State) -> u32 {
    let max = state.limits.acks_remembered_max;
    group.progress(of.partition).map_or(0, |progress| progress.surplus_memos(max))
}

pub(crate) fn apply_acked(state: &mut State, position: Position, fact: &Acked) {
    let Some(group) = state.group_effect(fact.of.group, position) else { return };
    group.ever_acked = true;
    group.used_at = fact.at;
    group.consumed.forget_oldest(fact.forget_keys);
    if let Some(key) = fact.key {
        let place = AckedAt { partition: fact.of.partition, offset: fact.of.offset };
        group.consumed.remember(key, fact.at, place);
    }
    let Some(progress) = group.progress_mut(fact.of.partition) else { return };
    let lease = take_lease(progress, fact.of.offset).expect("an ack is decided for a live lease");
    progress.forget_oldest(fact.forget_acks);
    progress.remember(SettledBy::Ack, fact.of.offset, &fact.owner, fact.lease, fact.at);
    progress.settle(fact.of.offset, fact.bytes);
    state.timers.leases.remove(&(lease.until, fact.of));
}

pub(crate) fn apply_failed(state: &mut State, position: Position, fact: &Failed) {
    let Some(group) = state.group_effect(fact.of.group, position) else { return };
    let Some(progress) = group.progress_mut(fact.of.partition) else { return };
    let lease = take_lease(progress, fact.of.offset).expect("an attempt fails while it is leased");
    match fact.then {
        AfterFailure::Retry { due } => {
            let mut history: Vec<AttemptRef> = lease.history;
            remember_attempt(&mut history, AttemptRef { delivered: lease.delivered, failed: Some(position) });
            let nacked_by = (fact.cause == FailureCause::Nack).then(|| (fact.owner.clone(), fact.lease));
            let waiting = Waiting { due, attempts: fact.attempt, nacked_by, history };
            progress.put(fact.of.offset, Pending::Waiting(waiting));
            state.timers.retries.insert((due, fact.of), ());
        }
        AfterFailure::Dead => {
            if fact.cause == FailureCause::Nack {
                progress.forget_oldest(fact.forget_acks);
                progress.remember(SettledBy::Nack, fact.of.offset, &fact.owner, fact.lease, fact.at);
            }
            progress.settle(fact.of.offset, fact.bytes);
        }
    }
    state.timers.leases.remove(&(lease.until, fact.of));
}

pub(crate) fn apply_extended(state: &mut State, position: Position, fact: Extended) {
    let Some(group) = state.group_effect(fact.of.group, position) else { return };
    let Some(progress) = group.progress_mut(fact.of.partition) else { return };
    if let Some(before) = progress.extend(fact.of.offset, fact.until) {
        state.timers.leases.remove(&(before, fact.of));
        state.timers.leases.insert((fact.until, fact.of), ());
    }
}

pub(crate) fn apply_skipped(state: &mut State, position: Position, fact: &Skipped) {
    let Some(group) = state.group_effect(fact.of.group, position) else { return };
    let Some(progress) = group.progress_mut(fact.of.partition) else { return };
    if let Some(next) = fact.next {
        progress.next = next;
    }
    let pending = progress.take(fact.of.offset);
    progress.settle(fact.of.offset, fact.bytes);
    if let Some(pending) = pending {
        state.timers.drop_pending(fact.of, &pending);
    }
}
