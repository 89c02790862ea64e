//! Granting and revoking: what can be held where, and what a batch of deltas comes to.

use std::sync::Arc;

use super::catalog::{Catalog, OnLeave, Role, RoleId};
use super::error::{Error, Reason};
use super::fact::{Grant, GrantSource, Held};
use super::id::GrantId;
use super::place::{Place, Principal};
use super::time::Timestamp;

/// Something to hold: what, where, and until when.
#[derive(Clone, PartialEq, Eq, Debug)]
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
}

impl Assignment {
    /// Asks that a principal can hold this at all; `field` names the request field in the violation.
    ///
    /// # Errors
    /// - [`Reason::RoleUnknown`] if the catalog declares no such role.
    /// - [`Reason::RoleNotAssignable`] if it is held at other places, by others, or never with an expiry; or if the
    ///   resource's type has no list.
    pub fn must_be_assignable(&self, catalog: &Catalog, principal: Principal, field: &str) -> Result<(), Error> {
        let refuse = |message: &str| Err(Error::invalid(field, Reason::RoleNotAssignable, message));
        let kind = match &self.place {
            Place::Resource(key) => match catalog.resource_type(&key.kind) {
                Some(kind) => Some(kind),
                None => {
                    let message = "is of a type that the catalog does not declare";
                    return Err(Error::invalid(field, Reason::ResourceTypeUnknown, message));
                }
            },
            _ => None,
        };
        match (&self.held, kind) {
            (Held::AsMember, Some((_, kind))) if kind.has_list => Ok(()),
            (Held::AsMember, _) => refuse("names a place that has no list"),
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

/// Plans a batch over everything that its principals hold in the organization, `held`.
///
/// Deltas apply in order. A role of an exclusive set replaces the others of its set at the same place. A membership that
/// is left without a role at the organization gets the catalog's default role.
///
/// # Errors
/// - [`Reason::RoleTransferOnly`] for a role that changes hands by a transfer only.
/// - [`Reason::RoleRequired`] if a role would be held without one that it needs.
pub fn plan(catalog: &Catalog, held: &[Grant], deltas: &[Delta]) -> Result<Plan, Error> {
    let mut planner = Planner::new(catalog, held);
    for delta in deltas {
        if let Some(role) = planner.role_of(&delta.assignment.held)
            && role.is_transfer_only
        {
            let message = "the role changes hands by a transfer only";
            return Err(Error::new(Reason::RoleTransferOnly, message).about("role", &role.name));
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
    if !deltas.is_empty() {
        return plan(catalog, &[], &deltas);
    }
    Planner::new(catalog, &[]).finish(std::iter::once(principal))
}

/// Plans what a founder comes with.
///
/// # Errors
/// - [`Reason::RoleRequired`] as in [`plan`]; transfer-only roles are the founder's to begin with.
pub fn plan_founder(catalog: &Catalog, principal: Principal) -> Result<Plan, Error> {
    let mut planner = Planner::new(catalog, &[]);
    for role in catalog.founder_roles() {
        let held = Held::Role(Arc::clone(&catalog.role(*role).name));
        planner.grant(principal, &Assignment { place: Place::Organization, held, expires_at: None });
    }
    planner.finish(std::iter::once(principal))
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
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn new(catalog: &'a Catalog, held: &[Grant]) -> Self {
        let holdings = held.iter().map(|grant| Holding {
            principal: grant.principal,
            assignment: Assignment {
                place: grant.place.clone(),
                held: grant.held.clone(),
                expires_at: grant.expires_at,
            },
            grant: Some(grant.clone()),
        });
        Self { catalog, holdings: holdings.collect(), plan: Plan::default() }
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

        if let Some(set) = self.role_of(&assignment.held).and_then(|role| role.set) {
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
        }
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
        }
        for holding in &self.holdings {
            let Some(role) = self.role_of(&holding.assignment.held) else { continue };
            for required in &role.requires {
                let required = &self.catalog.role(*required).name;
                let is_there = self.holdings.iter().any(|other| {
                    other.principal == holding.principal
                        && other.assignment.place == holding.assignment.place
                        && other.assignment.held == Held::Role(Arc::clone(required))
                });
                if !is_there {
                    let message = format!("the role {} needs the role {required} beside it", role.name);
                    return Err(Error::new(Reason::RoleRequired, message).about("role", &role.name));
                }
            }
        }
        let new = self.holdings.into_iter().filter(|holding| holding.grant.is_none());
        self.plan.granted = new.map(|holding| (holding.principal, holding.assignment)).collect();
        Ok(self.plan)
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
    /// Gives everything that goes.
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

    /// Says whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty() && self.gone().next().is_none()
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
