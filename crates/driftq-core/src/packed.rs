//! An ordered map in full chunks: what there may be millions of, without the half-empty nodes of a tree.
//!
//! Promise: entering, leaving and finding cost the logarithm of what is kept and a move within one chunk. Keys that come
//! in order fill their chunks. A clone shares the chunks and copies one when either side changes it, so that a
//! checkpoint may write what it began with while the broker goes on.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::ops::{Bound, RangeBounds};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries of a chunk.
const CHUNK: usize = 64;
/// A chunk with fewer looks whether it fits its neighbour.
const CHUNK_SMALL: usize = CHUNK / 4;

/// An ordered map.
#[derive(Clone)]
pub(crate) struct Packed<K, V> {
    /// Chunks in order, each under a key that is not above its first and above all of the chunk before.
    chunks: BTreeMap<K, Chunk<K, V>>,
    len: usize,
}

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// An ordered set.
pub(crate) type PackedSet<K> = Packed<K, ()>;

impl<K, V> Default for Packed<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Packed<K, V> {
    pub(crate) const fn new() -> Self {
        Self { chunks: BTreeMap::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.chunks.values().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        self.chunks.values().next().and_then(|chunk| chunk.first()).map(|(key, value)| (key, value))
    }
}

impl<K: Ord + Clone, V: Clone> Packed<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let (_, chunk) = self.chunks.range(..=key).next_back()?;
        let place = place(chunk, key).ok()?;
        chunk.get(place).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (_, chunk) = self.chunks.range_mut(..=key).next_back()?;
        let place = place(chunk, key).ok()?;
        Arc::make_mut(chunk).get_mut(place).map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Entries within bounds, in order.
    pub(crate) fn range<R: RangeBounds<K>>(&self, bounds: R) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let lower = bounds.start_bound().cloned();
        let upper = bounds.end_bound().cloned();
        let home = match &lower {
            Bound::Included(key) | Bound::Excluded(key) => {
                self.chunks.range(..=key).next_back().map(|(home, _)| home.clone())
            }
            Bound::Unbounded => None,
        };
        let from = home.map_or(Bound::Unbounded, Bound::Included);
        let is_above = match (&from, &upper) {
            (Bound::Included(home), Bound::Included(key)) => home > key,
            (Bound::Included(home), Bound::Excluded(key)) => home >= key,
            _ => false,
        };
        let until = if is_above { from.clone() } else { upper.clone() };
        let chunks = self.chunks.range((from, until));
        chunks.flat_map(move |(_, chunk)| within(chunk, &lower, &upper)).map(|(key, value)| (key, value))
    }

    /// Enters a value; answers the one that was there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some((_, chunk)) = self.chunks.range_mut(..=&key).next_back() else {
            self.insert_below(key, value);
            return None;
        };
        match place(chunk, &key) {
            Ok(found) => {
                let (_, before) = Arc::make_mut(chunk).get_mut(found)?;
                Some(core::mem::replace(before, value))
            }
            Err(at) => {
                if chunk.len() < CHUNK {
                    Arc::make_mut(chunk).insert(at, (key, value));
                } else if at == CHUNK {
                    return self.insert_between(key, value);
                } else {
                    self.split(&key);
                    return self.insert(key, value);
                }
                self.len += 1;
                None
            }
        }
    }

    /// Enters what is below all that is kept.
    fn insert_below(&mut self, key: K, value: V) {
        match self.chunks.pop_first() {
            Some((_, mut chunk)) if chunk.len() < CHUNK => {
                Arc::make_mut(&mut chunk).insert(0, (key.clone(), value));
                self.chunks.insert(key, chunk);
            }
            first => {
                self.chunks.extend(first);
                self.chunks.insert(key.clone(), Arc::new(alloc::vec![(key, value)]));
            }
        }
        self.len += 1;
    }

    /// Enters what is behind a full chunk: before the next one if that has room, else into a chunk of its own.
    fn insert_between(&mut self, key: K, value: V) -> Option<V> {
        let next = self.chunks.range((Bound::Excluded(&key), Bound::Unbounded)).next();
        let next = next.filter(|(_, chunk)| chunk.len() < CHUNK).map(|(key, _)| key.clone());
        let mut chunk = next.and_then(|next| self.chunks.remove(&next)).unwrap_or_default();
        Arc::make_mut(&mut chunk).insert(0, (key.clone(), value));
        self.chunks.insert(key, chunk);
        self.len += 1;
        None
    }

    /// Cuts the full chunk in which this key would be.
    fn split(&mut self, key: &K) {
        let Some((_, chunk)) = self.chunks.range_mut(..=key).next_back() else { return };
        let chunk = Arc::make_mut(chunk);
        let upper = chunk.split_off(CHUNK / 2);
        chunk.shrink_to_fit();
        if let Some((first, _)) = upper.first() {
            self.chunks.insert(first.clone(), Arc::new(upper));
        }
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (home, chunk) = self.chunks.range_mut(..=key).next_back()?;
        let found = place(chunk, key).ok()?;
        let chunk = Arc::make_mut(chunk);
        let (_, value) = chunk.remove(found);
        self.len -= 1;
        if chunk.len() <= CHUNK_SMALL {
            if chunk.len() * 4 <= chunk.capacity() {
                chunk.shrink_to(chunk.len() * 2);
            }
            let home = home.clone();
            self.tidy(&home);
        }
        Some(value)
    }

    /// Drops an empty chunk, and joins a small one with the next if that is small too.
    fn tidy(&mut self, home: &K) {
        let Some(len) = self.chunks.get(home).map(|chunk| chunk.len()) else { return };
        if len == 0 {
            self.chunks.remove(home);
            return;
        }
        let next = self.chunks.range((Bound::Excluded(home), Bound::Unbounded)).next();
        let next = next.filter(|(_, next)| next.len() + len <= CHUNK / 2).map(|(key, _)| key.clone());
        if let Some(moved) = next.and_then(|next| self.chunks.remove(&next))
            && let Some(chunk) = self.chunks.get_mut(home)
        {
            let chunk = Arc::make_mut(chunk);
            match Arc::try_unwrap(moved) {
                Ok(own) => chunk.extend(own),
                Err(shared) => chunk.extend(shared.iter().cloned()),
            }
        }
    }
}

impl<K: Ord + Clone, V: Clone> Packed<K, V> {
    /// Takes whole chunks from the front, one at the least, until there are `max` entries.
    pub(crate) fn split_front(&mut self, max: usize) -> Self {
        let mut front = Self::new();
        while front.len < max.max(1)
            && let Some((key, chunk)) = self.chunks.pop_first()
        {
            self.len -= chunk.len();
            front.len += chunk.len();
            front.chunks.insert(key, chunk);
        }
        front
    }

    /// Takes in what is behind all that is kept.
    pub(crate) fn append(&mut self, behind: Self) {
        self.len += behind.len;
        self.chunks.extend(behind.chunks);
    }
}

fn place<K: Ord, V>(chunk: &[(K, V)], key: &K) -> Result<usize, usize> {
    // What comes in order goes behind the last.
    match chunk.last() {
        Some((last, _)) if last < key => Err(chunk.len()),
        Some(_) | None => chunk.binary_search_by(|(own, _)| own.cmp(key)),
    }
}

fn within<'a, K: Ord, V>(
    chunk: &'a [(K, V)],
    lower: &Bound<K>,
    upper: &Bound<K>,
) -> core::slice::Iter<'a, (K, V)> {
    let from = match lower {
        Bound::Included(key) => chunk.partition_point(|(own, _)| own < key),
        Bound::Excluded(key) => chunk.partition_point(|(own, _)| own <= key),
        Bound::Unbounded => 0,
    };
    let until = match upper {
        Bound::Included(key) => chunk.partition_point(|(own, _)| own <= key),
        Bound::Excluded(key) => chunk.partition_point(|(own, _)| own < key),
        Bound::Unbounded => chunk.len(),
    };
    chunk.get(from..until).unwrap_or_default().iter()
}

impl<K: PartialEq, V: PartialEq> PartialEq for Packed<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Packed<K, V> {}

impl<K: core::fmt::Debug, V: core::fmt::Debug> core::fmt::Debug for Packed<K, V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Packed<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut packed = Self::new();
        packed.extend(entries);
        packed
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for Packed<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Serialize, V: Serialize> Serialize for Packed<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let mut seq = serializer.serialize_seq(Some(self.len))?;
        for entry in self.iter() {
            seq.serialize_element(&entry)?;
        }
        seq.end()
    }
}

impl<'de, K, V> Deserialize<'de> for Packed<K, V>
where
    K: Deserialize<'de> + Ord + Clone,
    V: Deserialize<'de> + Clone,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<(K, V)>::deserialize(deserializer).map(|entries| entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16),
        Remove(u16),
        Rise(u16),
        Fall(u16),
        Drain(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = || 0_u16..2_000;
        prop_oneof![
            4 => key().prop_map(Step::Insert),
            4 => key().prop_map(Step::Remove),
            1 => key().prop_map(Step::Rise),
            1 => key().prop_map(Step::Fall),
            1 => any::<u8>().prop_map(Step::Drain),
        ]
    }

    fn take(step: &Step, packed: &mut Packed<u16, u16>, plain: &mut BTreeMap<u16, u16>) {
        match step {
            Step::Insert(key) => assert_eq!(packed.insert(*key, *key), plain.insert(*key, *key)),
            Step::Remove(key) => assert_eq!(packed.remove(key), plain.remove(key)),
            Step::Rise(from) => (*from..from + 150).for_each(|key| {
                assert_eq!(packed.insert(key, 1), plain.insert(key, 1));
            }),
            Step::Fall(from) => (*from..from + 150).rev().for_each(|key| {
                assert_eq!(packed.insert(key, 2), plain.insert(key, 2));
            }),
            Step::Drain(count) => (0..*count).for_each(|_| {
                let first = plain.pop_first();
                assert_eq!(packed.first().map(|(key, value)| (*key, *value)), first);
                assert_eq!(first.and_then(|(key, _)| packed.remove(&key)), first.map(|(_, value)| value));
            }),
        }
    }

    proptest! {
        #[test]
        fn it_answers_as_a_tree_does(steps in proptest::collection::vec(step(), 0..200), low in 0_u16..2_000, high in 0_u16..2_000) {
            let (mut packed, mut plain) = (Packed::new(), BTreeMap::new());
            for step in &steps {
                take(step, &mut packed, &mut plain);
                prop_assert!(packed.iter().eq(plain.iter()) && packed.len() == plain.len());
            }
            prop_assert!(packed.iter().rev().eq(plain.iter().rev()));
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(packed.range(low..=high).eq(plain.range(low..=high)));
            prop_assert!(packed.range(low..high).rev().eq(plain.range(low..high).rev()));
            prop_assert!(packed.range((Bound::Excluded(low), Bound::Unbounded)).eq(plain.range(low + 1..)));
            prop_assert!(packed.range(..high).rev().eq(plain.range(..high).rev()));
            for key in low..low + 50 {
                prop_assert_eq!(packed.get(&key), plain.get(&key));
                prop_assert_eq!(packed.get_mut(&key), plain.get_mut(&key));
            }
        }

        #[test]
        fn a_clone_stays_as_it_was(steps in proptest::collection::vec(step(), 0..100)) {
            let (mut packed, mut plain) = (Packed::new(), BTreeMap::new());
            take(&Step::Rise(500), &mut packed, &mut plain);
            let (kept, before) = (packed.clone(), plain.clone());
            for step in &steps {
                take(step, &mut packed, &mut plain);
            }
            prop_assert!(kept.iter().eq(before.iter()));
            prop_assert!(packed.iter().eq(plain.iter()));
        }
    }

    #[test]
    fn keys_in_order_fill_their_chunks() {
        let packed: Packed<u32, ()> = (0..6_400).map(|key| (key, ())).collect();
        assert_eq!(packed.chunks.len(), 100);
    }
}
