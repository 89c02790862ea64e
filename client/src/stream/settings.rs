//! How long the stream's task waits for what.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;

/// Lets many clients not act at once, and none too often.
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) random: Mutex<fastrand::Rng>,
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff").field("first", &self.first).field("longest", &self.longest).finish_non_exhaustive()
    }
}

impl Backoff {
    /// Returns how long to wait after `failures` in a row, of which the last has just been: twice as long each time, up
    /// to the longest, of which a random half is taken off.
    pub(super) fn delay(&self, failures: u32) -> Duration {
        let longest = self.first.saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX));
        self.jittered(longest.min(self.longest))
    }

    /// Returns between half of `longest` and all of it.
    pub(super) fn jittered(&self, longest: Duration) -> Duration {
        longest.mul_f64(0.5 + self.random.lock().f64() / 2.0)
    }

    /// Returns between nothing and `longest`.
    pub(super) fn spread(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.lock().f64())
    }
}

/// How long the stream's task waits for what.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Taken off every lease and every validity.
    pub(crate) lease_margin: Duration,
    /// The longest lease that is taken from a server.
    pub(crate) lease_max: Duration,
    /// From one ping to the next.
    pub(crate) ping_every: Duration,
    /// From a ping to one that is sent early, at the least.
    pub(crate) ping_spacing: Duration,
    /// A stream that has not echoed a ping for so long is given up.
    pub(crate) silence_max: Duration,
    /// Until what this service may not be told is asked for again.
    pub(crate) refused_retry: Duration,
    /// Between streams, and between subscriptions of one organization.
    pub(crate) backoff: Backoff,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_differ() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
            random: Mutex::new(fastrand::Rng::with_seed(1)),
        };
        for failures in [0, 1, 5, 31, 32, u32::MAX] {
            let longest = Duration::from_millis(100 << failures.min(10)).min(Duration::from_secs(10));
            let delay = backoff.delay(failures);
            assert!(delay >= longest / 2 && delay <= longest, "{failures}: {delay:?}");
        }
        assert_ne!(backoff.delay(5), backoff.delay(5));
    }
}
