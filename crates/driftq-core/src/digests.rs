//! Digests of keys and what was found under each, newest last.
//!
//! Promise: entries leave in the order in which they came, and by a fact only; the newest use of a key is the one that
//! counts. An entry costs its bytes and a place in an index of 8 bytes, and nothing ever moves when they are many.

use crate::packed::PackedSet;
use crate::ring::Ring;
use crate::{Instant, KeyDigest};
use serde::{Deserialize, Serialize};

/// Digests, each with the moment of its use and a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Clone"))]
pub(crate) struct Digests<T> {
    ring: Ring<Used<T>>,
    /// The number of the first; numbers begin anew after 2^32.
    first: u32,
    /// The head of a digest, and the number of its newest entry.
    #[serde(skip)]
    index: PackedSet<(u32, u32)>,
}

/// One use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used<T> {
    digest: KeyDigest,
    pub(crate) at: Instant,
    pub(crate) value: T,
}

impl<T> Default for Digests<T> {
    fn default() -> Self {
        Self { ring: Ring::new(), first: 0, index: PackedSet::new() }
    }
}

impl<T: Clone> Digests<T> {
    /// How many uses are kept.
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Uses, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Used<T>> {
        self.ring.iter()
    }

    pub(crate) fn oldest(&self) -> Option<&Used<T>> {
        self.ring.get(0)
    }

    /// The newest use of a key.
    pub(crate) fn find(&self, digest: &KeyDigest) -> Option<&Used<T>> {
        self.number_of(digest).and_then(|number| self.by_number(number))
    }

    /// Enters the newest use of a key.
    pub(crate) fn push(&mut self, digest: KeyDigest, at: Instant, value: T) {
        let head = head(&digest);
        if let Some(before) = self.number_of(&digest) {
            self.index.remove(&(head, before));
        }
        self.index.insert((head, self.number(self.ring.len())), ());
        self.ring.push_back(Used { digest, at, value });
    }

    /// The newest use of a key, to be corrected.
    pub(crate) fn find_mut(&mut self, digest: &KeyDigest) -> Option<&mut Used<T>> {
        let number = self.number_of(digest)?;
        self.ring.get_mut(usize::try_from(number.wrapping_sub(self.first)).ok()?)
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        for _ in 0..count {
            if self.pop_oldest().is_none() {
                return;
            }
        }
    }

    /// Takes the oldest use out.
    pub(crate) fn pop_oldest(&mut self) -> Option<Used<T>> {
        let oldest = self.ring.pop_front()?;
        // A key used again has a newer entry, which stays.
        self.index.remove(&(head(&oldest.digest), self.first));
        self.first = self.first.wrapping_add(1);
        Some(oldest)
    }

    /// Keeps only some uses, in their order.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Used<T>) -> bool) {
        let before = core::mem::take(self);
        before.ring.iter().filter(|used| keep(used)).for_each(|used| {
            self.push(used.digest, used.at, used.value.clone());
        });
    }

    /// The same uses without their index, for a checkpoint.
    pub(crate) fn unindexed(&self) -> Self {
        Self { ring: self.ring.clone(), first: self.first, index: PackedSet::new() }
    }

    /// Takes all uses out; the number of the first stays.
    pub(crate) fn take_uses(&mut self) -> Ring<Used<T>> {
        self.index = PackedSet::new();
        core::mem::take(&mut self.ring)
    }

    /// Takes uses in, behind those before.
    pub(crate) fn adopt(&mut self, uses: &Ring<Used<T>>) {
        uses.iter().for_each(|used| self.push(used.digest, used.at, used.value.clone()));
    }

    pub(crate) fn check(&self) -> bool {
        self.index.len() <= self.ring.len()
            && self.index.iter().all(|((own, number), ())| {
                self.by_number(*number).is_some_and(|used| head(&used.digest) == *own)
            })
    }

    fn number_of(&self, digest: &KeyDigest) -> Option<u32> {
        let head = head(digest);
        let mut from = (head, 0);
        // Nearly always there is one at the most.
        while let Some(((own, number), ())) = self.index.at_or_above(&from)
            && *own == head
        {
            if self.by_number(*number).is_some_and(|used| used.digest == *digest) {
                return Some(*number);
            }
            from = (head, number.checked_add(1)?);
        }
        None
    }

    fn by_number(&self, number: u32) -> Option<&Used<T>> {
        self.ring.get(usize::try_from(number.wrapping_sub(self.first)).ok()?)
    }

    fn number(&self, place: usize) -> u32 {
        self.first.wrapping_add(u32::try_from(place).expect("there are fewer keys than numbers"))
    }
}

fn head(digest: &KeyDigest) -> u32 {
    let [a, b, c, d, ..] = digest.0;
    u32::from_be_bytes([a, b, c, d])
}
