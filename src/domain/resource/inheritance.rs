//! What is had on a resource by what it stands under, and what a move changes of it.

use std::collections::BTreeSet;

use crate::domain::access::Node;
use crate::domain::fact::{Grant, Held};
use crate::domain::place::{Place, Principal};
use crate::domain::time::Timestamp;

/// What one principal has on everything below some place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Inherited {
    pub principal: Principal,
    /// By what.
    pub by: InheritedBy,
}

/// By what somebody has something on all that stands below a place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InheritedBy {
    /// A grant there.
    Grant(Held),
    /// They own it.
    Ownership,
}

/// Returns what is inherited from the places of `above`: by the live ones of `grants` there, and by owning one of them.
#[must_use]
pub fn inherited(above: &[Node], grants: &[Grant], now: Timestamp) -> BTreeSet<Inherited> {
    let is_there = |grant: &&Grant| match &grant.place {
        Place::Resource(key) => above.iter().any(|node| node.key == *key),
        Place::Installation | Place::Product(_) | Place::Organization => false,
    };
    let granted = grants.iter().filter(|grant| !grant.is_expired(now)).filter(is_there);
    let granted =
        granted.map(|grant| Inherited { principal: grant.principal, by: InheritedBy::Grant(grant.held.clone()) });
    let owned = above.iter().filter_map(|node| node.owner);
    let owned = owned.map(|principal| Inherited { principal, by: InheritedBy::Ownership });
    granted.chain(owned).collect()
}
