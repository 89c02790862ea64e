//! Resources: registered, shown, browsed, changed, moved, given an owner, deleted.

mod browse;
mod delete;
mod edit;
mod owner;
mod register;
mod relocate;
mod view;

pub use browse::{BrowseResources, BrowsedResources};
pub use delete::{DeleteResource, DeletedResources};
pub use edit::{GetResource, UpdateResource};
pub use owner::{OwnedResource, SetResourceOwner};
pub use register::{Outcome, RegisterResource, RegisterResources};
pub use relocate::{MoveResource, MovedResource};
pub use view::ResourceView;

use crate::domain::error::Error;
use crate::domain::place::ResourceKey;
use crate::domain::resource::Resource;
use crate::store::OrgReads;

async fn find(reads: OrgReads<'_>, key: &ResourceKey) -> Result<Resource, Error> {
    reads.resource(key).await?.ok_or_else(|| Error::not_found("resource", key))
}
