//! What may be done to a member as a whole: shutting them out, letting them in, carrying out what was planned for them.

use super::ceiling::{may_give, may_take, may_take_role};
use super::decide::is_visible;
use super::facts::Actor;
use crate::domain::assignment::Plan;
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::{Grant, MemberState};
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
    /// Gives the state before it, the one after it, and the word for it.
    #[must_use]
    pub fn states(self) -> (MemberState, MemberState, &'static str) {
        match self {
            Self::Disable => (MemberState::Active, MemberState::Disabled, "disabled"),
            Self::Enable => (MemberState::Disabled, MemberState::Active, "enabled"),
        }
    }
}

/// Asks the ceiling of everything that a member holds, what their groups hold included: who is shut out loses every role, who
/// is let in gets everything again.
///
/// # Errors
/// - [`Reason::SelfRemoval`], and what [`may_take_role`] and [`may_give`] refuse.
pub fn may_move(actor: &Actor, id: MembershipId, grants: &[&Grant], act: Move, now: Timestamp) -> Result<(), Error> {
    if actor.standing.membership() == Some(id) {
        return Err(Error::new(Reason::SelfRemoval, "nobody does this to themselves"));
    }
    for grant in grants {
        let place = actor.at(grant.place.resource());
        match (act, grant.principal) {
            (Move::Disable, _) => may_take_role(&place, &grant.held, now)?,
            (Move::Enable, Principal::Group(group)) => {
                may_add(actor, group, std::slice::from_ref(*grant), &[id], now)?;
            }
            (Move::Enable, _) => may_let_in(actor, grant, now)?,
        }
    }
    Ok(())
}

/// Asks the ceiling for letting somebody have again what `grant` gives them.
///
/// # Errors
/// - What [`may_give`] refuses; [`Reason::RoleNotGrantable`] for anything at a resource, the same whatever stands in the
///   way and whether the caller sees the resource or not: they may not know of it (CM-13).
pub fn may_let_in(actor: &Actor, grant: &Grant, now: Timestamp) -> Result<(), Error> {
    let Some(key) = grant.place.resource() else {
        return may_give(&actor.at(None), &grant.held, grant.principal, now);
    };
    let place = actor.at(Some(key));
    let refusal = || Error::new(Reason::RoleNotGrantable, "may not give all that is held on resources");
    if !is_visible(&place, now) {
        return Err(refusal());
    }
    may_give(&place, &grant.held, grant.principal, now)
        .map_err(|error| if error.kind() == Kind::PermissionDenied { refusal() } else { error })
}

/// Asks the ceiling of everything that a plan gives and takes, replaced roles and default roles included.
///
/// # Errors
/// - [`Reason::SelfRemoval`], and what [`may_give`] and [`may_take`] refuse.
pub fn may_carry_out(actor: &Actor, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    for (principal, assignment) in &plan.granted {
        may_give(&actor.at(assignment.place.resource()), &assignment.held, *principal, now)?;
    }
    for grant in &plan.revoked {
        may_take(&actor.at(grant.place.resource()), &grant.held, now)?;
    }
    // What a group or everyone holds is taken from many, of whom the caller happens to be one.
    if plan.gone().any(|grant| actor.standing.is_alone(grant.principal)) {
        return Err(Error::new(Reason::SelfRemoval, "nobody takes from themselves"));
    }
    Ok(())
}
