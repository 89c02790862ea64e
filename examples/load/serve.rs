//! The processes that are measured: this program again, as Guildhall or as the echo. Each tells in one line of JSON where it
//! listens, and ends when its standard input does, so that neither outlives who started it.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::StreamExt;
use guildhall::app::App;
use guildhall::auth::InstallationKey;
use guildhall::clock::World;
use guildhall::config::Config;
use guildhall::proto::authorization_service_server::AuthorizationServiceServer;
use guildhall::telemetry::Telemetry;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::Failure;
use crate::echo::Echo;
use crate::shape::Data;
use crate::synthetic::Synthetic;

/// What Guildhall sets of HTTP/2 (src/transport/server.rs), so that the echo has the same.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
const STREAMS_MAX: u32 = 1_024;
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// A process that is measured.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Guildhall with every layer on, its index fed with synthetic organizations.
    #[command(hide = true)]
    Serve(Guildhall),
    /// A server of the same messages that only decodes and encodes them.
    #[command(hide = true)]
    Echo,
}

/// Settings of the measured Guildhall.
#[derive(Debug, Args)]
pub struct Guildhall {
    #[command(flatten)]
    data: Data,
    /// Where SQLite, keys and mails are kept.
    #[arg(long)]
    data_dir: PathBuf,
    /// The file with the installation's key; made if absent.
    #[arg(long)]
    key_file: PathBuf,
    /// PostgreSQL, instead of SQLite.
    #[arg(long)]
    database_url: Option<String>,
    /// Where spans are sent.
    #[arg(long)]
    otlp_endpoint: Option<String>,
    /// The share of calls that get a span.
    #[arg(long)]
    trace_ratio: f64,
}

/// What a process tells of itself.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Hello {
    /// Where it serves gRPC.
    pub grpc: SocketAddr,
    /// The operator's key, if this is the first start of an installation.
    pub key: Option<String>,
}

/// Serves until standard input ends.
///
/// # Errors
/// What keeps the server from starting.
pub async fn run(role: Role) -> Result<(), Failure> {
    match role {
        Role::Serve(settings) => guildhall(settings).await,
        Role::Echo => echo().await,
    }
}

async fn guildhall(settings: Guildhall) -> Result<(), Failure> {
    let shape = settings.data.shape()?;
    let telemetry = Telemetry::start(settings.otlp_endpoint.as_deref())?;
    InstallationKey::load_or_create(&settings.key_file, &World::system())?;
    let config = Config {
        database_url: settings.database_url,
        installation_key_file: Some(settings.key_file),
        otlp_endpoint: settings.otlp_endpoint,
        trace_ratio: settings.trace_ratio,
        shutdown_grace: Duration::from_secs(2),
        ..Config::local(settings.data_dir)
    };
    let app =
        App::start_with(&config, World::system(), |store| Arc::new(Synthetic::new(Arc::new(store), shape))).await?;
    greet(&Hello { grpc: app.grpc_address, key: app.operator_key.as_ref().map(|key| key.text().to_owned()) })?;

    parent_ends().await;
    app.stop().await;
    // Blocks while the last spans are sent.
    tokio::task::spawn_blocking(|| telemetry.stop()).await?;
    Ok(())
}

async fn echo() -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    greet(&Hello { grpc: listener.local_addr()?, key: None })?;
    let incoming = TcpListenerStream::new(listener).map(|connection| {
        let connection = connection?;
        connection.set_nodelay(true)?;
        Ok::<_, std::io::Error>(connection)
    });
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .add_service(AuthorizationServiceServer::new(Echo::new()).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .serve_with_incoming_shutdown(incoming, parent_ends())
        .await?;
    Ok(())
}

fn greet(hello: &Hello) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(hello)?);
    Ok(())
}

/// Waits until standard input ends, as it does when the parent does.
async fn parent_ends() {
    let (end, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(end);
    });
    // The other end goes without a word.
    let _ = ended.await;
}
