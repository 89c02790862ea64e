//! Resources: shown to whoever may see them, and what is written on them changed.

mod browse;
mod delete;
mod owner;
mod register;
mod relocate;

pub use browse::{BrowseResources, BrowsedResources};
pub use delete::{DeleteResource, Deleted};
pub use owner::{HandedOver, SetResourceOwner};
pub use register::{Outcome, RegisterResource};
pub use relocate::{MoveResource, MovedResource};

use std::sync::Arc;

use crate::domain::error::{Error, Violations};
use crate::domain::id::OrganizationId;
use crate::domain::metadata::Metadata;
use crate::domain::place::ResourceKey;
use crate::domain::text::name;
use crate::service::etag::must_match;
use crate::service::shown::{Shown, show};
use crate::service::{Context, Read, Services, Written};
use crate::store::{Lock, Tx};

/// Asks for what is written on a resource to change. What is `None` stays.
#[derive(Clone, Debug)]
pub struct UpdateResource {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub key: ResourceKey,
    /// For people; may be empty.
    pub display_name: Option<String>,
    /// JSON of the product's own.
    pub metadata: Option<Metadata>,
    /// As it was told; nothing is asked if it is empty.
    pub etag: String,
}

impl Services {
    /// Shows a resource.
    ///
    /// # Errors
    /// - [`NotFound`](crate::domain::error::Reason::NotFound) for whoever may not see it, as for one that does not exist.
    pub async fn resource(
        &self,
        context: &Context,
        organization: OrganizationId,
        key: &ResourceKey,
    ) -> Result<Read<Shown>, Error> {
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let actor =
            reads.of(organization).actor(context.subject()?, std::slice::from_ref(key), self.world.now()).await?;
        let now = self.world.now();
        context.authorize(&actor, Some(key), &key.kind)?;
        let resource = reads.of(organization).resource(key).await?;
        let resource = resource.ok_or_else(|| Error::not_found("resource", key))?;
        Ok(Read { value: show(&actor, resource, now)?, token })
    }

    /// Changes the name and the metadata of a resource. Its id never changes.
    ///
    /// # Errors
    /// - [`NotFound`](crate::domain::error::Reason::NotFound),
    ///   [`PermissionMissing`](crate::domain::error::Reason::PermissionMissing).
    /// - [`TextMalformed`](crate::domain::error::Reason::TextMalformed),
    ///   [`MetadataMalformed`](crate::domain::error::Reason::MetadataMalformed),
    ///   [`EtagMismatch`](crate::domain::error::Reason::EtagMismatch).
    pub async fn update_resource(
        self: &Arc<Self>,
        context: &Context,
        mut request: UpdateResource,
    ) -> Result<Written<Shown>, Error> {
        let (organization, key) = (request.organization, &request.key);
        let actor = self
            .store
            .reads()
            .of(organization)
            .actor(context.subject()?, std::slice::from_ref(key), self.world.now())
            .await?;
        context.authorize(&actor, Some(key), &key.kind)?;
        let mut violations = Violations::default();
        if let Some(text) = &request.display_name {
            request.display_name = violations.take(name("display_name", text))?;
        }
        if let Some(metadata) = &request.metadata {
            violations.take(metadata.must_fit("metadata"))?;
        }
        violations.finish()?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| update(tx, call.clone(), request.clone())).await
    }
}

async fn update(mut tx: Tx, context: Context, request: UpdateResource) -> Result<(Tx, Shown), Error> {
    let UpdateResource { organization, key, display_name, metadata, etag } = request;
    let now = tx.now();
    let actor = tx.reads().actor(context.subject()?, std::slice::from_ref(&key), tx.now()).await?;
    context.authorize(&actor, Some(&key), &key.kind)?;
    let before = tx.reads().resource(&key).await?;
    let before = before.ok_or_else(|| Error::not_found("resource", &key))?;
    must_match(&etag, &before)?;

    let mut resource = before.clone();
    resource.display_name = display_name.unwrap_or(resource.display_name);
    resource.metadata = metadata.unwrap_or(resource.metadata);
    if resource.display_name != before.display_name {
        tx.resource_rename(&resource).await?;
    } else if resource != before {
        tx.resource_update(&resource, "updated").await?;
    }
    Ok((tx, show(&actor, resource, now)?))
}
