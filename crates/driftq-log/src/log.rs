//! The contract of every log.
//!
//! The trait is synchronous with an asynchronous meaning: `append` puts a batch in order, `durable` is a
//! watermark that only grows, `wait` blocks for it. A log with a slow quorum behind it needs no other concept.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::{Batch, LogError};

/// The dense ordinal of a record; the first is 1, and 0 says "nothing yet".
///
/// It is never a file offset: a log keeps its own way from one to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position right after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position right before this one; 0 stays 0.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which opening of the log this is: it grows by at least one each time and fences every earlier writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What room on the disk an append may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// New work: refused as soon as only the reserve is left.
    Growth,
    /// Settling, deleting and bookkeeping: may use the reserve, so that a full disk can be emptied.
    Settlement,
}

/// How large a batch may be, and how large it is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of records that one batch may hold; more is [`LogError::TooLarge`].
    pub frame_bytes_max: usize,
    /// About where a larger batch stops being faster.
    pub frame_bytes_best: usize,
}

/// An ordered, durable log with one writer.
///
/// What every implementation keeps:
///
/// - Positions are dense: record `i` of a batch gets `last() + 1 + i`, across any restart.
/// - A batch is one frame: after any crash all of its records are there, or none.
/// - `durable() <= last()`; whatever is at or below `durable()` survives a power cut, in the same bytes at
///   the same position, until it is released.
/// - What lies above `durable()` at a crash may come back or not, but always as a prefix.
/// - A record that cannot be vouched for is never handed out: it is an error that names the place.
/// - After [`LogError::Fatal`] or [`LogError::Fenced`] every later call of the writer answers the same.
pub trait Log: Send {
    /// What readers on other threads hold.
    type Reader: LogReader;

    /// The epoch that this opening of the log was given.
    fn epoch(&self) -> Epoch;

    /// The largest and the best size of a batch.
    fn limits(&self) -> Limits;

    /// The position of the last appended record, durable or not.
    fn last(&self) -> Position;

    /// Makes sure that appends of up to `bytes` of records, in up to `records` records, cannot fail for
    /// want of space. A later reservation takes the place of an earlier one.
    ///
    /// # Errors
    /// [`LogError::Full`] when the room cannot be had; nothing has changed then, and asking again is right.
    /// [`LogError::TooLarge`] when no reservation is that large.
    fn reserve(&mut self, bytes: usize, records: usize, room: Room) -> Result<(), LogError>;

    /// Appends a batch as one frame and returns the position of its last record; an empty batch changes
    /// nothing. On return the bytes have left the process (they survive its death), but are not yet synced.
    ///
    /// Without a reservation that covers it, the batch counts as [`Room::Growth`].
    ///
    /// # Errors
    /// [`LogError::TooLarge`], [`LogError::Full`]: nothing was appended. [`LogError::Fatal`],
    /// [`LogError::Fenced`]: stop.
    fn append(&mut self, batch: &Batch) -> Result<Position, LogError>;

    /// The contiguous watermark: everything at or below it survives a power cut.
    fn durable(&self) -> Position;

    /// Waits at most `max` until `durable() > past`, and returns `durable()`.
    ///
    /// A log without a thread of its own does the work here, on the caller's thread: one sync covers every
    /// append before it.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when a sync failed: no position above `durable()` may be acknowledged any more,
    /// and no sync is tried again.
    fn wait(&mut self, past: Position, max: Duration) -> Result<Position, LogError>;

    /// Makes the durable mark itself durable. To be called when writes pause: it is what lets the next
    /// start tell a torn tail from a rotten one. Changes nothing when that is so already.
    ///
    /// # Errors
    /// [`LogError::Full`] when there is no room for the mark (it may be tried again), [`LogError::Fatal`].
    fn mark(&mut self) -> Result<(), LogError>;

    /// A reader that sees every appended record, from any thread, while the writer goes on.
    fn reader(&self) -> Self::Reader;

    /// Says that no record before `before` is needed any more. A hint: the log frees what it can.
    ///
    /// # Errors
    /// [`LogError::Retry`] when the space could not be freed now, [`LogError::Fatal`].
    fn release(&mut self, before: Position) -> Result<(), LogError>;

    /// Syncs, leaves a mark that says so, and ends the writer.
    ///
    /// # Errors
    /// Those of [`Log::wait`] and [`Log::mark`].
    fn close(self) -> Result<(), LogError>;

    /// The bytes that the log takes on its medium, room held in advance included.
    fn bytes(&self) -> u64;
}

/// A view of the log that can be cloned cheaply and read from any thread.
pub trait LogReader: Clone + Send + Sync + 'static {
    /// Reads one record.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] below [`LogReader::first`], [`LogError::NotFound`] above the last record,
    /// [`LogError::Corrupt`] when the bytes are not the ones that were written, [`LogError::Lost`] when they
    /// were set aside by quarantine.
    fn read(&self, at: Position) -> Result<Vec<u8>, LogError> {
        self.read_with(at, &mut |_, _| {})
    }

    /// Reads the record at `at`, and hands every other record that had to be read anyway to `seen`.
    ///
    /// # Errors
    /// Those of [`LogReader::read`].
    fn read_with(&self, at: Position, seen: &mut dyn FnMut(Position, &[u8])) -> Result<Vec<u8>, LogError>;

    /// Hands every record from `from` to the end, in order, to `each`, until it breaks.
    ///
    /// Records that quarantine set aside are passed over; the opening of the log has named them.
    ///
    /// # Errors
    /// Those of [`LogReader::read`]; `from` above the last record is no error and hands out nothing.
    fn scan(
        &self,
        from: Position,
        each: &mut dyn FnMut(Position, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LogError>;

    /// The first position that has not been released; one above the last when the log is empty.
    fn first(&self) -> Position;

    /// About how many bytes a [`LogReader::scan`] from `from` reads.
    fn bytes_from(&self, from: Position) -> u64;
}
