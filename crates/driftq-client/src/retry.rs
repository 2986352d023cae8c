//! When a failed request is sent again.
//!
//! Promise: at most `tries` times, each wait drawn evenly from nothing up to a bound that doubles
//! (full jitter), on top of what the server asked for; a server that asks for longer than
//! `retry_after_max` gets its error passed on instead.

use std::time::Duration;

use crate::ClientError;

/// How often and how fast a failed request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often it is sent in all; 1 is never again.
    pub tries: u32,
    /// The bound of the first wait; each further one doubles it.
    pub base: Duration,
    /// The largest bound.
    pub cap: Duration,
    /// The longest `Retry-After` that is waited for.
    pub retry_after_max: Duration,
}

impl Retry {
    /// For single requests: five tries within some seconds.
    pub const REQUEST: Self = Self {
        tries: 5,
        base: Duration::from_millis(100),
        cap: Duration::from_secs(5),
        retry_after_max: Duration::from_secs(60),
    };

    /// For a stream that was connected before: some minutes, so that a server may restart.
    pub const STREAM: Self = Self {
        tries: 100,
        base: Duration::from_millis(100),
        cap: Duration::from_secs(5),
        retry_after_max: Duration::from_secs(60),
    };

    /// No second try.
    pub const NEVER: Self = Self { tries: 1, ..Self::REQUEST };

    /// How long to wait after the `failures`-th failure in a row, with `share` in 0..1 drawn by the caller.
    ///
    /// `None` when there is no further try.
    pub(crate) fn wait(&self, failures: u32, error: &ClientError, share: f64) -> Option<Duration> {
        if failures >= self.tries || !error.retryable() {
            return None;
        }
        let asked = error.retry_after().unwrap_or_default();
        if asked > self.retry_after_max {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(31);
        let bound = self.base.saturating_mul(1 << doublings).min(self.cap);
        Some(asked + bound.mul_f64(share.clamp(0.0, 1.0)))
    }
}

/// Failures in a row, and the pause after each.
#[derive(Debug, Default)]
pub(crate) struct Failures(u32);

impl Failures {
    /// It worked: the next failure is a first one.
    pub(crate) fn forget(&mut self) {
        self.0 = 0;
    }

    /// Waits as long as `retry` says, or gives the error back when there is no further try.
    pub(crate) async fn pause(&mut self, retry: &Retry, error: ClientError) -> Result<(), ClientError> {
        self.0 += 1;
        match retry.wait(self.0, &error, fastrand::f64()) {
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    fn refusal(retry_after: Option<Duration>, retryable: bool) -> ClientError {
        ClientError::Refused(Box::new(Refusal {
            code: None,
            status: 429,
            message: String::new(),
            reason: None,
            retry_after,
            retryable,
            request_id: None,
        }))
    }

    #[test]
    fn the_bound_doubles_up_to_its_cap_and_ends_with_the_tries() {
        let waits: Vec<_> =
            (1..=101).map(|failures| Retry::STREAM.wait(failures, &refusal(None, true), 1.0)).collect();
        let millis: Vec<_> = waits.iter().take(8).flatten().map(Duration::as_millis).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(waits[98], Some(Duration::from_secs(5)));
        assert_eq!((waits[99], waits[100]), (None, None));
    }

    #[test]
    fn the_wait_may_be_nothing_but_never_sooner_than_the_server_asked() {
        assert_eq!(Retry::REQUEST.wait(3, &refusal(None, true), 0.0), Some(Duration::ZERO));
        let asked = Duration::from_millis(700);
        assert_eq!(Retry::REQUEST.wait(1, &refusal(Some(asked), true), 0.0), Some(asked));
        assert_eq!(
            Retry::REQUEST.wait(1, &refusal(Some(asked), true), 0.5),
            Some(asked + Duration::from_millis(50))
        );
    }

    #[test]
    fn what_cannot_succeed_or_would_take_too_long_is_not_tried_again() {
        assert_eq!(Retry::REQUEST.wait(1, &refusal(None, false), 0.5), None);
        assert_eq!(Retry::REQUEST.wait(1, &refusal(Some(Duration::from_secs(61)), true), 0.5), None);
        assert_eq!(Retry::NEVER.wait(1, &refusal(None, true), 0.5), None);
    }
}
