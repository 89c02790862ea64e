//! Showing a resource, and changing what is written on it.

use super::{ResourceView, find};
use crate::domain::access::Actor;
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::metadata::Metadata;
use crate::domain::place::ResourceKey;
use crate::service::etag::must_match;
use crate::service::{Authorize, Call, Mutation, Query};
use crate::store::Tx;

/// Shows a resource.
///
/// # Errors
/// - [`Reason::NotFound`] for a caller who may not see it, as for one that does not exist.
#[derive(Debug)]
pub struct GetResource {
    pub key: ResourceKey,
}

impl Authorize for GetResource {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.permitted_at(&self.key).await
    }
}

impl Query for GetResource {
    type Output = ResourceView;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<ResourceView, Error> {
        ResourceView::of(&actor, find(call.reads, &self.key).await?)
    }
}

/// Changes the name and the metadata of a resource. Its id never changes.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::EtagMismatch`].
#[derive(Debug)]
pub struct UpdateResource {
    pub key: ResourceKey,
    /// For people; may be empty. `None` stays as it is.
    pub display_name: Option<String>,
    /// JSON of the product's own. `None` stays as it is.
    pub metadata: Option<Metadata>,
    /// How the resource must look; empty asks nothing.
    pub etag: String,
}

impl Authorize for UpdateResource {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.permitted_at(&self.key).await
    }
}

impl Mutation for UpdateResource {
    type Output = ResourceView;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ResourceView, Error> {
        let before = find(tx.reads(), &self.key).await?;
        must_match(&self.etag, &before)?;
        let mut after = before.clone();
        if let Some(display_name) = &self.display_name {
            after.display_name.clone_from(display_name);
        }
        if let Some(metadata) = &self.metadata {
            after.metadata.clone_from(metadata);
        }
        if after.display_name != before.display_name {
            tx.resource_rename(&after).await?;
        } else if after != before {
            tx.resource_update(&after, "updated").await?;
        }
        ResourceView::of(&actor, after)
    }
}
