//! Entities by their ordinals, in order.
//!
//! Promise: an entity lies where it was put, behind one pointer; finding one costs the logarithm of how many there are.

use crate::packed::Packed;
use alloc::boxed::Box;
use core::ops::{Index, RangeBounds};

/// Entities by their ordinals, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<K, V>(Packed<K, Box<V>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Packed::new())
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(|value| &**value)
    }

    /// Whether it is there.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.0.contains(key)
    }

    /// All, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, &**value))
    }

    /// All ordinals, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All entities, in the order of their ordinals.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Those within bounds, in order.
    pub fn range<R: RangeBounds<K>>(&self, bounds: R) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.range(bounds).map(|(key, value)| (key, &**value))
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key).map(|value| &mut **value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.0.insert(key, Box::new(value));
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key).map(|value| *value)
    }
}

impl<'a, K: Ord + Clone, V: Clone> IntoIterator for &'a Table<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Box<dyn DoubleEndedIterator<Item = (&'a K, &'a V)> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl<K: Ord + Clone, V: Clone> Index<&K> for Table<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        self.get(key).expect("an entity is looked up by an ordinal that it has")
    }
}
