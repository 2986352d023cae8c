//! Coverage marks: what a batch of seeds must have met at least once.
//!
//! Promise: a mark that no seed of a batch hits fails the batch, so a generator that stopped reaching something is
//! noticed.

use std::collections::BTreeMap;

/// All marks.
pub const MARKS: [&str; 84] = [
    "ack after restart",
    "ack by a stranger refused",
    "ack repeated",
    "act told",
    "answer lost",
    "backoff ended by hand",
    "backpressure",
    "brake",
    "canary passed",
    "cancelled run told to its worker",
    "checkpoint loaded",
    "checkpoint written",
    "consumed key skipped",
    "crash in recovery",
    "crash in the middle of a turn",
    "dead letter discarded",
    "dead letter in dlq topic not dead-lettered",
    "deadline passed",
    "deadline passed while leased",
    "delay ended",
    "delay ended by hand",
    "disk full",
    "disk full settles",
    "dlq deadline",
    "dlq max attempts",
    "dlq non retryable",
    "draining refused",
    "duplicate produce",
    "duplicate run",
    "event fenced out",
    "extended",
    "failed sync",
    "fingerprint differs",
    "follow answered",
    "follow woken",
    "given back",
    "group deleted",
    "group forgotten",
    "group latest",
    "job done",
    "job halted",
    "job moved a message",
    "job passed over a dead letter",
    "job paused",
    "job replayed a run",
    "job resumed",
    "job started",
    "job stopped",
    "group moved back",
    "group moved to the end",
    "keys forgotten",
    "kill",
    "late call",
    "lease expired",
    "leases forgotten by a power cut",
    "nack repeated",
    "other group's redrive skipped",
    "partition chosen",
    "poll ended empty",
    "poll woken",
    "power cut",
    "produced event",
    "redrive dead again",
    "redrive succeeded",
    "redrive withdrawn",
    "redrive withdrawn with its topic",
    "redriven",
    "redriven edited",
    "redriven run",
    "replay from step",
    "replay keeps steps",
    "replay patched",
    "restart in order",
    "rotated",
    "run cancelled",
    "run failed",
    "run over skipped",
    "run succeeded",
    "stale patch refused",
    "step stored once",
    "topic deleted",
    "topic told",
    "unsynced work kept",
    "wall jump",
];

/// How often each mark was hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    hits: BTreeMap<&'static str, u64>,
}

impl Marks {
    /// Hits a mark.
    ///
    /// # Panics
    ///
    /// When it is not in [`MARKS`]: a mark nobody asks for would be worth nothing.
    pub fn hit(&mut self, mark: &'static str) {
        assert!(MARKS.contains(&mark), "unknown mark {mark:?}");
        *self.hits.entry(mark).or_default() += 1;
    }

    /// Adds another life's hits.
    pub fn add(&mut self, other: &Self) {
        for (mark, count) in &other.hits {
            *self.hits.entry(mark).or_default() += count;
        }
    }

    /// How often a mark was hit.
    #[must_use]
    pub fn count(&self, mark: &str) -> u64 {
        self.hits.get(mark).copied().unwrap_or(0)
    }

    /// The marks that were hit least, and how often.
    #[must_use]
    pub fn rarest(&self, count: usize) -> Vec<(&'static str, u64)> {
        let mut all: Vec<_> = MARKS.iter().map(|mark| (*mark, self.count(mark))).collect();
        all.sort_by_key(|(_, hits)| *hits);
        all.truncate(count);
        all
    }

    /// Marks that were never hit.
    #[must_use]
    pub fn unhit(&self) -> Vec<&'static str> {
        MARKS.iter().copied().filter(|mark| !self.hits.contains_key(mark)).collect()
    }
}
