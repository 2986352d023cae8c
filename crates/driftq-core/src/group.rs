//! Consumer groups: what each group has settled, holds, and waits for, partition by partition.
//!
//! Promise: a group remembers by facts alone, and is forgotten when nobody used it for long and nothing of it is open.
//! Acking 7 before 5 never loses 5 (see [`Progress`]).

use crate::idempotency::{AckedAt, ConsumedKeys};
pub use crate::progress::Progress;
use crate::{
    Attempt, AttemptRef, GroupCreated, GroupId, GroupName, Instant, KeyDigest, LeaseId, MessageOf, Millis,
    Offset, OwnerId, PartitionId, Position, State, TopicId, TopicKind,
};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One incarnation of a consumer group on one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its incarnation.
    pub id: GroupId,
    /// The topic it reads.
    pub topic: TopicId,
    /// Its name.
    pub name: GroupName,
    /// The last record that changed it.
    pub applied: Position,
    /// Its progress, a partition each.
    pub partitions: Vec<Progress>,
    /// When it was last used, core time.
    pub used_at: Instant,
    /// When the timer looks whether it is still wanted.
    pub(crate) armed: Instant,
    pub(crate) ever_acked: bool,
    /// The partition whose turn it is.
    pub(crate) turn: u32,
    pub(crate) consumed: ConsumedKeys,
    /// Leases up to this serial were given out before it was made.
    pub(crate) born: u64,
}

/// A message that was delivered and is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Somebody holds it (until the lease's end).
    Leased(Lease),
    /// It waits for its next delivery.
    Waiting(Waiting),
}

/// Who holds a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The lease.
    pub id: LeaseId,
    /// Who.
    pub owner: OwnerId,
    /// Until when, core time.
    pub until: Instant,
    /// Which attempt.
    pub attempt: Attempt,
    /// The `Delivered` record.
    pub delivered: Position,
    /// Earlier attempts that failed.
    pub history: Vec<AttemptRef>,
}

/// A message that waits for its next delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// When it is due, core time.
    pub due: Instant,
    /// Attempts so far.
    pub attempts: Attempt,
    /// Who nacked it last, and by which lease; `None` after a lease that ended or was given back.
    pub nacked_by: Option<(OwnerId, LeaseId)>,
    /// Attempts that failed.
    pub history: Vec<AttemptRef>,
}

/// How a message stands with a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Unseen,
    Leased(Lease),
    Waiting(Waiting),
    Settled,
}

impl Group {
    /// Its progress in a partition.
    #[must_use]
    pub fn progress(&self, partition: PartitionId) -> Option<&Progress> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }

    pub(crate) fn progress_mut(&mut self, partition: PartitionId) -> Option<&mut Progress> {
        self.partitions.get_mut(usize::try_from(partition.0).ok()?)
    }

    /// Entries of its lists.
    pub(crate) fn weight(&self) -> usize {
        self.partitions.iter().map(Progress::weight).sum::<usize>() + self.consumed.len()
    }

    /// The message by which this group acked a key, while that counts: it ends when the group moves back behind it.
    pub(crate) fn acked_by(&self, key: &KeyDigest, state: &State) -> Option<AckedAt> {
        let acked = self.consumed.find(key, state.now, state.limits.consumed_key_window)?;
        let progress = self.progress(acked.partition)?;
        progress.is_settled(acked.offset).then_some(acked)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.partitions.iter().all(Progress::is_idle)
    }

    /// How long nobody may use it before it is forgotten.
    pub(crate) fn idle_max(&self, state: &State) -> Millis {
        let topic = state.topics.get(&self.topic);
        let on_timeline = topic.is_some_and(|topic| matches!(topic.kind, TopicKind::Timeline(_)));
        if on_timeline || !self.ever_acked {
            state.limits.group_idle_unused_max
        } else {
            state.limits.group_idle_max
        }
    }
}

pub(crate) fn apply_created(state: &mut State, position: Position, fact: &GroupCreated) {
    state.ids.group = state.ids.group.max(fact.group.next());
    // Without its topic it was deleted together with it, as the log goes on to tell.
    if state.groups.contains_key(&fact.group) || !state.topics.contains_key(&fact.topic) {
        return;
    }
    let partitions = fact.starts.iter().map(Progress::starting).collect();
    let group = Group {
        id: fact.group,
        topic: fact.topic,
        name: fact.name.clone(),
        applied: position,
        partitions,
        used_at: fact.at,
        armed: fact.at.after(state.limits.group_idle_unused_max),
        ever_acked: false,
        turn: 0,
        consumed: ConsumedKeys::default(),
        born: state.ids.lease,
    };
    state.adopt_group(group);
}

pub(crate) fn apply_touched(state: &mut State, position: Position, group: GroupId, at: Instant) {
    let Some(found) = state.group_effect(group, position) else { return };
    found.used_at = found.used_at.max(at);
    state.rearm(group, state.now);
}

pub(crate) fn apply_forgotten(state: &mut State, group: GroupId) {
    let Some(found) = state.groups.remove(&group) else { return };
    if let Some(topic) = state.topics.get_mut(&found.topic) {
        topic.groups.remove(&found.name);
    }
    state.timers.drop_group(&found);
}

/// The message a group's pending entry is about.
pub(crate) fn message_of(group: GroupId, partition: PartitionId, offset: Offset) -> MessageOf {
    MessageOf { group, partition, offset }
}
