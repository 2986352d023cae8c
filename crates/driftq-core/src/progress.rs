//! A group's progress in one partition: what is settled, what is held, what waits.
//!
//! Promise: the floor passes an offset only when it and all before it are settled. A settled stretch costs one range
//! however long it is; a partition in which nothing happens costs its few numbers.

use crate::group::Standing;
use crate::memos::{Memos, SettledBy};
use crate::packed::Packed;
use crate::parts::OfProgress;
use crate::pending::Pendings;
use crate::{Claim, GroupStart, Instant, LeaseId, Millis, Offset, OwnerId, Pending, SoughtPlace};
use alloc::{boxed::Box, vec::Vec};
use serde::{Deserialize, Serialize};

/// A group's progress in one partition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The next place of the visible sequence that was never delivered.
    pub next: u64,
    /// Everything below is settled.
    pub floor: Offset,
    /// Bytes of the partition that are settled, or did not count from the start.
    pub settled_bytes: u64,
    /// How many messages are leased.
    pub leased: u32,
    busy: Option<Box<Busy>>,
}

/// What only a partition has in which something happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Busy {
    /// Settled stretches above the floor, and how many messages they have.
    ranges: Packed<u64, u64>,
    above: u64,
    pendings: Pendings,
    memos: Memos,
    /// Messages below may have been delivered before the group was moved.
    seen: Offset,
}

static NOTHING: Busy =
    Busy { ranges: Packed::new(), above: 0, pendings: Pendings::new(), memos: Memos::new(), seen: Offset(0) };

impl PartialEq for Progress {
    fn eq(&self, other: &Self) -> bool {
        let numbers =
            |progress: &Self| (progress.next, progress.floor, progress.settled_bytes, progress.leased);
        numbers(self) == numbers(other) && self.busy() == other.busy()
    }
}

impl Eq for Progress {}

impl Progress {
    /// A new group's progress.
    pub(crate) fn starting(start: &GroupStart) -> Self {
        let mut progress =
            Self { next: start.next, floor: start.floor, settled_bytes: start.bytes, ..Self::default() };
        if !start.settled.is_empty() {
            let busy = progress.busy_mut();
            busy.above = start.settled.iter().map(|(from, until)| until.0 - from.0).sum();
            busy.ranges = start.settled.iter().map(|(from, until)| (from.0, until.0)).collect();
        }
        progress
    }

    /// Whether the group is done with a message.
    #[must_use]
    pub fn is_settled(&self, offset: Offset) -> bool {
        let before = || self.busy().ranges.at_or_below(&offset.0);
        offset < self.floor || before().is_some_and(|(_, end)| offset.0 < *end)
    }

    /// How many messages of a partition that ends at `end` are not settled.
    #[must_use]
    pub fn lag(&self, end: Offset) -> u64 {
        end.0.saturating_sub(self.floor.0).saturating_sub(self.busy().above)
    }

    /// What was delivered and is not settled.
    pub fn pending(&self) -> impl Iterator<Item = (Offset, Pending)> {
        self.busy().pendings.iter()
    }

    /// The state of one message that was delivered and is not settled.
    #[must_use]
    pub fn pending_at(&self, offset: Offset) -> Option<Pending> {
        self.busy().pendings.get(offset)
    }

    /// Whether one message was delivered and is not settled.
    #[must_use]
    pub fn is_pending(&self, offset: Offset) -> bool {
        self.busy().pendings.contains(offset)
    }

    /// Whether nothing was delivered that is not settled.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.busy().pendings.is_empty()
    }

    pub(crate) fn standing(&self, offset: Offset) -> Standing {
        match self.pending_at(offset) {
            Some(Pending::Leased(lease)) => Standing::Leased(lease),
            Some(Pending::Waiting(waiting)) => Standing::Waiting(waiting),
            None if self.is_settled(offset) => Standing::Settled,
            None => Standing::Unseen,
        }
    }

    /// The first that waits for a retry, behind `past` in the order of dues.
    pub(crate) fn next_retry(&self, past: Option<(Instant, Offset)>) -> Option<(Instant, Offset)> {
        self.busy().pendings.next_retry(past)
    }

    /// Enters what became of a message; answers what it was before.
    pub(crate) fn put(&mut self, offset: Offset, pending: Pending) -> Option<Pending> {
        self.leased += u32::from(matches!(pending, Pending::Leased(_)));
        let before = self.busy_mut().pendings.insert(offset, pending);
        self.leased -= u32::from(matches!(before, Some(Pending::Leased(_))));
        before
    }

    /// Takes a message out of what is pending.
    pub(crate) fn take(&mut self, offset: Offset) -> Option<Pending> {
        let before = self.busy.as_mut()?.pendings.remove(offset);
        self.leased -= u32::from(matches!(before, Some(Pending::Leased(_))));
        before
    }

    /// Moves a live lease's end; answers the end before.
    pub(crate) fn extend(&mut self, offset: Offset, until: Instant) -> Option<Instant> {
        self.busy.as_mut()?.pendings.extend(offset, until)
    }

    /// Whether this owner (by this lease, if named) settled the message, and that is still remembered.
    pub(crate) fn was_settled(&self, how: SettledBy, claim: &Claim, now: Instant, window: Millis) -> bool {
        self.busy().memos.tell(how, claim, now, window)
    }

    /// How many of the oldest memos leave when one more comes.
    pub(crate) fn surplus_memos(&self, max: usize) -> u32 {
        u32::from(self.busy().memos.len() >= max)
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        if let Some(busy) = &mut self.busy {
            busy.memos.forget_oldest(count);
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
        self.busy_mut().memos.remember(how, offset, owner, lease, at);
    }

    /// Marks a message as done with and lets the floor pass over what is settled.
    pub(crate) fn settle(&mut self, offset: Offset, bytes: u32) {
        if self.is_settled(offset) {
            return;
        }
        self.settled_bytes += u64::from(bytes);
        let mut start = offset.0;
        let mut end = offset.0 + 1;
        let floor = self.floor;
        let busy = self.busy_mut();
        let before = busy.ranges.at_or_below(&offset.0).map(|(start, end)| (*start, *end));
        if let Some((before, until)) = before
            && until == offset.0
        {
            busy.ranges.remove(&before);
            start = before;
        }
        if let Some(until) = busy.ranges.remove(&end) {
            end = until;
        }
        busy.above += 1;
        if start == floor.0 {
            busy.above -= end - start;
            self.floor = Offset(end);
        } else {
            busy.ranges.insert(start, end);
        }
    }

    /// Messages below may have been delivered before the group was moved.
    pub(crate) fn seen(&self) -> Offset {
        self.busy().seen
    }

    /// How many messages were delivered and are not settled.
    #[must_use]
    pub fn pending_count(&self) -> u64 {
        self.busy().pendings.len() as u64
    }

    /// Whether it is still remembered that an ack settled a message.
    pub(crate) fn is_ack_remembered(&self, offset: Offset) -> bool {
        self.busy().memos.is_ack(offset)
    }

    /// Moves to another place; answers what was pending, which is over.
    pub(crate) fn move_to(&mut self, place: &SoughtPlace) -> Vec<(Offset, Pending)> {
        let before = core::mem::take(self);
        let pending = before.pending().collect();
        let start = GroupStart {
            next: place.next,
            floor: place.floor,
            bytes: place.bytes,
            settled: place.settled.clone(),
        };
        *self = Self::starting(&start);
        let seen = before.seen().max(place.seen);
        // A repeated ack of what stays settled is still answered alike.
        let memos = before.busy().memos.only(|offset| self.is_settled(offset));
        let busy = self.busy_mut();
        (busy.seen, busy.memos) = (seen, memos);
        pending
    }

    /// Entries of its lists.
    pub(crate) fn weight(&self) -> usize {
        let busy = self.busy();
        busy.ranges.len() + busy.pendings.len() + busy.memos.len()
    }

    /// Takes its lists out.
    pub(crate) fn take_parts(&mut self) -> impl Iterator<Item = OfProgress> + use<> {
        let parts = self.busy.as_mut().map(|busy| {
            [
                OfProgress::Ranges(core::mem::take(&mut busy.ranges)),
                OfProgress::Slots(busy.pendings.take_all()),
                OfProgress::Memos(busy.memos.take_all()),
            ]
        });
        parts.into_iter().flatten()
    }

    /// Takes entries of a list in, behind those before.
    pub(crate) fn adopt(&mut self, part: OfProgress) {
        let busy = self.busy_mut();
        match part {
            OfProgress::Ranges(ranges) => busy.ranges.append(ranges),
            OfProgress::Slots(slots) => busy.pendings.adopt(slots),
            OfProgress::Memos(memos) => busy.memos.adopt(&memos),
        }
    }

    pub(crate) fn check(&self) -> bool {
        let busy = self.busy();
        let sum: u64 = busy.ranges.iter().map(|(start, end)| end - start).sum();
        let leased = self.pending().filter(|(_, pending)| matches!(pending, Pending::Leased(_))).count();
        sum == busy.above
            && busy.ranges.iter().all(|(start, end)| start < end && *start > self.floor.0)
            && self.pending().all(|(offset, _)| !self.is_settled(offset))
            && u32::try_from(leased) == Ok(self.leased)
            && busy.pendings.check()
            && busy.memos.check()
    }

    fn busy(&self) -> &Busy {
        self.busy.as_deref().unwrap_or(&NOTHING)
    }

    fn busy_mut(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }
}
