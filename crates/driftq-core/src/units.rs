//! Numbers with a meaning: positions, offsets, attempts, times.
//!
//! Promise: no bare integer crosses a module border. Arithmetic saturates instead of wrapping, because an input at the
//! edge of its range must give a clear answer and never a panic.

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl $name {
            /// The value after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A record's dense ordinal in the log; the first is 1, 0 stands for "before everything".
    Position(u64)
);
number!(
    /// A message's place in its partition, from 0.
    Offset(u64)
);
number!(
    /// A partition of a topic, from 0.
    PartitionId(u32)
);
number!(
    /// One incarnation of a topic: a deleted and remade name gets another.
    TopicId(u32)
);
number!(
    /// One incarnation of a consumer group on one topic.
    GroupId(u32)
);
number!(
    /// A run's ordinal in order of creation; users see its `RunId`.
    RunNo(u64)
);
number!(
    /// A bulk redrive's ordinal in order of creation; users see `job_<number>`.
    JobNo(u64)
);
number!(
    /// How many times a group was handed a message, from 1.
    Attempt(u32)
);
number!(
    /// Which replay of a run: 0 is the first try.
    ReplaySeq(u32)
);
number!(
    /// Core time in milliseconds: monotonic over restarts, never jumps with the wall clock.
    Instant(u64)
);
number!(
    /// Wall-clock time in milliseconds since the Unix epoch.
    WallTime(u64)
);
number!(
    /// A duration in milliseconds.
    Millis(u64)
);

impl Instant {
    /// This instant plus a duration.
    #[must_use]
    pub const fn after(self, wait: Millis) -> Self {
        Self(self.0.saturating_add(wait.0))
    }

    /// How long from `self` until `later`; zero when it has passed.
    #[must_use]
    pub const fn until(self, later: Self) -> Millis {
        Millis(later.0.saturating_sub(self.0))
    }
}

impl WallTime {
    /// This time plus a duration.
    #[must_use]
    pub const fn after(self, wait: Millis) -> Self {
        Self(self.0.saturating_add(wait.0))
    }

    /// How long from `self` until `later`; zero when it has passed.
    #[must_use]
    pub const fn until(self, later: Self) -> Millis {
        Millis(later.0.saturating_sub(self.0))
    }
}

impl Position {
    /// The position `count` records later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl Offset {
    /// The offset `count` messages later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

/// A lease's name: unique over all starts, because it carries the start's epoch.
///
/// Its text form is `lease_<epoch>_<serial>` in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId {
    /// The log's epoch of the start that gave it out.
    pub epoch: u32,
    /// The ordinal within the state's history.
    pub serial: u64,
}

impl core::fmt::Display for LeaseId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "lease_{:x}_{:x}", self.epoch, self.serial)
    }
}

impl core::str::FromStr for LeaseId {
    type Err = NotALeaseId;

    fn from_str(text: &str) -> Result<Self, NotALeaseId> {
        let (epoch, serial) =
            text.strip_prefix("lease_").and_then(|rest| rest.split_once('_')).ok_or(NotALeaseId)?;
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| NotALeaseId)?;
        let serial = u64::from_str_radix(serial, 16).map_err(|_| NotALeaseId)?;
        Ok(Self { epoch, serial })
    }
}

/// The text is not a lease id that this broker could have given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a lease id")]
pub struct NotALeaseId;
