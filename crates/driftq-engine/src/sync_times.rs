//! How long the log's syncs take: what an operator asks first when produces are slow.
//!
//! Promise: counting costs two additions; reading waits for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of all counts but the last, which has none.
pub const SYNC_BOUNDS: [Duration; 10] = [
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// Syncs since the start, by how long they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncTimes {
    /// How many took at most the bound of the same place in [`SYNC_BOUNDS`] and more than the one before; the last took
    /// longer than all.
    pub counts: [u64; SYNC_BOUNDS.len() + 1],
    /// How long all of them took together.
    pub sum: Duration,
}

/// The same, as it is counted.
#[derive(Debug, Default)]
pub(crate) struct SyncClock {
    counts: [AtomicU64; SYNC_BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl SyncClock {
    pub(crate) fn count(&self, took: Duration) {
        let place = SYNC_BOUNDS.iter().take_while(|bound| took > **bound).count();
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> SyncTimes {
        SyncTimes {
            counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)),
            sum: Duration::from_micros(self.sum_us.load(Ordering::Relaxed)),
        }
    }
}
