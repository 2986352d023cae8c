//! Message bodies: read from the log by position, the newest kept at hand.
//!
//! Promise: a body is read on the caller's thread and never on the writer's; what is kept is bounded in bytes.

use driftq_core::{Position, Record, UnknownRecord};
use driftq_log::{LogError, LogReader};
use std::collections::{HashMap, VecDeque};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Bytes of records kept at hand.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a body cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The log cannot read it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The record is not one that this release knows, or not one that holds a body.
    #[error("record {position}: {source}")]
    Unreadable {
        /// Where.
        position: u64,
        /// What is wrong with it.
        source: UnknownRecord,
    },
}

type ReadRecord =
    dyn Fn(Position, &mut dyn FnMut(Position, &[u8])) -> Result<Vec<u8>, LogError> + Send + Sync;

/// Reads records by position, from any thread.
pub struct Bodies {
    read: Box<ReadRecord>,
    cache: Mutex<Cache>,
    consumers: AtomicU64,
}

#[derive(Default)]
struct Cache {
    records: HashMap<Position, (Arc<Record>, usize)>,
    order: VecDeque<Position>,
    bytes: usize,
}

impl Bodies {
    pub(crate) fn new<R: LogReader>(reader: R) -> Self {
        let read = move |at: Position, seen: &mut dyn FnMut(Position, &[u8])| {
            reader.read_with(driftq_log::Position(at.0), &mut |position, bytes| {
                seen(Position(position.0), bytes)
            })
        };
        Self { read: Box::new(read), cache: Mutex::default(), consumers: AtomicU64::new(1) }
    }

    pub(crate) fn next_consumer(&self) -> u64 {
        self.consumers.fetch_add(1, Ordering::Relaxed)
    }

    /// A record that is at hand. Reading it costs no IO.
    #[must_use]
    pub fn cached(&self, at: Position) -> Option<Arc<Record>> {
        self.lock().records.get(&at).map(|(record, _)| Arc::clone(record))
    }

    /// A record, read from the log if it is not at hand. May block on the disk.
    ///
    /// # Errors
    ///
    /// [`BodyError`].
    pub fn record(&self, at: Position) -> Result<Arc<Record>, BodyError> {
        if let Some(found) = self.cached(at) {
            return Ok(found);
        }
        let mut neighbours = Vec::new();
        let bytes = (self.read)(at, &mut |position, bytes| {
            if let Ok(record) = Record::decode(bytes)
                && holds_body(&record)
            {
                neighbours.push((position, Arc::new(record), bytes.len()));
            }
        })?;
        let record =
            Record::decode(&bytes).map_err(|source| BodyError::Unreadable { position: at.0, source })?;
        let record = Arc::new(record);
        let mut cache = self.lock();
        for (position, neighbour, len) in neighbours {
            cache.insert(position, neighbour, len);
        }
        cache.insert(at, Arc::clone(&record), bytes.len());
        Ok(record)
    }

    pub(crate) fn keep(&self, at: Position, record: Arc<Record>, len: usize) {
        self.lock().insert(at, record, len);
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        // A cache that a panicking thread left is still a cache.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether anybody will read this record by its position.
pub(crate) fn holds_body(record: &Record) -> bool {
    match record {
        Record::MessageAppended(_)
        | Record::Delivered(_)
        | Record::Failed(_)
        | Record::DeadLettered(_)
        | Record::RunCreated(_)
        | Record::EventAppended(_)
        | Record::RunReplayed(_)
        | Record::StepStored(_)
        | Record::ClosingNoted(_) => true,
        Record::Started(_)
        | Record::TimeAdvanced(_)
        | Record::TopicCreated(_)
        | Record::MessageDue(_)
        | Record::GroupCreated(_)
        | Record::GroupTouched(_)
        | Record::GroupForgotten(_)
        | Record::Extended(_)
        | Record::Acked(_)
        | Record::GivenBack(_)
        | Record::Skipped(_)
        | Record::DeadLetterClosed(_)
        | Record::DeadlinePassed(_)
        | Record::KeysForgotten(_)
        | Record::Carried(_)
        | Record::DeadLetterMarked(_)
        | Record::RedriveJobStarted(_)
        | Record::RedriveJobAdvanced(_)
        | Record::RedriveJobChanged(_)
        | Record::RedriveEnded(_)
        | Record::TopicSet(_)
        | Record::TopicDeleted(_)
        | Record::GroupSought(_)
        | Record::GroupDeleted(_)
        | Record::MadeDue(_) => false,
    }
}

impl Cache {
    fn insert(&mut self, at: Position, record: Arc<Record>, len: usize) {
        // A decoded record costs about its bytes and a fixed part.
        let cost = len + 256;
        if self.records.insert(at, (record, cost)).is_none() {
            self.order.push_back(at);
            self.bytes += cost;
        }
        while self.bytes > CACHE_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some((_, cost)) = self.records.remove(&oldest) {
                self.bytes -= cost;
            }
        }
    }
}
