//! How every handler goes: decode, run the use case, encode. A service lists its RPCs in [`handlers!`], and says of each how
//! its messages become a use case ([`Decode`]) and an answer (`From`).

use tonic::{Response, Status};

use super::incoming::{Incoming, Mutating, OfOrganization, ServerState};
use crate::domain::error::Error;
use crate::domain::id::OrganizationId;
use crate::service::{Mutation, Query, Read, Written};

/// A use case that a message asks for.
pub(super) trait Decode<Q>: Sized {
    /// Reads the message; what it says of the organization and of the request is read before.
    ///
    /// # Errors
    /// What is wrong with its fields, all of it at once.
    fn decode(message: Q, server: &ServerState) -> Result<Self, Error>;
}

impl ServerState {
    /// Serves an RPC that changes an organization.
    pub(super) async fn mutate<Q, M, A>(&self, request: tonic::Request<Q>) -> Result<Response<A>, Status>
    where
        Q: Mutating + OfOrganization,
        M: Mutation + Decode<Q>,
        A: From<Written<M::Output>>,
    {
        let (call, message) = Incoming::open(request)?;
        let answer = async {
            let context = call.mutation(&message)?;
            let organization = OrganizationId::parse("organization_id", message.organization_id())?;
            let mutation = M::decode(message, self)?;
            Ok(self.services.run(&context, organization, mutation).await?.into())
        };
        call.close(answer.await)
    }

    /// Serves an RPC that reads an organization.
    pub(super) async fn query<Q, U, A>(&self, request: tonic::Request<Q>) -> Result<Response<A>, Status>
    where
        Q: OfOrganization,
        U: Query + Decode<Q>,
        A: From<Read<U::Output>>,
    {
        let (call, message) = Incoming::open(request)?;
        let answer = async {
            let organization = OrganizationId::parse("organization_id", message.organization_id())?;
            let query = U::decode(message, self)?;
            Ok(self.services.query(&call.reading(), organization, &query).await?.into())
        };
        call.close(answer.await)
    }
}

/// Declares the handlers of a service. `mutation` and `query` name the use case that the message is decoded into; `by` names
/// a method of the service, for lists (whose tokens bind the query) and for what takes more than one use case. What streams is
/// written out under `streams`.
macro_rules! handlers {
    (
        $trait:ident for $service:ident { $($rpc:ident($request:ident) -> $response:ident: $how:ident $what:ident;)+ }
        $(streams { $($stream:tt)* })?
    ) => {
        #[tonic::async_trait]
        impl $trait for $service {$(
            async fn $rpc(
                &self,
                request: tonic::Request<crate::proto::$request>,
            ) -> Result<tonic::Response<crate::proto::$response>, tonic::Status> {
                handlers!(@$how self, request, $what)
            }
        )+
            $($($stream)*)?
        }
    };
    (@mutation $self:ident, $request:ident, $use_case:ident) => { $self.0.mutate::<_, $use_case, _>($request).await };
    (@query $self:ident, $request:ident, $use_case:ident) => { $self.0.query::<_, $use_case, _>($request).await };
    (@by $self:ident, $request:ident, $method:ident) => {{
        let (call, message) = $crate::transport::incoming::Incoming::open($request)?;
        call.close($self.$method(&call, message).await)
    }};
}

pub(super) use handlers;
