//! How a resource is shown: what stands above it only to who sees that too, and the private metadata only to who may
//! change it.

use serde::{Deserialize, Serialize};

use super::etag::etag;
use crate::domain::access::{Actor, is_visible};
use crate::domain::catalog::Verb;
use crate::domain::error::Error;
use crate::domain::resource::{Resource, may};
use crate::domain::time::Timestamp;

/// A resource as one caller sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// As it stands. Without its parent if the caller does not see that.
    pub resource: Resource,
    /// Changes with everything that is kept of the resource.
    pub etag: String,
    /// Whether the private part of the metadata is for the caller.
    pub shows_private: bool,
}

/// Shows a resource whose chain `actor` knows.
///
/// # Errors
/// Only what the resource's own serialization says.
pub(super) fn show(actor: &Actor, mut resource: Resource, now: Timestamp) -> Result<Shown, Error> {
    let etag = etag(&resource)?;
    if resource.parent.is_some() && !is_visible(&actor.above(&resource.key), now) {
        resource.parent = None;
    }
    let shows_private = may(&actor.at(Some(&resource.key)), &resource.key.kind, Verb::Update, now);
    Ok(Shown { resource, etag, shows_private })
}
