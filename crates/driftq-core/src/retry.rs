//! Retry policies: how long a failed message waits, and when it is given up.
//!
//! Promise: backoff is `min(backoff · 2^(attempt-1), max)` plus jitter below `jitter`; without a policy a message is
//! redelivered at once, with a brake from the fourth failure on. Nothing overflows, whatever a user sends.

use crate::{Attempt, Millis};
use serde::{Deserialize, Serialize};

/// The longest a backoff gets when a policy names no maximum.
pub(crate) const BACKOFF_DEFAULT_MAX: Millis = Millis(12 * 60 * 60 * 1000);
const BRAKE_FIRST_FAILURE: u32 = 4;
const BRAKE_START: Millis = Millis(100);
const BRAKE_MAX: Millis = Millis(30_000);

/// How a message is retried. All zero means "no policy".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Deliveries before the message is dead-lettered; 0 = no limit.
    pub max_attempts: u32,
    /// The first backoff, milliseconds.
    pub backoff: Millis,
    /// The longest backoff, milliseconds; 0 = 12 h.
    pub max_backoff: Millis,
    /// Upper bound of the random part, milliseconds.
    pub jitter: Millis,
}

impl RetryPolicy {
    /// Whether a failure at this attempt is the last one.
    #[must_use]
    pub fn is_exhausted(&self, attempt: Attempt) -> bool {
        self.max_attempts > 0 && attempt.0 >= self.max_attempts
    }

    /// How long to wait after a nack of `attempt`.
    #[must_use]
    pub fn backoff_after(&self, attempt: Attempt, entropy: Entropy) -> Millis {
        let max = if self.max_backoff.0 == 0 { BACKOFF_DEFAULT_MAX } else { self.max_backoff };
        let wait = doubled(self.backoff, attempt.0.saturating_sub(1)).min(max);
        Millis(wait.0.saturating_add(entropy.below(self.jitter.0)))
    }
}

/// How long a message without a policy waits after its `attempt`-th failure.
#[must_use]
pub(crate) fn brake_after(attempt: Attempt) -> Millis {
    match attempt.0.checked_sub(BRAKE_FIRST_FAILURE) {
        Some(doublings) => doubled(BRAKE_START, doublings).min(BRAKE_MAX),
        None => Millis(0),
    }
}

fn doubled(start: Millis, times: u32) -> Millis {
    let factor = 1_u64.checked_shl(times).unwrap_or(u64::MAX);
    Millis(start.0.saturating_mul(factor))
}

/// One draw of randomness, handed in with each command so that the core stays deterministic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entropy(pub u64);

impl Entropy {
    /// A number in `0..=bound`.
    #[must_use]
    pub fn below(self, bound: u64) -> u64 {
        match bound.checked_add(1) {
            Some(count) => self.mixed() % count,
            None => self.mixed(),
        }
    }

    /// The draw for the `index`-th use within one decision.
    #[must_use]
    pub fn nth(self, index: u64) -> Self {
        Self(self.0.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// SplitMix64's finaliser (Steele, Lea, Flood 2014).
    fn mixed(self) -> u64 {
        let mut z = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
