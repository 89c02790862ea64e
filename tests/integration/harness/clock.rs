//! Time and randomness that a test controls.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use guildhall::clock::{Clock, Entropy, Monotonic, SystemClock};
use guildhall::domain::time::Timestamp;
use tokio::sync::watch;

use crate::rule::rng::mix;

/// 2026-11-22T12:00:00Z.
const BEGINNING: i64 = 1_795_348_800_000_000;

/// The shortest time that there is.
const INSTANT: Duration = Duration::from_micros(1);

/// A wall clock that stands still until it is moved. Pauses pass in real time, unless it is altogether still.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
    began_at: Timestamp,
    is_still: bool,
    starts: AtomicU64,
}

impl ManualClock {
    /// Makes a clock that stands at noon of a fixed day.
    pub fn new() -> Arc<Self> {
        Self::at(Timestamp::from_micros(BEGINNING))
    }

    /// Makes a clock that stands at an instant of the test's own.
    pub fn at(began_at: Timestamp) -> Arc<Self> {
        Self::make(began_at, false)
    }

    /// Makes a clock by which pauses pass, and what is proven grows old, only when it is moved: nothing polls by itself.
    pub fn still() -> Arc<Self> {
        Self::make(Timestamp::from_micros(BEGINNING), true)
    }

    /// Returns whether pauses pass only when the clock is moved.
    pub fn is_still(&self) -> bool {
        self.is_still
    }

    fn make(began_at: Timestamp, is_still: bool) -> Arc<Self> {
        Arc::new(Self { now: watch::Sender::new(began_at), began_at, is_still, starts: AtomicU64::new(0) })
    }

    /// Returns the number of this start of a server. Servers on one database go by one clock and draw by their numbers: with
    /// the same seed at the same time they would make the same ids.
    pub fn start(&self) -> u64 {
        self.starts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Moves the clock on; whoever waits for a moment that has come wakes up.
    pub fn advance(&self, duration: Duration) {
        self.now.send_modify(|now| *now = now.plus(duration));
    }

    /// Moves the clock on to the last instant before `duration` has passed.
    pub fn advance_short_of(&self, duration: Duration) {
        self.advance(duration.saturating_sub(INSTANT));
    }

    /// Moves the clock on by the shortest time that there is.
    pub fn tick(&self) {
        self.advance(INSTANT);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn monotonic(&self) -> Monotonic {
        if self.is_still { Monotonic(self.now().since(self.began_at)) } else { SystemClock.monotonic() }
    }

    fn sleep_until(&self, instant: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // The clock outlives the server.
            let _ = now.wait_for(|now| *now >= instant).await;
        })
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if self.is_still { self.sleep_until(self.now().plus(duration)) } else { SystemClock.sleep(duration) }
    }
}

/// How many bytes of an id are drawn.
const ID_BYTES: usize = 10;

/// Bytes that a seed determines (splitmix64): the same on every run, and never twice in one.
///
/// What is drawn for ids counts up, so that ids of one instant, of which a clock that stands still has many, are in the order in
/// which they were made, whatever background tasks draw in between.
#[derive(Debug)]
pub struct SeededEntropy {
    state: AtomicU64,
    ids: AtomicU32,
}

impl SeededEntropy {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Self {
        // Mixed: neighbours would else be the same sequence, a few draws apart, and two servers make the same ids.
        Self { state: AtomicU64::new(mix(seed)), ids: AtomicU32::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let z = mix(self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed));
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
        if bytes.len() == ID_BYTES {
            // The version and the variant of a UUID lie over the first three.
            bytes[..3].fill(0);
            bytes[3..6].copy_from_slice(&self.ids.fetch_add(1, Ordering::Relaxed).to_be_bytes()[1..]);
        }
    }
}
