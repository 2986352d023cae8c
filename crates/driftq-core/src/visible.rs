//! The order in which offsets became visible.
//!
//! Promise: as long as none was delayed the order is that of the offsets and costs nothing; after that it is kept as
//! runs of consecutive offsets. Finding a place costs the logarithm of their number.

use crate::Offset;
use crate::ring::Ring;
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// The visible sequence of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Visible {
    /// How many offsets ever became visible.
    pub(crate) end: u64,
    /// Absent as long as each place is its own offset.
    pub(crate) spans: Option<Box<Ring<Span>>>,
}

/// Consecutive offsets at consecutive places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// Place in the sequence of its first offset.
    index: u64,
    offset: u64,
    len: u64,
}

impl Visible {
    pub(crate) fn push(&mut self, offset: Offset) {
        let end = self.end;
        self.end += 1;
        if self.spans.is_none() && offset.0 == end {
            return;
        }
        let spans = self.spans.get_or_insert_with(|| {
            let before = Span { index: 0, offset: 0, len: end };
            Box::new((end > 0).then_some(before).into_iter().collect())
        });
        match spans.last_mut() {
            Some(span) if span.offset + span.len == offset.0 => span.len += 1,
            _ => spans.push_back(Span { index: end, offset: offset.0, len: 1 }),
        }
    }

    /// The first place from which on all offsets not below this one are met.
    pub(crate) fn from(&self, offset: Offset) -> u64 {
        let Some(spans) = &self.spans else { return offset.0.min(self.end) };
        let found = spans.iter().find(|span| span.offset + span.len > offset.0);
        found.map_or(self.end, |span| span.index + offset.0.saturating_sub(span.offset))
    }

    /// The place at which this offset is met.
    pub(crate) fn index_of(&self, offset: Offset) -> Option<u64> {
        let Some(spans) = &self.spans else { return Some(offset.0).filter(|index| *index < self.end) };
        let found = spans.iter().find(|span| (span.offset..span.offset + span.len).contains(&offset.0))?;
        Some(found.index + (offset.0 - found.offset))
    }

    pub(crate) fn at(&self, index: u64) -> Option<Offset> {
        if index >= self.end {
            return None;
        }
        let Some(spans) = &self.spans else { return Some(Offset(index)) };
        let place = spans.partition_point(|span| span.index <= index).checked_sub(1)?;
        let span = spans.get(place)?;
        Some(Offset(span.offset + (index - span.index)))
    }
}
