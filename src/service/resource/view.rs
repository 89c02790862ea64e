//! A resource as its caller may see it: what stands above it only if they see that too, and the private metadata only if
//! they may change it.

use serde::{Deserialize, Serialize};

use crate::domain::access::{Actor, is_visible};
use crate::domain::catalog::Verb;
use crate::domain::error::Error;
use crate::domain::resource::{Resource, may};
use crate::service::etag::etag;

/// A resource as the caller may see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceView {
    /// As it stands. Without its parent if the caller does not see that.
    pub resource: Resource,
    /// Of all of it.
    pub etag: String,
    /// Whether the caller may see the private part of its metadata.
    pub shows_private: bool,
}

impl ResourceView {
    /// Returns a resource, whose chain `actor` knows, as they may see it.
    pub(super) fn of(actor: &Actor, mut resource: Resource) -> Result<Self, Error> {
        let etag = etag(&resource)?;
        if resource.parent.is_some() && !is_visible(&actor.above(&resource.key), actor.now) {
            resource.parent = None;
        }
        let shows_private = may(&actor.at(Some(&resource.key)), &resource.key.kind, Verb::Update, actor.now);
        Ok(Self { resource, etag, shows_private })
    }
}
