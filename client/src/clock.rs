//! Time, as something that can be injected: the only place of the crate that reads it.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// An instant of a [`Clock`]: whole nanoseconds since an origin that means nothing elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    /// Makes the instant that lies `since_origin` behind the clock's origin; past 584 years it is the last there is.
    #[must_use]
    pub fn new(since_origin: Duration) -> Self {
        Self(nanos(since_origin))
    }

    /// Returns the instant `duration` later, or the last there is.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// Returns the instant `duration` earlier, or the origin.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// Returns the time from `earlier` to `self`, zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn as_nanos(self) -> u64 {
        self.0
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Tells the time and waits for it.
///
/// The clock must never go back, and **must also run while the machine or the process is suspended**: what is held is
/// trusted for a time, and a clock that stood still while the world went on would lengthen it.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Tells the time.
    fn now(&self) -> Moment;

    /// Waits for `duration`. May be late: nothing is trusted for longer because of it.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The machine's clock: `CLOCK_BOOTTIME`, and on Apple's systems their `CLOCK_MONOTONIC`, which runs while asleep as
/// well.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(not(target_vendor = "apple"))]
const RUNS_WHILE_SUSPENDED: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(target_vendor = "apple")]
const RUNS_WHILE_SUSPENDED: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[expect(clippy::disallowed_methods, reason = "this is the one place that waits on the machine's clock")]
impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let time = rustix::time::clock_gettime(RUNS_WHILE_SUSPENDED);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Moment(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}
