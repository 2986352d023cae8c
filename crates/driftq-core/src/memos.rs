//! Who settled what, remembered for a while so that a repeated answer is the first one.
//!
//! Promise: the newest memos of a group's partition are kept, up to a bound, in the order in which they came, at 20 bytes
//! each and a place in an index. What leaves, leaves by a fact.

use crate::packed::PackedSet;
use crate::ring::Ring;
use crate::{Claim, Instant, LeaseId, Millis, Offset, OwnerId};
use serde::{Deserialize, Serialize};

/// How an owner settled a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SettledBy {
    Ack,
    Nack,
}

/// The memos of a group's partition, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memos {
    ring: Ring<Memo>,
    /// The number of the first; numbers begin anew after 2^32.
    first: u32,
    /// The low half of an offset, and the number of its memo.
    #[serde(skip)]
    index: PackedSet<(u32, u32)>,
}

/// What is remembered of one settled message. Offsets have 52 bits here and instants 43 (in milliseconds 278 years).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memo {
    owner: u32,
    lease: u32,
    offset_low: u32,
    at_low: u32,
    /// 20 bits of the offset, 11 of the instant, and whether it was a nack.
    high: u32,
}

const OFFSET_HIGH_BITS: u32 = 20;
const AT_HIGH_BITS: u32 = 11;
const NACK: u32 = 1 << (OFFSET_HIGH_BITS + AT_HIGH_BITS);

impl Memos {
    pub(crate) const fn new() -> Self {
        Self { ring: Ring::new(), first: 0, index: PackedSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether this owner (by this lease, if named) settled the message so, and that is still remembered.
    pub(crate) fn tell(&self, how: SettledBy, claim: &Claim, now: Instant, window: Millis) -> bool {
        self.find(claim.offset).and_then(|place| self.ring.get(place)).is_some_and(|memo| {
            memo.how() == how
                && memo.owner == owner_digest(&claim.owner)
                && claim.lease.is_none_or(|lease| lease_digest(lease) == memo.lease)
                && memo.at().after(window) > now
        })
    }

    pub(crate) fn remember(
        &mut self,
        how: SettledBy,
        offset: Offset,
        owner: &OwnerId,
        lease: LeaseId,
        at: Instant,
    ) {
        let memo = Memo::new(how, offset, owner_digest(owner), lease_digest(lease), at);
        if let Some(known) = self.find(offset).and_then(|place| self.ring.get_mut(place)) {
            *known = memo;
            return;
        }
        self.index.insert((memo.offset_low, self.number(self.ring.len())), ());
        self.ring.push_back(memo);
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        for _ in 0..count {
            let Some(oldest) = self.ring.pop_front() else { return };
            self.index.remove(&(oldest.offset_low, self.first));
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Whether it is still remembered that an ack settled a message.
    pub(crate) fn is_ack(&self, offset: Offset) -> bool {
        let memo = self.find(offset).and_then(|place| self.ring.get(place));
        memo.is_some_and(|memo| memo.how() == SettledBy::Ack)
    }

    /// The memos of some messages, in their order.
    pub(crate) fn only(&self, keep: impl Fn(Offset) -> bool) -> Self {
        let kept = self.ring.iter().filter(|memo| keep(memo.offset())).copied().collect();
        let mut only = Self::default();
        only.adopt(&kept);
        only
    }

    /// Takes all memos out; the number of the first stays.
    pub(crate) fn take_all(&mut self) -> Ring<Memo> {
        self.index = PackedSet::new();
        core::mem::take(&mut self.ring)
    }

    /// Takes memos in, behind those before.
    pub(crate) fn adopt(&mut self, memos: &Ring<Memo>) {
        for memo in memos.iter() {
            self.index.insert((memo.offset_low, self.number(self.ring.len())), ());
            self.ring.push_back(*memo);
        }
    }

    pub(crate) fn check(&self) -> bool {
        self.index.len() == self.ring.len()
            && self.ring.iter().enumerate().all(|(place, memo)| self.find(memo.offset()) == Some(place))
    }

    fn find(&self, offset: Offset) -> Option<usize> {
        let low = low(offset.0);
        let mut from = (low, 0);
        // Nearly always there is one at the most.
        while let Some(((own, number), ())) = self.index.at_or_above(&from)
            && *own == low
        {
            let place = usize::try_from(number.wrapping_sub(self.first)).ok()?;
            if self.ring.get(place).is_some_and(|memo| memo.offset() == offset) {
                return Some(place);
            }
            from = (low, number.checked_add(1)?);
        }
        None
    }

    fn number(&self, place: usize) -> u32 {
        self.first.wrapping_add(u32::try_from(place).expect("there are fewer memos than numbers"))
    }
}

impl Memo {
    fn new(how: SettledBy, offset: Offset, owner: u32, lease: u32, at: Instant) -> Self {
        let offset_high = low(offset.0 >> 32) & ((1 << OFFSET_HIGH_BITS) - 1);
        let at_high = low(at.0 >> 32) & ((1 << AT_HIGH_BITS) - 1);
        let nack = match how {
            SettledBy::Ack => 0,
            SettledBy::Nack => NACK,
        };
        let high = offset_high | (at_high << OFFSET_HIGH_BITS) | nack;
        Self { owner, lease, offset_low: low(offset.0), at_low: low(at.0), high }
    }

    fn how(self) -> SettledBy {
        if self.high & NACK == 0 { SettledBy::Ack } else { SettledBy::Nack }
    }

    fn offset(self) -> Offset {
        let high = self.high & ((1 << OFFSET_HIGH_BITS) - 1);
        Offset(u64::from(high) << 32 | u64::from(self.offset_low))
    }

    fn at(self) -> Instant {
        let high = (self.high >> OFFSET_HIGH_BITS) & ((1 << AT_HIGH_BITS) - 1);
        Instant(u64::from(high) << 32 | u64::from(self.at_low))
    }
}

fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0)
}

/// A short name of an owner. A clash would only let one worker repeat another's ack.
fn owner_digest(owner: &OwnerId) -> u32 {
    let mut head = [0; 4];
    head.copy_from_slice(&blake3::hash(owner.as_str().as_bytes()).as_bytes()[..4]);
    u32::from_le_bytes(head)
}

/// A short name of a lease: its serial's low bits, and the start's in the high ones.
fn lease_digest(lease: LeaseId) -> u32 {
    low(lease.serial) ^ lease.epoch.rotate_right(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_memo_keeps_what_it_is_given(offset in 0_u64..1 << 52, at in 0_u64..1 << 43, owner: u32, lease: u32, nack: bool) {
            let how = if nack { SettledBy::Nack } else { SettledBy::Ack };
            let memo = Memo::new(how, Offset(offset), owner, lease, Instant(at));
            prop_assert_eq!((memo.how(), memo.offset(), memo.at()), (how, Offset(offset), Instant(at)));
            prop_assert_eq!((memo.owner, memo.lease), (owner, lease));
        }
    }
}
