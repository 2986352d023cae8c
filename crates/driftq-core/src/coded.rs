//! The entries of a timeline, delta-coded: events lie close together in the log, and there are many timelines.
//!
//! Promise: an event costs a few bytes; finding one, or adding one, decodes one block at the most, however long the
//! timeline is. Changing one (only a carried record does) codes its block anew.

use crate::{Entry, Position};
use alloc::{boxed::Box, vec::Vec};
use serde::{Deserialize, Serialize};

/// Entries of a block; each block begins anew from position 0.
const BLOCK: usize = 32;

/// Coded entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Coded {
    bytes: Vec<u8>,
    /// Where each block but the first begins.
    #[expect(clippy::box_collection, reason = "few timelines have a second block")]
    starts: Option<Box<Vec<u32>>>,
    len: u32,
}

/// One entry: how much farther its position is, its bytes, its traits.
type Step = (i64, u32, u32);

impl Coded {
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    pub(crate) fn get(&self, index: usize) -> Option<Entry> {
        (index < self.len()).then(|| self.block(index / BLOCK).nth(index % BLOCK)).flatten()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        (0..self.len().div_ceil(BLOCK)).flat_map(|block| self.block(block))
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        let len = self.len();
        let before = if len.is_multiple_of(BLOCK) {
            if len > 0 {
                let start = u32::try_from(self.bytes.len()).expect("a timeline's entries fit 4 GiB");
                self.starts.get_or_insert_default().push(start);
            }
            Position(0)
        } else {
            self.block(len / BLOCK).last().map_or(Position(0), |last| last.position)
        };
        self.bytes = coded(core::mem::take(&mut self.bytes), before, entry);
        self.len += 1;
    }

    /// Gives an entry another value.
    pub(crate) fn set(&mut self, index: usize, entry: Entry) {
        let block = index / BLOCK;
        let mut entries: Vec<Entry> = self.block(block).collect();
        let Some(own) = entries.get_mut(index % BLOCK).filter(|_| index < self.len()) else { return };
        *own = entry;
        let mut before = Position(0);
        let mut bytes = Vec::new();
        for entry in entries {
            bytes = coded(bytes, before, entry);
            before = entry.position;
        }
        let range = self.start(block)..self.start(block + 1);
        let (old, new) = (range.len(), bytes.len());
        self.bytes.splice(range, bytes);
        for start in self.starts.iter_mut().flat_map(|starts| starts.iter_mut()).skip(block) {
            let moved = usize::try_from(*start).unwrap_or(usize::MAX) + new - old;
            *start = u32::try_from(moved).expect("a timeline's entries fit 4 GiB");
        }
    }

    /// Gives back room that is not used: the timeline has ended.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        if let Some(starts) = &mut self.starts {
            starts.shrink_to_fit();
        }
    }

    fn start(&self, block: usize) -> usize {
        let Some(later) = block.checked_sub(1) else { return 0 };
        let start = self.starts.as_ref().and_then(|starts| starts.get(later).copied());
        start.map_or(self.bytes.len(), |start| usize::try_from(start).unwrap_or(usize::MAX))
    }

    fn block(&self, block: usize) -> impl Iterator<Item = Entry> {
        let mut bytes = self.bytes.get(self.start(block)..self.start(block + 1)).unwrap_or_default();
        let mut before = 0_u64;
        core::iter::from_fn(move || {
            let ((farther, size, traits), rest) = postcard::take_from_bytes::<Step>(bytes).ok()?;
            bytes = rest;
            before = before.wrapping_add_signed(farther);
            Some(Entry::new(Position(before), size, traits))
        })
    }
}

fn coded(bytes: Vec<u8>, before: Position, entry: Entry) -> Vec<u8> {
    let farther = entry.position.0.wrapping_sub(before.0).cast_signed();
    let step: Step = (farther, entry.bytes, entry.traits());
    postcard::to_extend(&step, bytes).expect("numbers have bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (any::<u64>(), any::<u32>(), any::<u32>())
            .prop_map(|(at, bytes, traits)| Entry::new(Position(at), bytes, traits))
    }

    proptest! {
        #[test]
        fn what_was_coded_is_read_back(
            entries in proptest::collection::vec(entry(), 1..150),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), entry()), 0..10),
        ) {
            let mut plain = entries;
            let mut coded = Coded::default();
            plain.iter().for_each(|entry| coded.push(*entry));
            for (place, entry) in changes {
                let place = place.index(plain.len());
                coded.set(place, entry);
                plain[place] = entry;
            }
            coded.shrink();
            prop_assert!(coded.iter().eq(plain.iter().copied()));
            for (index, entry) in plain.iter().enumerate() {
                prop_assert_eq!(coded.get(index), Some(*entry));
            }
            prop_assert_eq!(coded.get(plain.len()), None);
            coded.push(plain[0]);
            prop_assert_eq!(coded.get(plain.len()), Some(plain[0]));
        }
    }
}
