//! Resources: registered in an organization's tree, shown to whoever may see them.

use std::sync::Arc;

use super::{Context, Read, Services, Written};
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;
use crate::domain::resource::{Resource, may_stand_under};
use crate::store::{Lock, Tx};

/// Asks for a resource to be registered.
#[derive(Clone, Debug)]
pub struct RegisterResource {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub key: ResourceKey,
    /// What it stands under; the organization if nothing.
    pub parent: Option<ResourceKey>,
}

impl RegisterResource {
    /// Gives where the caller must be able to put it: the parent, unless it names itself.
    fn above(&self) -> Option<&ResourceKey> {
        self.parent.as_ref().filter(|parent| **parent != self.key)
    }
}

impl Services {
    /// Registers a resource under its parent. Registering it again at the same parent changes nothing.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for the parent, [`Reason::PermissionMissing`], [`Reason::ResourceTypeUnknown`].
    /// - [`Reason::ResourceExists`], [`Reason::TreeCycle`], [`Reason::TreeTooDeep`].
    pub async fn register_resource(
        self: &Arc<Self>,
        context: &Context,
        request: RegisterResource,
    ) -> Result<Written<Resource>, Error> {
        let organization = request.organization;
        let places: Vec<ResourceKey> = request.parent.iter().cloned().collect();
        let actor = self.store.reads().actor(organization, context.subject()?, &places).await?;
        context.authorize(&actor, organization, request.above(), &request.key.kind, self.world.now())?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| register(tx, call.clone(), request.clone()))
            .await
    }

    /// Shows a resource.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for whoever may not see it, as for one that does not exist.
    pub async fn resource(
        &self,
        context: &Context,
        organization: OrganizationId,
        key: &ResourceKey,
    ) -> Result<Read<Resource>, Error> {
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let actor = reads.actor(organization, context.subject()?, std::slice::from_ref(key)).await?;
        context.authorize(&actor, organization, Some(key), &key.kind, self.world.now())?;
        let resource = reads.resource(organization, key).await?;
        Ok(Read { value: resource.ok_or_else(|| Error::not_found("resource", key))?, token })
    }
}

async fn register(mut tx: Tx, context: Context, request: RegisterResource) -> Result<(Tx, Resource), Error> {
    let organization = request.organization;
    let places: Vec<ResourceKey> = request.parent.iter().chain([&request.key]).cloned().collect();
    let actor = tx.reads().actor(organization, context.subject()?, &places).await?;
    context.authorize(&actor, organization, request.above(), &request.key.kind, tx.now())?;
    let chain = request.above().map(|parent| actor.at(Some(parent)).chain).unwrap_or_default();
    let RegisterResource { key, parent, .. } = request;
    may_stand_under(&key, parent.as_ref(), &chain)?;

    if let Some(registered) = tx.reads().resource(organization, &key).await? {
        if registered.parent == parent {
            return Ok((tx, registered));
        }
        let message = "it is registered under another parent";
        return Err(Error::new(Reason::ResourceExists, message).about("resource", &key));
    }
    let resource = Resource { key, parent, owner: None, created_at: tx.now() };
    tx.resource_insert(&resource).await?;
    Ok((tx, resource))
}
