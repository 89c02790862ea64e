//! Whose a resource is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::access::gains_nothing_by_owning;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Grant;
use crate::domain::id::OrganizationId;
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::resource::must_be_fit_to_own;
use crate::service::apply::only_seen;
use crate::service::clearing::judge_anew;
use crate::service::etag::must_match;
use crate::service::shown::{Shown, show};
use crate::service::{Context, Services, Written};
use crate::store::{Lock, Tx};

/// Asks for a resource to change hands.
#[derive(Clone, Debug)]
pub struct SetResourceOwner {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub key: ResourceKey,
    /// A membership or service account; nobody if there is none.
    pub owner: Option<Principal>,
    /// As it was told; nothing is asked if it is empty.
    pub etag: String,
}

/// What a change of hands brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandedOver {
    /// As it stands.
    pub shown: Shown,
    /// What its service account held and the new owner may not give.
    pub revoked: Vec<Grant>,
}

impl Services {
    /// Makes somebody else the owner of a resource, and so of all that stands below it. What the service account bound to
    /// it holds, and the new owner may not give, goes (AX-27).
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::OwnerUnfit`], [`Reason::EtagMismatch`].
    /// - [`Reason::RoleNotGrantable`] if the caller takes it over and could do more then than now.
    pub async fn set_resource_owner(
        self: &Arc<Self>,
        context: &Context,
        request: SetResourceOwner,
    ) -> Result<Written<HandedOver>, Error> {
        let (organization, key) = (request.organization, &request.key);
        let actor = self
            .store
            .reads()
            .of(organization)
            .actor(context.subject()?, std::slice::from_ref(key), self.world.now())
            .await?;
        context.authorize(&actor, Some(key), &key.kind)?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| hand_over(tx, call.clone(), request.clone()))
            .await
    }
}

async fn hand_over(mut tx: Tx, context: Context, request: SetResourceOwner) -> Result<(Tx, HandedOver), Error> {
    let SetResourceOwner { organization, key, owner, etag } = request;
    let now = tx.now();
    let mut actor = tx.reads().actor(context.subject()?, std::slice::from_ref(&key), tx.now()).await?;
    context.authorize(&actor, Some(&key), &key.kind)?;
    if let Some(owner) = owner {
        let absent = tx.reads().absent_among(&[owner]).await?;
        must_be_fit_to_own("owner", owner, &absent)?;
    }
    let resource = tx.reads().resource(&key).await?;
    let mut resource = resource.ok_or_else(|| Error::not_found("resource", &key))?;
    must_match(&etag, &resource)?;
    if resource.owner == owner {
        return Ok((tx, HandedOver { shown: show(&actor, resource, now)?, revoked: Vec::new() }));
    }
    let is_own = owner.is_some_and(|owner| actor.standing.is_among(owner));
    if is_own && !gains_nothing_by_owning(&actor.at(Some(&key)), now) {
        let refusal = Error::new(Reason::RoleNotGrantable, "may not give to themselves what they do not hold");
        return Err(refusal.with("place", key));
    }

    resource.owner = owner;
    tx.resource_update(&resource, "handed over").await?;
    let revoked = match resource.service_account {
        Some(account) => judge_anew(&mut tx, account, owner).await?,
        None => Vec::new(),
    };
    let revoked = only_seen(&tx, &context, &actor, revoked).await?;
    for node in actor.chains.values_mut().flatten().filter(|node| node.key == key) {
        node.owner = owner;
    }
    Ok((tx, HandedOver { shown: show(&actor, resource, now)?, revoked }))
}
