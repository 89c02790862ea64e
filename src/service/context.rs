//! Who calls, and by which RPC.

use std::sync::Arc;

use uuid::Uuid;

use super::{Activity, Services};
use crate::authz::{Requirement, View};
use crate::changelog::Author;
use crate::clock::Monotonic;
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
use crate::domain::time::Timestamp;
use crate::rpc::Rpc;

pub use crate::authz::Caller;
pub use crate::store::Replay;

/// One call.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who calls; nobody on a PUBLIC RPC without a credential.
    pub caller: Option<Caller>,
    /// Which RPC.
    pub rpc: Rpc,
    /// Stands in the log lines about the call and in INTERNAL errors.
    pub call_id: Uuid,
    /// The request id that makes a retry safe, if the caller gave one.
    pub replay: Option<Replay>,
    /// Whether everything but the commit is to be done.
    pub validate_only: bool,
    /// When the caller stops waiting.
    pub deadline: Option<Monotonic>,
    /// Where it is noted that the caller is active, if it is a person.
    pub activity: Option<Arc<Activity>>,
}

impl Context {
    /// Returns the context of what the server does by itself, under the name of the RPC that does the same.
    pub(super) fn of_server(rpc: Rpc, call_id: Uuid) -> Self {
        Self { caller: None, rpc, call_id, replay: None, validate_only: false, deadline: None, activity: None }
    }

    /// Returns who calls.
    ///
    /// # Errors
    /// - [`Reason::CredentialMissing`].
    pub fn subject(&self) -> Result<Subject, Error> {
        match &self.caller {
            Some(caller) => Ok(caller.subject),
            None => Err(Error::new(Reason::CredentialMissing, "a credential is needed")),
        }
    }

    /// Notes that the caller, if it is a person, has made a call that names `organization` (AX-11).
    pub fn note(&self, organization: OrganizationId, now: Timestamp) {
        if let (Some(activity), Some(Caller { subject: Subject::User(user), .. })) = (&self.activity, &self.caller) {
            activity.note(*user, Some(organization), now);
        }
    }

    /// Returns who makes the commit, for the log.
    #[must_use]
    pub fn author(&self) -> Author {
        let actor = self.caller.as_ref().map(|caller| caller.subject);
        Author { actor, rpc: self.rpc.path(), call_id: self.call_id, reason: None }
    }
}

impl Services {
    /// Returns the refusal of a caller: where they do not see the organization, the one of an organization that is not
    /// there, found in the same way.
    pub(super) async fn refusal(
        &self,
        organization: OrganizationId,
        requirement: Requirement,
        caller: Subject,
        error: Error,
    ) -> Error {
        match error.kind() {
            Kind::NotFound => self.engine.refuse_stranger(organization, requirement, caller).await,
            _ => error,
        }
    }

    /// Ensures that a view is fresh enough to list from.
    ///
    /// # Errors
    /// - [`Reason::IndexStale`].
    pub(super) fn must_be_fresh(&self, view: &View) -> Result<(), Error> {
        if view.is_stale {
            return Err(Error::new(Reason::IndexStale, "the index is not proven fresh enough to list what is allowed")
                .retry_after(self.engine.settings().poll_interval));
        }
        Ok(())
    }
}
