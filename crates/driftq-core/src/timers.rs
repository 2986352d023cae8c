//! The one timer structure: what is due when.
//!
//! Promise: it is derived from topics and groups and never stored by itself; entering, leaving and asking for the next
//! moment cost the logarithm of what waits. Core time drives leases and retries, the wall clock delays and deadlines.

use crate::packed::PackedSet;
use crate::{Group, GroupId, Instant, MessageAt, MessageOf, Offset, PartitionId, Pending, Topic, WallTime};

/// From this part of all delays on, a topic's are dropped in one walk over all.
const WALK_SHARE: usize = 16;

/// All timers of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timers {
    pub(crate) leases: PackedSet<(Instant, MessageOf)>,
    pub(crate) retries: PackedSet<(Instant, MessageOf)>,
    pub(crate) idle: PackedSet<(Instant, GroupId)>,
    pub(crate) due: PackedSet<(WallTime, MessageAt)>,
    pub(crate) deadlines: PackedSet<(WallTime, MessageAt)>,
}

impl Timers {
    /// Forgets what a group waits for.
    pub(crate) fn drop_group(&mut self, group: &Group) {
        for (index, progress) in group.partitions.iter().enumerate() {
            let partition = PartitionId(u32::try_from(index).unwrap_or(u32::MAX));
            for (offset, pending) in progress.pending() {
                self.drop_pending(MessageOf { group: group.id, partition, offset }, &pending);
            }
        }
        self.idle.remove(&(group.armed, group.id));
    }

    /// Forgets a topic's delays and deadlines: one by one, or in one walk when they are many of all.
    pub(crate) fn drop_topic(&mut self, topic: &Topic) {
        let at = |index, offset| MessageAt { topic: topic.id, partition: PartitionId(index), offset };
        let delays: usize = topic.partitions.iter().map(|partition| partition.rare().delayed.len()).sum();
        let is_walk = delays > self.due.len() / WALK_SHARE;
        if is_walk {
            let left = self.due.keys().filter(|(_, at)| at.topic != topic.id);
            self.due = left.map(|due| (*due, ())).collect();
        }
        for (partition, index) in topic.partitions.iter().zip(0..) {
            if !is_walk {
                for (offset, due) in partition.rare().delayed.iter() {
                    self.due.remove(&(*due, at(index, *offset)));
                }
            }
            for (offset, note) in partition.rare().notes.iter() {
                if let Some(deadline) = note.deadline {
                    self.deadlines.remove(&(deadline, at(index, *offset)));
                }
            }
        }
    }

    pub(crate) fn drop_pending(&mut self, of: MessageOf, pending: &Pending) {
        match pending {
            Pending::Leased(lease) => self.leases.remove(&(lease.until, of)),
            Pending::Waiting(waiting) => self.retries.remove(&(waiting.due, of)),
        };
    }

    pub(crate) fn add_pending(&mut self, of: MessageOf, pending: &Pending) {
        match pending {
            Pending::Leased(lease) => self.leases.insert((lease.until, of), ()),
            Pending::Waiting(waiting) => self.retries.insert((waiting.due, of), ()),
        };
    }

    /// Groups that got a retry due after `past` and not after `now`.
    pub(crate) fn retries_due(&self, past: Instant, now: Instant) -> impl Iterator<Item = MessageOf> {
        let least = MessageOf { group: GroupId(0), partition: PartitionId(0), offset: Offset(0) };
        self.retries.range((past.next(), least)..(now.next(), least)).map(|((_, of), ())| *of)
    }
}
