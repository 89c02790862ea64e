//! The gRPC server: every service behind the one layer, with health and reflection.

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::BufferSettings;
use tonic::transport::Server;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::server::HealthReporter;

use super::authorization::Authorization;
use super::call::Edge;
use super::invitation::Invitations;
use super::layer::HotPath;
use super::membership::Memberships;
use super::organization::Organizations;
use super::resource::Resources;
use super::role::Roles;
use super::service_account::ServiceAccounts;
use super::session::Sessions;
use super::stream::Streams;
use super::wire::InPlace;
use crate::proto;
use crate::proto::authorization_service_server::AuthorizationServiceServer;
use crate::proto::invitation_service_server::InvitationServiceServer;
use crate::proto::membership_service_server::MembershipServiceServer;
use crate::proto::organization_service_server::OrganizationServiceServer;
use crate::proto::resource_service_server::ResourceServiceServer;
use crate::proto::role_service_server::RoleServiceServer;
use crate::proto::service_account_service_server::ServiceAccountServiceServer;
use crate::proto::session_service_server::SessionServiceServer;

/// Largest message that is taken, in bytes. Our own limits, in items, come first.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// How many bytes of a stream's answers are gathered before they are sent. They wait for the client no longer than that
/// many take, and so a slow one gets no old answers: what is not written yet is evaluated when it is.
const STREAM_GATHERED_BYTES: usize = 4 * 1024;
/// How large the buffer of a stream's answers is at first.
const STREAM_BUFFER_BYTES: usize = 8 * 1024;
/// Most calls at once on one connection.
const STREAMS_MAX: u32 = 1_024;
/// How often a connection that says nothing is asked for a sign of life, and how long it may take to give one.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// Names of all services, ours first.
const SERVICES: [&str; 8] = [
    "guildhall.v1.AuthorizationService",
    "guildhall.v1.InvitationService",
    "guildhall.v1.MembershipService",
    "guildhall.v1.OrganizationService",
    "guildhall.v1.ResourceService",
    "guildhall.v1.RoleService",
    "guildhall.v1.ServiceAccountService",
    "guildhall.v1.SessionService",
];

/// Makes the health service, every service `NOT_SERVING` until the reporter says otherwise.
pub async fn health() -> (HealthReporter, HealthServer<impl HealthService>) {
    let (reporter, server) = tonic_health::server::health_reporter();
    set_serving(&reporter, false).await;
    (reporter, server)
}

/// Tells whether the services take calls.
pub async fn set_serving(reporter: &HealthReporter, is_serving: bool) {
    let state = if is_serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
    for service in std::iter::once("").chain(SERVICES) {
        reporter.set_service_status(service, state).await;
    }
}

/// Serves on `listener` until `stop`; then lets the calls under way end.
///
/// # Errors
/// If reflection cannot be built, or the transport fails.
pub async fn serve(
    listener: TcpListener,
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
    macro_rules! service {
        ($server:ident, $service:ident) => {
            $server::new($service(edge.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX)
        };
    }
    let buffers = BufferSettings::new(STREAM_BUFFER_BYTES, STREAM_GATHERED_BYTES);
    let authorization = service!(AuthorizationServiceServer, Authorization);
    let authorization = InPlace::new(authorization, Streams(edge.clone()), MESSAGE_BYTES_MAX).with_buffers(buffers);
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .layer(hot_path)
        .add_service(authorization)
        .add_service(service!(InvitationServiceServer, Invitations))
        .add_service(service!(MembershipServiceServer, Memberships))
        .add_service(service!(OrganizationServiceServer, Organizations))
        .add_service(service!(ResourceServiceServer, Resources))
        .add_service(service!(RoleServiceServer, Roles))
        .add_service(service!(ServiceAccountServiceServer, ServiceAccounts))
        .add_service(service!(SessionServiceServer, Sessions))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(incoming(listener), stop)
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
