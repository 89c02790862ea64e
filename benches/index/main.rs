//! The index in process, without a wire: `make bench`. What the wire adds, `make load` shows.
//!
//! Evaluation (P1), memory (P5), applying while folding (P7), subscriptions (P9), starting (P10) and lists, each with
//! its data size. Speed is told beside a dependent random read of as much memory, taken in the same run, since machines
//! differ. Prints a table; fails on nothing. `GUILDHALL_BENCH_SHARE=10` takes a tenth of the data; arguments name the
//! parts to run.

#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark reads the time and prints rates"
)]

mod applying;
mod evaluation;
mod listing;
mod memory;
mod organizations;
#[path = "../../examples/load/shape.rs"]
#[expect(dead_code, reason = "the load generator asks for more of it")]
mod shape;
mod starting;
mod subscribing;

use std::time::Duration;

use self::shape::Shape;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// The data of P1 and P5: 10 M memberships in 10,000 organizations, 5 groups each, 4 M resources at depth 3.
const MANY: Shape =
    Shape { organizations: 10_000, members: 1_000, groups: 20, groups_each: 5, resources: 400, depth: 3 };
/// The data of P7 and P9.
const LARGE: Shape =
    Shape { organizations: 1, members: 1_000_000, groups: 200, groups_each: 5, resources: 400_000, depth: 3 };

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let share: u32 = std::env::var("GUILDHALL_BENCH_SHARE").ok().and_then(|share| share.parse().ok()).unwrap_or(1);
    let many = Shape { organizations: MANY.organizations / share, ..MANY };
    let large = Shape { members: LARGE.members / share, resources: LARGE.resources / share, ..LARGE };
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |part: &str| parts.is_empty() || parts.iter().any(|asked| asked == part);

    println!("{:<66} {:>12} {:>10} {:>12}", "what", "figure", "ratio", "target");
    if is_asked("evaluation") || is_asked("memory") {
        let before = memory::resident_bytes();
        let engine = organizations::engine(many).await?;
        memory::report(&engine, many, before);
        evaluation::report(&engine, many).await?;
    }
    if is_asked("applying") {
        applying::report(large).await?;
    }
    if is_asked("subscribing") {
        subscribing::report(large).await?;
    }
    if is_asked("listing") {
        listing::report().await?;
    }
    if is_asked("starting") {
        starting::report().await?;
    }
    Ok(())
}

/// Prints a heading.
fn heading(what: &str) {
    println!("\n{what}");
}

/// Prints a row.
fn row(what: &str, figure: &str, ratio: &str, target: &str) {
    println!("  {what:<64} {figure:>12} {ratio:>10} {target:>12}");
}

/// Returns the value below which that share of the samples lies.
fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the number of samples")]
    let at = (samples.len() as f64 * share) as usize;
    samples.get(at.min(samples.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Writes a duration with its unit.
fn text(duration: Duration) -> String {
    match duration.as_nanos() {
        nanos @ 0..10_000 => format!("{nanos} ns"),
        nanos @ 10_000..10_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        nanos => format!("{:.1} ms", nanos as f64 / 1e6),
    }
}
