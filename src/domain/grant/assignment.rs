//! Granting and revoking: what can be held where, and what a batch of deltas comes to.

use std::sync::Arc;

use crate::domain::catalog::{Catalog, OnLeave, Role, RoleId};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, Held};
use crate::domain::id::{GrantId, GroupId, MembershipId};
use crate::domain::place::{Place, Principal};
use crate::domain::time::{Timestamp, must_be_ahead};

/// Something to hold: what, where, and until when.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Assignment {
    /// The organization or one of its resources.
    pub place: Place,
    /// A role, or a list entry.
    pub held: Held,
    /// From then on it counts no more.
    pub expires_at: Option<Timestamp>,
}

/// One thing to grant or to revoke.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delta {
    /// Who gets or loses it.
    pub principal: Principal,
    /// What, and where.
    pub assignment: Assignment,
    /// Which of the two.
    pub act: Act,
}

/// To grant or to revoke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// To be held from now on.
    Grant,
    /// To be held no more.
    Revoke,
}

/// What a batch comes to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// What is new.
    pub granted: Vec<(Principal, Assignment)>,
    /// What is gone because a delta says so, or because a role of the same exclusive set takes its place.
    pub revoked: Vec<Grant>,
    /// What is gone because a role was left that takes direct grants on resources along.
    pub cleared: Vec<Grant>,
    /// Who is in a group no more, because a role was left that takes along what the group holds on resources.
    pub left: Vec<(GroupId, MembershipId)>,
}

/// What a batch is planned over.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// Everything that the principals of the batch hold in the organization, and the groups in `groups`. What has
    /// expired by
    /// `now` is not held, whether or not it stands here.
    pub grants: &'a [Grant],
    /// Which groups the memberships of the batch are in; asked only where [`takes_along`] says so.
    pub groups: &'a [(MembershipId, GroupId)],
    /// When the batch is planned.
    pub now: Timestamp,
}

/// Returns whether some role of the catalog takes things along when it is left.
#[must_use]
pub fn takes_along(catalog: &Catalog) -> bool {
    catalog.roles().any(|(_, role)| role.on_leave == OnLeave::Clear)
}

impl Assignment {
    /// Ensures that the resource is of a type that the catalog declares, so that a misspelt one is told from a resource
    /// that is not there; `field` names the request field in the violation.
    ///
    /// # Errors
    /// - [`Reason::ResourceTypeUnknown`].
    pub fn must_be_of_a_known_type(&self, catalog: &Catalog, field: &str) -> Result<(), Error> {
        match self.place.resource() {
            Some(key) if catalog.resource_type(&key.kind).is_none() => {
                let message = "is of a type that the catalog does not declare";
                Err(Error::invalid(field, Reason::ResourceTypeUnknown, message))
            }
            _ => Ok(()),
        }
    }

    /// Ensures that a principal can hold this at all; `field` names the request field in the violation.
    ///
    /// # Errors
    /// - [`Reason::RoleUnknown`] if the catalog declares no such role.
    /// - [`Reason::RoleNotAssignable`] if it is held at other places, by others, or never with an expiry; or if the
    ///   resource's type has no list.
    pub fn must_be_assignable(&self, catalog: &Catalog, principal: Principal, field: &str) -> Result<(), Error> {
        let refuse = |message: &str| Err(Error::invalid(field, Reason::RoleNotAssignable, message));
        self.must_be_of_a_known_type(catalog, field)?;
        let kind = self.place.resource().and_then(|key| catalog.resource_type(&key.kind));
        match (&self.held, kind) {
            (Held::AsMember, Some((_, kind))) if !kind.has_list => refuse("names a place that has no list"),
            (Held::AsMember, None) => refuse("names a place that has no list"),
            (Held::AsMember, Some(_)) if principal == Principal::Everyone && !catalog.features().groups => {
                refuse("puts everyone on a list, where the catalog has no groups")
            }
            (Held::AsMember, Some(_)) => Ok(()),
            (Held::Role(name), kind) => {
                let Some(id) = catalog.role_id(name) else {
                    return Err(Error::invalid(field, Reason::RoleUnknown, "names no role of the catalog"));
                };
                let role = catalog.role(id);
                let is_at = match kind {
                    Some((id, _)) => role.at.types.contains(&id),
                    None => role.at.organization,
                };
                if !is_at {
                    refuse("names a role that is not held at such a place")
                } else if !role.to.has(principal) {
                    refuse("names a role that is not held by such a principal")
                } else if self.expires_at.is_some() && role.is_bound_to_membership() {
                    refuse("names a role that never expires")
                } else {
                    Ok(())
                }
            }
        }
    }
}

impl Assignment {
    /// Ensures that a principal can be given this `now`: it is assignable, and its end, if it has one, is still to
    /// come.
    ///
    /// # Errors
    /// As [`Assignment::must_be_assignable`]; [`Reason::OutOfRange`] under `{field}.expire_time`.
    pub fn must_be_grantable(
        &self,
        catalog: &Catalog,
        principal: Principal,
        field: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut violations = Violations::default();
        violations.take(self.must_be_assignable(catalog, principal, field))?;
        violations.take(must_be_ahead(&format!("{field}.expire_time"), self.expires_at, now))?;
        violations.finish()
    }
}

impl Held {
    /// Ensures that it is shared by T.share on a resource of the type `kind`: a list entry, or a role that the type
    /// lists under `shares`.
    ///
    /// # Errors
    /// - [`Reason::RoleUnknown`], [`Reason::RoleNotShareable`].
    pub fn must_be_shared(&self, catalog: &Catalog, kind: &str) -> Result<(), Error> {
        let Self::Role(name) = self else { return Ok(()) };
        let Some(role) = catalog.role_id(name) else {
            return Err(Error::invalid("role", Reason::RoleUnknown, "names no role of the catalog"));
        };
        if catalog.resource_type(kind).is_some_and(|(_, kind)| kind.shares.contains(&role)) {
            return Ok(());
        }
        Err(Error::invalid("role", Reason::RoleNotShareable, "names a role that is not shared on such a resource"))
    }
}

/// Plans a batch over what there is before it.
///
/// Deltas apply in order. A role of an exclusive set replaces the others of its set at the same place; one that is
/// given with an expiry stands beside them. A membership that is left without a role at the organization gets the
/// catalog's default role. Leaving a role that clears takes along direct grants on resources, and the membership of
/// every group that holds something on one (CE-29).
///
/// # Errors
/// - [`Reason::RoleTransferOnly`] for a role that changes hands by a transfer only.
/// - [`Reason::RoleRequired`] if a role would be held without one that it needs, or none of a set of which one must be.
pub fn plan(catalog: &Catalog, before: Before<'_>, deltas: &[Delta]) -> Result<Plan, Error> {
    let mut planner = Planner::new(catalog, before);
    for delta in deltas {
        if let Some(role) = planner.role_of(&delta.assignment.held)
            && role.is_transfer_only
        {
            let refusal = Error::new(Reason::RoleTransferOnly, "the role is given by a transfer only");
            let refusal = refusal.about("role", &role.name).with("principal", delta.principal);
            return Err(refusal.with("role", &role.name).with("place", &delta.assignment.place));
        }
        match delta.act {
            Act::Grant => planner.grant(delta.principal, &delta.assignment),
            Act::Revoke => planner.revoke(delta.principal, &delta.assignment),
        }
    }
    planner.finish(deltas.iter().map(|delta| delta.principal))
}

/// Plans what a new membership comes with, or the default role if nothing is named.
///
/// # Errors
/// As [`plan`].
pub fn plan_member(catalog: &Catalog, principal: Principal, assignments: &[Assignment]) -> Result<Plan, Error> {
    let delta = |assignment: &Assignment| Delta { principal, assignment: assignment.clone(), act: Act::Grant };
    let deltas: Vec<Delta> = assignments.iter().map(delta).collect();
    plan_new(catalog, principal, &deltas)
}

/// Plans for somebody who holds nothing yet.
fn plan_new(catalog: &Catalog, principal: Principal, deltas: &[Delta]) -> Result<Plan, Error> {
    if !deltas.is_empty() {
        return plan(catalog, Before::NOTHING, deltas);
    }
    Planner::new(catalog, Before::NOTHING).finish(std::iter::once(principal))
}

/// Plans what a founder comes with.
///
/// # Errors
/// - [`Reason::RoleRequired`] as in [`plan`]; transfer-only roles are the founder's to begin with.
pub fn plan_founder(catalog: &Catalog, principal: Principal) -> Result<Plan, Error> {
    let mut planner = Planner::new(catalog, Before::NOTHING);
    for role in catalog.founder_roles() {
        let held = Held::Role(Arc::clone(&catalog.role(*role).name));
        planner.grant(principal, &Assignment { place: Place::Organization, held, expires_at: None });
    }
    planner.finish(std::iter::once(principal))
}

/// Plans that `role`, which changes hands by a transfer only, goes from `giver` to `taker`, over everything that both
/// hold.
///
/// Whoever gets it gets what it requires first. What the old holder holds beside it stays theirs, but for what leaving
/// it takes along (CE-31, CE-32, CE-34).
///
/// # Errors
/// - [`Reason::RoleRequired`] as in [`plan`].
pub fn plan_transfer(
    catalog: &Catalog,
    before: Before<'_>,
    role: &Role,
    giver: Option<Principal>,
    taker: Principal,
) -> Result<Plan, Error> {
    let mut planner = Planner::new(catalog, before);
    let at_organization = |name: &Arc<str>| Assignment {
        place: Place::Organization,
        held: Held::Role(Arc::clone(name)),
        expires_at: None,
    };
    if let Some(giver) = giver {
        planner.revoke(giver, &at_organization(&role.name));
    }
    for required in &role.requires {
        planner.grant(taker, &at_organization(&catalog.role(*required).name));
    }
    planner.grant(taker, &at_organization(&role.name));
    planner.finish(giver.into_iter().chain([taker]))
}

/// One thing held while a batch is planned; what was there before has its grant.
#[derive(Clone)]
struct Holding {
    principal: Principal,
    assignment: Assignment,
    grant: Option<Grant>,
}

struct Planner<'a> {
    catalog: &'a Catalog,
    holdings: Vec<Holding>,
    groups: Vec<(MembershipId, GroupId)>,
    plan: Plan,
}

impl Before<'_> {
    /// Nothing is held, so there is nothing that could have expired.
    const NOTHING: Self = Self { grants: &[], groups: &[], now: Timestamp::from_micros(0) };
}

impl<'a> Planner<'a> {
    fn new(catalog: &'a Catalog, before: Before<'_>) -> Self {
        let held = before.grants.iter().filter(|grant| !grant.is_expired(before.now));
        let holdings = held.map(|grant| Holding {
            principal: grant.principal,
            assignment: Assignment {
                place: grant.place.clone(),
                held: grant.held.clone(),
                expires_at: grant.expires_at,
            },
            grant: Some(grant.clone()),
        });
        Self { catalog, holdings: holdings.collect(), groups: before.groups.to_vec(), plan: Plan::default() }
    }

    fn role_of(&self, held: &Held) -> Option<&'a Role> {
        match held {
            Held::Role(name) => self.catalog.role_id(name).map(|id| self.catalog.role(id)),
            Held::AsMember => None,
        }
    }

    fn grant(&mut self, principal: Principal, assignment: &Assignment) {
        let same = |holding: &Holding| {
            holding.principal == principal
                && holding.assignment.place == assignment.place
                && holding.assignment.held == assignment.held
        };
        if self.holdings.iter().any(|holding| same(holding) && holding.assignment == *assignment) {
            return;
        }
        // Another expiry: the one before goes.
        self.take_out(same, |plan| &mut plan.revoked);

        if assignment.expires_at.is_none()
            && let Some(set) = self.role_of(&assignment.held).and_then(|role| role.set)
        {
            let replaced: Vec<RoleId> = self.catalog.set(set).roles.clone();
            self.leave(principal, &assignment.place, &replaced);
        }
        self.holdings.push(Holding { principal, assignment: assignment.clone(), grant: None });
    }

    fn revoke(&mut self, principal: Principal, assignment: &Assignment) {
        match &assignment.held {
            Held::Role(name) => {
                if let Some(id) = self.catalog.role_id(name) {
                    self.leave(principal, &assignment.place, &[id]);
                }
            }
            Held::AsMember => self.take_out(
                |holding| {
                    holding.principal == principal
                        && holding.assignment.place == assignment.place
                        && holding.assignment.held == Held::AsMember
                },
                |plan| &mut plan.revoked,
            ),
        }
    }

    /// Takes `roles` at `place` from a principal, and what leaving them takes along.
    fn leave(&mut self, principal: Principal, place: &Place, roles: &[RoleId]) {
        let catalog = self.catalog;
        let is_left = |holding: &Holding| {
            holding.principal == principal
                && holding.assignment.place == *place
                && matches!(&holding.assignment.held, Held::Role(name)
                    if catalog.role_id(name).is_some_and(|id| roles.contains(&id)))
        };
        let clears =
            self.holdings.iter().filter(|holding| is_left(holding)).any(|holding| {
                self.role_of(&holding.assignment.held).is_some_and(|role| role.on_leave == OnLeave::Clear)
            });
        self.take_out(is_left, |plan| &mut plan.revoked);
        if clears {
            self.take_out(
                |holding| holding.principal == principal && matches!(holding.assignment.place, Place::Resource(_)),
                |plan| &mut plan.cleared,
            );
            self.leave_groups(principal);
        }
    }

    /// Takes a membership out of every group that holds something on a resource.
    fn leave_groups(&mut self, principal: Principal) {
        let Principal::Membership(member) = principal else { return };
        let holdings = &self.holdings;
        let brings_one = |group: GroupId| {
            holdings.iter().any(|holding| {
                holding.principal == Principal::Group(group) && matches!(holding.assignment.place, Place::Resource(_))
            })
        };
        let left = |(who, group): &mut (MembershipId, GroupId)| *who == member && brings_one(*group);
        let left: Vec<_> = self.groups.extract_if(.., left).collect();
        self.plan.left.extend(left.into_iter().map(|(member, group)| (group, member)));
    }

    /// Removes holdings; those that were there before go into the list that `into` picks.
    fn take_out(&mut self, is_out: impl Fn(&Holding) -> bool, into: fn(&mut Plan) -> &mut Vec<Grant>) {
        let (out, kept) = std::mem::take(&mut self.holdings).into_iter().partition::<Vec<_>, _>(is_out);
        self.holdings = kept;
        into(&mut self.plan).extend(out.into_iter().filter_map(|holding| holding.grant));
    }

    fn finish(mut self, principals: impl Iterator<Item = Principal>) -> Result<Plan, Error> {
        for principal in principals {
            self.add_default_role(principal);
            self.must_hold_required_sets(principal)?;
        }
        for holding in &self.holdings {
            let Some(role) = self.role_of(&holding.assignment.held) else { continue };
            for required in &role.requires {
                let required = &self.catalog.role(*required).name;
                let needed = Held::Role(Arc::clone(required));
                let is_there = self.holdings.iter().any(|other| {
                    other.principal == holding.principal
                        && other.assignment.place == holding.assignment.place
                        && other.assignment.held == needed
                });
                // What lapsed by itself is nobody's doing: it stands in the way of no other change.
                let is_of_this_batch = holding.grant.is_none()
                    || self.plan.gone().any(|gone| {
                        gone.principal == holding.principal
                            && gone.place == holding.assignment.place
                            && gone.held == needed
                    });
                if !is_there && is_of_this_batch {
                    let message = format!("the role {} needs the role {required} beside it", role.name);
                    let refusal = Error::new(Reason::RoleRequired, message).about("role", &role.name);
                    let refusal = refusal.with("principal", holding.principal).with("role", &role.name);
                    return Err(refusal.with("place", &holding.assignment.place));
                }
            }
        }
        let new = self.holdings.into_iter().filter(|holding| holding.grant.is_none());
        self.plan.granted = new.map(|holding| (holding.principal, holding.assignment)).collect();
        Ok(self.plan)
    }

    /// Ensures that a membership holds one role of every set that says so (CV-09).
    fn must_hold_required_sets(&self, principal: Principal) -> Result<(), Error> {
        if !matches!(principal, Principal::Membership(_)) {
            return Ok(());
        }
        for set in self.catalog.sets().filter(|set| set.is_required) {
            let is_of_set = |holding: &Holding| {
                holding.principal == principal
                    && holding.assignment.place == Place::Organization
                    && matches!(&holding.assignment.held, Held::Role(name)
                        if self.catalog.role_id(name).is_some_and(|id| set.roles.contains(&id)))
            };
            if !self.holdings.iter().any(is_of_set) {
                let message = format!("a role of the set {} must be held", set.name);
                let refusal = Error::new(Reason::RoleRequired, message).about("set", &set.name);
                return Err(refusal.with("principal", principal).with("place", Place::Organization));
            }
        }
        Ok(())
    }

    fn add_default_role(&mut self, principal: Principal) {
        let Some(role) = self.catalog.default_role() else { return };
        if !matches!(principal, Principal::Membership(_)) {
            return;
        }
        let holds_a_role = self.holdings.iter().any(|holding| {
            holding.principal == principal
                && holding.assignment.place == Place::Organization
                && matches!(holding.assignment.held, Held::Role(_))
        });
        if !holds_a_role {
            let held = Held::Role(Arc::clone(&self.catalog.role(role).name));
            self.grant(principal, &Assignment { place: Place::Organization, held, expires_at: None });
        }
    }
}

impl Plan {
    /// Returns everything that goes.
    pub fn gone(&self) -> impl Iterator<Item = &Grant> {
        self.revoked.iter().chain(&self.cleared)
    }

    /// Names the roles that are new at the organization, in alphabetical order.
    #[must_use]
    pub fn role_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .granted
            .iter()
            .filter(|(_, assignment)| assignment.place == Place::Organization)
            .filter_map(|(_, assignment)| match &assignment.held {
                Held::Role(name) => Some(name.to_string()),
                Held::AsMember => None,
            })
            .collect();
        names.sort();
        names
    }

    /// Returns whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty() && self.gone().next().is_none() && self.left.is_empty()
    }
}

impl Assignment {
    /// Makes the grant of this to `principal`.
    #[must_use]
    pub fn to_grant(&self, id: GrantId, principal: Principal, source: GrantSource) -> Grant {
        let Self { place, held, expires_at } = self.clone();
        Grant { id, principal, place, held, expires_at, source }
    }
}

#[cfg(test)]
mod tests;
