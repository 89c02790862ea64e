//! What a load is told by: what was done within a window of time, how long each took, and what it cost both processes.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::process::cpu_time;
use crate::sink;
use crate::target::Target;

/// The longest latency that is told apart, in nanoseconds; longer ones count as this.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// The time in which what happens counts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Before it, everything warms up.
    pub from: Instant,
    /// From then on nothing new begins.
    pub to: Instant,
}

impl Window {
    /// Makes a window that begins after `warmup`.
    pub fn after(warmup: Duration, length: Duration) -> Self {
        let from = Instant::now() + warmup;
        Self { from, to: from + length }
    }

    /// Returns whether an instant is in it.
    pub fn has(&self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Calls, or frames, that were answered rightly in the window.
    pub calls: u64,
    /// Checks in them.
    pub checks: u64,
    /// Whatever went wrong, in the window or out of it.
    pub errors: u64,
    /// What the first of them said.
    pub error: Option<String>,
    /// How long each took, in nanoseconds.
    pub latency: Histogram<u64>,
}

impl Tally {
    /// Counts nothing yet.
    pub fn new() -> Self {
        Self { calls: 0, checks: 0, errors: 0, error: None, latency: latencies() }
    }

    /// Counts a call that was answered rightly.
    pub fn done(&mut self, checks: usize, took: Duration) {
        self.calls += 1;
        self.checks += checks as u64;
        record(&mut self.latency, took);
    }

    /// Counts what went wrong.
    pub fn failed(&mut self, error: String) {
        self.errors += 1;
        self.error.get_or_insert(error);
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.checks += other.checks;
        self.errors += other.errors;
        if self.error.is_none() {
            self.error.clone_from(&other.error);
        }
        // Of the same bounds.
        let _ = self.latency.add(&other.latency);
    }
}

/// Makes a histogram of latencies in nanoseconds: from a microsecond to a minute, to a thousandth.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LATENCY_MAX_NS, 3).expect("bounds that a histogram can have")
}

/// Takes a latency into a histogram.
pub fn record(latencies: &mut Histogram<u64>, took: Duration) {
    latencies.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
}

/// A load on one target, measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was counted.
    pub tally: Tally,
    /// Of how long.
    pub took: Duration,
    /// The processor time of the server in it, if it can be seen.
    pub server: Option<Duration>,
    /// The processor time of this process in it, without that of the collector of spans.
    pub client: Option<Duration>,
}

impl Measured {
    /// Joins another measurement of the same.
    pub fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.took += other.took;
        self.server = self.server.zip(other.server).map(|(one, two)| one + two);
        self.client = self.client.zip(other.client).map(|(one, two)| one + two);
    }

    /// Returns calls a second.
    pub fn calls_per_second(&self) -> f64 {
        self.tally.calls as f64 / self.took.as_secs_f64()
    }

    /// Returns checks a second.
    pub fn checks_per_second(&self) -> f64 {
        self.tally.checks as f64 / self.took.as_secs_f64()
    }
}

/// Lets `tasks` run, and measures what they and the server take within `window`.
pub async fn measure(target: &Target, window: Window, mut tasks: JoinSet<Tally>) -> Measured {
    let own = || cpu_time(std::process::id()).map(|time| time.saturating_sub(sink::cpu_time()));
    let times = || (target.process.and_then(cpu_time), own());
    tokio::time::sleep_until(window.from.into()).await;
    let before = times();
    tokio::time::sleep_until(window.to.into()).await;
    let after = times();
    let mut tally = Tally::new();
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(part) => tally.add(&part),
            Err(error) => tally.failed(error.to_string()),
        }
    }
    let spent = |before: Option<Duration>, after: Option<Duration>| Some(after?.saturating_sub(before?));
    Measured {
        tally,
        took: window.to - window.from,
        server: spent(before.0, after.0),
        client: spent(before.1, after.1),
    }
}
