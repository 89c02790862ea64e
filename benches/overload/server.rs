//! A process of the real binary, and a client of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use guildhall::proto;
use guildhall::proto::organization_service_client::OrganizationServiceClient;
use guildhall::proto::resource_service_client::ResourceServiceClient;
use guildhall::proto::session_service_client::SessionServiceClient;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, Database as Connection};
use tempfile::TempDir;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::Failure;

/// Names a server of PostgreSQL, as for the tests.
const POSTGRES: &str = "GUILDHALL_TEST_POSTGRES_URL";

/// The installation key: what is sealed here, nobody keeps.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What a server keeps its data in.
pub enum Database {
    Sqlite,
    /// The URL of the server.
    Postgres(String),
}

impl Database {
    /// Returns those that there are.
    pub fn all() -> Vec<Self> {
        let url = std::env::var(POSTGRES).ok();
        if url.is_none() {
            eprintln!("{POSTGRES} is not set: on SQLite alone");
        }
        [Self::Sqlite].into_iter().chain(url.map(Self::Postgres)).collect()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// Makes an empty database, and returns the argument that names it.
    async fn argument(&self) -> Result<Option<String>, Failure> {
        let Self::Postgres(url) = self else { return Ok(None) };
        let connection = Connection::connect(url).await?;
        let name = format!("overload_{}", std::process::id());
        connection.execute_unprepared(&format!("create database {name}")).await?;
        connection.close().await?;
        let (server, _) = url.rsplit_once('/').ok_or("a URL with a database")?;
        Ok(Some(format!("--database-url={server}/{name}")))
    }
}

/// A server, and a client that speaks for its operator.
#[derive(Clone)]
pub struct Server {
    channel: Channel,
    key: MetadataValue<Ascii>,
    process: Arc<Process>,
}

struct Process {
    child: Mutex<Child>,
    lines_logged: Arc<AtomicU64>,
    _data_dir: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let mut child = self.child.lock();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Server {
    /// Starts a server on an empty database, and waits until it listens.
    pub async fn start(database: &Database) -> Result<Self, Failure> {
        let data_dir = TempDir::new()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_guildhall"))
            .args(["serve", "--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"])
            .arg(format!("--data-dir={}", data_dir.path().join("data").display()))
            .args(database.argument().await?)
            .env_clear()
            .env("GUILDHALL_INSTALLATION_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (output, errors) = (child.stdout.take().ok_or("a pipe")?, child.stderr.take().ok_or("a pipe")?);
        let lines_logged = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lines_logged);
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if count.fetch_add(1, Ordering::Relaxed) == 0 && line.starts_with("error") {
                    eprintln!("{line}");
                }
            }
        });
        let (mut address, mut key) = (None, None);
        let mut lines = BufReader::new(output).lines();
        while address.is_none() || key.is_none() {
            let line = lines.next().ok_or("the server has ended")??;
            let word = |mark| line.split_once(mark).and_then(|(_, rest)| rest.split_whitespace().next());
            address = address.or(word("guildhall listens on ").map(str::to_owned));
            key = key.or(word("GUILDHALL_KEY=").map(str::to_owned));
        }
        // So that the server never waits for somebody who reads.
        std::thread::spawn(move || lines.for_each(drop));
        let endpoint = Endpoint::from_shared(format!("http://{}", address.ok_or("an address")?))?.tcp_nodelay(true);
        let process = Process { child: Mutex::new(child), lines_logged, _data_dir: data_dir };
        let key = format!("Bearer {}", key.ok_or("a key")?).parse()?;
        Ok(Self { channel: endpoint.connect().await?, key, process: Arc::new(process) })
    }

    /// Creates an organization under a preset, and returns its id.
    pub async fn create_organization(&self) -> Result<String, Failure> {
        let request = proto::CreateOrganizationRequest {
            display_name: "Example".into(),
            catalog: "disaster-recovery".into(),
            founder_email: "ada@example.test".into(),
            ..Default::default()
        };
        let mut client = OrganizationServiceClient::new(self.channel.clone());
        let answer = client.create_organization(self.as_operator(request)).await?.into_inner();
        Ok(answer.organization.ok_or("an organization")?.id)
    }

    pub async fn register(&self, request: proto::RegisterResourceRequest) -> Result<(), Status> {
        let mut client = ResourceServiceClient::new(self.channel.clone());
        client.register_resource(self.as_operator(request)).await.map(drop)
    }

    pub async fn sign_in(&self, request: proto::SignInRequest) -> Result<(), Status> {
        SessionServiceClient::new(self.channel.clone()).sign_in(request).await.map(drop)
    }

    fn as_operator<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.key.clone());
        request
    }

    /// Returns how many lines it has logged.
    pub fn lines_logged(&self) -> u64 {
        self.process.lines_logged.load(Ordering::Relaxed)
    }

    /// Returns how much memory it has resident.
    pub fn resident_kib(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.lock().id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("a size")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Stops it, and waits for its end.
    pub fn stop(self) -> Result<(), Failure> {
        let mut child = self.process.child.lock();
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}
