//! The log of calls that were put off: a line a second for each reason, however many there are.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::domain::error::{Error, Reason};

/// What was logged of one reason.
struct Line {
    /// The second of the last line, by a clock that never goes back.
    second: AtomicU64,
    /// How many were not logged since.
    left_out: AtomicU64,
}

/// By reason. One for the process, as its log is.
static LINES: [Line; Reason::ALL.len()] =
    [const { Line { second: AtomicU64::new(0), left_out: AtomicU64::new(0) } }; Reason::ALL.len()];

impl Line {
    /// Returns whether a line is due, and how many were left out before it.
    fn due(&self, second: u64) -> Option<u64> {
        let last = self.second.load(Ordering::Relaxed);
        let is_due =
            second != last && self.second.compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_due {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Logs a call that was put off, and how many were since the last line.
pub(super) fn log(error: &Error, rpc: &'static str, call_id: Uuid) {
    let Some(line) = LINES.get(error.reason as usize) else { return };
    let second = SystemClock.monotonic().0.as_secs();
    let reason = error.reason.name();
    match line.due(second) {
        Some(left_out) => {
            tracing::warn!(%call_id, rpc, reason, left_out, cause = error.cause(), "a call was put off");
        }
        None => tracing::debug!(%call_id, rpc, reason, cause = error.cause(), "a call was put off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_in_a_second_one_is_logged_and_the_next_line_counts_the_others() {
        let line = Line { second: AtomicU64::new(0), left_out: AtomicU64::new(0) };
        assert_eq!((line.due(7), line.due(7), line.due(7)), (Some(0), None, None));
        assert_eq!((line.due(8), line.due(8), line.due(11)), (Some(2), None, Some(1)));
    }

    #[test]
    fn every_reason_has_its_place() {
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
    }
}
