//! What a group was handed and has not settled, partition by partition, in few bytes.
//!
//! Promise: a lease, or a message that waits for a retry, costs one 64-byte entry and a timer; attempts that failed
//! cost 16 bytes each, an owner's name is kept once. What is in here is handed out as the plain values of [`Pending`].

use crate::packed::{Packed, PackedSet};
use crate::{Attempt, AttemptRef, Instant, Lease, LeaseId, Offset, OwnerId, Pending, Position, Waiting};
use alloc::{boxed::Box, vec::Vec};
use serde::{Deserialize, Serialize};

/// Everything that is pending in a group's partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pendings {
    slots: Packed<Offset, Slot>,
    owners: Owners,
    #[serde(skip)]
    retries: PackedSet<(Instant, Offset)>,
}

/// One pending message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// The lease's end, or when it is due again.
    at: Instant,
    /// The lease's `Delivered` record.
    delivered: Position,
    /// The lease, or by which one it was nacked last.
    serial: u64,
    epoch: u32,
    owner: OwnerNo,
    attempt: Attempt,
    is_leased: bool,
    history: Box<[Tried]>,
}

/// An attempt that failed, as an [`AttemptRef`]; no failure is position 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tried {
    delivered: Position,
    failed: Position,
}

/// An owner's number within its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct OwnerNo(u32);

/// Nobody.
const NO_OWNER: OwnerNo = OwnerNo(u32::MAX);

/// The names of those who hold something, or nacked it last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Owners {
    /// A name and how often it is used, by its number.
    names: Vec<Option<(OwnerId, u32)>>,
    /// Numbers in the order of their names.
    order: Vec<OwnerNo>,
    /// Numbers that nobody has.
    free: Vec<OwnerNo>,
}

impl Pendings {
    pub(crate) const fn new() -> Self {
        let owners = Owners { names: Vec::new(), order: Vec::new(), free: Vec::new() };
        Self { slots: Packed::new(), owners, retries: PackedSet::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn get(&self, offset: Offset) -> Option<Pending> {
        self.slots.get(&offset).map(|slot| self.unpacked(slot))
    }

    pub(crate) fn contains(&self, offset: Offset) -> bool {
        self.slots.contains(&offset)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Offset, Pending)> {
        self.slots.iter().map(|(offset, slot)| (*offset, self.unpacked(slot)))
    }

    /// The first that waits for a retry, behind `past` in the order of dues.
    pub(crate) fn next_retry(&self, past: Option<(Instant, Offset)>) -> Option<(Instant, Offset)> {
        let found = match past {
            Some(past) => {
                self.retries.range((core::ops::Bound::Excluded(past), core::ops::Bound::Unbounded)).next()
            }
            None => self.retries.first(),
        };
        found.map(|(retry, ())| *retry)
    }

    /// Enters what became of a message; answers what it was before.
    pub(crate) fn insert(&mut self, offset: Offset, pending: Pending) -> Option<Pending> {
        let slot = self.packed(pending);
        let retry = (!slot.is_leased).then_some((slot.at, offset));
        let before = self.slots.insert(offset, slot).map(|before| self.release(offset, &before));
        if let Some(retry) = retry {
            self.retries.insert(retry, ());
        }
        before
    }

    /// Takes a message out.
    pub(crate) fn remove(&mut self, offset: Offset) -> Option<Pending> {
        let before = self.slots.remove(&offset)?;
        Some(self.release(offset, &before))
    }

    /// Moves a live lease's end; answers the end before.
    pub(crate) fn extend(&mut self, offset: Offset, until: Instant) -> Option<Instant> {
        let slot = self.slots.get_mut(&offset).filter(|slot| slot.is_leased)?;
        Some(core::mem::replace(&mut slot.at, until))
    }

    /// Takes all slots out; the names of their owners stay.
    pub(crate) fn take_all(&mut self) -> Packed<Offset, Slot> {
        self.retries = PackedSet::new();
        core::mem::take(&mut self.slots)
    }

    /// Takes slots in, behind those before.
    pub(crate) fn adopt(&mut self, slots: Packed<Offset, Slot>) {
        let waiting = slots.iter().filter(|(_, slot)| !slot.is_leased);
        self.retries.extend(waiting.map(|(offset, slot)| ((slot.at, *offset), ())));
        self.slots.append(slots);
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn check(&self) -> bool {
        let waiting = self.slots.values().filter(|slot| !slot.is_leased).count();
        let owned = self.slots.values().filter(|slot| slot.owner != NO_OWNER).count();
        let counted: u64 = self.owners.names.iter().flatten().map(|(_, count)| u64::from(*count)).sum();
        waiting == self.retries.len()
            && self.slots.iter().all(|(o, slot)| slot.is_leased || self.retries.contains(&(slot.at, *o)))
            && counted == owned as u64
            && self.owners.names.len() == self.owners.order.len() + self.owners.free.len()
    }

    fn release(&mut self, offset: Offset, slot: &Slot) -> Pending {
        let pending = self.unpacked(slot);
        self.owners.release(slot.owner);
        if !slot.is_leased {
            self.retries.remove(&(slot.at, offset));
        }
        pending
    }

    fn packed(&mut self, pending: Pending) -> Slot {
        match pending {
            Pending::Leased(lease) => Slot {
                at: lease.until,
                delivered: lease.delivered,
                serial: lease.id.serial,
                epoch: lease.id.epoch,
                owner: self.owners.take(&lease.owner),
                attempt: lease.attempt,
                is_leased: true,
                history: lease.history.iter().map(Tried::of).collect(),
            },
            Pending::Waiting(waiting) => {
                let nacked = waiting.nacked_by.as_ref();
                let lease = nacked.map(|(_, lease)| *lease).unwrap_or_default();
                Slot {
                    at: waiting.due,
                    delivered: Position(0),
                    serial: lease.serial,
                    epoch: lease.epoch,
                    owner: nacked.map_or(NO_OWNER, |(owner, _)| self.owners.take(owner)),
                    attempt: waiting.attempts,
                    is_leased: false,
                    history: waiting.history.iter().map(Tried::of).collect(),
                }
            }
        }
    }

    fn unpacked(&self, slot: &Slot) -> Pending {
        let id = LeaseId { epoch: slot.epoch, serial: slot.serial };
        let owner = self.owners.name(slot.owner);
        let history: Vec<AttemptRef> = slot.history.iter().map(Tried::told).collect();
        if slot.is_leased {
            let owner = owner.expect("who holds a lease has a name");
            let (until, attempt, delivered) = (slot.at, slot.attempt, slot.delivered);
            Pending::Leased(Lease { id, owner, until, attempt, delivered, history })
        } else {
            let nacked_by = owner.map(|owner| (owner, id));
            Pending::Waiting(Waiting { due: slot.at, attempts: slot.attempt, nacked_by, history })
        }
    }
}

impl Tried {
    fn of(attempt: &AttemptRef) -> Self {
        Self { delivered: attempt.delivered, failed: attempt.failed.unwrap_or_default() }
    }

    fn told(&self) -> AttemptRef {
        let failed = Some(self.failed).filter(|failed| *failed != Position(0));
        AttemptRef { delivered: self.delivered, failed }
    }
}

impl Owners {
    /// The number of an owner who holds one more.
    fn take(&mut self, owner: &OwnerId) -> OwnerNo {
        let place = self.order.binary_search_by(|no| self.used(*no).map(|(name, _)| name).cmp(&Some(owner)));
        match place {
            Ok(known) => {
                let known = self.order.get(known).copied().unwrap_or(NO_OWNER);
                if let Some((_, count)) = self.used_mut(known) {
                    *count += 1;
                }
                known
            }
            Err(place) => {
                let fresh = OwnerNo(u32::try_from(self.names.len()).expect("fewer owners than messages"));
                let free = self.free.pop().unwrap_or(fresh);
                let used = Some((owner.clone(), 1));
                match self.names.get_mut(index(free)) {
                    Some(empty) => *empty = used,
                    None => self.names.push(used),
                }
                self.order.insert(place, free);
                free
            }
        }
    }

    fn release(&mut self, owner: OwnerNo) {
        let Some((name, count)) = self.used_mut(owner) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        let name = name.clone();
        let place = self.order.binary_search_by(|no| self.used(*no).map(|(own, _)| own).cmp(&Some(&name)));
        if let (Ok(place), Some(used)) = (place, self.names.get_mut(index(owner))) {
            *used = None;
            self.order.remove(place);
            self.free.push(owner);
        }
    }

    fn name(&self, owner: OwnerNo) -> Option<OwnerId> {
        self.used(owner).map(|(name, _)| name.clone())
    }

    fn used(&self, owner: OwnerNo) -> Option<&(OwnerId, u32)> {
        self.names.get(index(owner))?.as_ref()
    }

    fn used_mut(&mut self, owner: OwnerNo) -> Option<&mut (OwnerId, u32)> {
        self.names.get_mut(index(owner))?.as_mut()
    }
}

fn index(owner: OwnerNo) -> usize {
    usize::try_from(owner.0).unwrap_or(usize::MAX)
}
