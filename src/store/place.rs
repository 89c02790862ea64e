//! Places as statements name them: where grants and service accounts are looked for, and resources by their type.

use std::collections::BTreeMap;

use crate::domain::place::{Place, ResourceKey};

/// Where grants are looked for, and service accounts by what they are bound to.
#[derive(Clone, Copy, Debug)]
pub enum HeldAt<'a> {
    /// Everywhere.
    Anywhere,
    /// At one place itself.
    Place(&'a Place),
    /// At the organization itself, and at every resource of these types.
    Types(&'a [String]),
    /// At these resources, at most 1,000.
    Resources(&'a [ResourceKey]),
}

/// Sorts the ids of resources by their type.
pub(super) fn by_kind(keys: &[ResourceKey]) -> BTreeMap<&str, Vec<&str>> {
    let mut by_kind: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for key in keys {
        by_kind.entry(&key.kind).or_default().push(&key.id);
    }
    by_kind
}
