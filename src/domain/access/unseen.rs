//! Acts over all that somebody holds, wherever that is, by an actor who does not see every place.
//!
//! What no answer may tell can decide none (CM-13). So such an act is judged as if at places that the actor does not
//! see everything were held that can be: it comes out alike whether there is such a place or not.

use super::ceiling::may_take_role;
use super::decide::decide;
use super::facts::Actor;
use crate::domain::catalog::{ResourceType, Role, TypeId};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Held;
use crate::domain::place::Principal;
use crate::domain::time::Timestamp;

/// Ensures that the actor sees every resource on which `principal`, or a group of theirs, can hold anything: what is
/// held at a place that they do not see is not theirs to give, nor to take by itself.
///
/// # Errors
/// - [`Reason::PermissionMissing`], which names the first T.view that the actor lacks at the organization.
pub fn must_see_all_held_by(actor: &Actor, principal: Principal, now: Timestamp) -> Result<(), Error> {
    let can_hold = |(id, kind): &(TypeId, &ResourceType)| {
        let mut roles = actor.catalog.roles().map(|(_, role)| role);
        kind.has_list || roles.any(|role| role.at.types.contains(id) && role.to.has_or_contains(principal))
    };
    match unseen(actor, now).find(can_hold) {
        Some((_, kind)) => Err(must_see(actor, kind)),
        None => Ok(()),
    }
}

/// Ensures that the actor sees every resource on which `role` can be held.
///
/// # Errors
/// - [`Reason::PermissionMissing`], as [`must_see_all_held_by`].
pub fn must_see_all_held_as(actor: &Actor, role: &Role, now: Timestamp) -> Result<(), Error> {
    match unseen(actor, now).find(|(id, _)| role.at.types.contains(id)) {
        Some((_, kind)) => Err(must_see(actor, kind)),
        None => Ok(()),
    }
}

/// Ensures that the actor sees every resource of every type: for what depends on all that stands below a resource.
///
/// # Errors
/// - [`Reason::PermissionMissing`], as [`must_see_all_held_by`].
pub fn must_see_all(actor: &Actor, now: Timestamp) -> Result<(), Error> {
    match unseen(actor, now).next() {
        Some((_, kind)) => Err(must_see(actor, kind)),
        None => Ok(()),
    }
}

/// Ensures that the actor may take away whatever `principal`, or a group of theirs, can hold where the actor does not
/// see: who is shut out or removed loses all of it.
///
/// # Errors
/// - [`Reason::PermissionMissing`], as [`must_see_all_held_by`].
pub fn may_take_unseen(actor: &Actor, principal: Principal, now: Timestamp) -> Result<(), Error> {
    for (id, kind) in unseen(actor, now) {
        let everywhere = actor.at(None).before_any(&kind.name);
        let may_take_all = actor.catalog.roles().all(|(role_id, role)| {
            let is_held_there = role.at.types.contains(&id) && role.to.has_or_contains(principal);
            // What is shared goes with whoever it is shared with.
            let is_judged = is_held_there && !kind.shares.contains(&role_id);
            !is_judged || may_take_role(&everywhere, &Held::Role(role.name.clone()), now).is_ok()
        });
        if !may_take_all {
            return Err(must_see(actor, kind));
        }
    }
    Ok(())
}

/// Returns the types of which there may be resources that the actor does not see.
fn unseen(actor: &Actor, now: Timestamp) -> impl Iterator<Item = (TypeId, &ResourceType)> {
    let everywhere = actor.at(None);
    actor.catalog.resource_types().filter(move |(_, kind)| !decide(&everywhere, kind.visible_by, now).is_allowed())
}

fn must_see(actor: &Actor, kind: &ResourceType) -> Error {
    let name = actor.catalog.permission_name(kind.visible_by);
    let message = format!("lacks {name} at the organization, which this takes");
    Error::new(Reason::PermissionMissing, message).about("permission", name)
}
