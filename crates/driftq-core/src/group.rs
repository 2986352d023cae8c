//! Consumer groups: what each group has settled, holds, and waits for, partition by partition.
//!
//! Promise: the floor passes an offset only when it and all before it are settled, so acking 7 before 5 never loses 5.
//! A settled stretch costs one range however long it is; only what is leased or waits for a retry costs an entry.

use crate::idempotency::{Consumed, ConsumedKeys};
use crate::{
    Attempt, AttemptRef, Claim, GroupCreated, GroupId, GroupName, Instant, KeyDigest, LeaseId, MessageOf,
    Millis, Offset, OwnerId, PartitionId, Position, State, TopicId, TopicKind,
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
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

/// A group's progress in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The next place of the visible sequence that was never delivered.
    pub next: u64,
    /// Everything below is settled.
    pub floor: Offset,
    /// Bytes of the partition that are settled, or did not count from the start.
    pub settled_bytes: u64,
    /// How many messages are leased.
    pub leased: u32,
    above: u64,
    ranges: BTreeMap<u64, u64>,
    pub(crate) pending: BTreeMap<Offset, Pending>,
    pub(crate) retries: BTreeSet<(Instant, Offset)>,
    acks: BTreeMap<Offset, Memo>,
    acks_order: VecDeque<Offset>,
    /// Messages below may have been delivered before the group was moved.
    pub(crate) seen: Offset,
}

/// A message that was delivered and is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pending {
    /// Somebody holds it (until the lease's end).
    Leased(Lease),
    /// It waits for its next delivery.
    Waiting(Waiting),
}

/// Who holds a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What is remembered of a settled message for a while, in 24 bytes: there may be many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Memo {
    owner: u32,
    lease: u32,
    at: Instant,
    how: SettledBy,
}

/// How an owner settled a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SettledBy {
    Ack,
    Nack,
}

/// How a message stands with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    Unseen,
    Leased(&'a Lease),
    Waiting(&'a Waiting),
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

    /// The message by which this group acked a key, while that counts: it ends when the group moves back behind it.
    pub(crate) fn acked_by(&self, key: &KeyDigest, state: &State) -> Option<&Consumed> {
        let consumed = self.consumed.find(key, state.now, state.limits.consumed_key_window)?;
        let progress = self.progress(consumed.partition)?;
        progress.is_settled(consumed.offset).then_some(consumed)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.partitions.iter().all(|progress| progress.pending.is_empty())
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

impl Progress {
    /// Whether the group is done with a message.
    #[must_use]
    pub fn is_settled(&self, offset: Offset) -> bool {
        offset < self.floor
            || self.ranges.range(..=offset.0).next_back().is_some_and(|(_, end)| offset.0 < *end)
    }

    /// Whether the owner that settled a message by an ack is still remembered.
    pub(crate) fn is_ack_remembered(&self, offset: Offset) -> bool {
        self.acks.get(&offset).is_some_and(|memo| memo.how == SettledBy::Ack)
    }

    /// How many messages of a partition that ends at `end` are not settled.
    #[must_use]
    pub fn lag(&self, end: Offset) -> u64 {
        end.0.saturating_sub(self.floor.0).saturating_sub(self.above)
    }

    /// What was delivered and is not settled.
    pub fn pending(&self) -> impl Iterator<Item = (Offset, &Pending)> {
        self.pending.iter().map(|(offset, pending)| (*offset, pending))
    }

    /// How many messages were delivered and are not settled.
    #[must_use]
    pub fn pending_count(&self) -> u64 {
        self.pending.len() as u64
    }

    /// The state of one message that was delivered and is not settled.
    #[must_use]
    pub fn pending_at(&self, offset: Offset) -> Option<&Pending> {
        self.pending.get(&offset)
    }

    pub(crate) fn standing(&self, offset: Offset) -> Standing<'_> {
        match self.pending.get(&offset) {
            Some(Pending::Leased(lease)) => Standing::Leased(lease),
            Some(Pending::Waiting(waiting)) => Standing::Waiting(waiting),
            None if self.is_settled(offset) => Standing::Settled,
            None => Standing::Unseen,
        }
    }

    /// Whether this owner (by this lease, if named) settled the message, and that is still remembered.
    pub(crate) fn was_settled(&self, how: SettledBy, claim: &Claim, now: Instant, window: Millis) -> bool {
        self.acks.get(&claim.offset).is_some_and(|memo| {
            memo.how == how
                && memo.owner == owner_digest(&claim.owner)
                && claim.lease.is_none_or(|lease| lease_digest(lease) == memo.lease)
                && memo.is_fresh(now, window)
        })
    }

    /// How many of the oldest memos leave when one more comes.
    pub(crate) fn surplus_memos(&self, max: usize) -> u32 {
        u32::from(self.acks_order.len() >= max)
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        for _ in 0..count {
            if let Some(oldest) = self.acks_order.pop_front() {
                self.acks.remove(&oldest);
            }
        }
    }

    pub(crate) fn remember(
        &mut self,
        how: SettledBy,
        offset: Offset,
        owner: &OwnerId,
        lease: LeaseId,
        at: Instant,
    ) {
        let memo = Memo { owner: owner_digest(owner), lease: lease_digest(lease), at, how };
        if self.acks.insert(offset, memo).is_none() {
            self.acks_order.push_back(offset);
        }
    }

    /// Moves to another place; answers what was pending, which is over.
    pub(crate) fn move_to(&mut self, place: &crate::SoughtPlace) -> BTreeMap<Offset, Pending> {
        let before = core::mem::take(self);
        *self = Self {
            next: place.next,
            floor: place.floor,
            settled_bytes: place.bytes,
            above: place.settled.iter().map(|(from, until)| until.0 - from.0).sum(),
            ranges: place.settled.iter().map(|(from, until)| (from.0, until.0)).collect(),
            seen: before.seen.max(place.seen),
            ..Self::default()
        };
        // A repeated ack of what stays settled is still answered alike.
        let acks = before.acks.into_iter().filter(|(offset, _)| self.is_settled(*offset)).collect();
        self.acks = acks;
        self.acks_order =
            before.acks_order.into_iter().filter(|offset| self.acks.contains_key(offset)).collect();
        before.pending
    }

    /// Marks a message as done with and lets the floor pass over what is settled.
    pub(crate) fn settle(&mut self, offset: Offset, bytes: u32) {
        if self.is_settled(offset) {
            return;
        }
        self.settled_bytes += u64::from(bytes);
        let mut start = offset.0;
        let mut end = offset.0 + 1;
        if let Some((before, until)) = self.ranges.range(..offset.0).next_back().map(|(s, e)| (*s, *e))
            && until == offset.0
        {
            self.ranges.remove(&before);
            start = before;
        }
        if let Some(until) = self.ranges.remove(&end) {
            end = until;
        }
        self.above += 1;
        if start == self.floor.0 {
            self.above -= end - start;
            self.floor = Offset(end);
        } else {
            self.ranges.insert(start, end);
        }
    }

    pub(crate) fn check(&self) -> bool {
        let sum: u64 = self.ranges.iter().map(|(start, end)| end - start).sum();
        let leased = self.pending.values().filter(|p| matches!(p, Pending::Leased(_))).count();
        let waiting = self.pending.len() - leased;
        sum == self.above
            && self.ranges.iter().all(|(start, end)| start < end && *start > self.floor.0)
            && self.pending.keys().all(|offset| !self.is_settled(*offset))
            && u32::try_from(leased) == Ok(self.leased)
            && waiting == self.retries.len()
            && self.acks.len() == self.acks_order.len()
    }
}

impl Memo {
    fn is_fresh(&self, now: Instant, window: Millis) -> bool {
        self.at.after(window) > now
    }
}

/// A short name of an owner. A clash would only let one worker repeat another's ack.
fn owner_digest(owner: &OwnerId) -> u32 {
    let mut head = [0; 4];
    head.copy_from_slice(&blake3::hash(owner.as_str().as_bytes()).as_bytes()[..4]);
    u32::from_le_bytes(head)
}

/// A short name of a lease: its serial's low bits, and the start's in the high ones.
fn lease_digest(lease: LeaseId) -> u32 {
    let serial = u32::try_from(lease.serial & u64::from(u32::MAX)).unwrap_or(0);
    serial ^ lease.epoch.rotate_right(8)
}

pub(crate) fn apply_created(state: &mut State, position: Position, fact: &GroupCreated) {
    state.ids.group = state.ids.group.max(fact.group.next());
    // Without its topic it was deleted together with it, as the log goes on to tell.
    if state.groups.contains_key(&fact.group) || !state.topics.contains_key(&fact.topic) {
        return;
    }
    let partitions = fact
        .starts
        .iter()
        .map(|start| Progress {
            next: start.next,
            floor: start.floor,
            settled_bytes: start.bytes,
            above: start.settled.iter().map(|(from, until)| until.0 - from.0).sum(),
            ranges: start.settled.iter().map(|(from, until)| (from.0, until.0)).collect(),
            ..Progress::default()
        })
        .collect();
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
