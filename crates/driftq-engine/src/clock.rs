//! The only place that asks the time.
//!
//! Promise: core time comes from the monotonic clock, so a wall-clock jump moves no lease and no backoff. What waits for
//! the machine itself (a caller's patience, a sync, a full disk) goes by [`Clock::monotonic`], whatever the broker's own
//! time does.

use driftq_core::{Millis, WallTime};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: Send + 'static {
    /// Time since some fixed moment of this process; never goes back.
    fn monotonic(&self) -> Duration;

    /// Milliseconds since the Unix epoch, as the machine believes.
    fn wall(&self) -> WallTime;

    /// What leases and retries follow; goes on as `monotonic` does, unless it is moved by hand.
    fn core(&self) -> Duration {
        self.monotonic()
    }

    /// The clock itself, when the broker's time is moved by hand and goes on in no other way.
    fn by_hand(&self) -> Option<&HandClock> {
        None
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic part starts now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default that reads the time would hide it")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that a test or a simulation moves by hand. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    monotonic_ms: Arc<AtomicU64>,
    wall_ms: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that stands at this wall time.
    #[must_use]
    pub fn at(wall: WallTime) -> Self {
        let clock = Self::default();
        clock.wall_ms.store(wall.0, Ordering::Relaxed);
        clock
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.monotonic_ms.fetch_add(ms, Ordering::Relaxed);
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the wall clock alone.
    pub fn jump_wall(&self, to: WallTime) {
        self.wall_ms.store(to.0, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::Relaxed))
    }

    fn wall(&self) -> WallTime {
        WallTime(self.wall_ms.load(Ordering::Relaxed))
    }
}

/// A running server's clock for tests of applications: the broker's time stands still until it is moved, while callers
/// still wait in the machine's time. Clones share the time.
#[derive(Clone, Debug)]
pub struct HandClock {
    machine: SystemClock,
    began: Arc<AtomicU64>,
    moved: Arc<AtomicU64>,
}

impl HandClock {
    /// A clock that stands at the machine's present time.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default that reads the time would hide it")]
    pub fn new() -> Self {
        let machine = SystemClock::new();
        let began = Arc::new(AtomicU64::new(machine.wall().0));
        Self { machine, began, moved: Arc::default() }
    }

    /// Goes on where a log has left the wall clock.
    pub(crate) fn resume(&self, wall: WallTime) {
        if wall > WallTime(0) {
            self.began.store(wall.0, Ordering::Relaxed);
        }
    }

    /// Lets time pass, on both clocks at once.
    pub(crate) fn advance(&self, by: Millis) {
        self.moved.fetch_add(by.0, Ordering::Relaxed);
    }

    fn moved(&self) -> Millis {
        Millis(self.moved.load(Ordering::Relaxed))
    }
}

impl Clock for HandClock {
    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }

    fn wall(&self) -> WallTime {
        WallTime(self.began.load(Ordering::Relaxed)).after(self.moved())
    }

    fn core(&self) -> Duration {
        Duration::from_millis(self.moved().0)
    }

    fn by_hand(&self) -> Option<&HandClock> {
        Some(self)
    }
}
