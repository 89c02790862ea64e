//! As of which moment something is proven current, or when it was last used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Monotonic;

/// The latest of the moments that were noted, on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Latest(AtomicU64);

impl Latest {
    /// Notes a moment exactly: a statement sent at `at` found nothing that is not applied, say.
    pub fn advance(&self, at: Monotonic) {
        self.0.fetch_max(nanos(at), Ordering::AcqRel);
    }

    /// Notes a moment for which a second more or less makes no difference. Nobody waits for this write, so a later moment may
    /// be overwritten by an earlier one of the same second.
    pub fn touch(&self, at: Monotonic) {
        const OFTEN_ENOUGH: u64 = 1_000_000_000;
        if self.0.load(Ordering::Relaxed).saturating_add(OFTEN_ENOUGH) <= nanos(at) {
            self.0.store(nanos(at), Ordering::Relaxed);
        }
    }

    /// Returns the moment; the clock's zero if none was noted.
    pub fn at(&self) -> Monotonic {
        Monotonic(Duration::from_nanos(self.0.load(Ordering::Acquire)))
    }
}

fn nanos(at: Monotonic) -> u64 {
    u64::try_from(at.0.as_nanos()).unwrap_or(u64::MAX)
}
