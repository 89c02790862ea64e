//! What can be asked of the load generator.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::closed::Pressure;
use crate::frame::{Rpc, Spread};
use crate::mutation;
use crate::serve::Role;
use crate::shape::{Data, Preset};
use crate::target::ClientKind;

/// Puts load on a Guildhall and, in the same run, the same messages on an echo that only decodes and encodes them; the
/// ratio of the two is the result.
///
/// Both servers are processes of their own on loopback, on as many threads as this one has, so that the processor time
/// of each is told apart. Every answer is compared with the right one: a run with errors fails.
#[derive(Debug, Parser)]
#[command(name = "load", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    /// What else it can be.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The load.
    #[command(flatten)]
    pub options: Options,
}

/// What the program can be beside the load generator against an echo.
#[derive(Debug, Subcommand)]
pub enum Command {
    Mutations(mutation::Options),
    /// A process that is measured; the load generator starts these itself.
    #[command(flatten)]
    Measured(Role),
}

/// A kind of load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Load {
    /// `Check`, in a closed loop.
    Unary,
    /// `BatchCheck`, in a closed loop.
    Batch,
    /// `StreamChecks`, in a closed loop of frames.
    Stream,
    /// Latency against rate, in open loops.
    Sweep,
    /// Pushes of decisions that mutations turn.
    Subscription,
}

/// The load.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Which loads, in this order.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Load::Unary, Load::Batch, Load::Stream, Load::Sweep, Load::Subscription])]
    pub loads: Vec<Load>,

    #[command(flatten)]
    pub data: Data,

    /// Whom to ask about: one organization, a random one each frame, or both, one after the other. Without it: what the
    /// data allows.
    #[arg(long, value_enum, value_delimiter = ',')]
    spread: Vec<Spread>,

    /// Unary calls that are under way at once, over all connections.
    #[arg(long, default_value_t = 64, value_parser = positive)]
    in_flight: usize,

    /// Batches that are under way at once, over all connections.
    #[arg(long, default_value_t = 8, value_parser = positive)]
    batches_in_flight: usize,

    /// Streams of checks, over all connections.
    #[arg(long, default_value_t = 2, value_parser = positive)]
    pub streams: usize,

    /// Frames that are under way at once on each stream.
    #[arg(long, default_value_t = 4, value_parser = positive)]
    frames_in_flight: usize,

    /// Checks in a frame and in a batch.
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub frame: usize,

    /// Connections to each server.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub connections: usize,

    /// How long a load is measured on each server, in each round, in seconds.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub seconds: Duration,

    /// How long it runs before that, in seconds.
    #[arg(long, default_value = "0.3", value_parser = seconds)]
    pub warmup: Duration,

    /// How often the servers take turns in the closed loops; the ratio is the median of them.
    #[arg(long, default_value_t = 5, value_parser = positive)]
    pub rounds: usize,

    /// The RPC of the open loops.
    #[arg(long, value_enum, default_value_t = SweepRpc::Unary)]
    sweep_rpc: SweepRpc,

    /// The rates of the open loops, in calls or frames a second. Without it: some shares of what the Guildhall reaches
    /// in a closed loop.
    #[arg(long, alias = "rate", value_delimiter = ',', value_parser = rate)]
    pub sweep: Vec<f64>,

    /// Subscriptions, over all streams.
    #[arg(long, default_value_t = 1_000, value_parser = positive)]
    pub subscriptions: usize,

    /// Streams that the subscriptions are on.
    #[arg(long, default_value_t = 4, value_parser = positive)]
    pub subscription_streams: usize,

    /// Mutations a second, all of one organization.
    #[arg(long, default_value = "100", value_parser = rate)]
    pub mutations: f64,

    /// Checks a second that run beside the mutations the second time; the first time nothing does.
    #[arg(long, default_value = "10000", value_parser = rate)]
    pub background: f64,

    /// How long mutations go on, in seconds, each of the two times.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub subscription_seconds: Duration,

    /// The code that makes requests and reads answers, the same for both servers.
    #[arg(long, value_enum, default_value_t = ClientKind::Generated)]
    pub client: ClientKind,

    /// The share of calls that the Guildhall sends a span of, to a collector in this process; 0 turns spans off.
    #[arg(long, default_value_t = 0.01)]
    pub sample: f64,

    /// Put TLS before both servers, with certificates made for this run.
    #[arg(long, conflicts_with = "target")]
    pub tls: bool,

    /// Threads of each process. Without it: as many as there are processors.
    #[arg(long, value_parser = positive)]
    workers: Option<usize>,

    /// A Guildhall that runs already, as http://… or https://…, instead of one that is started here. It is asked about
    /// an organization that is made for it, not about synthetic ones.
    #[arg(long, requires = "key", conflicts_with_all = ["database_url", "replicas"])]
    pub target: Option<String>,

    /// The operator's API key, for --target, or for a database that has an installation already.
    #[arg(long, env = "GUILDHALL_KEY", hide_env_values = true)]
    pub key: Option<String>,

    /// The process of --target, if it runs on this machine: then its processor time is told.
    #[arg(long, requires = "target")]
    pub pid: Option<u32>,

    /// A file with the certificate, in PEM, that signs that of an https --target.
    #[arg(long, requires = "target")]
    pub ca: Option<PathBuf>,

    /// `postgres://user@host/database`, for the Guildhall that is started here. Without it: SQLite.
    #[arg(long, env = "GUILDHALL_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// The file with the key of the installation in that database. Without it: a new one, for an empty database.
    #[arg(long, env = "GUILDHALL_INSTALLATION_KEY_FILE", requires = "database_url")]
    pub installation_key_file: Option<PathBuf>,

    /// With 2, mutations go to one Guildhall and subscriptions to another on the same database.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub replicas: u8,

    /// Where the report is written.
    #[arg(long, default_value = "target/load/report.json")]
    pub json: PathBuf,

    /// Where the open loops are plotted: latency against rate.
    #[arg(long, default_value = "target/load/latency.svg")]
    pub plot: PathBuf,
}

/// The RPC of the open loops.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SweepRpc {
    /// `Check`.
    Unary,
    /// `BatchCheck`.
    Batch,
    /// `StreamChecks`; the rate is of frames.
    Stream,
}

impl Options {
    /// Returns how many threads each process has.
    pub fn threads(&self) -> usize {
        self.workers.unwrap_or_else(processors)
    }

    /// Returns whom to ask about.
    pub fn spreads(&self) -> Vec<Spread> {
        match (self.spread.as_slice(), self.data.preset) {
            ([], Preset::Small) => vec![Spread::One],
            ([], Preset::P1) => vec![Spread::One, Spread::Random],
            (spreads, _) => spreads.to_vec(),
        }
    }

    /// Returns how much is under way at once.
    pub fn pressure(&self, rpc: Rpc) -> Pressure {
        let calls = if rpc == Rpc::BatchCheck { self.batches_in_flight } else { self.in_flight };
        Pressure { calls, streams: self.streams, frames: self.frames_in_flight }
    }

    /// Returns how many checks a message of an RPC holds.
    pub fn items(&self, rpc: Rpc) -> usize {
        if rpc == Rpc::Check { 1 } else { self.frame }
    }

    /// Returns the RPC of the open loops.
    pub fn sweep_rpc(&self) -> Rpc {
        match self.sweep_rpc {
            SweepRpc::Unary => Rpc::Check,
            SweepRpc::Batch => Rpc::BatchCheck,
            SweepRpc::Stream => Rpc::StreamChecks,
        }
    }

    /// Ensures that the options go together.
    ///
    /// # Errors
    /// What does not.
    pub fn must_fit(&self) -> Result<(), String> {
        if self.replicas > 1 && self.database_url.is_none() {
            return Err("--replicas 2 needs a --database-url".to_owned());
        }
        if !(0.0..=1.0).contains(&self.sample) {
            return Err("--sample is a share, from 0 to 1".to_owned());
        }
        if self.frame > 1_000 {
            return Err("--frame is at most 1000".to_owned());
        }
        Ok(())
    }
}

/// Returns how many processors there are.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Reads a number of at least 1.
pub fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a number of at least 1".to_owned())
}

/// Reads a time.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "must be a number of seconds".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "must be a number above 0".to_owned())
}
