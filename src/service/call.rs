//! One call at one moment, and what a use case asks of its caller.

use super::context::Context;
use crate::domain::access::Actor;
use crate::domain::catalog::{Catalog, OPERATOR, PermissionId};
use crate::domain::error::{Error, Reason};
use crate::domain::group;
use crate::domain::id::OrganizationId;
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::time::Timestamp;
use crate::rpc::{Feature, Required, Rpc};
use crate::store::{OrgReads, Reads};

/// One call at one moment, reading on the pool or in a transaction; within an organization unless `R` says otherwise.
#[derive(Debug)]
pub struct Call<'a, R = OrgReads<'a>> {
    pub(super) context: &'a Context,
    /// Reads at that moment.
    pub(super) reads: R,
    /// That moment.
    pub(super) now: Timestamp,
}

impl<'a> Call<'a, Reads<'a>> {
    /// Returns the same call within an organization.
    pub(super) fn of(&self, organization: OrganizationId) -> Call<'a> {
        Call { context: self.context, reads: self.reads.of(organization), now: self.now }
    }

    /// Returns the caller, who must be an operator, by the tables.
    ///
    /// # Errors
    /// - [`Reason::OperatorRequired`].
    pub(super) async fn operator(&self) -> Result<Subject, Error> {
        let subject = self.context.subject()?;
        must_be_operator(self.reads, subject).await?;
        Ok(subject)
    }
}

impl Call<'_> {
    /// Returns the caller before `targets`. They must see the organization; the use case ensures the rest.
    ///
    /// # Errors
    /// - [`Reason::NotFound`].
    pub(super) async fn visitor(&self, targets: &[ResourceKey]) -> Result<Actor, Error> {
        let actor = self.reads.actor(self.context.subject()?, targets, self.now).await?;
        actor.must_see(None)?;
        self.context.note(actor.organization, self.now);
        Ok(actor)
    }

    /// Returns the caller, who must hold at the organization the permission that the method option names.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::FeatureOff`], [`Reason::PermissionMissing`].
    /// - [`Reason::Internal`] for an RPC that asks for none there: its use case has an `authorize` of its own.
    pub(super) async fn permitted(&self) -> Result<Actor, Error> {
        let actor = self.visitor(&[]).await?;
        match self.context.rpc.required() {
            Required::Permission { place: "", .. } => self.may(&actor, None, "")?,
            other => return Err(Error::internal(format!("nothing is asked at the organization: {other:?}"))),
        }
        Ok(actor)
    }

    /// Returns the caller, who must see the resource and hold there the permission that the method option names.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::FeatureOff`], [`Reason::PermissionMissing`], [`Reason::ResourceTypeUnknown`].
    pub(super) async fn permitted_at(&self, key: &ResourceKey) -> Result<Actor, Error> {
        let actor = self.visitor(std::slice::from_ref(key)).await?;
        self.may(&actor, Some(key), &key.kind)?;
        Ok(actor)
    }

    /// Returns the caller, who must be an operator; they need not see the organization.
    ///
    /// # Errors
    /// - [`Reason::OperatorRequired`]; [`Reason::NotFound`] for an organization that is not there.
    pub(super) async fn operator(&self) -> Result<Actor, Error> {
        let subject = self.context.subject()?;
        must_be_operator(self.reads.above(), subject).await?;
        self.reads.anybody(subject, &[], self.now).await
    }

    /// Ensures that the actor sees `place` and holds there what the method option names, for a `{type}` of `kind`.
    ///
    /// # Errors
    /// - As [`Self::permitted_at`].
    pub(super) fn may(&self, actor: &Actor, place: Option<&ResourceKey>, kind: &str) -> Result<(), Error> {
        may_call(self.context.rpc, actor, place, kind)
    }
}

/// Ensures that the actor sees `place` and holds there what the method option of `rpc` names, for a `{type}` of `kind`.
///
/// Visibility first: an organization or resource that the caller does not see does not exist.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::FeatureOff`], [`Reason::PermissionMissing`].
/// - [`Reason::ResourceTypeUnknown`] if the catalog declares no type `kind`.
pub(super) fn may_call(rpc: Rpc, actor: &Actor, place: Option<&ResourceKey>, kind: &str) -> Result<(), Error> {
    actor.must_see(place)?;
    let Required::Permission { permission, feature, .. } = rpc.required() else { return Ok(()) };
    actor.must_hold(permission_asked(actor, permission, kind)?, place)?;
    feature.map_or(Ok(()), |feature| must_be_on(feature, &actor.catalog))
}

/// Reads the permission of a method option, for a resource of the type `kind`.
fn permission_asked(actor: &Actor, option: &str, kind: &str) -> Result<PermissionId, Error> {
    let unknown = || {
        let message = "is not declared by the organization's catalog";
        Error::invalid("resource.type", Reason::ResourceTypeUnknown, message)
    };
    let declared = actor.catalog.resource_type(kind);
    if option == "{visible_by}" {
        return declared.map(|(_, kind)| kind.visible_by).ok_or_else(unknown);
    }
    if option.contains("{type}") && declared.is_none() {
        return Err(unknown());
    }
    let name = option.replace("{type}", kind);
    let asked = actor.catalog.permission(&name);
    asked.ok_or_else(|| Error::internal(format!("an RPC asks for {name}, which no catalog has")))
}

/// Ensures that the organization's catalog has what the RPC is about.
fn must_be_on(feature: Feature, catalog: &Catalog) -> Result<(), Error> {
    match feature {
        Feature::Groups => group::must_be_on(catalog),
        Feature::CustomRoles => catalog.must_take_custom_roles(),
    }
}

/// Ensures that `subject` is an operator, by the tables.
///
/// # Errors
/// - [`Reason::OperatorRequired`].
pub(super) async fn must_be_operator(reads: Reads<'_>, subject: Subject) -> Result<(), Error> {
    if reads.holds_at_installation(subject, OPERATOR).await? {
        return Ok(());
    }
    Err(Error::new(Reason::OperatorRequired, "only operators may do this"))
}
