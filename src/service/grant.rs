//! Granting and revoking: one atomic batch of deltas, under the ceiling over the whole result.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::context::see;
use super::{Context, Services, Written};
use crate::domain::access::{Actor, may_give, may_take, may_touch};
use crate::domain::assignment::{Act, Delta, Plan, plan};
use crate::domain::cardinality;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, MemberState};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::time::Timestamp;
use crate::store::{Lock, Tx};

/// Most grants that one call makes or removes, what a role takes along included.
const CHANGES_MAX: usize = 10_000;

/// Asks for grants to change.
#[derive(Clone, Debug)]
pub struct ChangeGrants {
    /// Whose.
    pub organization: OrganizationId,
    /// Applied in order, all or none.
    pub deltas: Vec<Delta>,
}

/// What changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Changed {
    /// Grants that are new.
    pub granted: Vec<Grant>,
    /// Grants that are gone: revoked, replaced in an exclusive set, or taken along by a role that was left.
    pub revoked: Vec<Grant>,
}

impl Services {
    /// Grants and revokes, all at one revision.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::RoleNotTakeable`].
    /// - [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`], under `deltas[i]`.
    /// - [`Reason::SelfRemoval`], [`Reason::RoleCardinality`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`].
    pub async fn change_grants(
        self: &Arc<Self>,
        context: &Context,
        request: ChangeGrants,
    ) -> Result<Written<Changed>, Error> {
        let organization = request.organization;
        let actor = self.store.reads().actor(organization, context.subject()?, &places(&request.deltas)).await?;
        see_places(&actor, organization, &request.deltas, self.world.now())?;
        may_change(&actor, &request.deltas, self.world.now())?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| change(tx, call.clone(), request.clone())).await
    }
}

async fn change(mut tx: Tx, context: Context, request: ChangeGrants) -> Result<(Tx, Changed), Error> {
    let ChangeGrants { organization, deltas } = request;
    let now = tx.now();
    let actor = tx.reads().actor(organization, context.subject()?, &places(&deltas)).await?;
    see_places(&actor, organization, &deltas, now)?;
    may_change(&actor, &deltas, now)?;
    let states = see_principals(&tx, organization, &deltas).await?;
    must_be_assignable(&actor, &deltas, now)?;
    may_apply(&actor, &deltas, now)?;

    let principals: Vec<Principal> = states.iter().map(|(principal, _)| *principal).collect();
    let held = tx.reads().grants_of(organization, &principals).await?;
    let plan = plan(&actor.catalog, &held, &deltas)?;
    if plan.gone().count() + plan.granted.len() > CHANGES_MAX {
        let message = format!("come to more than {CHANGES_MAX} changes at once");
        return Err(Error::invalid("deltas", Reason::OutOfRange, message));
    }
    must_be_under_the_ceiling(&actor, &plan, now)?;

    let before = tx.counters().clone();
    let state_of = |principal| {
        let found = states.iter().find(|(other, _)| *other == principal);
        found.and_then(|(_, state)| *state).unwrap_or(MemberState::Disabled)
    };
    let mut changed = Changed::default();
    for grant in plan.gone() {
        tx.grant_delete(grant).await?;
        tx.counters().count(&actor.catalog, grant, state_of(grant.principal), -1);
        changed.revoked.push(grant.clone());
    }
    for (principal, assignment) in &plan.granted {
        let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Manual);
        tx.grant_insert(&grant).await?;
        tx.counters().count(&actor.catalog, &grant, state_of(*principal), 1);
        changed.granted.push(grant);
    }
    cardinality::judge(&actor.catalog, &before, tx.counters())?;
    Ok((tx, changed))
}

/// Asks that every place exists in the caller's eyes.
fn see_places(actor: &Actor, organization: OrganizationId, deltas: &[Delta], now: Timestamp) -> Result<(), Error> {
    see(actor, organization, None, now)?;
    deltas
        .iter()
        .filter_map(|delta| delta.assignment.place.resource())
        .try_for_each(|key| see(actor, organization, Some(key), now))
}

/// Asks that the caller may assign, or share, at every place, before anything is told of the principals there.
fn may_change(actor: &Actor, deltas: &[Delta], now: Timestamp) -> Result<(), Error> {
    for (index, delta) in deltas.iter().enumerate() {
        let place = actor.at(delta.assignment.place.resource());
        may_touch(&place, &delta.assignment.held, now).map_err(|error| error.under(&format!("deltas[{index}].")))?;
    }
    Ok(())
}

/// Finds every principal in the organization; memberships with their state.
async fn see_principals(
    tx: &Tx,
    organization: OrganizationId,
    deltas: &[Delta],
) -> Result<Vec<(Principal, Option<MemberState>)>, Error> {
    let mut found: Vec<(Principal, Option<MemberState>)> = Vec::new();
    for delta in deltas {
        if found.iter().any(|(principal, _)| *principal == delta.principal) {
            continue;
        }
        let state = match delta.principal {
            Principal::Membership(id) => Some(member_state(tx, organization, id).await?),
            Principal::ServiceAccount(id) => {
                let account = tx.reads().service_account(organization, id).await?;
                account.ok_or_else(|| Error::not_found("service_account", id))?;
                None
            }
            Principal::Group(_) | Principal::Everyone | Principal::User(_) => {
                return Err(Error::internal("such principals are not granted to yet"));
            }
        };
        found.push((delta.principal, state));
    }
    Ok(found)
}

async fn member_state(tx: &Tx, organization: OrganizationId, id: MembershipId) -> Result<MemberState, Error> {
    let member = tx.reads().membership(organization, id).await?;
    Ok(member.ok_or_else(|| Error::not_found("member", id))?.state)
}

fn must_be_assignable(actor: &Actor, deltas: &[Delta], now: Timestamp) -> Result<(), Error> {
    let mut violations = Violations::default();
    for (index, delta) in deltas.iter().enumerate() {
        let field = format!("deltas[{index}]");
        if delta.act == Act::Grant && delta.assignment.expires_at.is_some_and(|expires_at| expires_at <= now) {
            violations.add(format!("{field}.grant.expire_time"), Reason::OutOfRange, "must be in the future");
        }
        violations.take(delta.assignment.must_be_assignable(&actor.catalog, delta.principal, &field))?;
    }
    violations.finish()
}

/// Asks the ceiling of each delta by itself, so that who may not is told so before what cannot be.
fn may_apply(actor: &Actor, deltas: &[Delta], now: Timestamp) -> Result<(), Error> {
    for Delta { principal, assignment, act } in deltas {
        let place = actor.at(assignment.place.resource());
        match act {
            Act::Grant => may_give(&place, &assignment.held, *principal, now)?,
            Act::Revoke => may_take(&place, &assignment.held, now)?,
        }
    }
    Ok(())
}

/// Asks the ceiling of everything that is given and taken, replaced roles and default roles included.
fn must_be_under_the_ceiling(actor: &Actor, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    for (principal, assignment) in &plan.granted {
        may_give(&actor.at(assignment.place.resource()), &assignment.held, *principal, now)?;
    }
    for grant in &plan.revoked {
        may_take(&actor.at(grant.place.resource()), &grant.held, now)?;
    }
    for grant in plan.gone() {
        if actor.standing.is_among(grant.principal) {
            return Err(Error::new(Reason::SelfRemoval, "nobody takes from themselves"));
        }
    }
    Ok(())
}

fn places(deltas: &[Delta]) -> Vec<ResourceKey> {
    let mut places: Vec<ResourceKey> =
        deltas.iter().filter_map(|delta| delta.assignment.place.resource().cloned()).collect();
    places.sort();
    places.dedup();
    places
}
