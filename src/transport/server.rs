//! The gRPC server: every service behind the one layer, with health and reflection.

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::server::HealthReporter;

use super::dispatch::{Dispatch, SERVICES};
use super::incoming::ServerState;
use super::layer::HotPath;
use super::listener::{Listening, serve_grpc};
use crate::proto;

/// Makes the health service, every service `NOT_SERVING` until the reporter says otherwise.
pub async fn health() -> (HealthReporter, HealthServer<impl HealthService>) {
    let (reporter, server) = tonic_health::server::health_reporter();
    set_serving(&reporter, false).await;
    (reporter, server)
}

/// Returns whether the services take calls.
pub async fn set_serving(reporter: &HealthReporter, is_serving: bool) {
    let state = if is_serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
    for service in std::iter::once("").chain(SERVICES.iter().copied()) {
        reporter.set_service_status(service, state).await;
    }
}

/// Serves on `listener` until `stop`; then lets the calls under way end.
///
/// # Errors
/// If reflection cannot be built.
pub async fn serve(
    listener: TcpListener,
    listening: Listening,
    server: ServerState,
    hot_path: HotPath,
    health: HealthServer<impl HealthService>,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let others = Routes::new(health).add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
    serve_grpc(listener, listening, hot_path, Dispatch::new(&server, others), stop).await;
    Ok(())
}
