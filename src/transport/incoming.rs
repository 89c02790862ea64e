//! One call as the handlers see it: what the layer found out, and how errors go back.

use std::net::IpAddr;
use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};
use tonic::{Response, Status};
use uuid::Uuid;

use super::status::status;
use crate::auth::Sealer;
use crate::clock::{Env, Monotonic};
use crate::domain::error::{Error, Reason};
use crate::domain::id::{OrganizationId, RequestId};
use crate::domain::place::Subject;
use crate::rpc::Rpc;
use crate::service::{Activity, Caller, Context, Replay, Services};
use crate::telemetry::Metrics;

/// What every service of the wire works with.
#[derive(Clone)]
pub struct ServerState {
    /// The use cases.
    pub services: Arc<Services>,
    /// Seals page tokens.
    pub sealer: Sealer,
    /// Time and randomness.
    pub env: Env,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Set once the server shuts down: streams tell so, and end.
    pub draining: tokio_util::sync::CancellationToken,
    /// How old a stream grows at the most before it is told to end, so that clients spread over new replicas.
    pub stream_age: std::time::Duration,
    /// How long a stream goes on once it has told that it will end.
    pub stream_grace: std::time::Duration,
}

impl std::fmt::Debug for ServerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerState")
    }
}

/// What the layer found out about a call.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub rpc: Rpc,
    pub id: Uuid,
    pub caller: Option<Caller>,
    pub deadline: Option<Monotonic>,
    /// Where it is noted that a person is active; nothing for machines.
    pub activity: Option<Arc<Activity>>,
    /// Where the user sits on whose behalf a PUBLIC RPC is called, if it is known.
    pub source: Option<IpAddr>,
}

impl Incoming {
    /// Takes what the layer left in a request, and the message.
    ///
    /// # Errors
    /// INTERNAL if the layer does not stand before the service.
    pub fn open<T>(request: tonic::Request<T>) -> Result<(Self, T), Status> {
        let (_, extensions, message) = request.into_parts();
        match extensions.get::<Self>() {
            Some(call) => Ok((call.clone(), message)),
            None => Err(Status::internal("the layer is missing")),
        }
    }

    /// Turns what a handler made of the call into its answer.
    pub fn close<T>(&self, result: Result<T, Error>) -> Result<Response<T>, Status> {
        result.map(Response::new).map_err(|error| self.refuse(&error))
    }

    /// Turns an error into a status.
    pub fn refuse(&self, error: &Error) -> Status {
        status(error, self.rpc.path(), self.id)
    }

    /// Notes that a person has named an organization on a stream. Machines are not noted, and cost nothing here.
    pub fn note(&self, organization: OrganizationId, env: &Env) {
        if let (Some(activity), Some(Caller { subject: Subject::User(user), .. })) = (&self.activity, &self.caller) {
            activity.note(*user, Some(organization), env.now());
        }
    }

    /// Returns the context of a call that changes nothing, or has no request id.
    pub fn reading(&self) -> Context {
        Context {
            caller: self.caller,
            rpc: self.rpc,
            call_id: self.id,
            replay: None,
            validate_only: false,
            deadline: self.deadline,
            activity: self.activity.clone(),
        }
    }

    /// Returns the context of a mutation.
    ///
    /// # Errors
    /// - [`Reason::IdMalformed`] for a request id that is no UUID.
    pub fn mutation<T: Mutating>(&self, message: &T) -> Result<Context, Error> {
        let mut context = self.reading();
        context.validate_only = message.validate_only();
        if !message.request_id().is_empty() {
            let request = RequestId::parse("request_id", message.request_id())?;
            let caller = self.caller.as_ref().map(|caller| match caller.subject {
                Subject::User(id) => id.0,
                Subject::ServiceAccount(id) => id.0,
            });
            let caller = caller.ok_or_else(|| Error::new(Reason::CredentialMissing, "a credential is needed"))?;
            context.replay = Some(Replay { caller, request, hash: request_hash(self.rpc, message, request) });
        }
        Ok(context)
    }
}

/// A message that names an organization.
pub(super) trait OfOrganization {
    /// Returns the id as it was written.
    fn organization_id(&self) -> &str;
}

/// A message that asks for a change.
pub(super) trait Mutating: Message + Clone {
    /// Returns the request id as it was written; empty for none.
    fn request_id(&self) -> &str;

    /// Writes another text of the request id.
    fn set_request_id(&mut self, request_id: String);

    /// Returns whether everything but the commit is to be done.
    fn validate_only(&self) -> bool;
}

include!(concat!(env!("OUT_DIR"), "/requests.rs"));

/// Hashes a method and a request, so that a request id stands for one request only. The id itself is a UUID, whatever
/// case it is written in.
fn request_hash<T: Mutating>(rpc: Rpc, message: &T, request: RequestId) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(rpc.path());
    let canonical = request.to_string();
    if message.request_id() == canonical {
        hash.update(message.encode_to_vec());
    } else {
        let mut message = message.clone();
        message.set_request_id(canonical);
        hash.update(message.encode_to_vec());
    }
    hash.finalize().into()
}
