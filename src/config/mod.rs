//! What can be set, from the command line or the environment. Nothing else reads either.

mod environment;
mod unshown;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use secrecy::{ExposeSecret, SecretString};

pub use environment::{OF_CLIENTS_AND_TESTS, UnknownVariables, must_be_known};
pub use unshown::without_values;

mod limits;

pub use limits::Limits;

mod listener;

pub use listener::ListenerLimits;

/// Settings of a server.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Where the embedded database, its key and the mails are kept; made if absent.
    #[arg(long, env = "GUILDHALL_DATA_DIR", default_value = "data", value_parser = path())]
    pub data_dir: PathBuf,

    /// `postgres://user@host/database`. Without it: an SQLite file in the data directory.
    #[arg(long, env = "GUILDHALL_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,

    /// Most connections to the database.
    #[arg(long, env = "GUILDHALL_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub database_connections: u32,

    /// How long a write waits for others of its organization, in milliseconds; under a load that lasts, a fifth of it.
    /// Beyond that it is refused with `ORGANIZATION_BUSY`.
    #[arg(long, env = "GUILDHALL_WRITE_WAIT_MILLISECONDS", default_value = "1000", value_parser = milliseconds)]
    pub write_wait: Duration,

    /// A file with the 32 bytes, in base64, that seal secrets at rest. Needed with PostgreSQL; made beside the embedded
    /// database if absent.
    #[arg(long, env = "GUILDHALL_INSTALLATION_KEY_FILE", value_parser = path())]
    pub installation_key_file: Option<PathBuf>,

    /// The same, as a value. It wins over the file.
    #[arg(long, env = "GUILDHALL_INSTALLATION_KEY", hide_env_values = true, hide = true)]
    pub installation_key: Option<SecretString>,

    /// Where gRPC listens. Port 0 takes any that is free.
    #[arg(long, env = "GUILDHALL_LISTEN", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// Where plain HTTP listens: /healthz, /readyz, /metrics, /.well-known/jwks.json.
    #[arg(long, env = "GUILDHALL_HTTP_LISTEN", default_value = "127.0.0.1:8080")]
    pub http_listen: SocketAddr,

    /// The certificate chain of the gRPC listener, in PEM; with its key, gRPC is served over TLS and nothing else.
    #[arg(long, env = "GUILDHALL_TLS_CERT", requires = "tls_key", value_parser = path())]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM.
    #[arg(long, env = "GUILDHALL_TLS_KEY", requires = "tls_cert", value_parser = path())]
    pub tls_key: Option<PathBuf>,

    /// The CA certificates, in PEM, one of which must have signed the certificate of each client (mutual TLS).
    #[arg(long, env = "GUILDHALL_TLS_CLIENT_CA", requires = "tls_cert", value_parser = path())]
    pub tls_client_ca: Option<PathBuf>,

    /// About how long a connection takes new calls, in seconds: each server draws from half to one and a half of it at
    /// its start. Then clients open another, which may lead to another replica.
    #[arg(long, env = "GUILDHALL_CONNECTION_AGE_SECONDS", default_value = "3600", value_parser = some_seconds)]
    pub connection_age: Duration,

    /// Listen without TLS on an address that is not loopback. Only behind something that encrypts.
    #[arg(long, env = "GUILDHALL_ALLOW_PLAINTEXT")]
    pub allow_plaintext: bool,

    /// The issuer that access tokens name.
    #[arg(long, env = "GUILDHALL_ISSUER", default_value = "http://127.0.0.1:8080")]
    pub issuer: String,

    /// The page of the product that invitations link to; the token is added as #token=…
    #[arg(long, env = "GUILDHALL_JOIN_URL", default_value = "http://127.0.0.1:3000/join")]
    pub join_url: String,

    /// The page of the product that links in notifications lead to; the token is added as ?token=… It takes a POST too,
    /// as mail programs send one (RFC 8058), and calls Unsubscribe for either.
    #[arg(long, env = "GUILDHALL_UNSUBSCRIBE_URL", default_value = "http://127.0.0.1:3000/unsubscribe")]
    pub unsubscribe_url: String,

    /// Whom mails come from.
    #[arg(long, env = "GUILDHALL_MAIL_FROM", default_value = "Guildhall <no-reply@guildhall.invalid>")]
    pub mail_from: String,

    /// Go by the clock even where it is before the newest commit in the database: what has expired since counts again.
    /// For a database that was written while the clock was ahead.
    #[arg(long, env = "GUILDHALL_ALLOW_CLOCK_BACK")]
    pub allow_clock_back: bool,

    /// How long calls under way may take to end at a shutdown, in seconds.
    #[arg(long, env = "GUILDHALL_SHUTDOWN_GRACE_SECONDS", default_value = "10", value_parser = seconds)]
    pub shutdown_grace: Duration,

    /// How many passwords are hashed at once; each takes 19 MiB.
    #[arg(long, env = "GUILDHALL_PASSWORD_CONCURRENCY", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub password_concurrency: u16,

    /// How long a call waits for its turn to have a password hashed, in milliseconds; one that would wait longer is
    /// refused at once.
    #[arg(long, env = "GUILDHALL_PASSWORD_WAIT_MILLISECONDS", default_value = "500", value_parser = milliseconds)]
    pub password_wait: Duration,

    /// Limits of what callers without a credential may try, and of what may be mailed.
    #[command(flatten)]
    pub limits: Limits,

    /// Memory for organizations, in MiB. Above it those are given up that were asked about least recently.
    #[arg(long, env = "GUILDHALL_INDEX_MEMORY_MIB", default_value_t = INDEX_MEMORY_MIB, value_parser = clap::value_parser!(u32).range(16..))]
    pub index_memory_mib: u32,

    /// Most calls that one credential may have under way at once, streams not counted. More are refused, not queued.
    #[arg(long, env = "GUILDHALL_CALLS_PER_CREDENTIAL", default_value_t = CALLS_PER_CREDENTIAL, value_parser = clap::value_parser!(u32).range(1..))]
    pub calls_per_credential: u32,

    /// Most streams that one credential may have open at once.
    #[arg(long, env = "GUILDHALL_STREAMS_PER_CREDENTIAL", default_value_t = STREAMS_PER_CREDENTIAL, value_parser = clap::value_parser!(u32).range(1..))]
    pub streams_per_credential: u32,

    /// Where spans are sent, as OTLP over gRPC. Without it no span is made.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = endpoint)]
    pub otlp_endpoint: Option<String>,

    /// The share of calls that get a span if the caller's traceparent does not say, from 0 to 1.
    #[arg(long, env = "GUILDHALL_TRACE_RATIO", default_value_t = 0.01)]
    pub trace_ratio: f64,

    /// Bounds of the listeners.
    #[command(flatten)]
    pub listener: ListenerLimits,
}

/// How long a statement may run, and how long a call waits for a connection.
pub const DATABASE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a write waits for others of its organization, if nothing is set.
const WRITE_WAIT: Duration = Duration::from_secs(1);
/// Memory for organizations if nothing is said, in MiB.
const INDEX_MEMORY_MIB: u32 = 1_024;
/// Most calls of one credential, if nothing is set.
const CALLS_PER_CREDENTIAL: u32 = 4_096;
/// Most streams of one credential, if nothing is set.
const STREAMS_PER_CREDENTIAL: u32 = 64;
/// How long an access token is good.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(10);
/// How long a session is good.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(12);

impl Config {
    /// Returns the settings that a server has when nothing is set, for tests and the demo: any free port, on loopback.
    #[must_use]
    pub fn local(data_dir: PathBuf) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            data_dir,
            database_url: None,
            database_connections: 8,
            write_wait: WRITE_WAIT,
            installation_key_file: None,
            installation_key: None,
            listen: anywhere,
            http_listen: anywhere,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            connection_age: Duration::from_hours(1),
            allow_plaintext: false,
            issuer: "http://127.0.0.1:8080".into(),
            join_url: "http://127.0.0.1:3000/join".into(),
            unsubscribe_url: "http://127.0.0.1:3000/unsubscribe".into(),
            mail_from: "Guildhall <no-reply@guildhall.invalid>".into(),
            allow_clock_back: false,
            shutdown_grace: Duration::from_secs(10),
            password_concurrency: 4,
            password_wait: Duration::from_millis(500),
            limits: Limits::default(),
            index_memory_mib: INDEX_MEMORY_MIB,
            calls_per_credential: CALLS_PER_CREDENTIAL,
            streams_per_credential: STREAMS_PER_CREDENTIAL,
            otlp_endpoint: None,
            trace_ratio: 0.01,
            listener: ListenerLimits::default(),
        }
    }

    /// Returns the URL of the database: as set, password and all, or the embedded file.
    #[must_use]
    pub fn database_url(&self) -> String {
        let embedded = || format!("sqlite://{}", self.data_dir.join("guildhall.sqlite").display());
        self.database_url.as_ref().map_or_else(embedded, |url| url.expose_secret().to_owned())
    }

    /// Returns whether the database is the embedded one.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.database_url.as_ref().is_none_or(|url| url.expose_secret().starts_with("sqlite:"))
    }

    /// Returns the directory that mails are written to.
    #[must_use]
    pub fn mail_dir(&self) -> PathBuf {
        self.data_dir.join("mail")
    }
}

/// Reads a path. What is plainly something else is refused: it would be made, and shown, as the name of a file.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path: PathBuf| {
        let text = path.to_string_lossy();
        let is_key = STANDARD.decode(text.trim()).is_ok_and(|bytes| bytes.len() == 32);
        if is_key || text.contains("://") || text.contains("-----BEGIN") || text.contains('\n') {
            return Err("must be the path of a file, and is a URL, a key or the text of a file");
        }
        Ok(path)
    })
}

/// Reads the URL of a collector, which goes into the log of a connection that fails.
fn endpoint(text: &str) -> Result<String, &'static str> {
    match text.split_once("://") {
        Some(("http" | "https", rest)) if !rest.contains('@') => Ok(text.to_owned()),
        _ => Err("must be http://host:port or https://host:port, without user and password"),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "must be a number of seconds".into())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(number @ 1..=60_000) => Ok(Duration::from_millis(number)),
        _ => Err("must be a number of milliseconds from 1 to 60000".into()),
    }
}

fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(
        |duration| {
            if duration.is_zero() { Err("must be at least a second".into()) } else { Ok(duration) }
        },
    )
}
