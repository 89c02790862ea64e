//! The ceiling: what an actor may give, and what they may take away, at a place.
//!
//! The facts are the actor's, with the place as the target. That the place is visible to the actor is asked before.
//!
//! What is given at a place is what can be asked there, or of what can stand below it. What can be asked below can be
//! asked there, too, since what can stand above is transitive: so all of it is judged by what can be asked at the
//! place, and no other permission counts.

use super::decide::{decide, on_the_list, owned};
use super::facts::{Facts, Given};
use crate::domain::catalog::{Ceiling, PermissionId, Reach, ReachSet, Role, RoleId, Verb};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Held;
use crate::domain::place::Principal;
use crate::domain::time::Timestamp;

/// Asks whether the actor may give `held` at the place to `recipient`.
///
/// A list entry, and a role that the type lists under `shares`: T.share there. Any other role: member.assign there, and
/// a role held there that may grant it. To themselves, alone or as one of many, nobody gives what they do not hold:
/// what would let them do there, or below, anything that they may not do now.
///
/// # Errors
/// Each names what was to be given, and where.
/// - [`Reason::PermissionMissing`] without T.share or member.assign.
/// - [`Reason::RoleNotGrantable`] if no role held may grant it, or it is for the actor and more than they hold.
pub fn may_give(actor: &Facts, held: &Held, recipient: Principal, now: Timestamp) -> Result<(), Error> {
    may_touch(actor, held, now)?;
    let refusal = |message| Err(naming(Error::new(Reason::RoleNotGrantable, message), actor, held));
    if let Some(role) = assigned_role(actor, held)
        && !allows(actor, role, now, |role| &role.may_grant)
    {
        return refusal("may not give this role here");
    }
    if actor.standing.is_among(recipient) && !gains_nothing(actor, held, now) {
        return refusal("may not give to themselves what they do not hold");
    }
    Ok(())
}

/// Asks whether the actor may take `held` away at the place. The mirror of [`may_give`].
///
/// # Errors
/// - [`Reason::PermissionMissing`] without T.share or member.assign.
/// - [`Reason::RoleNotTakeable`] if no role held may take it.
pub fn may_take(actor: &Facts, held: &Held, now: Timestamp) -> Result<(), Error> {
    may_touch(actor, held, now)?;
    may_take_role(actor, held, now)
}

/// Asks whether some role of the actor may take `held` away, whatever permission the act itself asks for: so judged are
/// disabling and removing, for every role that the person holds.
///
/// # Errors
/// - [`Reason::RoleNotTakeable`].
pub fn may_take_role(actor: &Facts, held: &Held, now: Timestamp) -> Result<(), Error> {
    match assigned_role(actor, held) {
        Some(role) if !allows(actor, role, now, |role| &role.may_take) => {
            let refusal = Error::new(Reason::RoleNotTakeable, "may not take this role away here");
            Err(naming(refusal, actor, held))
        }
        _ => Ok(()),
    }
}

/// Asks whether the actor may have `role`, as it is to be, held by whoever holds it, by them as well or not: the
/// ceiling of making and changing a role. The facts are at the organization, under the catalog as it stands before the
/// change. What the role holds counts where it can be held, and asked.
///
/// # Errors
/// - [`Reason::PermissionMissing`] without member.assign.
/// - [`Reason::RoleNotGrantable`] if it holds more than a role of the actor's may grant, includes what they may not
///   grant, or would give themselves more than they hold.
pub fn may_shape(
    actor: &Facts,
    role: &Role,
    includes: &[RoleId],
    is_among_holders: bool,
    now: Timestamp,
) -> Result<(), Error> {
    must_have(actor, PermissionId::MEMBER_ASSIGN, now)?;
    let places = places_of(actor, role);
    let may_grant = actor.counting(now).any(|(_, given)| {
        let Given::Role(mine) = given else { return false };
        mine.may_grant.any || (mine.may_grant.subset && places.iter().all(|place| holds_role(place, role, now)))
    });
    let may_include = includes.iter().all(|id| allows(actor, *id, now, |role| &role.may_grant));
    let held = Held::Role(role.name.clone());
    let refusal = |message| Err(naming(Error::new(Reason::RoleNotGrantable, message), actor, &held));
    if !may_grant || !may_include {
        return refusal("may not give a role that holds so much");
    }
    if is_among_holders && !places.iter().all(|place| gains_nothing_by_a_role(place, role, now)) {
        return refusal("may not give to themselves what they do not hold");
    }
    Ok(())
}

/// Returns the actor before each kind of place at which `role` can be held. At the organization everything can be asked
/// that can be at any resource.
fn places_of(actor: &Facts, role: &Role) -> Vec<Facts> {
    if role.at.organization || role.at.product || role.at.types.is_empty() {
        return vec![actor.clone()];
    }
    let types = actor.catalog.resource_types().filter(|(id, _)| role.at.types.contains(id));
    types.map(|(_, kind)| actor.before_any(&kind.name)).collect()
}

/// Returns whether `held` at the place would let the actor do nothing there, or below, that they may not do now.
///
/// What they may do at the place they may do below it: an owner of the place owns what is below, who is listed is
/// listed.
#[must_use]
pub fn gains_nothing(actor: &Facts, held: &Held, now: Timestamp) -> bool {
    match held {
        Held::AsMember => gains_nothing_by_a_list(actor, now),
        Held::Role(name) => match actor.catalog.role_id(name) {
            Some(id) => gains_nothing_by_a_role(actor, actor.catalog.role(id), now),
            None => false,
        },
    }
}

fn gains_nothing_by_a_role(actor: &Facts, role: &Role, now: Timestamp) -> bool {
    let has = |permission| {
        let reach = role.reach(permission);
        reach.is_empty()
            || reach.is_within(self::reach(actor, permission, now))
            || decide(actor, permission, now).is_allowed()
    };
    actor.asked().all(has)
        && (!role.as_member || gains_nothing_by_a_list(actor, now))
        && holds_ceilings(actor, role, now)
}

/// Returns whether to own the place would let the actor do nothing there, or below, that they may not do now.
#[must_use]
pub fn gains_nothing_by_owning(actor: &Facts, now: Timestamp) -> bool {
    owned(actor).is_some() || opens_nothing(actor, actor, Reach::Own, now)
}

/// Returns whether the actor may do nothing on a resource as it will stand, `after`, that they may not do as it stands,
/// `before`; nor below it.
#[must_use]
pub fn gains_nothing_by_moving(before: &Facts, after: &Facts, now: Timestamp) -> bool {
    let has = |permission| {
        reach(after, permission, now).is_within(reach(before, permission, now))
            || decide(before, permission, now).is_allowed()
    };
    let (grants_before, takes_before) = ceilings(before, now);
    let (grants_after, takes_after) = ceilings(after, now);
    after.asked().all(has)
        && (on_the_list(before, now).is_some()
            || on_the_list(after, now).is_none()
            || opens_nothing(before, after, Reach::Shared, now))
        && (owned(before).is_some() || owned(after).is_none() || opens_nothing(before, after, Reach::Own, now))
        && grants_after.is_within(&grants_before)
        && takes_after.is_within(&takes_before)
}

/// Returns whether the actor may do `before` all that they will hold, `after`, with this reach.
fn opens_nothing(before: &Facts, after: &Facts, by: Reach, now: Timestamp) -> bool {
    let may = |permission| !reach(after, permission, now).has(by) || decide(before, permission, now).is_allowed();
    after.asked().all(may)
}

/// Returns whether being on the list of the place would open nothing: the actor is, or may do already all that they
/// hold with the reach SHARED.
fn gains_nothing_by_a_list(actor: &Facts, now: Timestamp) -> bool {
    on_the_list(actor, now).is_some() || opens_nothing(actor, actor, Reach::Shared, now)
}

/// Asks for the permission that giving or taking `held` at the place begins with: T.share for a list entry and for what
/// the type lists under `shares`, member.assign for any other role.
///
/// # Errors
/// - [`Reason::PermissionMissing`].
pub fn may_touch(actor: &Facts, held: &Held, now: Timestamp) -> Result<(), Error> {
    let permission = match assigned_role(actor, held) {
        Some(_) => PermissionId::MEMBER_ASSIGN,
        None => share_permission(actor)?,
    };
    must_have(actor, permission, now).map_err(|refusal| naming(refusal, actor, held))
}

/// Names in a refusal what was to be given or taken, and where.
fn naming(refusal: Error, actor: &Facts, held: &Held) -> Error {
    refusal.with("role", held).with("place", actor.place())
}

fn must_have(actor: &Facts, permission: PermissionId, now: Timestamp) -> Result<(), Error> {
    if decide(actor, permission, now).is_allowed() {
        return Ok(());
    }
    let name = actor.catalog.permission_name(permission);
    Err(Error::new(Reason::PermissionMissing, format!("lacks {name}")).about("permission", name))
}

/// Returns the role that member.assign and the ceilings judge; `None` for what is shared instead.
fn assigned_role(actor: &Facts, held: &Held) -> Option<RoleId> {
    let Held::Role(name) = held else { return None };
    // A role that the catalog does not declare is judged like the one that only who may give any role may give.
    let role = actor.catalog.role_id(name).unwrap_or(RoleId::OPERATOR);
    let shares = actor.chain.first().and_then(|node| actor.catalog.resource_type(&node.key.kind));
    match shares {
        Some((_, kind)) if kind.shares.contains(&role) => None,
        _ => Some(role),
    }
}

fn share_permission(actor: &Facts) -> Result<PermissionId, Error> {
    let target = actor.chain.first().and_then(|node| actor.catalog.resource_type(&node.key.kind));
    match target {
        Some((id, _)) => Ok(PermissionId::of_type(id, Verb::Share)),
        None => Err(Error::invalid("resource", Reason::RoleNotAssignable, "names a place that has no list")),
    }
}

/// Returns whether a role that the actor holds at the place allows `role`, by the ceiling that `of` picks.
fn allows(actor: &Facts, role: RoleId, now: Timestamp, of: fn(&Role) -> &Ceiling) -> bool {
    actor.counting(now).any(|(_, given)| {
        let Given::Role(mine) = given else { return false };
        let ceiling = of(mine);
        ceiling.any
            || ceiling.list.contains(&role)
            || (ceiling.subset && holds_role(actor, actor.catalog.role(role), now))
    })
}

/// Returns whether the actor holds at the place every permission of `role` that can be asked there with at least its
/// reach, `as_member` counting as one more, and may grant and take no less.
fn holds_role(actor: &Facts, role: &Role, now: Timestamp) -> bool {
    actor.asked().all(|permission| role.reach(permission).is_within(reach(actor, permission, now)))
        && (!role.as_member || on_the_list(actor, now).is_some())
        && holds_ceilings(actor, role, now)
}

/// Returns whether the actor may grant and take, by what they hold at the place, no less than `role` may.
fn holds_ceilings(actor: &Facts, role: &Role, now: Timestamp) -> bool {
    let (may_grant, may_take) = ceilings(actor, now);
    role.may_grant.is_within(&may_grant) && role.may_take.is_within(&may_take)
}

fn reach(actor: &Facts, permission: PermissionId, now: Timestamp) -> ReachSet {
    actor.counting(now).fold(ReachSet::NONE, |all, (_, given)| match given {
        Given::Role(role) => all.or(role.reach(permission)),
        Given::AsMember => all,
    })
}

/// Returns what the actor may grant and what they may take, by all that they hold at the place.
fn ceilings(actor: &Facts, now: Timestamp) -> (Ceiling, Ceiling) {
    let (mut may_grant, mut may_take) = (Ceiling::default(), Ceiling::default());
    for (_, given) in actor.counting(now) {
        if let Given::Role(mine) = given {
            may_grant.widen(&mine.may_grant);
            may_take.widen(&mine.may_take);
        }
    }
    (may_grant, may_take)
}
