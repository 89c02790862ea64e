//! How long calls took, by what came of them.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt;

/// How long calls took, by what came of them.
#[derive(Default)]
pub struct Times(BTreeMap<String, Vec<Duration>>);

impl Times {
    /// Notes a call under `accepted`, or under the reason for which it was refused.
    pub fn note(&mut self, accepted: &str, answer: Result<(), Status>, took: Duration) {
        let what = match answer {
            Ok(()) => accepted.to_owned(),
            Err(status) => match status.get_details_error_info() {
                Some(info) => info.reason,
                None => format!("{:?}", status.code()),
            },
        };
        self.0.entry(what).or_default().push(took);
    }

    /// Adds what others took.
    pub fn add(&mut self, other: Self) {
        for (what, times) in other.0 {
            self.0.entry(what).or_default().extend(times);
        }
    }

    /// Prints a row for each outcome. What was written has a ratio: its p99 beside `normal`. Returns that p99.
    pub fn print(mut self, what: &str, normal: Option<Duration>) -> Option<Duration> {
        let mut written = None;
        for (outcome, times) in &mut self.0 {
            times.sort_unstable();
            let (p50, p99, most) = (at(times, 50), at(times, 99), at(times, 100));
            let is_written = outcome == "written";
            written = written.or(is_written.then_some(p99));
            let ratio = normal.filter(|_| is_written).map(|normal| p99.as_secs_f64() / normal.as_secs_f64());
            let ratio = ratio.map(|ratio| format!("{ratio:.1}")).unwrap_or_default();
            let row = format!("{what}: {outcome}");
            println!("  {row:<60} {:>8} {p50:>10.1?} {p99:>10.1?} {most:>10.1?} {ratio:>7}", times.len());
        }
        written
    }
}

/// Returns the value below which so many of a hundred lie.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    let place = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(place).copied().unwrap_or_default()
}
