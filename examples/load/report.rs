//! What was measured, as a table for people and as JSON for machines.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Failure;
use crate::frame::Spread;
use crate::measure::Measured;
use crate::push::Pushed;
use crate::shape::Shape;
use crate::target::ClientKind;

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Of Guildhall and of this program.
    pub version: &'static str,
    /// As it was called.
    pub command: Vec<String>,
    /// Processors of the machine.
    pub processors: usize,
    /// Threads of each process.
    pub threads: usize,
    /// The code of the client.
    pub client: ClientKind,
    /// The share of calls that are sampled.
    pub sample: f64,
    /// Whether both servers were reached through TLS.
    pub tls: bool,
    /// What was asked about; absent for a server that ran already.
    pub data: Option<Shape>,
    /// What loading it took.
    pub loading: Option<Loading>,
    /// Closed loops.
    pub closed: Vec<Closed>,
    /// Open loops.
    pub open: Vec<Open>,
    /// Subscriptions.
    pub pushes: Vec<Pushes>,
    /// Spans that came in.
    pub spans: u64,
    /// What went wrong.
    pub errors: Vec<String>,
}

/// What loading all organizations took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Loading {
    /// Organizations that were loaded.
    pub organizations: u32,
    /// How long, in seconds.
    pub seconds: f64,
    /// Resident memory before, in bytes.
    pub resident_before_bytes: Option<u64>,
    /// Resident memory after, in bytes.
    pub resident_after_bytes: Option<u64>,
}

/// One closed loop, on both servers.
#[derive(Debug, Serialize)]
pub struct Closed {
    /// What was done.
    pub what: String,
    /// Whom it was asked about.
    pub spread: Option<Spread>,
    /// The share of the checks that is allowed.
    pub allowed_share: f64,
    /// The echo.
    pub echo: Figures,
    /// The Guildhall.
    pub guildhall: Figures,
    /// The Guildhall's rate by the echo's: the median of all rounds.
    pub ratio: f64,
    /// What the ratio would be by the processor time alone that both processes take for a call, if it can be seen. Unlike
    /// rates, it hardly changes with who else is on the machine.
    pub ratio_by_processor_time: Option<f64>,
    /// The ratio of each round, the least first.
    pub ratios: Vec<f64>,
}

/// One open loop on one server.
#[derive(Debug, Serialize)]
pub struct Open {
    /// What was done.
    pub what: String,
    /// Which server.
    pub target: &'static str,
    /// How many calls a second were meant to begin.
    pub rate: f64,
    /// What came of it.
    pub figures: Figures,
}

/// Subscriptions under one load.
#[derive(Debug, Serialize)]
pub struct Pushes {
    /// What was done.
    pub what: String,
    /// From a mutation's answer to the push.
    pub after_answer: Latency,
    /// From a mutation's call to the push.
    pub after_call: Latency,
    /// From a mutation's call to its answer.
    pub mutation: Latency,
    /// Pushes that were due and came.
    pub due: u64,
    /// Pushes that came before the mutation's answer.
    pub early: u64,
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Calls or frames a second.
    pub calls_per_second: f64,
    /// Checks a second.
    pub checks_per_second: f64,
    /// How long a call took.
    pub latency: Latency,
    /// Processor time of the server a call, in microseconds.
    pub server_us_per_call: Option<f64>,
    /// Processor time of the server a check, in microseconds.
    pub server_us_per_check: Option<f64>,
    /// Processor time of the load generator a call, in microseconds.
    pub client_us_per_call: Option<f64>,
    /// Calls that failed or were answered wrongly.
    pub errors: u64,
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "a number carries its unit")]
pub struct Latency {
    /// Half took at most this.
    pub p50_us: f64,
    /// All but one in a hundred.
    pub p99_us: f64,
    /// All but one in a thousand.
    pub p999_us: f64,
    /// All.
    pub max_us: f64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(latencies: &Histogram<u64>) -> Self {
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        Self { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), max_us: latencies.max() as f64 / 1e3 }
    }
}

impl From<&Measured> for Figures {
    fn from(measured: &Measured) -> Self {
        let tally = &measured.tally;
        let per = |time: Option<Duration>, count: u64| Some(time?.as_secs_f64() * 1e6 / count.max(1) as f64);
        Self {
            calls_per_second: measured.calls_per_second(),
            checks_per_second: measured.checks_per_second(),
            latency: Latency::from(&tally.latency),
            server_us_per_call: per(measured.server, tally.calls),
            server_us_per_check: per(measured.server, tally.checks),
            client_us_per_call: per(measured.client, tally.calls),
            errors: tally.errors,
        }
    }
}

impl Pushes {
    /// Sums up what was pushed.
    pub fn new(what: String, pushed: &Pushed) -> Self {
        Self {
            what,
            after_answer: Latency::from(&pushed.after_answer),
            after_call: Latency::from(&pushed.after_call),
            mutation: Latency::from(&pushed.mutation),
            due: pushed.after_call.len(),
            early: pushed.early,
        }
    }
}

impl Report {
    /// Prints the table.
    pub fn print(&self) {
        if let Some(shape) = &self.data {
            println!(
                "{} organizations of {} members in {} groups each of {}, {} resources at depth {}",
                shape.organizations, shape.members, shape.groups_each, shape.groups, shape.resources, shape.depth
            );
        }
        print!("{} processors, {} threads a process; {:?} client", self.processors, self.threads, self.client);
        let transport = if self.tls { "TLS" } else { "plaintext" };
        match self.data {
            Some(_) => println!("; {transport}; {} of the calls sampled", self.sample),
            None => println!("; a server that ran already"),
        }
        if let Some(loading) = &self.loading {
            println!(
                "{} organizations were loaded in {:.1} s; resident memory {} MB, before {} MB",
                loading.organizations,
                loading.seconds,
                megabytes(loading.resident_after_bytes),
                megabytes(loading.resident_before_bytes),
            );
        }
        self.print_closed();
        self.print_open();
        self.print_pushes();
        if self.sample > 0.0 && self.data.is_some() {
            println!("\nspans received: {}", self.spans);
        }
        for error in &self.errors {
            println!("error: {error}");
        }
    }

    fn print_closed(&self) {
        for closed in &self.closed {
            println!("\n{}; {:.0} % allowed", closed.what, closed.allowed_share * 100.0);
            print_head("");
            print_row("", "echo", &closed.echo);
            print_row("", "guildhall", &closed.guildhall);
            let (least, most) = (closed.ratios.first().unwrap_or(&0.0), closed.ratios.last().unwrap_or(&0.0));
            print!("ratio {:.2}, the median of {} from {least:.2} to {most:.2}", closed.ratio, closed.ratios.len());
            match closed.ratio_by_processor_time {
                Some(ratio) => println!("; by processor time {ratio:.2}"),
                None => println!(),
            }
        }
    }

    fn print_open(&self) {
        if let Some(first) = self.open.first() {
            println!("\n{}; latency from when each was meant to begin", first.what);
            print_head("at a rate of");
        }
        for open in &self.open {
            print_row(&format!("{:.0}", open.rate), open.target, &open.figures);
        }
    }

    fn print_pushes(&self) {
        for pushes in &self.pushes {
            println!("\n{}: {} pushes, {} of them before the answer", pushes.what, pushes.due, pushes.early);
            println!("{:<36} {:>9} {:>9} {:>9} {:>9}", "", "p50", "p99", "p99.9", "max");
            let rows = [
                ("from a mutation's answer to the push", &pushes.after_answer),
                ("from a mutation's call to the push", &pushes.after_call),
                ("from a mutation's call to its answer", &pushes.mutation),
            ];
            for (what, latency) in rows {
                println!("{what:<36}{}", percentiles(latency));
            }
        }
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

fn print_head(first: &str) {
    println!(
        "{first:<13} {:<10} {:>10} {:>12} {:>9} {:>9} {:>9} {:>9} {:>12} {:>13} {:>12}",
        "", "calls/s", "checks/s", "p50", "p99", "p99.9", "max", "server/call", "server/check", "client/call"
    );
}

fn print_row(first: &str, target: &str, figures: &Figures) {
    let time = |micros: Option<f64>| micros.map_or("-".to_owned(), |micros| format!("{micros:.2} µs"));
    println!(
        "{first:<13} {target:<10} {:>10.0} {:>12.0}{} {:>12} {:>13} {:>12}",
        figures.calls_per_second,
        figures.checks_per_second,
        percentiles(&figures.latency),
        time(figures.server_us_per_call),
        time(figures.server_us_per_check),
        time(figures.client_us_per_call),
    );
}

fn percentiles(latency: &Latency) -> String {
    [latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us].map(|it| format!(" {:>9}", short(it))).concat()
}

/// Writes a time to three digits or so.
fn short(micros: f64) -> String {
    match micros {
        ..1_000.0 => format!("{micros:.0} µs"),
        ..10_000.0 => format!("{:.2} ms", micros / 1e3),
        ..1_000_000.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or("-".to_owned(), |bytes| (bytes / 1_000_000).to_string())
}
