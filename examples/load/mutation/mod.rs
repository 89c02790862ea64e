//! Mutations on PostgreSQL, beside pgbench running the same statements: `benches/mutations`.
//!
//! Organizations are made through the API, with service accounts that are given a role and lose it again, each in a
//! call of its own. Some of these calls are recorded from PostgreSQL's log (`statement`) and become a script
//! (`script`). Then the calls and the script (`replay`) take turns, on two databases of one `cluster` that began as
//! copies of each other.

mod cluster;
mod replay;
mod report;
mod script;
mod statement;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;

use self::cluster::Cluster;
use self::replay::{Replayed, replay};
use self::report::{Report, Round};
use self::script::{Recorded, Recording, Script};
use crate::Failure;
use crate::account::Accounts;
use crate::frame::{Frame, Rpc};
use crate::measure::{Measured, Tally, Window, measure};
use crate::options::{positive, processors, seconds};
use crate::process::Process;
use crate::shape::scramble;
use crate::target::{Address, ClientKind, Target};

/// How many times a caller gives and takes a role in one organization before it goes to another.
const VISIT: usize = 8;
/// How many organizations are recorded.
const RECORDINGS: usize = 6;
/// The databases of the server and of pgbench.
const SERVED: &str = "served";
const REPLAYED: &str = "replayed";

/// Puts mutations on a Guildhall on PostgreSQL and, in turns, the statements of the same mutations by pgbench; the
/// ratio of the two rates is the result. `benches/mutations` starts it with a cluster of its own.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Organizations that the mutations are spread over.
    #[arg(long, default_value_t = 64, value_parser = positive)]
    organizations: usize,

    /// Mutations that are under way at once.
    #[arg(long, default_value_t = 64, value_parser = positive)]
    in_flight: usize,

    /// Connections from the server to the database, and clients of pgbench.
    #[arg(long, default_value_t = 16, value_parser = positive)]
    database_connections: usize,

    /// Connections to the server.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    connections: usize,

    /// How long each of the two is measured in each round, in seconds.
    #[arg(long, default_value = "5", value_parser = seconds)]
    seconds: Duration,

    /// How long the calls run before that, in seconds.
    #[arg(long, default_value = "1", value_parser = seconds)]
    warmup: Duration,

    /// How often the two take turns; the ratio is the median of them.
    #[arg(long, default_value_t = 5, value_parser = positive)]
    rounds: usize,

    /// A superuser's URL of the cluster, which must be empty.
    #[arg(long, env = "GUILDHALL_TEST_POSTGRES_URL", hide_env_values = true)]
    cluster: String,

    /// The file that the cluster logs to.
    #[arg(long, env = "GUILDHALL_TEST_POSTGRES_LOG")]
    log: PathBuf,

    /// Where the report and the script for pgbench are written.
    #[arg(long, default_value = "target/load")]
    output: PathBuf,
}

/// Does what the options ask for.
///
/// # Errors
/// What keeps it from running, and a mutation that failed.
pub async fn run(options: &Options) -> Result<(), Failure> {
    if options.organizations < RECORDINGS {
        return Err(format!("--organizations is at least {RECORDINGS}: so many are recorded").into());
    }
    let cluster = Cluster::new(&options.cluster, options.log.clone())?;
    cluster.create(SERVED, "template1")?;
    let directory = tempfile::tempdir()?;

    let (server, target) = serve(options, directory.path(), &cluster.url(SERVED), true, None).await?;
    let key = server.hello.key.clone();
    let founded = found(options, &target).await?;
    let mut recordings = record(&cluster, &target, &founded).await?;
    // Whoever copies a database must be alone with it.
    tokio::task::spawn_blocking(move || drop(server)).await?;

    let script = Script::make(&mut recordings, founded.len())?;
    cluster.create(REPLAYED, SERVED)?;
    let clients = 0..options.database_connections;
    let targets: Vec<_> =
        founded.iter().map(|it| (it.organization.as_str(), clients.clone().map(|at| it.id(at)).collect())).collect();
    cluster.run(REPLAYED, &script.table(&targets))?;
    std::fs::create_dir_all(&options.output)?;
    let path = options.output.join("mutations.sql");
    std::fs::write(&path, &script.text)?;

    let (server, target) = serve(options, directory.path(), &cluster.url(SERVED), false, key).await?;
    let founded: Vec<_> = founded.into_iter().map(|accounts| accounts.at(&target)).collect();
    load(&target, &founded).await?;
    let (founded, mut rounds) = (Arc::new(founded), Vec::new());
    for number in 0..options.rounds {
        let replay = || replayed(options, &cluster, &path);
        // In the other order every other time: who comes first finds a machine that was idle.
        let first = if number.is_multiple_of(2) { Some(replay().await?) } else { None };
        let (outcome, database) = served(options, &cluster, &target, &founded).await;
        if let Some(error) = &outcome.tally.error {
            return Err(format!("{} mutations failed, the first: {error}", outcome.tally.errors).into());
        }
        let of_pgbench = match first {
            Some(first) => first,
            None => replay().await?,
        };
        rounds.push(Round::new(&outcome, database, &of_pgbench));
        eprintln!("round {}: {}", number + 1, rounds[number]);
    }
    tokio::task::spawn_blocking(move || drop(server)).await?;

    let report = Report::new(options, cluster.durability()?, script.statements, rounds);
    report.print();
    report.write(&options.output.join("mutations.json"))?;
    println!("\nwritten: {} and {}", options.output.join("mutations.json").display(), path.display());
    Ok(())
}

/// Starts a server, and connects to it; its connections to the database log every statement if `is_recorded`.
async fn serve(
    options: &Options,
    directory: &Path,
    url: &str,
    is_recorded: bool,
    key: Option<String>,
) -> Result<(Process, Target), Failure> {
    let url = if is_recorded { format!("{url}?options[log_statement]=all") } else { url.to_owned() };
    let arguments = [
        "serve".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        "--http-listen=127.0.0.1:0".to_owned(),
        format!("--data-dir={}", directory.display()),
        format!("--installation-key-file={}", directory.join("installation.key").display()),
        format!("--database-url={url}"),
        format!("--database-connections={}", options.database_connections),
    ];
    let process = Process::start(&arguments, processors())?;
    let key = process.hello.key.clone().or(key).ok_or("the cluster has an installation already")?;
    let url = format!("http://{}", process.hello.grpc);
    let address = Address { url, key, connections: options.connections, authority: None };
    let target = Target::connect("guildhall", &address, ClientKind::Generated, Some(process.id())).await?;
    Ok((process, target))
}

/// Makes the organizations; in each an account for every caller, and for every client of pgbench.
async fn found(options: &Options, target: &Target) -> Result<Vec<Accounts>, Failure> {
    let count = options.in_flight.max(options.database_connections).max(RECORDINGS);
    let mut founding = JoinSet::new();
    for _ in 0..options.organizations {
        let target = target.clone();
        founding.spawn(async move { Accounts::create(&target, count).await.map_err(|error| error.to_string()) });
    }
    let founded: Result<Vec<Accounts>, String> = founding.join_all().await.into_iter().collect();
    Ok(founded?)
}

/// Has the server load every organization, by a check, as one that is in use is.
async fn load(target: &Target, founded: &[Accounts]) -> Result<(), Failure> {
    let mut client = target.client(0);
    for accounts in founded {
        let frame = Frame::new(Rpc::Check, accounts.organization.clone(), vec![accounts.question(0)], vec![false]);
        client.ask(target, Rpc::Check, &frame).await?;
    }
    Ok(())
}

/// Records a few pairs of mutations, each of another organization and account, with other revisions.
async fn record(cluster: &Cluster, target: &Target, founded: &[Accounts]) -> Result<Vec<Recording>, Failure> {
    load(target, founded).await?;
    let mut recordings = Vec::new();
    for (number, accounts) in founded.iter().enumerate().take(RECORDINGS) {
        // So that no two of them are at the same revision, and every connection knows the statements.
        for _ in 0..=number {
            for is_given in [true, false] {
                accounts.change(number, is_given).await?;
            }
        }
        let [given, taken] = [true, false].map(|is_given| record_one(cluster, accounts, number, is_given));
        recordings.push(Recording {
            organization: accounts.organization.clone(),
            account: accounts.id(number).to_owned(),
            mutations: [given.await?, taken.await?],
        });
    }
    Ok(recordings)
}

async fn record_one(
    cluster: &Cluster,
    accounts: &Accounts,
    account: usize,
    is_given: bool,
) -> Result<Recorded, Failure> {
    let sql = format!("select revision from heads where scope = '{}'", accounts.organization);
    let revision = cluster.run(SERVED, &sql)?.parse()?;
    let from = cluster.log_length()?;
    accounts.change(account, is_given).await?;
    let statements = statement::read(&cluster.log_from(from)?)?;
    Ok(Recorded { revision, statements })
}

/// Keeps the server busy with mutations for a window; gives the processor time of PostgreSQL in it too.
async fn served(
    options: &Options,
    cluster: &Cluster,
    target: &Target,
    founded: &Arc<Vec<Accounts>>,
) -> (Measured, Option<Duration>) {
    let window = Window::after(options.warmup, options.seconds);
    let mut callers = JoinSet::new();
    for number in 0..options.in_flight {
        callers.spawn(call(Arc::clone(founded), number, window));
    }
    tokio::join!(measure(target, window, callers), cluster.cpu_time_in(window))
}

/// Returns and takes the role of one account in organizations that are drawn, one call after the other.
async fn call(founded: Arc<Vec<Accounts>>, account: usize, window: Window) -> Tally {
    let mut tally = Tally::new();
    for visit in 0_u64.. {
        let drawn = scramble((account as u64) << 32 | visit) % founded.len() as u64;
        let accounts = &founded[usize::try_from(drawn).unwrap_or_default()];
        for is_given in [true, false].into_iter().cycle().take(2 * VISIT) {
            // A role that was given is taken again, so that the next turn finds what this one found.
            if is_given && Instant::now() >= window.to {
                return tally;
            }
            let began_at = Instant::now();
            let outcome = accounts.change(account, is_given).await;
            let ended_at = Instant::now();
            match outcome {
                Ok(()) if window.has(ended_at) => tally.done(0, ended_at - began_at),
                Ok(()) => {}
                Err(error) => tally.failed(error.to_string()),
            }
        }
    }
    tally
}

/// Replays the mutations; a turn is as long as one of the server's.
async fn replayed(options: &Options, cluster: &Cluster, script: &Path) -> Result<Replayed, Failure> {
    let (cluster, script) = (cluster.clone(), script.to_owned());
    let (clients, length) = (options.database_connections, options.seconds);
    let replaying = tokio::task::spawn_blocking(move || {
        replay(&cluster, REPLAYED, &script, clients, processors(), length).map_err(|error| error.to_string())
    });
    Ok(replaying.await??)
}
