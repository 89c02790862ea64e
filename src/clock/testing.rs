//! The clock of tests: they move it, in this crate and in others.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::{Clock, Monotonic, SystemClock};
use crate::domain::time::Timestamp;

/// 2026-11-22T12:00:00Z.
const BEGINNING: Timestamp = Timestamp::from_micros(1_795_348_800_000_000);

/// The shortest time that there is.
const INSTANT: Duration = Duration::from_micros(1);

/// A wall clock that stands still until it is moved. Pauses pass in real time, unless it is altogether still.
#[derive(Debug)]
pub struct ManualClock {
    hands: watch::Sender<Hands>,
    is_still: bool,
    starts: AtomicU64,
    counted: Duration,
    pauses: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Hands {
    wall: Timestamp,
    monotonic: Monotonic,
}

impl ManualClock {
    /// Makes a clock that stands at noon of a fixed day.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::at(BEGINNING)
    }

    /// Makes a clock that stands at an instant of the test's own.
    #[must_use]
    pub fn at(began_at: Timestamp) -> Arc<Self> {
        Self::make(began_at, false, Duration::ZERO)
    }

    /// Makes a clock by which pauses pass, and what is proven grows old, only when it is moved: nothing polls by itself.
    #[must_use]
    pub fn still() -> Arc<Self> {
        Self::still_at(BEGINNING)
    }

    /// Makes a [still](Self::still) clock that stands at an instant of the test's own.
    #[must_use]
    pub fn still_at(began_at: Timestamp) -> Arc<Self> {
        Self::make(began_at, true, Duration::ZERO)
    }

    /// Makes a [still](Self::still) clock that counts the pauses shorter than `counted`: what polls has had its turn when
    /// it pauses again.
    #[must_use]
    pub fn counting(counted: Duration) -> Arc<Self> {
        Self::make(BEGINNING, true, counted)
    }

    fn make(began_at: Timestamp, is_still: bool, counted: Duration) -> Arc<Self> {
        let hands = watch::Sender::new(Hands { wall: began_at, monotonic: Monotonic(Duration::ZERO) });
        Arc::new(Self { hands, is_still, starts: AtomicU64::new(0), counted, pauses: watch::Sender::new(0) })
    }

    /// Returns whether pauses pass only when the clock is moved.
    pub fn is_still(&self) -> bool {
        self.is_still
    }

    /// Returns the number of this start of a server. Servers on one database go by one clock and draw by their numbers: with
    /// the same seed at the same time they would make the same ids.
    pub fn start(&self) -> u64 {
        self.starts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns how many pauses have begun, of those that are [counted](Self::counting).
    pub fn pauses(&self) -> watch::Receiver<u64> {
        self.pauses.subscribe()
    }

    /// Moves the clock on; what waits for a moment that has come wakes up.
    pub fn advance(&self, duration: Duration) {
        self.hands.send_modify(|hands| {
            hands.wall = hands.wall.plus(duration);
            hands.monotonic = Monotonic(hands.monotonic.0.saturating_add(duration));
        });
    }

    /// Moves the clock on to the last instant before `duration` has passed.
    pub fn advance_short_of(&self, duration: Duration) {
        self.advance(duration.saturating_sub(INSTANT));
    }

    /// Moves the clock on by the shortest time that there is.
    pub fn tick(&self) {
        self.advance(INSTANT);
    }

    /// Sets the wall clock forward or back, as an operator does: no time passes.
    pub fn set(&self, wall: Timestamp) {
        self.hands.send_modify(|hands| hands.wall = wall);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands.borrow().wall
    }

    fn monotonic(&self) -> Monotonic {
        if self.is_still { self.hands.borrow().monotonic } else { SystemClock.monotonic() }
    }

    fn sleep_until(&self, instant: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut hands = self.hands.subscribe();
        Box::pin(async move {
            // The clock outlives the server.
            let _ = hands.wait_for(|hands| hands.wall >= instant).await;
        })
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if !self.is_still {
            return SystemClock.sleep(duration);
        }
        let mut hands = self.hands.subscribe();
        let end = Monotonic(self.monotonic().0.saturating_add(duration));
        if duration < self.counted {
            self.pauses.send_modify(|pauses| *pauses += 1);
        }
        Box::pin(async move {
            let _ = hands.wait_for(|hands| hands.monotonic >= end).await;
        })
    }
}
