//! Who calls, by which RPC, and the one question every use case asks of them.

use uuid::Uuid;

use crate::changelog::Author;
use crate::clock::Monotonic;
use crate::domain::access::{Actor, decide, is_visible};
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::time::Timestamp;
use crate::rpc::{Required, Rpc};

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
}

impl Context {
    /// Gives who calls.
    ///
    /// # Errors
    /// - [`Reason::CredentialMissing`].
    pub fn subject(&self) -> Result<Subject, Error> {
        match &self.caller {
            Some(caller) => Ok(caller.subject),
            None => Err(Error::new(Reason::CredentialMissing, "a credential is needed")),
        }
    }

    /// Gives who makes the commit, for the log.
    #[must_use]
    pub fn author(&self) -> Author {
        let actor = self.caller.as_ref().map(|caller| caller.subject);
        Author { actor, rpc: self.rpc.path(), call_id: self.call_id }
    }

    /// Asks whether the caller may call this RPC on `place`, for a `{type}` of `kind`: what the method option says.
    ///
    /// Visibility first: an organization or resource that the caller does not see does not exist.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    /// - [`Reason::ResourceTypeUnknown`] if the catalog declares no type `kind`.
    pub fn authorize(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        place: Option<&ResourceKey>,
        kind: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        see(actor, organization, None, now)?;
        if place.is_some() {
            see(actor, organization, place, now)?;
        }
        let Required::Permission { permission, .. } = self.rpc.required() else { return Ok(()) };
        if permission.contains("{type}") && actor.catalog.resource_type(kind).is_none() {
            let message = "is not declared by the organization's catalog";
            return Err(Error::invalid("resource.type", Reason::ResourceTypeUnknown, message));
        }
        let name = permission.replace("{type}", kind);
        let Some(permission) = actor.catalog.permission(&name) else {
            return Err(Error::internal(format!("an RPC asks for {name}, which no catalog has")));
        };
        if decide(&actor.at(place), permission, now).is_allowed() {
            return Ok(());
        }
        Err(Error::new(Reason::PermissionMissing, format!("lacks {name}")).about("permission", name))
    }
}

/// Asks that the organization, or a resource of it, exists in the caller's eyes.
///
/// # Errors
/// - [`Reason::NotFound`], the same for what does not exist and for what may not be seen.
pub(super) fn see(
    actor: &Actor,
    organization: OrganizationId,
    place: Option<&ResourceKey>,
    now: Timestamp,
) -> Result<(), Error> {
    let is_seen = is_visible(&actor.at(place), now);
    match place {
        None if !is_seen => Err(Error::not_found("organization", organization)),
        Some(key) if !is_seen || !actor.knows(key) => Err(Error::not_found("resource", key)),
        _ => Ok(()),
    }
}
