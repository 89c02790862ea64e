//! What a new membership comes with: seen, assignable, and under the ceiling over the whole result.

use super::ceiling::may_give;
use super::decide::is_visible;
use super::facts::Actor;
use crate::domain::assignment::{Assignment, Plan, plan_member};
use crate::domain::error::{Error, Violations};
use crate::domain::id::OrganizationId;
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::time::Timestamp;

/// Asks that the organization, or a resource of it, exists in the actor's eyes.
///
/// # Errors
/// - [`NotFound`](crate::domain::error::Reason::NotFound), the same for what does not exist and for what may not be seen.
pub fn see(
    actor: &Actor,
    organization: OrganizationId,
    place: Option<&ResourceKey>,
    now: Timestamp,
) -> Result<(), Error> {
    // First, so that whoever does not see it is answered as for one that is not there, whatever else they name.
    if !is_visible(&actor.at(None), now) {
        return Err(Error::not_found("organization", organization));
    }
    match place {
        Some(key) if !actor.knows(key) || !is_visible(&actor.at(place), now) => Err(Error::not_found("resource", key)),
        _ => Ok(()),
    }
}

/// Plans what a new membership will hold, under the ceiling over the whole result; `asked` is how the path of its
/// violations begins, as in `requests[3].`, and when it is asked.
///
/// # Errors
/// - As [`see`], [`Assignment::must_be_grantable`], [`may_give`] and [`plan_member`].
pub fn plan_joining(
    actor: &Actor,
    organization: OrganizationId,
    principal: Principal,
    assignments: &[Assignment],
    asked: (&str, Timestamp),
) -> Result<Plan, Error> {
    let (prefix, now) = asked;
    let path = |index: usize| format!("{prefix}assignments[{index}]");
    let mut violations = Violations::default();
    for (index, assignment) in assignments.iter().enumerate() {
        let is_known = violations.take(assignment.must_be_of_a_known_type(&actor.catalog, &path(index)))?.is_some();
        if let (Place::Resource(key), true) = (&assignment.place, is_known) {
            see(actor, organization, Some(key), now)?;
        }
    }
    violations.finish()?;
    let mut violations = Violations::default();
    for (index, assignment) in assignments.iter().enumerate() {
        violations.take(assignment.must_be_grantable(&actor.catalog, principal, &path(index), now))?;
    }
    violations.finish()?;

    for (index, assignment) in assignments.iter().enumerate() {
        let given = may_give(&actor.at(assignment.place.resource()), &assignment.held, principal, now);
        given.map_err(|refusal| refusal.with("delta", path(index)))?;
    }
    let plan = plan_member(&actor.catalog, principal, assignments)?;
    for (principal, assignment) in &plan.granted {
        may_give(&actor.at(assignment.place.resource()), &assignment.held, *principal, now)?;
    }
    Ok(plan)
}
