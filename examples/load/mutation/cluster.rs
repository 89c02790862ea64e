//! The throwaway PostgreSQL that a run is given: its databases, what it logs, and what it takes of the machine.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Failure;
use crate::measure::Window;
use crate::process::{children, cpu_time, cpu_time_of_ended_children, parent};

/// A cluster of this run's own.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// A superuser's URL, without the database.
    server: String,
    log: PathBuf,
    postmaster: u32,
}

impl Cluster {
    /// Takes a cluster by a superuser's URL of any of its databases, and the file that it logs to.
    ///
    /// # Errors
    /// If it cannot be reached, or runs on another machine.
    pub fn new(url: &str, log: PathBuf) -> Result<Self, Failure> {
        let (server, _) = url.rsplit_once('/').ok_or("the URL of the cluster names no database")?;
        let checkpointer = psql(url, "select pid from pg_stat_activity where backend_type = 'checkpointer'")?;
        let postmaster = parent(checkpointer.parse()?).ok_or("the cluster must run on this machine")?;
        Ok(Self { server: server.to_owned(), log, postmaster })
    }

    /// Returns the URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.server)
    }

    /// Makes a database, as a copy of `template`, to which nobody is connected.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn create(&self, database: &str, template: &str) -> Result<(), Failure> {
        psql(&self.url("postgres"), &format!("create database {database} template {template}"))?;
        Ok(())
    }

    /// Runs SQL, and gives what it answers, as text.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn run(&self, database: &str, sql: &str) -> Result<String, Failure> {
        psql(&self.url(database), sql)
    }

    /// Returns what makes a commit last here, and PostgreSQL's version.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn durability(&self) -> Result<String, Failure> {
        let settings = ["server_version", "fsync", "synchronous_commit", "full_page_writes"];
        let shown = settings.map(|name| format!("'{name} ' || split_part(current_setting('{name}'), ' ', 1)"));
        self.run("postgres", &format!("select concat_ws(', ', {})", shown.join(", ")))
    }

    /// Returns how long its log is.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn log_length(&self) -> Result<u64, Failure> {
        Ok(std::fs::metadata(&self.log)?.len())
    }

    /// Reads its log from a position on.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn log_from(&self, position: u64) -> Result<String, Failure> {
        let (mut file, mut text) = (std::fs::File::open(&self.log)?, String::new());
        file.seek(SeekFrom::Start(position))?;
        file.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Returns the processor time that all of its processes have spent so far, those that have ended included.
    pub fn cpu_time(&self) -> Option<Duration> {
        let living = children(self.postmaster).into_iter().filter_map(cpu_time).sum::<Duration>();
        Some(cpu_time(self.postmaster)? + cpu_time_of_ended_children(self.postmaster)? + living)
    }

    /// Returns the processor time that they spend in a window.
    pub async fn cpu_time_in(&self, window: Window) -> Option<Duration> {
        tokio::time::sleep_until(window.from.into()).await;
        let before = self.cpu_time();
        tokio::time::sleep_until(window.to.into()).await;
        Some(self.cpu_time()?.saturating_sub(before?))
    }
}

fn psql(url: &str, sql: &str) -> Result<String, Failure> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", url]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(sql.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err("psql: see above".into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
