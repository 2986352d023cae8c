//! A log in memory: the whole contract except surviving the process.
//!
//! A [`MemoryStore`] outlives the logs opened on it, so a restart can be played; opening it again fences the
//! writer before.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Batch, Epoch, Limits, Log, LogError, LogReader, Position, Room};

/// The largest batch that a log in memory takes.
const FRAME_BYTES_MAX: usize = 16 << 20;
const FRAME_BYTES_BEST: usize = 256 << 10;

/// What a [`MemoryLog`] is opened on; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<Arc<[u8]>>,
    /// How many records were released, so `records[0]` has position `released + 1`.
    released: u64,
    bytes: u64,
    epoch: Epoch,
}

impl Kept {
    fn last(&self) -> Position {
        Position(self.released + self.records.len() as u64)
    }

    fn first(&self) -> Position {
        Position(self.released).next()
    }

    fn record(&self, at: Position) -> Result<Arc<[u8]>, LogError> {
        if at < self.first() {
            return Err(LogError::Trimmed { first: self.first() });
        }
        usize::try_from(at.0 - self.first().0)
            .ok()
            .and_then(|index| self.records.get(index))
            .cloned()
            .ok_or(LogError::NotFound { at, last: self.last() })
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer of a log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    store: MemoryStore,
    epoch: Epoch,
    durable: Position,
}

impl MemoryLog {
    /// A log on a store of its own.
    pub fn new() -> Self {
        Self::open(&MemoryStore::new())
    }

    /// Opens the store and fences every writer before.
    pub fn open(store: &MemoryStore) -> Self {
        let mut kept = store.kept();
        kept.epoch = Epoch(kept.epoch.0 + 1);
        Self { store: store.clone(), epoch: kept.epoch, durable: kept.last() }
    }

    fn fenced(&self) -> Result<MutexGuard<'_, Kept>, LogError> {
        let kept = self.store.kept();
        if kept.epoch == self.epoch { Ok(kept) } else { Err(LogError::Fenced) }
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Log for MemoryLog {
    type Reader = MemoryReader;

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn limits(&self) -> Limits {
        Limits { frame_bytes_max: FRAME_BYTES_MAX, frame_bytes_best: FRAME_BYTES_BEST }
    }

    fn last(&self) -> Position {
        self.store.kept().last()
    }

    fn reserve(&mut self, _bytes: usize, _records: usize, _room: Room) -> Result<(), LogError> {
        self.fenced().map(|_| ())
    }

    fn append(&mut self, batch: &Batch) -> Result<Position, LogError> {
        if batch.bytes() > FRAME_BYTES_MAX {
            return Err(LogError::TooLarge { bytes: batch.bytes(), max: FRAME_BYTES_MAX });
        }
        let mut kept = self.fenced()?;
        kept.bytes += batch.bytes() as u64;
        kept.records.extend(batch.iter().map(Arc::from));
        Ok(kept.last())
    }

    fn durable(&self) -> Position {
        self.durable
    }

    fn wait(&mut self, past: Position, _max: Duration) -> Result<Position, LogError> {
        let last = self.fenced()?.last();
        if self.durable <= past {
            self.durable = last;
        }
        Ok(self.durable)
    }

    fn mark(&mut self) -> Result<(), LogError> {
        let last = self.fenced()?.last();
        self.durable = last;
        Ok(())
    }

    fn reader(&self) -> MemoryReader {
        MemoryReader { store: self.store.clone() }
    }

    fn release(&mut self, before: Position) -> Result<(), LogError> {
        let mut kept = self.fenced()?;
        while kept.first() < before {
            let Some(record) = kept.records.pop_front() else { break };
            kept.bytes -= record.len() as u64;
            kept.released += 1;
        }
        Ok(())
    }

    fn close(self) -> Result<(), LogError> {
        self.fenced().map(|_| ())
    }

    fn bytes(&self) -> u64 {
        self.store.kept().bytes
    }
}

/// A reader of a log in memory.
#[derive(Clone, Debug)]
pub struct MemoryReader {
    store: MemoryStore,
}

impl LogReader for MemoryReader {
    fn read_with(&self, at: Position, _seen: &mut dyn FnMut(Position, &[u8])) -> Result<Vec<u8>, LogError> {
        self.store.kept().record(at).map(|record| record.to_vec())
    }

    fn scan(
        &self,
        from: Position,
        each: &mut dyn FnMut(Position, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let mut at = from;
        loop {
            // The lock is not held while the caller looks at the record.
            let record = match self.store.kept().record(at) {
                Ok(record) => record,
                Err(LogError::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            if each(at, &record).is_break() {
                return Ok(());
            }
            at = at.next();
        }
    }

    fn first(&self) -> Position {
        self.store.kept().first()
    }

    fn bytes_from(&self, from: Position) -> u64 {
        let kept = self.store.kept();
        let mut at = from.max(kept.first());
        let mut bytes = 0;
        while let Ok(record) = kept.record(at) {
            bytes += record.len() as u64;
            at = at.next();
        }
        bytes
    }
}
