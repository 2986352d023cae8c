//! `decide` and `apply`: two exhaustive matches that only delegate.
//!
//! Promise: `decide` changes nothing and answers with facts; `apply` is the only code that changes state and cannot
//! fail. What is due by itself (`decide_due`) is decided in bounded chunks, like any other command.

use crate::closing::Because;
use crate::dead_letter::{GivenUp, draft_dead_letter};
use crate::draft::Draft;
use crate::{
    Attempt, AttemptRef, Command, DeadLetterReason, Entropy, Fingerprint, GroupId, GroupTouched, Instant,
    MessageAt, Pending, Position, Record, Rejection, Reply, SkipReason, Skipped, State, WallTime,
};
use crate::{
    audit, closing, dead_letter, group, idempotency, lease, produce, redrive, redrive_job, retry_now, run,
    run_replay, seek, settle, topic_delete, topic_settings,
};
use alloc::vec::Vec;

/// Decides a command. Nothing is changed; a rejection has no facts.
///
/// # Errors
///
/// [`Rejection`] says why nothing is done.
pub fn decide(state: &State, entropy: Entropy, command: Command) -> Result<(Vec<Record>, Reply), Rejection> {
    let mut draft = Draft::new(state, entropy);
    let reply = decide_into(&mut draft, command)?;
    Ok((draft.finish(), reply))
}

/// Decides a command as a part of a transition.
pub(crate) fn decide_into(draft: &mut Draft<'_>, command: Command) -> Result<Reply, Rejection> {
    Ok(match command {
        Command::CreateTopic(create) => produce::decide_create_topic(draft, &create)?,
        Command::Produce(messages) => produce::decide_produce(draft, messages)?,
        Command::OpenGroup(open) => lease::decide_open(draft, &open)?,
        Command::Lease(ask) => lease::decide_lease(draft, &ask)?,
        Command::Ack(ack) => settle::decide_ack(draft, ack)?,
        Command::Nack(nack) => settle::decide_nack(draft, *nack)?,
        Command::Extend(extend) => settle::decide_extend(draft, &extend)?,
        Command::GiveBack(held) => lease::decide_give_back(draft, &held),
        Command::CreateRun(create) => run::decide_create(draft, *create)?,
        Command::AppendEvents(append) => run::decide_events(draft, append)?,
        Command::StoreStep(store) => run::decide_step(draft, *store)?,
        Command::ReplayRun(replay) => {
            let (actor, reason) = (replay.actor.clone(), replay.reason.clone());
            let because = Because { actor, reason, moved: None };
            run_replay::decide_replay(draft, *replay, None, because)?
        }
        Command::CancelRun(cancel) => run::decide_cancel(draft, cancel)?,
        Command::Redrive(redrive) => redrive::decide_redrive(draft, *redrive)?,
        Command::Discard(discard) => dead_letter::decide_discard(draft, discard)?,
        Command::Audited(audited) => audit::decide_audited(draft, *audited)?,
        Command::StartRedriveJob(start) => redrive_job::decide_start(draft, *start)?,
        Command::ControlRedriveJob(control) => redrive_job::decide_control(draft, control)?,
        Command::PatchTopic(patch) => topic_settings::decide_patch(draft, *patch)?,
        Command::DeleteTopic(delete) => topic_delete::decide_delete(draft, delete)?,
        Command::SeekGroup(seek) => seek::decide_seek(draft, *seek)?,
        Command::DeleteGroup(delete) => seek::decide_delete(draft, delete)?,
        Command::RetryNow(ask) => retry_now::decide_retry_now(draft, *ask)?,
    })
}

/// Decides what is due at `state.now` and `state.wall`, about `max` facts at the most; empty when nothing is due.
///
/// Leases and deadlines that end together end in the order of their times. `is_open` says whether a group has an open
/// poll or stream.
#[must_use]
pub fn decide_due(
    state: &State,
    entropy: Entropy,
    max: usize,
    is_open: &dyn Fn(GroupId) -> bool,
) -> Vec<Record> {
    let mut draft = Draft::new(state, entropy);
    expire_leases(&mut draft, max);
    if draft.len() == 0 {
        pass_deadlines(&mut draft, max);
    }
    if draft.len() == 0 {
        make_visible(&mut draft, max);
    }
    if draft.len() == 0 {
        forget(&mut draft, max, is_open);
    }
    draft.finish()
}

fn expire_leases(draft: &mut Draft<'_>, max: usize) {
    let state = draft.state;
    for ((until, of), ()) in state.timers.leases.iter() {
        if *until > state.now || draft.len() >= max {
            return;
        }
        settle::decide_expired(draft, *of);
    }
}

fn pass_deadlines(draft: &mut Draft<'_>, max: usize) {
    let state = draft.state;
    for ((deadline, at), ()) in state.timers.deadlines.iter() {
        if *deadline > state.wall || draft.len() >= max {
            return;
        }
        pass_deadline(draft, *at);
    }
}

fn pass_deadline(draft: &mut Draft<'_>, at: MessageAt) {
    let state = draft.state;
    draft.push(Record::DeadlinePassed(at));
    let Some(topic) = state.topics.get(&at.topic) else { return };
    let entry = topic.partition(at.partition).and_then(|partition| partition.entry(at.offset));
    let Some(bytes) = entry.map(|entry| entry.bytes) else { return };
    let mut unsettled = Vec::new();
    for (name, id) in topic.groups() {
        let Some(progress) = state.groups.get(&id).and_then(|group| group.progress(at.partition)) else {
            continue;
        };
        if progress.is_settled(at.offset) {
            continue;
        }
        unsettled.push((name, progress.pending_at(at.offset)));
        let of = group::message_of(id, at.partition, at.offset);
        draft.push(Record::Skipped(Skipped { of, why: SkipReason::DeadlinePassed, bytes, next: None }));
    }
    let is_settled_by_all = topic.groups().next().is_some() && unsettled.is_empty();
    if is_settled_by_all || topic.name.is_dead_letters() {
        return;
    }
    let (group, attempts, history) = match unsettled.as_slice() {
        [(name, pending)] => {
            let (attempts, history) = tries(pending.as_ref());
            (Some((*name).clone()), attempts, history)
        }
        _ => (None, Attempt(0), Vec::new()),
    };
    let reason = DeadLetterReason::DeadlineExceeded;
    let fingerprint = Fingerprint::of_reason(reason);
    draft_dead_letter(draft, GivenUp { original: at, group, reason, attempts, history, fingerprint });
}

fn tries(pending: Option<&Pending>) -> (Attempt, Vec<AttemptRef>) {
    match pending {
        None => (Attempt(0), Vec::new()),
        Some(Pending::Waiting(waiting)) => (waiting.attempts, waiting.history.clone()),
        Some(Pending::Leased(lease)) => {
            let mut history = lease.history.clone();
            dead_letter::remember_attempt(
                &mut history,
                AttemptRef { delivered: lease.delivered, failed: None },
            );
            (lease.attempt, history)
        }
    }
}

fn make_visible(draft: &mut Draft<'_>, max: usize) {
    let state = draft.state;
    for ((due, at), ()) in state.timers.due.iter() {
        if *due > state.wall || draft.len() >= max {
            return;
        }
        draft.push(Record::MessageDue(*at));
    }
}

fn forget(draft: &mut Draft<'_>, max: usize, is_open: &dyn Fn(GroupId) -> bool) {
    let state = draft.state;
    let keys = state.keys.over(state.now, state.key_window_longest(), max);
    if keys > 0 {
        draft.push(Record::KeysForgotten(keys));
    }
    for ((at, id), ()) in state.timers.idle.iter() {
        if *at > state.now || draft.len() >= max {
            return;
        }
        let Some(group) = state.groups.get(id) else { continue };
        let is_used = is_open(*id) || !group.is_idle();
        if !is_used && group.used_at.after(group.idle_max(state)) <= state.now {
            draft.push(Record::GroupForgotten(*id));
        } else {
            let at = if is_used { state.now } else { group.used_at };
            draft.push(Record::GroupTouched(GroupTouched { group: *id, at }));
        }
    }
}

/// Applies a fact at its position. It was decided against this very state, so it cannot fail.
///
/// # Panics
///
/// When a fact contradicts the state in a way that would lose or double a message: stopping is then right.
pub fn apply(state: &mut State, position: Position, record: &Record) {
    match record {
        Record::Started(fact) => state.epoch = fact.epoch,
        Record::TimeAdvanced(fact) => apply_time(state, fact.now, fact.wall),
        Record::TopicCreated(fact) => produce::apply_topic_created(state, position, fact),
        Record::MessageAppended(fact) => produce::apply_appended(state, position, fact),
        Record::MessageDue(at) => produce::apply_due(state, position, *at),
        Record::GroupCreated(fact) => group::apply_created(state, position, fact),
        Record::GroupTouched(fact) => group::apply_touched(state, position, fact.group, fact.at),
        Record::GroupForgotten(id) => group::apply_forgotten(state, *id),
        Record::Delivered(fact) => lease::apply_delivered(state, position, fact),
        Record::Extended(fact) => settle::apply_extended(state, position, *fact),
        Record::Acked(fact) => settle::apply_acked(state, position, fact),
        Record::Failed(fact) => settle::apply_failed(state, position, fact),
        Record::GivenBack(of) => lease::apply_given_back(state, position, *of),
        Record::Skipped(fact) => settle::apply_skipped(state, position, fact),
        Record::DeadLettered(fact) => dead_letter::apply_dead_lettered(state, position, fact),
        Record::DeadLetterClosed(fact) => dead_letter::apply_closed(state, position, fact),
        Record::DeadlinePassed(at) => apply_deadline(state, position, *at),
        Record::KeysForgotten(count) => idempotency::apply_keys_forgotten(state, position, *count),
        Record::RunCreated(fact) => run::apply_run_created(state, position, fact),
        Record::EventAppended(fact) => produce::apply_event(state, position, fact),
        Record::RunReplayed(fact) => run_replay::apply_replayed(state, position, fact),
        Record::StepStored(fact) => run::apply_step(state, position, fact),
        Record::Carried(fact) => apply_carried(state, position, fact),
        Record::DeadLetterMarked(fact) => dead_letter::apply_marked(state, position, *fact),
        Record::ClosingNoted(fact) => closing::apply_noted(state, position, fact),
        Record::RedriveJobStarted(fact) => redrive_job::apply_started(state, position, fact),
        Record::RedriveJobAdvanced(fact) => redrive_job::apply_advanced(state, position, fact),
        Record::RedriveJobChanged(fact) => redrive_job::apply_changed(state, position, fact),
        Record::RedriveEnded(fact) => redrive_job::apply_ended(state, position, *fact),
        Record::TopicSet(fact) => topic_settings::apply_set(state, position, fact),
        Record::TopicDeleted(fact) => topic_delete::apply_deleted(state, position, fact),
        Record::GroupSought(fact) => seek::apply_sought(state, position, fact),
        Record::GroupDeleted(fact) => group::apply_forgotten(state, fact.group),
        Record::MadeDue(fact) => retry_now::apply_made_due(state, position, fact),
    }
    state.applied = state.applied.max(position);
}

fn apply_time(state: &mut State, now: Instant, wall: WallTime) {
    state.now = state.now.max(now);
    state.wall = wall;
}

fn apply_deadline(state: &mut State, position: Position, at: MessageAt) {
    let Some(topic) = state.topic_effect(at.topic, position) else { return };
    let Some(partition) = topic.partition_mut(at.partition) else { return };
    let Some(note) = partition.rare_mut().notes.get_mut(&at.offset) else { return };
    note.expired = true;
    if let Some(deadline) = note.deadline {
        state.timers.deadlines.remove(&(deadline, at));
    }
}

/// A carried message is found at its new place; nothing else about it changes.
fn apply_carried(state: &mut State, position: Position, fact: &crate::Carried) {
    let at = match Record::decode(&fact.record) {
        Ok(Record::MessageAppended(message)) => message.at,
        Ok(Record::DeadLettered(dead)) => dead.at,
        Ok(Record::EventAppended(event)) => {
            MessageAt { topic: event.topic, partition: crate::PartitionId(0), offset: event.offset }
        }
        Ok(_) | Err(_) => return,
    };
    let Some(topic) = state.topic_effect(at.topic, position) else { return };
    if let Some(partition) = topic.partition_mut(at.partition) {
        partition.carry(at.offset, fact.from, position);
    }
}
