//! PostgreSQL clusters of a test's own, made and thrown away: what cannot be done to the cluster that all tests share.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sea_orm::{ConnectionTrait, Database as Connection, DbBackend, Statement};
use tempfile::TempDir;

use crate::harness::{eventually, eventually_finds};

/// A cluster on this machine. It syncs nothing, since nothing outlives the test.
pub struct Cluster {
    directory: TempDir,
    programs: PathBuf,
    pub port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// Makes an empty cluster, and starts it.
    pub async fn new() -> Self {
        let mut cluster = Self::nowhere();
        let arguments = ["--no-sync", "-A", "trust", "--locale=C", "-E", "UTF8", "-U", "postgres", "-D"];
        cluster.run("initdb", &arguments, &cluster.data());
        cluster.start().await;
        cluster
    }

    /// Copies a cluster that runs. As a standby it waits to be promoted, and follows nobody.
    pub fn copy(&self, is_standby: bool) -> Self {
        let copy = Self::nowhere();
        let port = self.port.to_string();
        let arguments = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "--no-sync", "-c", "fast", "-D"];
        copy.run("pg_basebackup", &arguments, &copy.data());
        if is_standby {
            Self::run_plain("touch", &copy.data().join("standby.signal"));
        }
        copy
    }

    fn nowhere() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
        let found = Command::new(script).arg("programs").output().expect("a script that runs");
        assert!(found.status.success(), "no PostgreSQL server programs: scripts/setup test installs them");
        let programs = PathBuf::from(String::from_utf8(found.stdout).expect("a path").trim());
        let directory = TempDir::new().expect("a temporary directory");
        if is_root() {
            let owned = Command::new("chown").arg("postgres:").arg(directory.path()).status();
            assert!(owned.expect("chown").success());
        }
        Self { directory, programs, port: 0, server: None }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts the server, on a port that is free.
    pub async fn start(&mut self) {
        for _ in 0..10 {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            self.port = listener.local_addr().expect("an address").port();
            drop(listener);
            let mut server = self.command("postgres");
            server.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
            server.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off"]);
            server.args(["-c", &format!("port={}", self.port)]);
            self.server = Some(server.spawn().expect("a server"));
            let mut is_up = false;
            eventually_finds("a server", async || {
                is_up = self.try_ask("select 1").await.is_some();
                let has_ended = self.server.as_mut().is_some_and(|it| it.try_wait().expect("a child").is_some());
                (is_up || has_ended).then_some(())
            })
            .await;
            if is_up {
                return;
            }
        }
        panic!("the cluster does not start");
    }

    /// Stops the server as it should be stopped.
    pub async fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        self.run("pg_ctl", &["stop", "-m", "fast", "-D"], &self.data());
        eventually("the end of the server", || server.try_wait().expect("a child")).await;
    }

    /// Makes a primary of a standby.
    pub async fn promote(&self) {
        self.run("pg_ctl", &["promote", "-D"], &self.data());
        eventually_finds("a primary", async || {
            (self.ask("select pg_is_in_recovery()::text").await == "false").then_some(())
        })
        .await;
    }

    /// Sets the counter of transactions of a cluster that is stopped.
    pub fn set_counter(&self, transaction: u64) {
        self.run("pg_resetwal", &["-x", &transaction.to_string(), "-D"], &self.data());
    }

    /// Lets transactions pass until the counter is beyond one.
    pub async fn pass(&self, transaction: u64) {
        let sql = format!(
            "do $$ begin while pg_current_xact_id()::text::bigint <= {transaction} loop commit; end loop; end $$"
        );
        let db = Connection::connect(self.url("postgres")).await.expect("a server");
        db.execute_unprepared(&sql).await.expect("transactions");
        db.close().await.expect("a connection that closes");
    }

    /// Returns the counter of transactions.
    pub async fn counter(&self) -> u64 {
        self.ask("select pg_snapshot_xmax(pg_current_snapshot())::text").await.parse().expect("a number")
    }

    /// Makes a database.
    pub async fn create(&self, database: &str) {
        let db = Connection::connect(self.url("postgres")).await.expect("a server");
        db.execute_unprepared(&format!("create database {database}")).await.expect("a database");
        db.close().await.expect("a connection that closes");
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Asks for one text.
    pub async fn ask(&self, sql: &str) -> String {
        self.try_ask(sql).await.expect("an answer")
    }

    async fn try_ask(&self, sql: &str) -> Option<String> {
        let db = Connection::connect(self.url("postgres")).await.ok()?;
        let sql = format!("select ({sql})::text as answer");
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.ok()??;
        db.close().await.ok()?;
        row.try_get("", "answer").ok()
    }

    fn run(&self, program: &str, arguments: &[&str], directory: &Path) {
        let ran = self.command(program).args(arguments).arg(directory).status().expect(program);
        assert!(ran.success(), "{program} failed: {ran}");
    }

    fn run_plain(program: &str, argument: &Path) {
        let ran = as_owner(program).arg(argument).status().expect(program);
        assert!(ran.success(), "{program} failed: {ran}");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = as_owner(&self.programs.join(program).display().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // Thrown away: nothing is to be written first. SIGKILL would leave its processes behind for a while.
            let _ = Command::new("kill").args(["-s", "QUIT", &server.id().to_string()]).status();
            let _ = server.wait();
        }
    }
}

/// PostgreSQL refuses to run as root.
fn as_owner(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "QUIT", "--", program]);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout.trim_ascii() == b"0"
}
