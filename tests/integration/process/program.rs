//! A process of the binary, and clients of the server in it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use guildhall::config::Config;
use guildhall::proto;
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::harness::messages::{accept, create_organization, create_organization_under, invite, sign_in};
use crate::harness::{Caller, Database, Organization, PASSWORD, Person, eventually, mails_in, token_in};

/// The binary.
const BINARY: &str = env!("CARGO_BIN_EXE_guildhall");

/// Returns the command of a shell that first does `before`, and then gives the binary its place with `redirections`.
pub fn shell(before: &str, redirections: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{before}; exec \"$0\" \"$@\" {redirections}"), BINARY]).args(arguments);
    command
}

/// A process of the binary; killed if it is dropped.
pub struct Process {
    child: Child,
    output: Said,
    errors: Said,
}

/// How a process has ended, and all it has said.
#[derive(Debug)]
pub struct Ended {
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

/// What a process has said so far, read by a thread of its own.
struct Said {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn read(from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&text);
        let read = move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let _ = writeln!(all.lock(), "{line}");
            }
        };
        Self { text, reader: Some(std::thread::spawn(read)) }
    }

    /// Returns all of it, once the process has ended.
    fn all(&mut self) -> String {
        self.reader.take().expect("asked once").join().expect("a reader that does not panic");
        std::mem::take(&mut self.text.lock())
    }
}

impl Process {
    /// Starts the binary with these arguments and no environment but `environment`.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::of(Command::new(BINARY).args(arguments), environment)
    }

    /// Starts the binary by a shell that first does `before`, and then gives it its place with `redirections`.
    pub fn start_in_shell(before: &str, redirections: &str, arguments: &[&str]) -> Self {
        Self::of(&mut shell(before, redirections, arguments), &[])
    }

    fn of(command: &mut Command, environment: &[(&str, &str)]) -> Self {
        let mut child = command
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let output = Said::read(child.stdout.take().expect("a pipe"));
        let errors = Said::read(child.stderr.take().expect("a pipe"));
        Self { child, output, errors }
    }

    /// Returns what it has said on standard output so far.
    pub fn said(&self) -> String {
        self.output.text.lock().clone()
    }

    /// Waits until the process has ended.
    pub async fn ended(mut self) -> Ended {
        let status = eventually("the end of the process", || self.child.try_wait().expect("a child")).await;
        Ended { code: status.code(), output: self.output.all(), errors: self.errors.all() }
    }

    /// Returns what the process has logged so far.
    pub fn errors_so_far(&self) -> String {
        self.errors.text.lock().clone()
    }

    /// Returns the number by which the system knows it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns how much memory the process has resident, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// Returns how much it has had at the most since that was last forgotten, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// Forgets how much memory it has had at the most.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("a process of this user");
    }

    fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line of its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Returns how much processor time the process has taken, to a hundredth of a second.
    pub fn processor_time(&self) -> std::time::Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process that runs");
        let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
        let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
        std::time::Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let command = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().expect("a shell").success());
    }

    /// Ends the process at once: it can do nothing about it. Gives what it has said on standard output.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("a process that was not waited for");
        self.child.wait().expect("a child");
        self.output.all()
    }

    /// Returns whether the process runs no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Data of an installation, on which servers run one after the other.
pub struct Site {
    pub config: Config,
    _data_dir: TempDir,
}

impl Site {
    /// Makes a place for an embedded database and its key, which a first start will make.
    pub fn bare() -> Self {
        let data_dir = TempDir::new().expect("a temporary directory");
        Self { config: Config::local(data_dir.path().join("data")), _data_dir: data_dir }
    }

    /// Makes an empty database, and its key.
    pub async fn new(database: Database) -> Self {
        Self::in_(TempDir::new().expect("a temporary directory"), database).await
    }

    /// As [`Site::new`], in a directory of the test's own.
    pub async fn in_(data_dir: TempDir, database: Database) -> Self {
        Self { config: database.config(data_dir.path()).await, _data_dir: data_dir }
    }

    /// Returns the arguments by which `command` finds the data, and takes any port that is free.
    pub fn arguments(&self, command: &str) -> Vec<String> {
        let Config { data_dir, database_url, installation_key_file, .. } = &self.config;
        let mut arguments = vec![command.to_owned(), format!("--data-dir={}", data_dir.display())];
        arguments.extend(["--listen=127.0.0.1:0".to_owned(), "--http-listen=127.0.0.1:0".to_owned()]);
        arguments.push(format!("--shutdown-grace={}", self.config.shutdown_grace.as_secs()));
        arguments.push(format!("--password-wait={}", self.config.password_wait.as_millis()));
        arguments.extend(database_url.iter().map(|url| format!("--database-url={}", url.expose_secret())));
        let key = installation_key_file.iter().map(|path| format!("--installation-key-file={}", path.display()));
        arguments.extend(key);
        if let Some(endpoint) = &self.config.otlp_endpoint {
            arguments.push(format!("--otlp-endpoint={endpoint}"));
            arguments.push(format!("--trace-ratio={}", self.config.trace_ratio));
        }
        arguments
    }

    /// Runs `command` with `further` arguments, which win over those before, to its end.
    pub async fn run(&self, command: &str, further: &[&str]) -> Ended {
        let arguments = self.arguments(command);
        let said_again = |argument: &&str| {
            let name = argument.split('=').next();
            !further.iter().any(|other| other.split('=').next() == name)
        };
        let arguments: Vec<&str> =
            arguments.iter().map(String::as_str).filter(said_again).chain(further.iter().copied()).collect();
        Process::start(&arguments, &[]).ended().await
    }

    /// Starts a server, and waits until it listens.
    pub async fn serve(&self) -> Server {
        self.serve_logging("info").await
    }

    /// Starts a server that logs what `filter` lets through.
    pub async fn serve_logging(&self, filter: &str) -> Server {
        self.serve_in(&[("RUST_LOG", filter)], &[]).await
    }

    /// Starts a server with this environment.
    pub async fn serve_with(&self, environment: &[(&str, &str)]) -> Server {
        self.serve_in(environment, &[]).await
    }

    /// Starts a server in an environment, with further arguments.
    pub async fn serve_in(&self, environment: &[(&str, &str)], further: &[&str]) -> Server {
        let arguments = self.arguments("serve");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(further.iter().copied()).collect();
        self.listening(Process::start(&arguments, environment)).await
    }

    /// Starts a server that may open no more than so many files.
    pub async fn serve_with_files(&self, files: u32) -> Server {
        let arguments = self.arguments("serve");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.listening(Process::start_in_shell(&format!("ulimit -n {files}"), "", &arguments)).await
    }

    /// Waits until a process listens that serves the data of this site.
    pub async fn listening(&self, mut process: Process) -> Server {
        let greeting = eventually("the greeting", || {
            let said = process.said();
            let is_over = said.contains("The last line accepts") || said.contains("Try: grpcurl");
            assert!(!process.has_ended(), "the server has ended: {}", process.errors.text.lock());
            is_over.then_some(said)
        })
        .await;

        let after = |mark: &str| greeting.split_once(mark).map(|(_, rest)| rest.split_whitespace().next().unwrap());
        let address = |mark: &str| after(mark).expect("an address").parse::<SocketAddr>().expect("an address");
        let grpc = address("guildhall listens on ");
        let endpoint = Endpoint::from_shared(format!("http://{grpc}")).expect("an address").tcp_nodelay(true);
        Server {
            grpc,
            http: address("(gRPC) and http://"),
            operator_key: after("GUILDHALL_KEY=").map(str::to_owned),
            channel: endpoint.connect().await.expect("a server that listens"),
            mail_dir: self.config.mail_dir(),
            process,
            greeting,
        }
    }
}

/// A process that serves.
pub struct Server {
    pub process: Process,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// Told at the first start.
    pub operator_key: Option<String>,
    /// All it said when it was ready.
    pub greeting: String,
    channel: Channel,
    mail_dir: std::path::PathBuf,
}

impl Server {
    /// Calls with a credential.
    pub fn with(&self, credential: &str) -> Caller {
        Caller::new(self.channel.clone(), Some(credential.to_owned()))
    }

    /// Calls without one.
    pub fn anyone(&self) -> Caller {
        Caller::new(self.channel.clone(), None)
    }

    /// Makes an organization, whose owner joins and signs in.
    pub async fn found(&self, operator_key: &str, email: &str) -> Organization {
        self.found_with(operator_key, create_organization("Example", email)).await
    }

    /// Makes an organization that follows a catalog, whose founder joins and signs in.
    pub async fn found_under(&self, operator_key: &str, catalog: &str, email: &str) -> Organization {
        self.found_with(operator_key, create_organization_under(catalog, "Example", email)).await
    }

    async fn found_with(&self, operator_key: &str, request: proto::CreateOrganizationRequest) -> Organization {
        let email = request.founder_email.clone();
        let made = self.with(operator_key).create_organization(request).await.expect("an organization");
        Organization { id: made.organization.expect("it is in the answer").id, owner: self.join(&email).await }
    }

    /// Has the owner invite an address, and takes the person from the mail to a session.
    pub async fn invite_and_join(&self, organization: &Organization, email: &str) -> Person {
        let request = invite(&organization.id, email, vec![]);
        organization.owner.call.create_invitation(request).await.expect("an invitation");
        self.join(email).await
    }

    /// Takes somebody who was invited from the mail to a session.
    pub async fn join(&self, email: &str) -> Person {
        let token = self.token_mailed_to(email).await;
        let joined = self.anyone().accept_invitation(accept(&token, PASSWORD)).await.expect("an open invitation");
        self.sign_in(email, &joined.member.expect("it is in the answer").id).await
    }

    /// Waits for the newest mail to an address, and gives the token in it.
    pub async fn token_mailed_to(&self, email: &str) -> String {
        let mail = eventually("the mail", || mails_in(&self.mail_dir, email).pop()).await;
        token_in(&mail)
    }

    /// Signs in with the password of the tests.
    pub async fn sign_in(&self, email: &str, membership_id: &str) -> Person {
        let answer = self.anyone().sign_in(sign_in(email, PASSWORD)).await.expect("a sign-in");
        let Some(proto::sign_in_response::Outcome::SignedIn(signed_in)) = answer.outcome else {
            panic!("the sign-in asks for more")
        };
        Person {
            email: email.to_owned(),
            user_id: signed_in.user_id,
            membership_id: membership_id.to_owned(),
            call: self.with(&signed_in.access_token),
        }
    }

    /// Gets a page over plain HTTP: its status and its body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(self.http).expect("a server that listens");
        connection.set_read_timeout(Some(crate::harness::PATIENCE)).expect("a duration");
        write!(connection, "GET {path} HTTP/1.0\r\n\r\n").expect("a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.split(' ').nth(1).expect("a status").parse().expect("a number"), body.to_owned())
    }

    /// Asks the server to end, and waits for it.
    pub async fn stop(self) -> Ended {
        self.process.signal("TERM");
        drop(self.channel);
        self.process.ended().await
    }
}
