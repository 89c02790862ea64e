//! May they? The one rule.

use super::facts::{Facts, Given, Standing};
use crate::domain::catalog::{PermissionId, Reach};
use crate::domain::fact::Grant;
use crate::domain::id::GrantId;
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::time::Timestamp;

/// The answer of the rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Yes.
    Allowed {
        /// The grant that allows it; where several do, the one that stands longest.
        by: GrantId,
        /// When it ends if nothing changes; the last instant is not part of it.
        until: Option<Timestamp>,
    },
    /// No grant allows it.
    Denied,
}

impl Decision {
    /// Returns whether the answer is yes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// Decides whether the subject has `permission` on the target.
///
/// It does if and only if some live grant of a role counts for it there and its reach is ANY; or SHARED, and the
/// subject is on the list of the target or of something above it; or OWN, and the subject owns the target or something
/// above it. And only where it can be asked: a permission of a type at that type, at what can stand above it, and at
/// the organization.
#[must_use]
pub fn decide(facts: &Facts, permission: PermissionId, now: Timestamp) -> Decision {
    if !facts.asks(permission) {
        return Decision::Denied;
    }
    let listed = on_the_list(facts, now);
    let owns = owned(facts).is_some();

    let mut best: Option<(GrantId, Option<Timestamp>)> = None;
    for (grant, given) in facts.counting(now) {
        let Given::Role(role) = given else { continue };
        let reach = role.reach(permission);
        let until = if reach.has(Reach::Any) || (reach.has(Reach::Own) && owns) {
            grant.expires_at
        } else if let (true, Some(listed_until)) = (reach.has(Reach::Shared), listed) {
            sooner(grant.expires_at, listed_until)
        } else {
            continue;
        };
        if best.is_none_or(|(_, best_until)| is_later(until, best_until)) {
            best = Some((grant.id, until));
        }
    }
    best.map_or(Decision::Denied, |(by, until)| Decision::Allowed { by, until })
}

/// Returns until when the subject is on the list of the target or of something above it: `Some(None)` is without end.
///
/// On a list puts an `AS_MEMBER` grant there, or a grant, there or above, of a role marked `as_member`.
#[must_use]
pub fn on_the_list(facts: &Facts, now: Timestamp) -> Option<Option<Timestamp>> {
    listing(facts, now).map(|grant| grant.expires_at)
}

/// Returns the grant that puts the subject on the list; where several do, the one that stands longest.
pub(super) fn listing(facts: &Facts, now: Timestamp) -> Option<&Grant> {
    let mut listing: Option<&Grant> = None;
    for (grant, given) in facts.counting(now) {
        if lists(grant, given) && listing.is_none_or(|best| is_later(grant.expires_at, best.expires_at)) {
            listing = Some(grant);
        }
    }
    listing
}

/// Returns whether a grant puts its holder on the list of its place.
pub(super) fn lists(grant: &Grant, given: Given<'_>) -> bool {
    match given {
        Given::AsMember => matches!(grant.place, Place::Resource(_)),
        Given::Role(role) => role.as_member,
    }
}

/// Returns whether the organization, or the resource that is the target, exists in the eyes of the subject.
///
/// The organization exists for whoever is in it, and for who holds a grant there or above it that counts. A resource
/// exists for who has the permission that its type is visible by. The organization is the target of who asks about a
/// resource that is not registered, too: whether it is, is asked before.
#[must_use]
pub fn is_visible(facts: &Facts, now: Timestamp) -> bool {
    let Some(target) = facts.chain.first() else {
        return facts.organization_is_active && (facts.standing.is_in() || facts.counting(now).next().is_some());
    };
    match facts.catalog.resource_type(&target.key.kind) {
        Some((_, kind)) => decide(facts, kind.visible_by, now).is_allowed(),
        None => false,
    }
}

/// Returns what the subject owns of the target and what it stands under, the nearest first.
pub(super) fn owned(facts: &Facts) -> Option<&ResourceKey> {
    let me = match facts.standing {
        Standing::Stranger => None,
        Standing::Person { membership, .. } => membership.map(|(id, _)| Principal::Membership(id)),
        Standing::Machine { id, .. } => Some(Principal::ServiceAccount(id)),
    };
    me.and_then(|_| facts.chain.iter().find(|node| node.owner == me)).map(|node| &node.key)
}

/// Returns the earlier of two ends, where `None` is without end.
fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Returns whether `one` ends later than `other`, where `None` is without end.
fn is_later(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}
