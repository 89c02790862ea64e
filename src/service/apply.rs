//! Carrying a plan of grants out: what there is before it, the rows and facts, and the bounds that a role sets on its
//! holders.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::seats::SeatsBefore;
use crate::domain::access::{Actor, is_visible};
use crate::domain::catalog::Catalog;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, Held, MemberState};
use crate::domain::grant::assignment::{Before, Plan, takes_along};
use crate::domain::grant::cardinality;
use crate::domain::group;
use crate::domain::id::{GroupId, MembershipId};
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::time::Timestamp;
use crate::store::{Grants, Principals, Tx};

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
    pub(super) async fn seen_by(self, tx: &Tx, actor: &Actor) -> Result<Self, Error> {
        Ok(Self { revoked: only_seen(tx, actor, self.revoked).await?, ..self })
    }
}

/// Leaves out of `grants`, which are gone, what was held where the caller does not see: they are not told (CM-13). Of
/// the places that `actor` was read before it is known that they are seen.
pub(super) async fn only_seen(tx: &Tx, actor: &Actor, mut grants: Vec<Grant>) -> Result<Vec<Grant>, Error> {
    let places = grants.iter().filter_map(|grant| grant.place.resource());
    let others: BTreeSet<ResourceKey> = places.filter(|key| !actor.knows(key)).cloned().collect();
    if others.is_empty() {
        return Ok(grants);
    }
    let others: Vec<ResourceKey> = others.into_iter().collect();
    // Read again: what went may be what the caller saw them by.
    let there = tx.reads().actor(actor.subject, &others, actor.now).await?;
    let is_seen = |key: &ResourceKey| actor.knows(key) || is_visible(&there.at(Some(key)), actor.now);
    grants.retain(|grant| grant.place.resource().is_none_or(is_seen));
    Ok(grants)
}

/// Principals as they stand before a plan, with all that they hold.
#[derive(Debug)]
pub(super) struct Affected {
    found: Principals,
    groups: Vec<(MembershipId, GroupId)>,
    /// What the principals hold, and the groups that a role could take them out of.
    pub held: Vec<Grant>,
    /// What of theirs has expired, and waits to be swept.
    lapsed: Vec<Grant>,
}

impl Affected {
    /// Reads principals of the locked organization.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for the first that is not there.
    pub async fn read(tx: &Tx, catalog: &Catalog, principals: &[Principal]) -> Result<Self, Error> {
        let found = tx.reads().principals(principals).await?;
        let groups = groups_to_leave(tx, catalog, principals).await?;
        let also = groups.iter().map(|(_, group)| Principal::Group(*group)).filter(|group| !principals.contains(group));
        let holders: Vec<Principal> = principals.iter().copied().chain(also).collect();
        let Grants { live: held, lapsed } = tx.reads().grants_of(&holders, tx.now()).await?;
        Ok(Self { found, groups, held, lapsed })
    }

    /// Reads the groups of some members, with what these hold, where no role could take them out: for acts that ask the
    /// ceiling of it.
    pub async fn add_groups(&mut self, tx: &Tx, members: &[MembershipId]) -> Result<(), Error> {
        self.groups = tx.reads().groups_of(members).await?;
        let groups: BTreeSet<Principal> = self.groups.iter().map(|(_, group)| Principal::Group(*group)).collect();
        self.held.retain(|grant| !groups.contains(&grant.principal));
        let groups: Vec<Principal> = groups.into_iter().collect();
        self.held.extend(tx.reads().grants_of(&groups, tx.now()).await?.live);
        Ok(())
    }

    /// Returns what a plan begins with.
    pub fn before(&self, now: Timestamp) -> Before<'_> {
        Before { grants: &self.held, groups: &self.groups, now }
    }

    /// Returns what has expired and must be swept for `plan` to be carried out: what stands under the key of a new
    /// grant, and of a group, so that no more rows are its than one commit takes away.
    fn in_the_way_of(&self, plan: &Plan) -> Vec<Grant> {
        let new: HashSet<(Principal, &Place, &Held)> =
            plan.granted.iter().map(|(to, given)| (*to, &given.place, &given.held)).collect();
        let is_under_a_key = |it: &&Grant| new.contains(&(it.principal, &it.place, &it.held));
        let (mut swept, mut others): (Vec<&Grant>, Vec<&Grant>) = self.lapsed.iter().partition(is_under_a_key);
        for (group, new) in groups_given(plan) {
            let rows = self.rows_after(plan, group, new) + others.iter().filter(|it| it.principal == group).count();
            let mut excess = rows.saturating_sub(group::GRANTS_MAX);
            swept.extend(others.extract_if(.., |it| {
                let is_out = it.principal == group && excess > 0;
                excess -= usize::from(is_out);
                is_out
            }));
        }
        swept.into_iter().cloned().collect()
    }

    /// Counts what a principal will hold that is given `new` grants.
    fn rows_after(&self, plan: &Plan, principal: Principal, new: usize) -> usize {
        let held = self.held.iter().filter(|grant| grant.principal == principal).count();
        held + new - plan.gone().filter(|grant| grant.principal == principal).count()
    }

    /// Returns the state of a membership; what is no membership is counted nowhere, whatever its state.
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
    let swept = affected.in_the_way_of(plan);
    must_be_within_bounds(plan, affected, swept.len(), field)?;
    let places = plan.granted.iter().filter_map(|(_, given)| given.place.resource().cloned()).map(Some).collect();
    let seats = SeatsBefore::count(tx, catalog, places).await?;
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
    tx.grants_delete(&swept).await?;
    tx.grants_insert(&granted).await?;
    let mut left: BTreeMap<GroupId, Vec<MembershipId>> = BTreeMap::new();
    for (group, member) in &plan.left {
        left.entry(*group).or_default().push(*member);
    }
    for (group, members) in left {
        tx.group_members_delete(group, &members).await?;
    }
    seats.must_suffice(tx, catalog).await?;
    Ok(Changed { granted, revoked, left: plan.left.clone() })
}

/// Returns which groups some members are in, if any role could take them out.
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

/// Ensures that one commit takes the plan with what is swept for it, and that no group holds more than it may.
fn must_be_within_bounds(plan: &Plan, affected: &Affected, swept: usize, field: &str) -> Result<(), Error> {
    if plan.gone().count() + plan.granted.len() + plan.left.len() + swept > CHANGES_MAX {
        let message = format!("come to more than {CHANGES_MAX} changes at once");
        return Err(Error::invalid(field, Reason::OutOfRange, message));
    }
    for (principal, new) in groups_given(plan) {
        let Principal::Group(group) = principal else { continue };
        let kept = affected.rows_after(plan, principal, new) - new;
        group::must_have_room(group, kept, new, group::GRANTS_MAX)?;
    }
    Ok(())
}

/// Returns the groups that a plan gives something, each with how much.
fn groups_given(plan: &Plan) -> BTreeMap<Principal, usize> {
    let mut given = BTreeMap::new();
    for (to, _) in plan.granted.iter().filter(|(to, _)| matches!(to, Principal::Group(_))) {
        *given.entry(*to).or_default() += 1;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::assignment::Assignment;
    use crate::domain::id::GrantId;

    fn listed(number: usize, expires_at: Option<Timestamp>) -> Assignment {
        let place = Place::Resource(ResourceKey { kind: "crate".into(), id: number.to_string().into() });
        Assignment { place, held: Held::AsMember, expires_at }
    }

    /// A group with so many grants that it holds, and after these so many that have expired.
    fn group_with(live: usize, lapsed: usize) -> (Principal, Affected) {
        let team = Principal::Group(GroupId(uuid::Uuid::from_u128(7)));
        let grant = |number: usize, expires_at| {
            let id = GrantId(uuid::Uuid::from_u128(number as u128));
            listed(number, expires_at).to_grant(id, team, GrantSource::Manual)
        };
        let past = Some(Timestamp::from_micros(0));
        let affected = Affected {
            found: Principals::default(),
            groups: Vec::new(),
            held: (0..live).map(|number| grant(number, None)).collect(),
            lapsed: (live..live + lapsed).map(|number| grant(number, past)).collect(),
        };
        (team, affected)
    }

    fn giving(to: Principal, numbers: impl Iterator<Item = usize>) -> Plan {
        Plan { granted: numbers.map(|number| (to, listed(number, None))).collect(), ..Plan::default() }
    }

    #[test]
    fn what_a_group_held_once_takes_no_room_in_it() {
        let (team, affected) = group_with(1_000, 3_000);
        let plan = giving(team, 4_000..4_010);
        let swept = affected.in_the_way_of(&plan);
        assert_eq!(swept, affected.lapsed[..10], "as many as come, so that it has no more rows than before");
        assert!(must_be_within_bounds(&plan, &affected, swept.len(), "deltas").is_ok());

        let (team, affected) = group_with(group::GRANTS_MAX, 5);
        let one_more = giving(team, 9_000..9_001);
        let refused = must_be_within_bounds(&one_more, &affected, 0, "deltas");
        assert_eq!(refused.unwrap_err().reason, Reason::GroupFull);
    }

    #[test]
    fn what_is_given_anew_takes_the_place_of_what_has_expired_and_nothing_else_goes() {
        let (team, affected) = group_with(10, 20);
        assert_eq!(affected.in_the_way_of(&giving(team, 12..13)), affected.lapsed[2..3]);
        assert_eq!(affected.in_the_way_of(&giving(team, 40..41)), []);
    }
}
