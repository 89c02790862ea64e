//! Resources: the nodes of an organization's tree, and what shape the tree may take.

use super::access::Node;
use super::error::{Error, Reason};
use super::place::{DEPTH_MAX, Principal, ResourceKey};
use super::time::Timestamp;

/// A node of an organization's tree.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Resource {
    /// Its name.
    pub key: ResourceKey,
    /// What it stands under; the organization if nothing.
    pub parent: Option<ResourceKey>,
    /// A membership or service account, if anybody.
    pub owner: Option<Principal>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// Asks that `key` can stand under `parent`, whose chain is `above`, itself first.
///
/// # Errors
/// - [`Reason::TreeCycle`] if it is its own parent, or among what the parent stands under.
/// - [`Reason::TreeTooDeep`] if it would be more than 8 deep.
pub fn may_stand_under(key: &ResourceKey, parent: Option<&ResourceKey>, above: &[Node]) -> Result<(), Error> {
    if parent == Some(key) || above.iter().any(|node| node.key == *key) {
        return Err(Error::new(Reason::TreeCycle, "a resource cannot stand below itself").about("resource", key));
    }
    if above.len() >= DEPTH_MAX {
        let message = format!("a resource stands at most {DEPTH_MAX} deep");
        return Err(Error::new(Reason::TreeTooDeep, message).about("resource", key));
    }
    Ok(())
}
