//! Retrying now: a backoff or a delay ends before its time.
//!
//! Promise: only waiting ends early; what somebody holds, or what is settled, is refused and says who, until when or
//! where. A delay ends for every group, a backoff for the one that failed.

use crate::draft::Draft;
use crate::group::{Standing, message_of};
use crate::lease::live_run;
use crate::{
    Event, Group, Instant, MessageAt, MessageOf, MessageTarget, Millis, Pending, Position, Record, Rejection,
    Reply, RetryNow, State, Topic, Waiting,
};
use alloc::{boxed::Box, string::String, string::ToString};
use serde::{Deserialize, Serialize};

/// See [`Record::MadeDue`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeDue {
    /// What waited.
    pub what: WasWaiting,
    /// When, core time.
    pub at: Instant,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// What waited until somebody made it due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WasWaiting {
    /// A group's failed message, for its next attempt.
    Backoff(MessageOf),
    /// A delayed message, for all groups.
    Delay(MessageAt),
}

/// What a message waited for when somebody asked to retry it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitedFor {
    /// The end of a backoff.
    Backoff,
    /// The end of its delay.
    Delay,
    /// Nothing: it was due already.
    Nothing,
}

/// A message, and the group it is asked about.
pub(crate) struct Asked<'a> {
    pub(crate) topic: &'a Topic,
    pub(crate) group: Option<&'a Group>,
    pub(crate) at: MessageAt,
}

pub(crate) fn decide_retry_now(draft: &mut Draft<'_>, ask: RetryNow) -> Result<Reply, Rejection> {
    let state = draft.state;
    let asked = find(state, &ask.target)?;
    let at = asked.at;
    let partition = asked.topic.partition(at.partition).expect("it was found there");
    let reply = |was, group: Option<&Group>| Reply::MadeDue {
        at,
        topic: asked.topic.name.clone(),
        group: group.map(|group| group.name.clone()),
        was,
    };
    if partition.delayed_until(at.offset).is_some() {
        push(draft, WasWaiting::Delay(at), ask);
        return Ok(reply(WaitedFor::Delay, None));
    }
    let Some(group) = asked.group else {
        // A run's command waits for the first reader of its group.
        let is_run = matches!(ask.target, MessageTarget::Run(_));
        return if is_run { Ok(reply(WaitedFor::Nothing, None)) } else { Err(Rejection::GroupNeeded) };
    };
    let progress = group.progress(at.partition).expect("a group has its topic's partitions");
    match progress.standing(at.offset) {
        Standing::Leased(lease) if lease.until > state.now => Err(Rejection::LeasedBy {
            owner: lease.owner.as_str().to_string(),
            until: state.wall_at(lease.until),
        }),
        // Its redelivery is due in this very turn.
        Standing::Leased(_) => Ok(reply(WaitedFor::Nothing, Some(group))),
        Standing::Waiting(waiting) if waiting.due > state.now => {
            let of = message_of(group.id, at.partition, at.offset);
            let attempts = waiting.attempts;
            push(draft, WasWaiting::Backoff(of), ask);
            if let Some(run) = live_run(state, group, at.partition, at.offset) {
                let scheduled = Event::RetryScheduled {
                    at: state.wall,
                    delay: Millis(0),
                    next_attempt: attempts.next(),
                    max_attempts: run.policy.max_attempts,
                };
                draft.run_event(&run, attempts, scheduled);
            }
            Ok(reply(WaitedFor::Backoff, Some(group)))
        }
        Standing::Waiting(_) | Standing::Unseen => Ok(reply(WaitedFor::Nothing, Some(group))),
        Standing::Settled => Err(settled(state, group, at)),
    }
}

fn settled(state: &State, group: &Group, at: MessageAt) -> Rejection {
    match state.dead_letter_of(at, Some(&group.name)) {
        Some((dead, _)) => Rejection::DeadLetteredTo {
            topic: state.topics.get(&dead.topic).map_or_else(String::new, |topic| topic.name.to_string()),
            partition: dead.partition,
            offset: dead.offset,
        },
        None => Rejection::SettledAlready,
    }
}

fn push(draft: &mut Draft<'_>, what: WasWaiting, ask: RetryNow) {
    let at = draft.state.now;
    draft.push(Record::MadeDue(Box::new(MadeDue { what, at, actor: ask.actor, reason: ask.reason })));
}

/// Finds the message that is asked about.
pub(crate) fn find<'a>(state: &'a State, target: &MessageTarget) -> Result<Asked<'a>, Rejection> {
    match target {
        MessageTarget::Message { topic: name, group, partition, offset } => {
            let topic =
                state.topic(name).ok_or_else(|| Rejection::UnknownTopic(name.as_str().to_string()))?;
            let found = topic.partition(*partition).ok_or_else(|| Rejection::PartitionOutOfRange {
                topic: name.as_str().to_string(),
                asked: u64::from(partition.0),
                count: topic.partition_count(),
            })?;
            found.entry(*offset).ok_or(Rejection::UnknownMessage)?;
            let group = match group {
                Some(group) => {
                    let found = topic.group(group).and_then(|id| state.groups.get(&id));
                    Some(found.ok_or_else(|| Rejection::UnknownGroup {
                        topic: name.as_str().to_string(),
                        group: group.as_str().to_string(),
                    })?)
                }
                None => None,
            };
            let at = MessageAt { topic: topic.id, partition: *partition, offset: *offset };
            Ok(Asked { topic, group, at })
        }
        MessageTarget::Run(run_id) => {
            let run = crate::run::find_run(state, run_id)?;
            if run.status.is_terminal() {
                let run_id = run_id.as_str().to_string();
                return Err(Rejection::RunEnded { run_id, status: run.status.as_str() });
            }
            let topic = state.topics.get(&run.command.topic).ok_or(Rejection::UnknownMessage)?;
            Ok(Asked { topic, group: state.group_of(&run), at: run.command })
        }
    }
}

pub(crate) fn apply_made_due(state: &mut State, position: Position, fact: &MadeDue) {
    let of = match fact.what {
        WasWaiting::Backoff(of) => of,
        WasWaiting::Delay(at) => return crate::produce::apply_due(state, position, at),
    };
    let Some(group) = state.group_effect(of.group, position) else { return };
    let Some(progress) = group.progress_mut(of.partition) else { return };
    let Some(Pending::Waiting(waiting)) = progress.pending_at(of.offset) else { return };
    let before = waiting.due;
    progress.put(of.offset, Pending::Waiting(Waiting { due: fact.at, ..waiting }));
    state.timers.retries.remove(&(before, of));
    state.timers.retries.insert((fact.at, of), ());
}
