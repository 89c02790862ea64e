//! Resources: the nodes of an organization's tree, and what shape the tree may take.

pub mod inheritance;

use std::sync::Arc;

use super::access::{Actor, Facts, Node, decide};
use super::catalog::{Catalog, PermissionId, Verb};
use super::error::{Error, Reason};
use super::fact::Held;
use super::grant::assignment::Assignment;
use super::id::ServiceAccountId;
use super::metadata::Metadata;
use super::place::{DEPTH_MAX, Place, Principal, ResourceKey};
use super::time::Timestamp;

/// A node of an organization's tree.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Resource {
    /// Its name.
    pub key: ResourceKey,
    /// What it stands under; the organization if nothing.
    pub parent: Option<ResourceKey>,
    /// A membership or service account, if anybody.
    pub owner: Option<Principal>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// For people; may be empty.
    pub display_name: String,
    /// JSON of the product's own.
    pub metadata: Metadata,
    /// The service account that lives and ends with it, if its type has such (AX-27).
    pub service_account: Option<ServiceAccountId>,
}

/// Where resources are looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Under {
    /// In the whole tree.
    Anything,
    /// Directly under the organization.
    Organization,
    /// Directly under a resource.
    Resource(ResourceKey),
}

impl Under {
    /// Returns whether what stands under `parent` is looked for.
    #[must_use]
    pub fn takes(&self, parent: Option<&ResourceKey>) -> bool {
        match self {
            Self::Anything => true,
            Self::Organization => parent.is_none(),
            Self::Resource(key) => parent == Some(key),
        }
    }
}

/// Returns whether the subject sees every resource of a type that there is, those included that they know nothing of:
/// who does may choose the ids of new ones, and learns that one is taken.
#[must_use]
pub fn sees_every(actor: &Actor, kind: &str, now: Timestamp) -> bool {
    actor
        .catalog
        .resource_type(kind)
        .is_some_and(|(_, kind)| decide(&actor.at(None), kind.visible_by, now).is_allowed())
}

/// Returns whether the subject has T's `verb` on the target, for T the type `kind`.
#[must_use]
pub fn may(facts: &Facts, kind: &str, verb: Verb, now: Timestamp) -> bool {
    let permission = facts.catalog.resource_type(kind).map(|(id, _)| PermissionId::of_type(id, verb));
    permission.is_some_and(|permission| decide(facts, permission, now).is_allowed())
}

/// Asks for T's `verb` on the target, for T the type `kind`.
///
/// # Errors
/// - [`Reason::PermissionMissing`].
pub fn must_have(facts: &Facts, kind: &str, verb: Verb, now: Timestamp) -> Result<(), Error> {
    if may(facts, kind, verb, now) {
        return Ok(());
    }
    let name = format!("{kind}.{}", verb.name());
    Err(Error::new(Reason::PermissionMissing, format!("lacks {name}")).about("permission", name))
}

/// Returns what the catalog says that whoever registers `key` holds there from then on (X17).
#[must_use]
pub fn creator_assignments(catalog: &Catalog, key: &ResourceKey) -> Vec<Assignment> {
    let roles = catalog.resource_type(&key.kind).map(|(_, kind)| kind.creator_roles.as_slice()).unwrap_or_default();
    let assignment = |role| Assignment {
        place: Place::Resource(key.clone()),
        held: Held::Role(Arc::clone(&catalog.role(role).name)),
        expires_at: None,
    };
    roles.iter().copied().map(assignment).collect()
}

/// Ensures that a principal can own something: it is a membership or a service account, and not among those that are
/// `absent` from the organization. `field` names the request field in the violation.
///
/// # Errors
/// - [`Reason::OwnerUnfit`], [`Reason::NotFound`].
pub fn must_be_fit_to_own(field: &str, principal: Principal, absent: &[Principal]) -> Result<(), Error> {
    match principal {
        Principal::Membership(id) if absent.contains(&principal) => Err(Error::not_found("member", id)),
        Principal::ServiceAccount(id) if absent.contains(&principal) => Err(Error::not_found("service_account", id)),
        Principal::Membership(_) | Principal::ServiceAccount(_) => Ok(()),
        Principal::Group(_) | Principal::Everyone | Principal::User(_) => {
            Err(Error::invalid(field, Reason::OwnerUnfit, "must be a membership or a service account"))
        }
    }
}

/// Ensures that the catalog lets a resource of the type `kind` stand under one of the type `parent`; under the
/// organization if there is none. Of types that it does not declare it says nothing.
///
/// # Errors
/// - [`Reason::ParentTypeNotAllowed`].
pub fn must_fit_under(catalog: &Catalog, kind: &str, parent: Option<&str>) -> Result<(), Error> {
    let Some((_, declared)) = catalog.resource_type(kind) else { return Ok(()) };
    let is_allowed = match parent {
        None => declared.parents.organization,
        Some(parent) => catalog.resource_type(parent).is_none_or(|(id, _)| declared.parents.types.has(id)),
    };
    if is_allowed {
        return Ok(());
    }
    let parent = parent.unwrap_or("organization");
    let message = format!("a resource of the type {kind} does not stand under {parent}");
    Err(Error::new(Reason::ParentTypeNotAllowed, message).about("type", kind).with("type", kind).with("parent", parent))
}

/// Ensures that `key`, which is `height` levels high with all that stands below it, can stand under `parent`, whose
/// chain is
/// `above`, itself first.
///
/// # Errors
/// - [`Reason::TreeCycle`] if it is its own parent, or among what the parent stands under.
/// - [`Reason::TreeTooDeep`] if it, or something below it, would be more than 8 deep.
pub fn may_stand_under(
    key: &ResourceKey,
    height: usize,
    parent: Option<&ResourceKey>,
    above: &[Node],
) -> Result<(), Error> {
    if parent == Some(key) || above.iter().any(|node| node.key == *key) {
        return Err(Error::new(Reason::TreeCycle, "a resource cannot stand below itself").about("resource", key));
    }
    if above.len() + height > DEPTH_MAX {
        return Err(Error::new(Reason::TreeTooDeep, "it would stand too deep there").about("resource", key));
    }
    Ok(())
}
