//! What a new membership comes with: seen, assignable, and under the ceiling over the whole result.

use super::ceiling::may_give;
use super::facts::Actor;
use crate::domain::error::{Error, Violations};
use crate::domain::grant::assignment::{Assignment, Plan, plan_member};
use crate::domain::place::{Place, Principal};

/// Plans what a new membership will hold, under the ceiling over the whole result; `prefix` is how the path of its
/// violations begins, as in `requests[3].`.
///
/// # Errors
/// - As [`Actor::must_see`], [`Assignment::must_be_grantable`], [`may_give`] and [`plan_member`].
pub fn plan_joining(
    actor: &Actor,
    principal: Principal,
    assignments: &[Assignment],
    prefix: &str,
) -> Result<Plan, Error> {
    let now = actor.now;
    let path = |index: usize| format!("{prefix}assignments[{index}]");
    let mut violations = Violations::default();
    for (index, assignment) in assignments.iter().enumerate() {
        let is_known = violations.take(assignment.must_be_of_a_known_type(&actor.catalog, &path(index)))?.is_some();
        if let (Place::Resource(key), true) = (&assignment.place, is_known) {
            actor.must_see(Some(key))?;
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
