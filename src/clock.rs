//! The only source of time, identifiers and randomness. Everything else is handed the values.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::domain::time::Timestamp;

/// An instant of a clock that never goes back, runs while the machine is suspended, and means nothing elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// Gives the time from `earlier` to `self`, zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Tells the time and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// Tells the wall clock's time.
    fn now(&self) -> Timestamp;

    /// Tells the time by a clock that never goes back.
    fn monotonic(&self) -> Monotonic;

    /// Waits until the wall clock has reached `instant`.
    fn sleep_until(&self, instant: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Draws random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clocks")]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Monotonic {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Monotonic(Duration::new(seconds, nanos))
    }

    fn sleep_until(&self, instant: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        // The wall clock can be set: look again every minute at the latest.
        Box::pin(async move {
            loop {
                let left = instant.since(Self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(Duration::from_mins(1))).await;
            }
        })
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The operating system's random numbers.
#[derive(Debug)]
pub struct SystemEntropy;

#[expect(clippy::disallowed_methods, reason = "this is the one place that draws random numbers")]
impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random numbers once it has booted");
    }
}

/// Numbers threads, so that each can count by itself.
static THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// How many numbers this thread has given; above them its own.
    static GIVEN: Cell<u64> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) << 40);
}

/// Gives ids to calls: drawn once, then counted and mixed, without asking the system or meeting other threads.
///
/// They look like random UUIDs (version 4) and repeat as rarely. Whoever knows some can guess others: they are no secrets.
#[derive(Debug)]
pub struct CallIds {
    seeds: [u64; 2],
}

impl CallIds {
    /// Draws the beginning.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self { seeds: [world.random(), world.random()].map(u64::from_le_bytes) }
    }

    /// Gives another id.
    #[must_use]
    pub fn next(&self) -> Uuid {
        let given = GIVEN.get();
        GIVEN.set(given.wrapping_add(1));
        let [high, low] = self.seeds.map(|seed| mixed(seed.wrapping_add(given.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
        uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes()).into_uuid()
    }
}

/// Makes neighbours look unlike: the finalizer of splitmix64, a bijection.
const fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The clock and the entropy of one server, handed to whatever needs them.
#[derive(Clone)]
pub struct World {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws random bytes.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

impl World {
    /// The machine's clocks and random numbers.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }

    /// Tells the wall clock's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes a new UUIDv7. It tells when it was made, so it is never a secret.
    pub fn id<T: From<Uuid>>(&self) -> T {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(self.now().as_millis(), &random).into_uuid().into()
    }

    /// Draws `N` random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// Draws a duration between half of `around` and one and a half of it, so that many do not act at once.
    #[must_use]
    pub fn jittered(&self, around: Duration) -> Duration {
        let factor = 0.5 + f64::from(u32::from_le_bytes(self.random())) / f64::from(u32::MAX);
        around.mul_f64(factor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_calls_have_one_id_whatever_thread_or_server_they_are_on() {
        let servers = [CallIds::new(&World::system()), CallIds::new(&World::system())];
        let ids = std::thread::scope(|scope| {
            let take = || servers.iter().flat_map(|ids| (0..10_000).map(|_| ids.next())).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(ids.iter().all(|id| id.get_version_num() == 4));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 80_000);
    }

    #[test]
    fn the_bits_of_an_id_that_sampling_draws_from_are_even() {
        let ids = CallIds::new(&World::system());
        let below = (0..100_000).filter(|_| {
            let drawn = u32::from_le_bytes(*ids.next().as_bytes().last_chunk().unwrap());
            f64::from(drawn) / f64::from(u32::MAX) < 0.01
        });
        // Five standard deviations around 1,000.
        assert!((843..=1_157).contains(&below.count()));
    }
}
