//! Finds the service of a call: ours by a plain comparison of names, the others by tonic's router.
//!
//! The router clones every service it holds and boxes three futures for each call; this clones one pointer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use tonic::body::Body;
use tonic::codec::BufferSettings;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

use super::catalog::Catalogs;
use super::check::{Authorization, Streams};
use super::group::Groups;
use super::incoming::ServerState;
use super::invitation::Invitations;
use super::member::Memberships;
use super::organization::Organizations;
use super::resource::Resources;
use super::role::Roles;
use super::service_account::ServiceAccounts;
use super::session::Sessions;
use super::wire::InPlace;
use crate::proto::authorization_service_server::AuthorizationServiceServer;
use crate::proto::catalog_service_server::CatalogServiceServer;
use crate::proto::group_service_server::GroupServiceServer;
use crate::proto::invitation_service_server::InvitationServiceServer;
use crate::proto::membership_service_server::MembershipServiceServer;
use crate::proto::organization_service_server::OrganizationServiceServer;
use crate::proto::resource_service_server::ResourceServiceServer;
use crate::proto::role_service_server::RoleServiceServer;
use crate::proto::service_account_service_server::ServiceAccountServiceServer;
use crate::proto::session_service_server::SessionServiceServer;

/// Largest message that is taken, in bytes. Our own limits, in items, come first.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// What every service answers with.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// How many bytes of a stream's answers are gathered before they are sent. They wait for the client no longer than that
/// many take, and so a slow one gets no old answers: what is not written yet is evaluated when it is.
const STREAM_GATHERED_BYTES: usize = 4 * 1024;
/// How large the buffer of a stream's answers is at first.
const STREAM_BUFFER_BYTES: usize = 8 * 1024;

/// Makes the one service whose stream is read in place.
fn authorization(server: &ServerState) -> InPlace<AuthorizationServiceServer<Authorization>, Streams> {
    let generated = AuthorizationServiceServer::new(Authorization(server.clone()));
    let generated = generated.max_decoding_message_size(MESSAGE_BYTES_MAX);
    let buffers = BufferSettings::new(STREAM_BUFFER_BYTES, STREAM_GATHERED_BYTES);
    InPlace::new(generated, Streams(server.clone()), MESSAGE_BYTES_MAX).with_buffers(buffers)
}

/// Declares the other services of the wire, a line each.
macro_rules! services {
    ($($field:ident: $server:ident<$service:ident>;)+) => {
        /// Names of our services.
        pub(super) const SERVICES: &[&str] =
            &[AuthorizationServiceServer::<Authorization>::NAME, $(<$server<$service> as NamedService>::NAME),+];

        struct Services {
            authorization: InPlace<AuthorizationServiceServer<Authorization>, Streams>,
            $($field: $server<$service>,)+
            others: Routes,
        }

        impl Services {
            fn new(server: &ServerState, others: Routes) -> Self {
                Self {
                    authorization: authorization(server),
                    $($field: $server::new($service(server.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX),)+
                    others,
                }
            }

            fn call(&self, request: Request<Body>) -> Answering {
                let path = request.uri().path();
                match path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service) {
                    Some(AuthorizationServiceServer::<Authorization>::NAME) => self.authorization.clone().call(request),
                    $(Some(<$server<$service> as NamedService>::NAME) => self.$field.clone().call(request),)+
                    _ => Box::pin(self.others.clone().call(request)),
                }
            }
        }
    };
}

services! {
    catalog: CatalogServiceServer<Catalogs>;
    group: GroupServiceServer<Groups>;
    invitation: InvitationServiceServer<Invitations>;
    membership: MembershipServiceServer<Memberships>;
    organization: OrganizationServiceServer<Organizations>;
    resource: ResourceServiceServer<Resources>;
    role: RoleServiceServer<Roles>;
    service_account: ServiceAccountServiceServer<ServiceAccounts>;
    session: SessionServiceServer<Sessions>;
}

/// Every service. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Dispatch {
    services: Arc<Services>,
}

impl Dispatch {
    /// Takes what our services work with, and the others.
    pub fn new(server: &ServerState, others: Routes) -> Self {
        Self { services: Arc::new(Services::new(server, others.prepare())) }
    }

    /// Has the service of a request answer it.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        match self.services.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
