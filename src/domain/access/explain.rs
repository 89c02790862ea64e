//! Why they may, or what is missing: the one rule again, with its grounds.

use std::sync::Arc;

use super::decide::{Decision, decide, listing, lists, owned};
use super::facts::{Facts, Given, Standing};
use crate::domain::catalog::{PermissionId, Reach, Role, TypeId};
use crate::domain::fact::{Grant, MemberState};
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;

/// A decision with its grounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Explanation {
    /// It is allowed.
    Allowed(Box<AllowedBy>),
    /// It is not; never empty.
    Denied(Vec<Missing>),
}

/// What allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowedBy {
    /// The grant of a role; where several allow, the one that stands longest. Its principal says how the subject is
    /// among it.
    pub grant: Grant,
    /// How the role reaches the target.
    pub way: Way,
    /// When it ends if nothing changes; the last instant is not part of it.
    pub until: Option<Timestamp>,
}

/// How a role reaches a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// ANY: it reaches everything under its place.
    Any,
    /// SHARED: the subject is on the list of the target or of something above it.
    Shared {
        /// The grant that puts the subject there; where several do, the one that stands longest.
        listed_by: Grant,
    },
    /// OWN: the subject owns the target or something above it.
    Own {
        /// What they own, the nearest to the target.
        owned: ResourceKey,
    },
}

/// Something without which it is not allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The catalog declares no such permission.
    PermissionUnknown,
    /// The catalog declares no such resource type.
    ResourceTypeUnknown,
    /// The permission is of a type that cannot stand under the target's: nobody has it there.
    PermissionNotAskedHere,
    /// The organization is disabled.
    OrganizationDisabled,
    /// There is no such subject, or it is a service account of another organization.
    SubjectUnknown,
    /// The user is disabled, everywhere.
    UserDisabled,
    /// The user has no membership here.
    NotAMember,
    /// The membership is in this state.
    MembershipNotActive(MemberState),
    /// The service account is disabled.
    AccountDisabled,
    /// A grant has lapsed that would allow it if it were live.
    GrantExpired(Grant),
    /// A role is held that would allow it with its reach SHARED, and the subject is on no list here.
    NotOnList(Grant),
    /// A role is held that would allow it with its reach OWN, and the subject owns nothing here.
    NotOwner(Grant),
    /// No live grant counts here whose role has the permission.
    NoRole {
        /// The roles that have it and that the subject could hold here, or at something that could stand above, in the
        /// order of the catalog.
        roles: Vec<Arc<str>>,
    },
    /// The target is not registered, and so it has no owner, no list, and nothing above it but the organization.
    ResourceNotRegistered,
}

/// Explains what [`decide`] answers for `permission`, by its name, on `target`, which `facts` were gathered before.
///
/// A denial names everything that stands in the way: first what keeps the subject from using anything, and then, if
/// that alone would not do, what would still be missing without it.
#[must_use]
pub fn explain(facts: &Facts, permission: &str, target: Option<&ResourceKey>, now: Timestamp) -> Explanation {
    let Some(permission) = facts.catalog.permission(permission) else {
        return Explanation::Denied(vec![Missing::PermissionUnknown]);
    };
    if target.is_some_and(|target| facts.catalog.resource_type(&target.kind).is_none()) {
        return Explanation::Denied(vec![Missing::ResourceTypeUnknown]);
    }
    if !facts.asks(permission) {
        return Explanation::Denied(vec![Missing::PermissionNotAskedHere]);
    }
    if let Some(allowed) = allowed_by(facts, permission, now) {
        return Explanation::Allowed(Box::new(allowed));
    }
    let mut missing = blocks(facts);
    let free = unblocked(facts);
    if !decide(&free, permission, now).is_allowed() {
        lacks(&free, permission, now, &mut missing);
        if target.is_some() && free.chain.is_empty() {
            missing.push(Missing::ResourceNotRegistered);
        }
    }
    Explanation::Denied(missing)
}

fn allowed_by(facts: &Facts, permission: PermissionId, now: Timestamp) -> Option<AllowedBy> {
    let Decision::Allowed { by, until } = decide(facts, permission, now) else { return None };
    let (grant, given) = facts.counting(now).find(|(grant, _)| grant.id == by)?;
    let Given::Role(role) = given else { return None };
    let reach = role.reach(permission);
    // In the order in which the rule takes them: SHARED is bounded by two grants, so it comes last.
    let way = match (reach.has(Reach::Any), owned(facts).filter(|_| reach.has(Reach::Own))) {
        (true, _) => Way::Any,
        (false, Some(owned)) => Way::Own { owned: owned.clone() },
        (false, None) => Way::Shared { listed_by: listing(facts, now)?.clone() },
    };
    Some(AllowedBy { grant: grant.clone(), way, until })
}

/// Names what keeps the subject from using whatever it holds.
fn blocks(facts: &Facts) -> Vec<Missing> {
    let mut missing = Vec::new();
    if !facts.organization_is_active {
        missing.push(Missing::OrganizationDisabled);
    }
    match &facts.standing {
        Standing::Stranger => missing.push(Missing::SubjectUnknown),
        Standing::Person { is_active, membership, .. } => {
            if !is_active {
                missing.push(Missing::UserDisabled);
            }
            match membership {
                None => missing.push(Missing::NotAMember),
                Some((_, MemberState::Active)) => {}
                Some((_, state)) => missing.push(Missing::MembershipNotActive(*state)),
            }
        }
        Standing::Machine { is_enabled, .. } => {
            if !is_enabled {
                missing.push(Missing::AccountDisabled);
            }
        }
    }
    missing
}

/// Returns the facts as they would be if nothing kept the subject from using what it holds.
fn unblocked(facts: &Facts) -> Facts {
    let mut free = Facts { organization_is_active: true, ..facts.clone() };
    match &mut free.standing {
        Standing::Stranger => {}
        Standing::Person { is_active, membership, .. } => {
            *is_active = true;
            if let Some((_, state)) = membership {
                *state = MemberState::Active;
            }
        }
        Standing::Machine { is_enabled, .. } => *is_enabled = true,
    }
    free
}

/// Names what is missing of grants, lists and owners.
fn lacks(free: &Facts, permission: PermissionId, now: Timestamp, missing: &mut Vec<Missing>) {
    let is_listed = listing(free, now).is_some();
    let owns = owned(free).is_some();
    let (mut is_held, mut is_held_as_shared) = (false, false);
    for (grant, given) in free.counting(now) {
        let Given::Role(role) = given else { continue };
        let reach = role.reach(permission);
        is_held |= !reach.is_empty();
        if reach.has(Reach::Shared) {
            is_held_as_shared = true;
            missing.push(Missing::NotOnList(grant.clone()));
        }
        if reach.has(Reach::Own) {
            missing.push(Missing::NotOwner(grant.clone()));
        }
    }
    for (grant, given) in free.counting_ever().filter(|(grant, _)| grant.is_expired(now)) {
        let would_list = lists(grant, given);
        let would_reach = match given {
            Given::AsMember => false,
            Given::Role(role) => {
                let reach = role.reach(permission);
                reach.has(Reach::Any)
                    || (reach.has(Reach::Own) && owns)
                    || (reach.has(Reach::Shared) && (is_listed || would_list))
            }
        };
        if would_reach || (would_list && is_held_as_shared) {
            missing.push(Missing::GrantExpired(grant.clone()));
        }
    }
    if !is_held {
        missing.push(Missing::NoRole { roles: roles_with(free, permission) });
    }
}

/// Names the roles with a permission that a subject of this kind could hold at the target, above it, or at the
/// organization. What is held above the organization is not the organization's to give.
fn roles_with(facts: &Facts, permission: PermissionId) -> Vec<Arc<str>> {
    let is_for_the_subject = |role: &Role| match facts.standing {
        Standing::Stranger => true,
        Standing::Person { .. } => role.to.people || role.to.groups || role.to.everyone,
        Standing::Machine { .. } => role.to.service_accounts,
    };
    // Not by what really stands above: that would tell whether the target is there (CM-13).
    let target = facts.kind.as_ref().and_then(|kind| facts.catalog.resource_type(kind));
    let is_held_here = |role: &Role| {
        let can_be_above = |kind: &TypeId| target.is_some_and(|(id, it)| id == *kind || it.above.has(*kind));
        role.at.organization || role.at.types.iter().any(can_be_above)
    };
    let roles = facts.catalog.roles().map(|(_, role)| role);
    let fitting = roles.filter(|role| !role.reach(permission).is_empty());
    fitting.filter(|role| is_for_the_subject(role) && is_held_here(role)).map(|role| Arc::clone(&role.name)).collect()
}
