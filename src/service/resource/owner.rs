//! Whose a resource is.

use serde::{Deserialize, Serialize};

use super::{ResourceView, find};
use crate::domain::access::{Actor, gains_nothing_by_owning};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Grant;
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::resource::must_be_fit_to_own;
use crate::service::apply::only_seen;
use crate::service::clearing::judge_anew;
use crate::service::etag::must_match;
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Sets the owner of a resource, and so of all that stands below it. What the service account bound to it holds, and the
/// new owner may not give, is revoked (AX-27).
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::OwnerUnfit`], [`Reason::EtagMismatch`].
/// - [`Reason::RoleNotGrantable`] if the caller takes it over and could do more then than now.
#[derive(Debug)]
pub struct SetResourceOwner {
    /// Of which.
    pub key: ResourceKey,
    /// A membership or service account; nobody if there is none.
    pub owner: Option<Principal>,
    /// How the resource must look; empty asks nothing.
    pub etag: String,
}

/// A resource whose owner was set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnedResource {
    /// As it stands.
    pub view: ResourceView,
    /// What its service account held and the new owner may not give.
    pub revoked: Vec<Grant>,
}

impl Authorize for SetResourceOwner {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.permitted_at(&self.key).await
    }
}

impl Mutation for SetResourceOwner {
    type Output = OwnedResource;

    async fn apply(&self, tx: &mut Tx, mut actor: Actor) -> Result<OwnedResource, Error> {
        let (key, owner) = (&self.key, self.owner);
        if let Some(owner) = owner {
            let absent = tx.reads().absent_among(&[owner]).await?;
            must_be_fit_to_own("owner", owner, &absent)?;
        }
        let mut resource = find(tx.reads(), key).await?;
        must_match(&self.etag, &resource)?;
        if resource.owner == owner {
            return Ok(OwnedResource { view: ResourceView::of(&actor, resource)?, revoked: Vec::new() });
        }
        let is_own = owner.is_some_and(|owner| actor.standing.is_among(owner));
        if is_own && !gains_nothing_by_owning(&actor.at(Some(key)), actor.now) {
            let refusal = Error::new(Reason::RoleNotGrantable, "may not give to themselves what they do not hold");
            return Err(refusal.with("place", key));
        }

        resource.owner = owner;
        tx.resource_update(&resource, "owner set").await?;
        let revoked = match resource.service_account {
            Some(account) => judge_anew(tx, account, owner).await?,
            None => Vec::new(),
        };
        let revoked = only_seen(tx, &actor, revoked).await?;
        for node in actor.chains.values_mut().flatten().filter(|node| node.key == *key) {
            node.owner = owner;
        }
        Ok(OwnedResource { view: ResourceView::of(&actor, resource)?, revoked })
    }
}
