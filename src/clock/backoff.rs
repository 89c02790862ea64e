//! How long to wait before what failed is tried again.

use std::time::Duration;

/// Pauses that double with each failure, up to the longest. Many that wait for one thing
/// [jitter](super::Env::jittered) them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest.
    pub most: Duration,
}

impl Backoff {
    /// Returns the pause after so many failures in a row; none is taken for the first.
    #[must_use]
    pub fn after(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_twice_as_long_after_each_failure_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_hours(1) };
        let pauses = [0, 1, 2, 3, 4, 12, 13, 100, u32::MAX].map(|failures| backoff.after(failures).as_secs());
        assert_eq!(pauses, [1, 1, 2, 4, 8, 2_048, 3_600, 3_600, 3_600]);
    }
}
