//! The only source of time, identifiers and randomness. Everything else is handed the values.
//!
//! A server has one [`AnchoredClock`], which issues and verifies alike: it counts by itself and goes by the database's
//! clock, or the machine's, by the rule of `anchor`.

mod anchor;
mod anchored;
mod backoff;
pub mod testing;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

pub use anchor::Reading;
pub use anchored::AnchoredClock;
pub use backoff::Backoff;

use crate::domain::time::Timestamp;

/// An instant of a clock that never goes back, runs while the machine is suspended, and means nothing elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// Returns the time from `earlier` to `self`, zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Tells the time and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// Tells the time.
    fn now(&self) -> Timestamp;

    /// Tells the time by a clock that never goes back.
    fn monotonic(&self) -> Monotonic;

    /// Waits until the time has come to `instant`.
    fn sleep_until(&self, instant: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Begins to keep time by what the database says. A clock that nothing anchors has nothing to do here.
    fn begin(&self, _: &Beginning) {}

    /// Takes a reading of the database's clock into account; `None` of a database that has none of its own.
    fn observe(&self, _: Option<Reading>) {}

    /// Returns how the clock stands to what anchors it.
    fn health(&self) -> ClockHealth {
        ClockHealth::default()
    }
}

/// From where a server's clock goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beginning {
    /// What the database's clock said; `None` of a database that has none of its own, which leaves the machine's.
    pub database: Option<Reading>,
    /// The newest instant on record in the database, if any: time does not begin before it.
    pub recorded: Option<Timestamp>,
    /// By how much time may have gone on since then.
    pub unrecorded: Duration,
    /// Whether time may begin before it all the same.
    pub may_go_back: bool,
}

/// How a clock stands to what anchors it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClockHealth {
    /// By how many microseconds the anchor was ahead when it was last read; negative if it was behind.
    pub deviation_micros: i64,
    /// How often the anchor was found set back.
    pub steps_back: u64,
    /// How often it was found set forward.
    pub steps_forward: u64,
    /// How long the anchor is before the newest instant that was on record at the start, if it is.
    pub behind_record: Option<Duration>,
}

impl ClockHealth {
    /// Returns whether the anchor is behind by a step, so that time goes on slowly until it has caught up.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.deviation_micros < 0 && Duration::from_micros(self.deviation_micros.unsigned_abs()) > anchor::STEP
    }

    /// Returns the deviation in seconds.
    #[must_use]
    pub fn deviation_seconds(&self) -> f64 {
        let off = Duration::from_micros(self.deviation_micros.unsigned_abs()).as_secs_f64();
        if self.deviation_micros < 0 { -off } else { off }
    }

    /// Returns what an operator should know, if there is anything.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        if let Some(behind) = self.behind_record {
            return Some(format!("the clock is {} s before the newest commit", behind.as_secs().max(1)));
        }
        let off = Duration::from_micros(self.deviation_micros.unsigned_abs());
        let direction = if self.deviation_micros < 0 { "back" } else { "forward" };
        (off > anchor::STEP).then(|| format!("the clock was set {direction} by {} s", off.as_secs()))
    }
}

/// Draws random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clocks, as they are.
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

/// Returns ids to calls: drawn once, then counted and mixed, without asking the system or meeting other threads.
///
/// They look like random UUIDs (version 4) and repeat as rarely. Whoever knows some can guess others: they are no
/// secrets.
#[derive(Debug)]
pub struct CallIds {
    seeds: [u64; 2],
}

impl CallIds {
    /// Draws the beginning.
    #[must_use]
    pub fn new(env: &Env) -> Self {
        Self { seeds: [env.random(), env.random()].map(u64::from_le_bytes) }
    }

    /// Returns another id.
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
pub struct Env {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws random bytes.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}

impl Env {
    /// Makes what one process has: a clock that begins where the machine's is, and the machine's random numbers.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(AnchoredClock::new(Arc::new(SystemClock))), entropy: Arc::new(SystemEntropy) }
    }

    /// Tells the time.
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
        let servers = [CallIds::new(&Env::system()), CallIds::new(&Env::system())];
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
        let ids = CallIds::new(&Env::system());
        let below = (0..100_000).filter(|_| {
            let drawn = u32::from_le_bytes(*ids.next().as_bytes().last_chunk().unwrap());
            f64::from(drawn) / f64::from(u32::MAX) < 0.01
        });
        // Five standard deviations around 1,000.
        assert!((843..=1_157).contains(&below.count()));
    }
}
