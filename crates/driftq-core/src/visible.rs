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
