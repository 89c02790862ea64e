//! The gRPC server: every service behind the one layer, with health and reflection.

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::{Server, ServerTlsConfig};
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::server::HealthReporter;

use super::call::Edge;
use super::dispatch::{Dispatch, SERVICES};
use super::layer::HotPath;
use super::tls::TlsError;
use crate::proto;

/// Most calls at once on one connection.
const STREAMS_MAX: u32 = 1_024;
/// How often a connection that says nothing is asked for a sign of life, and how long it may take to give one.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// How much a client may send before it is read: to one call, the largest message; to all calls of a connection.
/// The 64 KiB of the standard would halve a stream's rate at a few milliseconds' distance.
const WINDOWS: (u32, u32) = (1024 * 1024, 4 * 1024 * 1024);

/// What the listener does with connections.
#[derive(Debug)]
pub struct Listening(Server);

impl Listening {
    /// Makes a server of TLS, if it is to have it, and of the time after which a connection takes no new calls: those
    /// under way end, and the client opens another, perhaps to another replica.
    ///
    /// # Errors
    /// - [`TlsError::Unusable`].
    pub fn new(tls: Option<ServerTlsConfig>, connection_age: Duration) -> Result<Self, TlsError> {
        let server = Server::builder()
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            // No grace: with one, tonic cuts the connection off without a word.
            .max_connection_age(connection_age);
        let Some(tls) = tls else { return Ok(Self(server)) };
        let unusable = |error: tonic::transport::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            TlsError::Unusable(cause.unwrap_or_else(|| error.to_string()))
        };
        Ok(Self(server.tls_config(tls).map_err(unusable)?))
    }
}

/// Makes the health service, every service `NOT_SERVING` until the reporter says otherwise.
pub async fn health() -> (HealthReporter, HealthServer<impl HealthService>) {
    let (reporter, server) = tonic_health::server::health_reporter();
    set_serving(&reporter, false).await;
    (reporter, server)
}

/// Tells whether the services take calls.
pub async fn set_serving(reporter: &HealthReporter, is_serving: bool) {
    let state = if is_serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
    for service in std::iter::once("").chain(SERVICES.iter().copied()) {
        reporter.set_service_status(service, state).await;
    }
}

/// Serves on `listener` until `stop`; then lets the calls under way end.
///
/// # Errors
/// If reflection cannot be built, or the transport fails.
pub async fn serve(
    listener: TcpListener,
    listening: Listening,
    edge: Edge,
    hot_path: HotPath,
    health: HealthServer<impl HealthService>,
    stop: impl Future<Output = ()>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let others = Routes::new(health).add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
    listening
        .0
        .layer(hot_path)
        .serve_with_incoming_shutdown(Dispatch::new(&edge, others), incoming(listener), stop)
        .await?;
    Ok(())
}

/// Takes connections; answers go out at once, without waiting for more.
fn incoming(listener: TcpListener) -> impl tokio_stream::Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    use tokio_stream::StreamExt;
    TcpListenerStream::new(listener).map(|connection| {
        let connection = connection?;
        connection.set_nodelay(true)?;
        Ok(connection)
    })
}
