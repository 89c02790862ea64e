//! The processes that are measured: this program again, as Guildhall or as the echo. Each tells in one line of JSON where it
//! listens, and ends when its standard input does, so that neither outlives who started it.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::StreamExt;
use guildhall::app::{App, Parts};
use guildhall::auth::InstallationKey;
use guildhall::changelog::Source;
use guildhall::clock::Env;
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
use crate::tls::Files;

/// What Guildhall sets of HTTP/2 (src/transport/listener/connection.rs), so that the echo has the same.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
const STREAMS_MAX: u32 = 1_024;
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// A process that is measured.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Guildhall with every layer on and the settings of its own binary, its index fed with synthetic organizations.
    #[command(hide = true)]
    Serve(Box<Guildhall>),
    /// A server of the same messages that only decodes and encodes them.
    #[command(hide = true)]
    Echo(Files),
}

/// Settings of the measured Guildhall.
#[derive(Debug, Args)]
pub struct Guildhall {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    config: Config,
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
        Role::Serve(settings) => guildhall(*settings).await,
        Role::Echo(files) => echo(&files).await,
    }
}

async fn guildhall(settings: Guildhall) -> Result<(), Failure> {
    let shape = settings.data.shape()?;
    // Room for every organization: what is measured is not how they are loaded.
    let index_memory_mib = settings.config.index_memory_mib.max(8 * 1024);
    let config = Config { shutdown_grace: Duration::from_secs(2), index_memory_mib, ..settings.config };
    let telemetry = Telemetry::start(config.otlp_endpoint.as_deref())?;
    if let Some(file) = &config.installation_key_file {
        InstallationKey::load_or_create(file, &Env::system())?;
    }
    let source = Box::new(|store| Arc::new(Synthetic::new(Arc::new(store), shape)) as Arc<dyn Source>);
    let app = App::start_of(&config, Parts { source, ..Parts::of(&config, Env::system()) }).await?;
    greet(&Hello { grpc: app.grpc_address, key: app.operator_key.as_ref().map(|key| key.text().to_owned()) })?;

    parent_ends().await;
    app.stop().await;
    // Blocks while the last spans are sent.
    tokio::task::spawn_blocking(|| telemetry.stop()).await?;
    Ok(())
}

async fn echo(files: &Files) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    greet(&Hello { grpc: listener.local_addr()?, key: None })?;
    let incoming = TcpListenerStream::new(listener).map(|connection| {
        let connection = connection?;
        connection.set_nodelay(true)?;
        Ok::<_, std::io::Error>(connection)
    });
    let mut server = Server::builder();
    if let Some(tls) = files.server()? {
        server = server.tls_config(tls)?;
    }
    server
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
