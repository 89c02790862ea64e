//! What may be done to a member as a whole: shutting them out, letting them in, carrying out what was planned for them.

use super::ceiling::{may_give, may_take, may_take_role};
use super::decide::is_visible;
use super::facts::Actor;
use super::oneself::{may_do_to, may_take_from};
use super::unseen::{may_take_unseen, must_see_all_held_by};
use crate::domain::error::Error;
use crate::domain::fact::{Grant, MemberState};
use crate::domain::grant::assignment::Plan;
use crate::domain::group::may_add;
use crate::domain::id::MembershipId;
use crate::domain::place::Principal;
use crate::domain::time::Timestamp;

/// What is done to a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// They are shut out.
    Disable,
    /// They are let in again.
    Enable,
}

impl Move {
    /// Returns the state before it, the one after it, and the word for it.
    #[must_use]
    pub fn states(self) -> (MemberState, MemberState, &'static str) {
        match self {
            Self::Disable => (MemberState::Active, MemberState::Disabled, "disabled"),
            Self::Enable => (MemberState::Disabled, MemberState::Active, "enabled"),
        }
    }
}

/// Asks the ceiling of everything that a member holds, what their groups hold included: who is shut out loses every
/// role, who is let in gets everything again.
///
/// # Errors
/// - [`SelfRemoval`](crate::domain::error::Reason::SelfRemoval), and what [`may_shut_out`] and [`may_let_in`] refuse.
pub fn may_move(actor: &Actor, id: MembershipId, grants: &[&Grant], act: Move, now: Timestamp) -> Result<(), Error> {
    let member = Principal::Membership(id);
    may_do_to(actor, member)?;
    if act == Move::Disable {
        return may_shut_out(actor, member, grants.iter().copied(), now);
    }
    let (by_groups, own): (Vec<&Grant>, Vec<&Grant>) =
        grants.iter().partition(|grant| matches!(grant.principal, Principal::Group(_)));
    may_let_in(actor, member, own, now)?;
    for grant in by_groups {
        let Principal::Group(group) = grant.principal else { continue };
        may_add(actor, group, std::slice::from_ref(grant), &[id], now)?;
    }
    Ok(())
}

/// Asks the ceiling for taking from `principal` all that they hold, `grants`, wherever that is.
///
/// # Errors
/// - What [`may_take_role`] refuses.
/// - [`PermissionMissing`](crate::domain::error::Reason::PermissionMissing) for an actor who does not see every
///   place where something could be held that is not theirs to take (CM-13).
pub fn may_shut_out<'a>(
    actor: &Actor,
    principal: Principal,
    grants: impl IntoIterator<Item = &'a Grant>,
    now: Timestamp,
) -> Result<(), Error> {
    may_take_unseen(actor, principal, now)?;
    for grant in grants {
        let place = actor.at(grant.place.resource());
        may_take_role(&place, &grant.held, now)
            .map_err(|refusal| if is_visible(&place, now) { refusal } else { refusal.without_metadata() })?;
    }
    Ok(())
}

/// Asks the ceiling for letting `principal` have again all that they hold, `grants`, wherever that is.
///
/// # Errors
/// - What [`may_give`] refuses.
/// - [`PermissionMissing`](crate::domain::error::Reason::PermissionMissing) for an actor who does not see every
///   place where something can be held (CM-13).
pub fn may_let_in<'a>(
    actor: &Actor,
    principal: Principal,
    grants: impl IntoIterator<Item = &'a Grant>,
    now: Timestamp,
) -> Result<(), Error> {
    must_see_all_held_by(actor, principal, now)?;
    let mut grants = grants.into_iter();
    grants.try_for_each(|grant| may_give(&actor.at(grant.place.resource()), &grant.held, grant.principal, now))
}

/// Asks the ceiling of everything that a plan gives and takes, replaced roles and default roles included.
///
/// # Errors
/// - [`SelfRemoval`](crate::domain::error::Reason::SelfRemoval), and what [`may_give`] and [`may_take`] refuse.
pub fn may_carry_out(actor: &Actor, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    for (principal, assignment) in &plan.granted {
        let given = may_give(&actor.at(assignment.place.resource()), &assignment.held, *principal, now);
        given.map_err(|refusal| refusal.with("principal", principal))?;
    }
    for grant in &plan.revoked {
        let taken = may_take(&actor.at(grant.place.resource()), &grant.held, now);
        taken.map_err(|refusal| refusal.with("principal", grant.principal))?;
    }
    for grant in &plan.revoked {
        may_take_from(actor, grant.principal).map_err(|refusal| {
            refusal.with("principal", grant.principal).with("role", &grant.held).with("place", &grant.place)
        })?;
    }
    plan.cleared.iter().try_for_each(|grant| may_take_from(actor, grant.principal))
}
