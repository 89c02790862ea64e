//! Carrying a plan of grants out: what there is before it, the rows and facts, and the bounds that a role sets on its
//! holders.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Context;
use super::seats::SeatsBefore;
use crate::domain::access::{Actor, is_visible};
use crate::domain::assignment::{Before, Plan, takes_along};
use crate::domain::catalog::Catalog;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, MemberState};
use crate::domain::id::{GroupId, MembershipId, OrganizationId};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::time::Timestamp;
use crate::domain::{cardinality, group};
use crate::store::{Principals, Tx};

/// Most grants that one call makes or removes, what a role takes along included.
const CHANGES_MAX: usize = 10_000;

/// What changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Changed {
    /// Grants that are new.
    pub granted: Vec<Grant>,
    /// Grants that are gone: revoked, replaced in an exclusive set, or taken along by a role that was left.
    pub revoked: Vec<Grant>,
    /// Who is in a group no more: taken along by a role that was left.
    #[serde(default)]
    pub left: Vec<(GroupId, MembershipId)>,
}

impl Changed {
    /// Leaves out what a role took along that was held where the caller does not see; as [`only_seen`].
    ///
    /// # Errors
    /// Only what the database says.
    pub(super) async fn told_to_caller(
        self,
        tx: &Tx,
        context: &Context,
        organization: OrganizationId,
        actor: &Actor,
    ) -> Result<Self, Error> {
        Ok(Self { revoked: only_seen(tx, context, organization, actor, self.revoked).await?, ..self })
    }
}

/// Leaves out of `grants`, which are gone, what was held where the caller does not see: they are not told (CM-13). Of the
/// places that `actor` was read before it is known that they are seen.
///
/// # Errors
/// Only what the database says.
pub(super) async fn only_seen(
    tx: &Tx,
    context: &Context,
    organization: OrganizationId,
    actor: &Actor,
    mut grants: Vec<Grant>,
) -> Result<Vec<Grant>, Error> {
    let places = grants.iter().filter_map(|grant| grant.place.resource());
    let others: BTreeSet<ResourceKey> = places.filter(|key| !actor.knows(key)).cloned().collect();
    if others.is_empty() {
        return Ok(grants);
    }
    let others: Vec<ResourceKey> = others.into_iter().collect();
    let there = tx.reads().actor(organization, context.subject()?, &others).await?;
    let is_seen = |key: &ResourceKey| actor.knows(key) || is_visible(&there.at(Some(key)), tx.now());
    grants.retain(|grant| grant.place.resource().is_none_or(is_seen));
    Ok(grants)
}

/// Principals as they stand before a plan, with all that they hold.
#[derive(Debug)]
pub(super) struct Affected {
    organization: OrganizationId,
    found: Principals,
    groups: Vec<(MembershipId, GroupId)>,
    /// What the principals hold, and the groups that a role could take them out of.
    pub held: Vec<Grant>,
}

impl Affected {
    /// Reads principals of the locked organization.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for the first that is not there.
    pub async fn read(
        tx: &Tx,
        organization: OrganizationId,
        catalog: &Catalog,
        principals: &[Principal],
    ) -> Result<Self, Error> {
        let found = tx.reads().principals(organization, principals).await?;
        let groups = groups_to_leave(tx, catalog, principals).await?;
        let also = groups.iter().map(|(_, group)| Principal::Group(*group)).filter(|group| !principals.contains(group));
        let holders: Vec<Principal> = principals.iter().copied().chain(also).collect();
        let held = tx.reads().grants_of(organization, &holders).await?;
        Ok(Self { organization, found, groups, held })
    }

    /// Reads the groups of some members, with what these hold, where no role could take them out: for acts that ask the
    /// ceiling of it.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn add_groups(&mut self, tx: &Tx, members: &[MembershipId]) -> Result<(), Error> {
        self.groups = tx.reads().groups_of(members).await?;
        let groups: BTreeSet<Principal> = self.groups.iter().map(|(_, group)| Principal::Group(*group)).collect();
        self.held.retain(|grant| !groups.contains(&grant.principal));
        let groups: Vec<Principal> = groups.into_iter().collect();
        self.held.extend(tx.reads().grants_of(self.organization, &groups).await?);
        Ok(())
    }

    /// Gives what a plan begins with.
    pub fn before(&self, now: Timestamp) -> Before<'_> {
        Before { grants: &self.held, groups: &self.groups, now }
    }

    /// Gives the state of a membership; what is no membership is counted nowhere, whatever its state.
    fn state_of(&self, principal: Principal) -> MemberState {
        self.found.state_of(principal).unwrap_or(MemberState::Disabled)
    }
}

/// Carries `plan` out, and asks that every role stays within its bounds. `field` is the request field that asks for it.
///
/// # Errors
/// - [`Reason::OutOfRange`] above 10,000 changes; [`Reason::GroupFull`]; [`Reason::RoleCardinality`];
///   [`Reason::SeatsExhausted`].
pub(super) async fn apply(
    tx: &mut Tx,
    catalog: &Catalog,
    plan: &Plan,
    affected: &Affected,
    source: GrantSource,
    field: &str,
) -> Result<Changed, Error> {
    must_be_within_bounds(plan, &affected.held, field)?;
    let places = plan.granted.iter().filter_map(|(_, given)| given.place.resource().cloned()).map(Some).collect();
    let seats = SeatsBefore::count(tx, catalog, affected.organization, places).await?;
    let before = tx.counters().clone();
    let revoked: Vec<Grant> = plan.gone().cloned().collect();
    for grant in &revoked {
        tx.counters().count(catalog, grant, affected.state_of(grant.principal), -1);
    }
    let new = plan.granted.iter().map(|(to, assignment)| assignment.to_grant(tx.id(), *to, source));
    let granted: Vec<Grant> = new.collect();
    for grant in &granted {
        tx.counters().count(catalog, grant, affected.state_of(grant.principal), 1);
    }
    cardinality::judge(catalog, &before, tx.counters())?;
    tx.grants_delete(&revoked).await?;
    tx.grants_insert(&granted).await?;
    let mut left: BTreeMap<GroupId, Vec<MembershipId>> = BTreeMap::new();
    for (group, member) in &plan.left {
        left.entry(*group).or_default().push(*member);
    }
    for (group, members) in left {
        tx.group_members_delete(group, &members).await?;
    }
    seats.must_suffice(tx, catalog, affected.organization).await?;
    Ok(Changed { granted, revoked, left: plan.left.clone() })
}

/// Tells which groups some members are in, if any role could take them out.
async fn groups_to_leave(
    tx: &Tx,
    catalog: &Catalog,
    principals: &[Principal],
) -> Result<Vec<(MembershipId, GroupId)>, Error> {
    if !takes_along(catalog) {
        return Ok(Vec::new());
    }
    let members = principals.iter().filter_map(|principal| match principal {
        Principal::Membership(id) => Some(*id),
        Principal::Group(_) | Principal::Everyone | Principal::ServiceAccount(_) | Principal::User(_) => None,
    });
    tx.reads().groups_of(&members.collect::<Vec<_>>()).await
}

/// Asks that one commit takes the plan, and that no group holds more than it may.
fn must_be_within_bounds(plan: &Plan, held: &[Grant], field: &str) -> Result<(), Error> {
    if plan.gone().count() + plan.granted.len() + plan.left.len() > CHANGES_MAX {
        let message = format!("come to more than {CHANGES_MAX} changes at once");
        return Err(Error::invalid(field, Reason::OutOfRange, message));
    }
    let given: BTreeSet<Principal> = plan.granted.iter().map(|(principal, _)| *principal).collect();
    for principal in given {
        let Principal::Group(group) = principal else { continue };
        let new = plan.granted.iter().filter(|(to, _)| *to == principal).count();
        let gone = plan.gone().filter(|grant| grant.principal == principal).count();
        let count = held.iter().filter(|grant| grant.principal == principal).count();
        group::must_have_room(group, count - gone, new, group::GRANTS_MAX)?;
    }
    Ok(())
}
