//! The bounded queue between callers and the writer, and what both sides know of the engine's phase.
//!
//! Promise: a caller is refused at once when the queue is full; the writer sleeps without cost while it is empty.

use crate::handle::Request;
use crate::sync_times::{SyncClock, SyncTimes};
use driftq_core::{Body, Event, FailureCause, Record};
use std::collections::VecDeque;
use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};
use std::time::Duration;

/// Requests that may wait for the writer.
pub(crate) const REQUESTS_MAX: usize = 65_536;

/// What the engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes requests.
    Ready,
    /// It takes nothing new and ends what waits.
    Draining,
    /// It has stopped.
    Stopped,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages produced.
    pub produced: u64,
    /// Messages delivered, each attempt counted; what was given back unwritten is not.
    pub delivered: u64,
    /// Messages acked.
    pub acked: u64,
    /// Attempts nacked.
    pub nacked: u64,
}

/// What can be said of the engine without asking the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Whether the disk is full.
    pub disk_full: bool,
    /// Requests that wait for the writer.
    pub queued: usize,
    /// The last durable position.
    pub durable: u64,
    /// Bytes of the log on its medium.
    pub log_bytes: u64,
    /// What has happened since the start.
    pub totals: Totals,
    /// How long the log's syncs took.
    pub syncs: SyncTimes,
}

/// How much the writer takes at once.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) requests_max: usize,
    pub(crate) bytes_max: usize,
    /// Bytes that a request may need.
    pub(crate) weigh: fn(&Request) -> usize,
}

/// A request was not taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotTaken;

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    wake: Condvar,
    phase: AtomicU8,
    pub(crate) disk_full: AtomicBool,
    pub(crate) durable: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    produced: AtomicU64,
    delivered: AtomicU64,
    acked: AtomicU64,
    nacked: AtomicU64,
    pub(crate) syncs: SyncClock,
}

#[derive(Debug, Default)]
struct Queue {
    requests: VecDeque<Request>,
    is_writer_asleep: bool,
}

impl Inbox {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Ready,
            1 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let number = match phase {
            Phase::Ready => 0,
            Phase::Draining => 1,
            Phase::Stopped => 2,
        };
        self.phase.fetch_max(number, Ordering::AcqRel);
        self.wake.notify_all();
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            phase: self.phase(),
            disk_full: self.disk_full.load(Ordering::Relaxed),
            queued: self.lock().requests.len(),
            durable: self.durable.load(Ordering::Relaxed),
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            totals: Totals {
                produced: self.produced.load(Ordering::Relaxed),
                delivered: self.delivered.load(Ordering::Relaxed),
                acked: self.acked.load(Ordering::Relaxed),
                nacked: self.nacked.load(Ordering::Relaxed),
            },
            syncs: self.syncs.read(),
        }
    }

    /// Counts a fact. Only the writer counts.
    pub(crate) fn count(&self, record: &Record) {
        match record {
            Record::MessageAppended(fact) if matches!(fact.body, Body::Inline(_)) => &self.produced,
            Record::EventAppended(fact) if matches!(fact.event, Event::Produced { .. }) => &self.produced,
            Record::Delivered(_) => &self.delivered,
            Record::GivenBack(_) => {
                self.delivered.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            Record::Acked(_) => &self.acked,
            Record::Failed(fact) if fact.cause == FailureCause::Nack => &self.nacked,
            _ => return,
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a request in; drops it when the queue is full or nobody reads it any more.
    pub(crate) fn push(&self, request: Request) -> Result<(), NotTaken> {
        let mut queue = self.lock();
        // What gives something back is small, and refusing it would lose it.
        let is_refusable = !request.is_release();
        if self.phase() == Phase::Stopped || (is_refusable && queue.requests.len() >= REQUESTS_MAX) {
            return Err(NotTaken);
        }
        queue.requests.push_back(request);
        let is_asleep = std::mem::take(&mut queue.is_writer_asleep);
        // Told once the lock is free, so that the writer does not wake only to wait for it.
        drop(queue);
        if is_asleep {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Moves waiting requests to `taken` within bounds (one is always allowed), after waiting at most `timeout` (`None` = for ever) for the first.
    pub(crate) fn take(&self, taken: &mut Vec<Request>, bounds: Bounds, timeout: Option<Duration>) {
        let mut queue = self.lock();
        if queue.requests.is_empty() && self.phase() != Phase::Stopped && timeout != Some(Duration::ZERO) {
            queue.is_writer_asleep = true;
            queue = match timeout {
                None => self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    self.wake.wait_timeout(queue, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            queue.is_writer_asleep = false;
        }
        let mut bytes = 0_usize;
        let fits = |request: &&Request| {
            let before = bytes;
            bytes = bytes.saturating_add((bounds.weigh)(request));
            before == 0 || bytes <= bounds.bytes_max
        };
        let count = queue.requests.iter().take(bounds.requests_max).take_while(fits).count();
        taken.extend(queue.requests.drain(..count));
    }

    /// Drops what waits; their callers learn that the engine stopped.
    pub(crate) fn clear(&self) {
        let dropped = std::mem::take(&mut self.lock().requests);
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panicking holder leaves the queue whole: every change of it is one call.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
