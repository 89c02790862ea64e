//! Runs a script by pgbench, as many clients at once as a server has connections.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::cluster::Cluster;
use crate::Failure;
use crate::process::cpu_time_of_ended_children;

/// What pgbench has done in one turn.
#[derive(Clone, Copy, Debug)]
pub struct Replayed {
    /// Mutations, two a transaction of its own.
    pub mutations: u64,
    /// Mutations a second, without what connecting took.
    pub per_second: f64,
    /// How long one took on average.
    pub mean: Duration,
    /// The processor time of pgbench.
    pub client: Option<Duration>,
    /// The processor time of PostgreSQL.
    pub database: Option<Duration>,
}

/// Replays a script on a database for as long as `length`.
///
/// # Errors
/// If pgbench cannot be run or a statement fails, and if what it counts is not what was committed.
pub fn replay(
    cluster: &Cluster,
    database: &str,
    script: &Path,
    clients: usize,
    threads: usize,
    length: Duration,
) -> Result<Replayed, Failure> {
    let own = || cpu_time_of_ended_children(std::process::id());
    let commits = || -> Result<u64, Failure> { Ok(cluster.run(database, "select count(*) from commits")?.parse()?) };
    let mut command = Command::new("pgbench");
    command.args(["--no-vacuum", "--protocol=prepared", "--define=pair=0"]);
    command.arg(format!("--client={clients}"));
    command.arg(format!("--jobs={}", threads.min(clients)));
    command.arg(format!("--time={}", length.as_secs().max(1)));
    command.arg("--file").arg(script).arg(cluster.url(database));

    let commits_before = commits()?;
    let before = (own(), cluster.cpu_time());
    let output = command.output()?;
    let after = (own(), cluster.cpu_time());
    let told = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("pgbench: {told}{}", String::from_utf8_lossy(&output.stderr)).into());
    }

    let pairs: u64 = number_after(&told, "number of transactions actually processed: ")?;
    let rate: f64 = number_after(&told, "tps = ")?;
    let mean_ms: f64 = number_after(&told, "latency average = ")?;
    let mutations = pairs * 2;
    if commits()? != commits_before + mutations {
        return Err(format!("pgbench tells of {mutations} mutations, and others were committed").into());
    }
    let spent = |before: Option<Duration>, after: Option<Duration>| Some(after?.saturating_sub(before?));
    Ok(Replayed {
        mutations,
        per_second: rate * 2.0,
        mean: Duration::from_secs_f64(mean_ms / 2e3),
        client: spent(before.0, after.0),
        database: spent(before.1, after.1),
    })
}

/// Reads the number that follows some words.
fn number_after<T: std::str::FromStr>(text: &str, words: &str) -> Result<T, Failure> {
    let (_, rest) = text.split_once(words).ok_or_else(|| format!("pgbench does not tell of {words:?}: {text}"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().map_err(|_| format!("pgbench tells no number: {words}{rest}").into())
}
