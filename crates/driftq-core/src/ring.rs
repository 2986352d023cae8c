//! A queue in chunks: entries come at its end, leave at its front, and are found by their place.
//!
//! Promise: every operation costs the same however long it is, and a long queue never moves. A clone shares the chunks
//! and copies one when either side changes it.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries of a chunk.
const CHUNK: usize = 512;

/// A queue.
#[derive(Clone)]
pub(crate) struct Ring<T> {
    /// All but the last are full.
    chunks: VecDeque<Arc<Vec<T>>>,
    /// Entries of the first chunk that have left.
    left: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Ring<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: VecDeque::new(), left: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        match self.chunks.back() {
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.len() - self.left,
            None => 0,
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let at = index.checked_add(self.left)?;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(self.left)
    }

    /// The first place whose entry is not `before`; entries that are come first.
    pub(crate) fn partition_point(&self, before: impl Fn(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl<T: Clone> Ring<T> {
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let at = index.checked_add(self.left)?;
        Arc::make_mut(self.chunks.get_mut(at / CHUNK)?).get_mut(at % CHUNK)
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len().checked_sub(1)?)
    }

    pub(crate) fn push_back(&mut self, entry: T) {
        match self.chunks.back_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(entry),
            // A short queue grows; a long one takes whole chunks.
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(entry);
                self.chunks.push_back(Arc::new(chunk));
            }
            None => self.chunks.push_back(Arc::new(alloc::vec![entry])),
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let first = self.get(0)?.clone();
        self.left += 1;
        if self.left == self.chunks.front().map_or(0, |chunk| chunk.len()) {
            self.chunks.pop_front();
            self.left = 0;
        }
        Some(first)
    }
}

impl<T: Clone> Ring<T> {
    /// Takes whole chunks from the front, one at the least, until there are `max` entries.
    pub(crate) fn split_front(&mut self, max: usize) -> Self {
        let mut front = Self { chunks: VecDeque::new(), left: core::mem::take(&mut self.left) };
        while front.len() < max.max(1)
            && let Some(chunk) = self.chunks.pop_front()
        {
            front.chunks.push_back(chunk);
        }
        front
    }
}

impl<T: PartialEq> PartialEq for Ring<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Eq> Eq for Ring<T> {}

impl<T: core::fmt::Debug> core::fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Clone> Extend<T> for Ring<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, entries: I) {
        for entry in entries {
            self.push_back(entry);
        }
    }
}

impl<T: Clone> FromIterator<T> for Ring<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut ring = Self::new();
        ring.extend(entries);
        ring
    }
}

impl<T: Serialize> Serialize for Ring<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let mut seq = serializer.serialize_seq(Some(self.len()))?;
        for entry in self.iter() {
            seq.serialize_element(entry)?;
        }
        seq.end()
    }
}

impl<'de, T: Deserialize<'de> + Clone> Deserialize<'de> for Ring<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<T>::deserialize(deserializer).map(|entries| entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_answers_as_a_queue_does(steps in proptest::collection::vec((0_usize..700, 0_usize..700), 0..12)) {
            let (mut ring, mut plain) = (Ring::new(), VecDeque::new());
            let mut next = 0_usize;
            for (pushes, pops) in steps {
                for _ in 0..pushes {
                    ring.push_back(next);
                    plain.push_back(next);
                    next += 1;
                }
                let kept = ring.clone();
                prop_assert!(kept.iter().eq(plain.iter()));
                for _ in 0..pops {
                    prop_assert_eq!(ring.pop_front(), plain.pop_front());
                }
                prop_assert_eq!(ring.len(), plain.len());
                prop_assert!(ring.iter().eq(plain.iter()));
                prop_assert_eq!(ring.last_mut(), plain.back_mut());
                let middle = plain.front().copied().unwrap_or(0) + plain.len() / 2;
                prop_assert_eq!(ring.partition_point(|entry| *entry < middle), plain.partition_point(|entry| *entry < middle));
                if let (Some(own), Some(other)) = (ring.get_mut(3), plain.get_mut(3)) {
                    prop_assert_eq!(own, other);
                }
            }
        }
    }
}
