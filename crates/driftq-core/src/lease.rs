//! Leasing: which message a group hands out next, and to whom.
//!
//! Promise: a message has at most one live lease a group; retries that are due go first, then the visible sequence, one
//! partition after the other. What the group need not see (an acked key, another group's redrive, a passed deadline, a
//! run that is over) is settled on the way, once.

use crate::draft::Draft;
use crate::group::message_of;
use crate::{
    Attempt, AttemptRef, Delivered, Delivery, Entry, Event, Group, Held, Instant, LEASE_MAX, LEASE_MIN,
    Lease, LeaseId, LeaseMessages, MessageAt, MessageOf, Millis, Note, Offset, OpenGroup, Partition,
    PartitionId, Pending, Position, Progress, Record, Rejection, Reply, Run, RunContext, RunStatus,
    SkipReason, Skipped, State, Topic, Waiting,
};
use alloc::{borrow::Cow, boxed::Box, string::ToString, vec::Vec};

/// How many messages one decision may settle unseen before it answers with what it has.
const SKIPS_MAX: usize = 4_096;

pub(crate) fn decide_open(draft: &mut Draft<'_>, open: &OpenGroup) -> Result<Reply, Rejection> {
    let state = draft.state;
    let Some(topic) = state.topic(&open.topic) else {
        return Err(Rejection::UnknownTopic(open.topic.as_str().to_string()));
    };
    let group = match topic.group(&open.group) {
        Some(found) => found,
        None => draft.create_group(topic, &open.group, open.start)?,
    };
    Ok(Reply::Group { group, partitions: topic.partition_count() })
}

/// How far one partition was read within one decision.
#[derive(Clone, Copy)]
struct Cursor {
    next: u64,
    retry: Option<(Instant, Offset)>,
    /// The last message that was settled before it was met, behind the last one that left a fact.
    passed: Option<Offset>,
    is_dry: bool,
}

/// One message that can be handed out.
struct Candidate {
    offset: Offset,
    attempts: Attempt,
    history: Vec<AttemptRef>,
    next: Option<u64>,
}

pub(crate) fn decide_lease(draft: &mut Draft<'_>, ask: &LeaseMessages) -> Result<Reply, Rejection> {
    let state = draft.state;
    let Some(group) = state.groups.get(&ask.group) else {
        return Err(Rejection::UnknownGroup { topic: "?".to_string(), group: ask.group.to_string() });
    };
    let Some(topic) = state.topics.get(&group.topic) else {
        return Err(Rejection::UnknownTopic(group.name.as_str().to_string()));
    };
    let mut cursors: Vec<Cursor> = group
        .partitions
        .iter()
        .map(|p| Cursor { next: p.next, retry: None, passed: None, is_dry: false })
        .collect();
    let mut leased = Vec::new();
    let mut bytes = 0_u64;
    let mut turn = usize::try_from(group.turn).unwrap_or(0);
    let mut dry = 0;
    while leased.len() < usize::try_from(ask.max).unwrap_or(usize::MAX) && dry < cursors.len() {
        let index = turn % cursors.len();
        turn = index + 1;
        let Some(cursor) = cursors.get_mut(index).filter(|cursor| !cursor.is_dry) else {
            dry += 1;
            continue;
        };
        let place = Place { topic, group, partition: PartitionId(u32::try_from(index).unwrap_or(u32::MAX)) };
        let Some((candidate, entry)) = place.next_candidate(draft, cursor) else {
            cursor.is_dry = true;
            dry += 1;
            continue;
        };
        bytes += u64::from(entry.bytes);
        if !leased.is_empty() && bytes > ask.bytes_max {
            break;
        }
        dry = 0;
        leased.push(place.deliver(draft, ask, candidate, &entry));
    }
    Ok(Reply::Leased(leased))
}

/// A group's view of one partition.
pub(crate) struct Place<'a> {
    pub(crate) topic: &'a Topic,
    pub(crate) group: &'a Group,
    pub(crate) partition: PartitionId,
}

impl Place<'_> {
    fn next_candidate(&self, draft: &mut Draft<'_>, cursor: &mut Cursor) -> Option<(Candidate, Entry)> {
        let progress = self.group.progress(self.partition)?;
        let partition = self.topic.partition(self.partition)?;
        self.due_retry(draft, cursor, progress, partition)
            .or_else(|| self.first_delivery(draft, cursor, progress, partition))
    }

    fn due_retry(
        &self,
        draft: &mut Draft<'_>,
        cursor: &mut Cursor,
        progress: &Progress,
        partition: &Partition,
    ) -> Option<(Candidate, Entry)> {
        let now = draft.state.now;
        loop {
            let (due, offset) = progress.next_retry(cursor.retry).filter(|(due, _)| *due <= now)?;
            cursor.retry = Some((due, offset));
            let entry = partition.entry(offset)?;
            let note = partition.note(offset);
            if is_about_to_expire(draft.state, note) {
                continue;
            }
            if let Some(why) = self.skip_reason(draft.state, partition, offset) {
                self.skip(draft, offset, why, entry.bytes, None);
                continue;
            }
            let Some(Pending::Waiting(Waiting { attempts, history, .. })) = progress.pending_at(offset)
            else {
                continue;
            };
            let candidate = Candidate { offset, attempts, history, next: None };
            return Some((candidate, entry));
        }
    }

    fn first_delivery(
        &self,
        draft: &mut Draft<'_>,
        cursor: &mut Cursor,
        progress: &Progress,
        partition: &Partition,
    ) -> Option<(Candidate, Entry)> {
        while draft.len() < SKIPS_MAX {
            let Some(offset) = partition.visible_at(cursor.next) else {
                if let Some(passed) = cursor.passed.take() {
                    // So that the next look begins behind them.
                    self.skip(draft, passed, SkipReason::SettledBefore, 0, Some(cursor.next));
                }
                return None;
            };
            cursor.next += 1;
            let Some(entry) = partition.entry(offset) else { continue };
            if progress.is_settled(offset) {
                cursor.passed = Some(offset);
                continue;
            }
            if progress.is_pending(offset) {
                continue;
            }
            let note = partition.note(offset);
            if is_about_to_expire(draft.state, note) {
                // The deadline's own transition settles it for all groups; it is due in this very turn.
                cursor.next -= 1;
                return None;
            }
            if let Some(why) = self.skip_reason(draft.state, partition, offset) {
                self.skip(draft, offset, why, entry.bytes, Some(cursor.next));
                cursor.passed = None;
                continue;
            }
            cursor.passed = None;
            let candidate =
                Candidate { offset, attempts: Attempt(0), history: Vec::new(), next: Some(cursor.next) };
            return Some((candidate, entry));
        }
        None
    }

    /// Why this group need not see a message.
    pub(crate) fn skip_reason(
        &self,
        state: &State,
        partition: &Partition,
        offset: Offset,
    ) -> Option<SkipReason> {
        let note = partition.note(offset);
        if note.is_some_and(|note| note.expired) {
            return Some(SkipReason::DeadlinePassed);
        }
        if partition.key(offset).is_some_and(|key| self.group.acked_by(&key, state).is_some()) {
            return Some(SkipReason::KeyAcked);
        }
        let only = note.and_then(|note| note.only_group.as_ref());
        if only.is_some_and(|only| *only != self.group.name) {
            return Some(SkipReason::OtherGroup);
        }
        let run = partition.command(offset).and_then(|of| state.runs.get(&of.run).map(|run| (of, run)));
        match run {
            Some((of, run)) if run.group == self.group.name => {
                let is_over = run.status.is_terminal() || run.replay_seq != of.replay_seq;
                is_over.then_some(SkipReason::RunOver)
            }
            Some(_) | None => None,
        }
    }

    fn skip(&self, draft: &mut Draft<'_>, offset: Offset, why: SkipReason, bytes: u32, next: Option<u64>) {
        let of = message_of(self.group.id, self.partition, offset);
        draft.push(Record::Skipped(Skipped { of, why, bytes, next }));
    }

    fn deliver(
        &self,
        draft: &mut Draft<'_>,
        ask: &LeaseMessages,
        candidate: Candidate,
        entry: &Entry,
    ) -> Delivery {
        let state = draft.state;
        let lease = LeaseId { epoch: state.epoch, serial: state.ids.lease + draft.len() as u64 + 1 };
        let until = state.now.after(clamped(ask.lease));
        let attempt = candidate.attempts.next();
        let of = message_of(self.group.id, self.partition, candidate.offset);
        draft.push(Record::Delivered(Box::new(Delivered {
            of,
            lease,
            owner: ask.owner.clone(),
            until,
            at: state.now,
            wall: state.wall,
            attempt,
            next: candidate.next,
            worker_version: ask.worker_version.clone(),
        })));
        let run = self.live_run(state, candidate.offset);
        if let Some(run) = &run {
            let lease_until = state.wall_at(until);
            draft.run_event(run, attempt, Event::Received { owner: ask.owner.clone(), lease_until });
        }
        Delivery {
            at: MessageAt { topic: self.topic.id, partition: self.partition, offset: candidate.offset },
            group: self.group.id,
            lease,
            until: state.wall_at(until),
            attempt,
            position: entry.position,
            history: candidate.history,
            run: run.map(|run| Box::new(run_context(&run, attempt))),
            routing: state.effective(self.topic).routing.cloned(),
        }
    }

    fn live_run<'s>(&self, state: &'s State, offset: Offset) -> Option<Cow<'s, Run>> {
        live_run(state, self.group, self.partition, offset)
    }
}

pub(crate) fn is_about_to_expire(state: &State, note: Option<&Note>) -> bool {
    note.is_some_and(|note| !note.expired && note.deadline.is_some_and(|deadline| deadline <= state.wall))
}

/// The run that this group's deliveries of this message move.
pub(crate) fn live_run<'s>(
    state: &'s State,
    group: &Group,
    partition: PartitionId,
    offset: Offset,
) -> Option<Cow<'s, Run>> {
    let topic = state.topics.get(&group.topic)?;
    let of = topic.partition(partition)?.command(offset)?;
    let run = state.runs.get(&of.run)?;
    let moves =
        run.group == group.name && run.replay_seq == of.replay_seq && run.status != RunStatus::Cancelled;
    moves.then_some(run)
}

fn run_context(run: &Run, attempt: Attempt) -> RunContext {
    let mut steps: Vec<_> = run.steps.iter().map(|(step, stored)| (step.clone(), stored.position)).collect();
    steps.sort_by_key(|(_, position)| *position);
    RunContext { run_id: run.id.clone(), replay_seq: run.replay_seq, attempt, steps }
}

/// A lease's length within its bounds.
pub(crate) fn clamped(lease: Millis) -> Millis {
    lease.clamp(LEASE_MIN, LEASE_MAX)
}

pub(crate) fn decide_give_back(draft: &mut Draft<'_>, held: &[Held]) -> Reply {
    for held in held {
        let group = draft.state.groups.get(&held.of.group);
        let pending = group
            .and_then(|group| group.progress(held.of.partition))
            .and_then(|p| p.pending_at(held.of.offset));
        if let Some(Pending::Leased(lease)) = pending
            && lease.id == held.lease
        {
            draft.push(Record::GivenBack(held.of));
        }
    }
    Reply::GivenBack
}

pub(crate) fn apply_delivered(state: &mut State, position: Position, fact: &Delivered) {
    state.ids.lease = state.ids.lease.max(fact.lease.serial);
    let Some(group) = state.group_effect(fact.of.group, position) else { return };
    group.turn = fact.of.partition.0 + 1;
    group.used_at = fact.at;
    let Some(progress) = group.progress_mut(fact.of.partition) else { return };
    if let Some(next) = fact.next {
        progress.next = next;
    }
    let (history, waited) = match progress.take(fact.of.offset) {
        Some(Pending::Waiting(waiting)) => (waiting.history, Some(waiting.due)),
        Some(Pending::Leased(_)) => panic!("a message has at most one live lease: {:?}", fact.of),
        None => (Vec::new(), None),
    };
    let lease = Lease {
        id: fact.lease,
        owner: fact.owner.clone(),
        until: fact.until,
        attempt: fact.attempt,
        delivered: position,
        history,
    };
    progress.put(fact.of.offset, Pending::Leased(lease));
    if let Some(due) = waited {
        state.timers.retries.remove(&(due, fact.of));
    }
    state.timers.leases.insert((fact.until, fact.of), ());
}

pub(crate) fn apply_given_back(state: &mut State, position: Position, of: MessageOf) {
    let now = state.now;
    let Some(group) = state.group_effect(of.group, position) else { return };
    let Some(progress) = group.progress_mut(of.partition) else { return };
    let Some(lease) = take_lease(progress, of.offset) else { return };
    let attempts = Attempt(lease.attempt.0.saturating_sub(1));
    let waiting = Waiting { due: now, attempts, nacked_by: None, history: lease.history };
    progress.put(of.offset, Pending::Waiting(waiting));
    state.timers.leases.remove(&(lease.until, of));
    state.timers.retries.insert((now, of), ());
}

/// Takes a live lease out of a group's partition.
pub(crate) fn take_lease(progress: &mut Progress, offset: Offset) -> Option<Lease> {
    match progress.take(offset) {
        Some(Pending::Leased(lease)) => Some(lease),
        Some(other) => {
            progress.put(offset, other);
            None
        }
        None => None,
    }
}
