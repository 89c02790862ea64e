//! What came of the turns, as a table for people and as JSON for machines.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::replay::Replayed;
use crate::Failure;
use crate::measure::Measured;
use crate::options::processors;
use crate::report::Latency;

/// Everything of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Of Guildhall and of this program.
    pub version: &'static str,
    /// As it was called.
    pub command: Vec<String>,
    /// Processors of the machine.
    pub processors: usize,
    /// PostgreSQL's version, and what makes a commit last.
    pub database: String,
    /// Organizations that the mutations were spread over.
    pub organizations: usize,
    /// Calls that were under way at once.
    pub in_flight: usize,
    /// Connections to the database, of the server and of pgbench.
    pub database_connections: usize,
    /// Statements of giving a role, and of taking it.
    pub statements: [usize; 2],
    /// The server's rate by that of pgbench: the median of all rounds.
    pub ratio: f64,
    /// The ratio of each round, the least first.
    pub ratios: Vec<f64>,
    /// What the ratio would be by the processor time alone that all processes take for a mutation, if it can be seen. Unlike
    /// rates, it hardly changes with who else is on the machine.
    pub ratio_by_processor_time: Option<f64>,
    /// Each.
    pub rounds: Vec<Round>,
}

/// One turn of both.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Mutations through the server.
    pub guildhall: Figures,
    /// How long their calls took.
    pub latency: Latency,
    /// The same statements by pgbench.
    pub pgbench: Figures,
    /// Who else wanted the machine: processes that ran or waited to, on average over the last minute, these included.
    pub load_average: Option<f64>,
}

/// What one of them came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Mutations a second.
    pub per_second: f64,
    /// How long one took on average, in microseconds.
    pub mean_us: f64,
    /// Processor time of PostgreSQL a mutation, in microseconds.
    pub database_us: Option<f64>,
    /// Processor time of the server a mutation, in microseconds.
    pub server_us: Option<f64>,
    /// Processor time of whoever asked for it, in microseconds.
    pub client_us: Option<f64>,
}

impl Round {
    /// Sums up a turn of both.
    pub fn new(served: &Measured, database: Option<Duration>, replayed: &Replayed) -> Self {
        let each = |time: Option<Duration>, count: u64| Some(time?.as_secs_f64() * 1e6 / count.max(1) as f64);
        let calls = served.tally.calls;
        let guildhall = Figures {
            per_second: served.calls_per_second(),
            mean_us: served.tally.latency.mean() / 1e3,
            database_us: each(database, calls),
            server_us: each(served.server, calls),
            client_us: each(served.client, calls),
        };
        let pgbench = Figures {
            per_second: replayed.per_second,
            mean_us: replayed.mean.as_secs_f64() * 1e6,
            database_us: each(replayed.database, replayed.mutations),
            server_us: None,
            client_us: each(replayed.client, replayed.mutations),
        };
        Self { guildhall, latency: Latency::from(&served.tally.latency), pgbench, load_average: load_average() }
    }

    fn ratio(&self) -> f64 {
        self.guildhall.per_second / self.pgbench.per_second
    }

    fn ratio_by_processor_time(&self) -> Option<f64> {
        let (guildhall, pgbench) = (&self.guildhall, &self.pgbench);
        let whole = guildhall.database_us? + guildhall.server_us? + guildhall.client_us?;
        Some((pgbench.database_us? + pgbench.client_us?) / whole)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (guildhall, pgbench) = (self.guildhall.per_second, self.pgbench.per_second);
        write!(f, "guildhall {guildhall:.0}/s, pgbench {pgbench:.0}/s, ratio {:.2}", self.ratio())
    }
}

impl Report {
    /// Sums up the rounds.
    pub fn new(options: &Options, database: String, statements: [usize; 2], rounds: Vec<Round>) -> Self {
        let mut ratios: Vec<f64> = rounds.iter().map(Round::ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let by_processor_time: Option<Vec<f64>> = rounds.iter().map(Round::ratio_by_processor_time).collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            command: std::env::args().skip(1).collect(),
            processors: processors(),
            database,
            organizations: options.organizations,
            in_flight: options.in_flight,
            database_connections: options.database_connections,
            statements,
            ratio: median(ratios.iter().copied()),
            ratios,
            ratio_by_processor_time: by_processor_time.map(|ratios| median(ratios.into_iter())),
            rounds,
        }
    }

    /// Prints the table: of every figure the median of all rounds.
    pub fn print(&self) {
        println!("{} processors; PostgreSQL: {}", self.processors, self.database);
        println!(
            "{} organizations, {} mutations under way, {} connections to the database, {} rounds",
            self.organizations,
            self.in_flight,
            self.database_connections,
            self.rounds.len(),
        );
        println!("ChangeGrants: {} statements to give a role, {} to take it", self.statements[0], self.statements[1]);
        let loads = self.rounds.iter().filter_map(|round| round.load_average);
        println!("load average {:.1}, these processes included\n", median(loads));

        println!(
            "{:<10} {:>12} {:>9} {:>9} {:>9} {:>9} {:>14} {:>10} {:>10}",
            "", "mutations/s", "mean", "p50", "p99", "max", "PostgreSQL", "server", "client"
        );
        let of = |figure: fn(&Round) -> f64| median(self.rounds.iter().map(figure));
        let latency: [fn(&Round) -> f64; 3] = [|it| it.latency.p50_us, |it| it.latency.p99_us, |it| it.latency.max_us];
        self.print_row("guildhall", |round| &round.guildhall, &latency.map(|figure| milliseconds(of(figure))));
        self.print_row("pgbench", |round| &round.pgbench, &["-", "-", "-"].map(str::to_owned));
        let (least, most) = (self.ratios.first().unwrap_or(&0.0), self.ratios.last().unwrap_or(&0.0));
        print!("ratio {:.2}, the median of {} from {least:.2} to {most:.2}", self.ratio, self.ratios.len());
        match self.ratio_by_processor_time {
            Some(ratio) => println!("; by processor time {ratio:.2}"),
            None => println!(),
        }
    }

    fn print_row(&self, name: &str, figures: fn(&Round) -> &Figures, percentiles: &[String; 3]) {
        let of = |figure: fn(&Figures) -> f64| median(self.rounds.iter().map(|round| figure(figures(round))));
        let spent = |figure: fn(&Figures) -> Option<f64>| {
            let all: Option<Vec<f64>> = self.rounds.iter().map(|round| figure(figures(round))).collect();
            all.map_or("-".to_owned(), |all| format!("{:.0} µs", median(all.into_iter())))
        };
        println!(
            "{name:<10} {:>12.0} {:>9} {:>9} {:>9} {:>9} {:>14} {:>10} {:>10}",
            of(|it| it.per_second),
            milliseconds(of(|it| it.mean_us)),
            percentiles[0],
            percentiles[1],
            percentiles[2],
            spent(|it| it.database_us),
            spent(|it| it.server_us),
            spent(|it| it.client_us),
        );
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        std::fs::write(path, serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

fn milliseconds(micros: f64) -> String {
    format!("{:.1} ms", micros / 1e3)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        count => f64::midpoint(figures[(count - 1) / 2], figures[count / 2]),
    }
}

fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
