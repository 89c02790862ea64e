//! Roles as compiled: the closure over what they include is taken once, here, and never asked again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::permission::{PermissionId, ReachSet, TypeId};
use crate::domain::place::Principal;

/// A role of one compiled catalog, by its place in the catalog's table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RoleId(pub u16);

impl RoleId {
    /// The built-in role of operators, held at the installation; first in every catalog.
    pub const OPERATOR: Self = Self(0);
}

/// An exclusive set of one compiled catalog: granting one of its roles takes the others away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SetId(pub u16);

/// An exclusive set as compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleSet {
    /// Unique in the catalog.
    pub name: Arc<str>,
    /// Its roles, at least two.
    pub roles: Vec<RoleId>,
    /// Whether every member must hold one of them at the organization.
    pub is_required: bool,
}

/// A named set of permissions, each with its reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// Unique in the catalog.
    pub name: Arc<str>,
    /// For people.
    pub description: Arc<str>,
    /// The reach of each permission of the catalog, by [`PermissionId`], with all includes taken in.
    pub reaches: Box<[ReachSet]>,
    /// Whether its holder is on the list of the place where it is held and of everything below; includes count.
    pub as_member: bool,
    /// Where it can be held. Empty for a role that only other roles include.
    pub at: At,
    /// By whom it can be held.
    pub to: Holders,
    /// What its holder may give; includes count.
    pub may_grant: Ceiling,
    /// What its holder may take away; includes count.
    pub may_take: Ceiling,
    /// Fewest holders in an organization, once its founder is active. Zero: no bound.
    pub least: u32,
    /// Most holders in an organization.
    pub most: Option<u32>,
    /// Roles that must be held beside it at the same place.
    pub requires: Vec<RoleId>,
    /// The exclusive set it belongs to.
    pub set: Option<SetId>,
    /// Whether it changes hands by a transfer only.
    pub is_transfer_only: bool,
    /// What becomes of the direct grants on resources when the role is left.
    pub on_leave: OnLeave,
    /// Whether the organization made it; else the catalog declares it.
    pub is_custom: bool,
}

impl Role {
    /// Returns how far the role reaches with `permission`.
    #[must_use]
    pub fn reach(&self, permission: PermissionId) -> ReachSet {
        self.reaches.get(usize::from(permission.0)).copied().unwrap_or(ReachSet::NONE)
    }

    /// Takes in what `included` holds: its permissions, its list entry and its ceilings.
    pub(super) fn take_in(&mut self, included: &Self) {
        for (mine, more) in self.reaches.iter_mut().zip(&included.reaches) {
            *mine = mine.or(*more);
        }
        self.as_member |= included.as_member;
        self.may_grant.widen(&included.may_grant);
        self.may_take.widen(&included.may_take);
    }

    /// Returns whether the role gives nothing that `other`, a role of the same catalog, does not.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.reaches.iter().zip(&other.reaches).all(|(mine, others)| mine.is_within(*others))
            && (!self.as_member || other.as_member)
            && self.may_grant.is_within(&other.may_grant)
            && self.may_take.is_within(&other.may_take)
    }

    /// Returns a role that nobody can hold and that gives nothing.
    pub(super) fn nothing() -> Self {
        Self {
            name: "".into(),
            description: "".into(),
            reaches: Box::default(),
            as_member: false,
            at: At::default(),
            to: Holders { people: false, groups: false, everyone: false, service_accounts: false },
            may_grant: Ceiling::default(),
            may_take: Ceiling::default(),
            least: 0,
            most: None,
            requires: Vec::new(),
            set: None,
            is_transfer_only: false,
            on_leave: OnLeave::Keep,
            is_custom: true,
        }
    }

    /// Returns whether the role is bounded in number or handed on only: granted directly to memberships, without
    /// expiry.
    #[must_use]
    pub fn is_bound_to_membership(&self) -> bool {
        self.least > 0 || self.most.is_some() || self.set.is_some() || self.is_transfer_only
    }
}

/// The places at which a role can be held.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct At {
    /// At the installation (built-in roles only).
    pub installation: bool,
    /// At the product.
    pub product: bool,
    /// At the organization.
    pub organization: bool,
    /// At resources of these types.
    pub types: BTreeSet<TypeId>,
}

/// The kinds of principal that can hold a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Holders {
    /// Memberships; above the organization, users.
    pub people: bool,
    /// Groups.
    pub groups: bool,
    /// Everyone.
    pub everyone: bool,
    /// Service accounts.
    pub service_accounts: bool,
}

impl Holders {
    /// Returns whether a principal of this kind can hold the role.
    #[must_use]
    pub fn has(self, principal: Principal) -> bool {
        match principal {
            Principal::Membership(_) | Principal::User(_) => self.people,
            Principal::Group(_) => self.groups,
            Principal::Everyone => self.everyone,
            Principal::ServiceAccount(_) => self.service_accounts,
        }
    }

    /// Returns whether a principal of this kind can hold the role, or be a member of what can.
    #[must_use]
    pub fn has_or_contains(self, principal: Principal) -> bool {
        let is_by_others = matches!(principal, Principal::Membership(_)) && (self.groups || self.everyone);
        self.has(principal) || is_by_others
    }
}

/// Which roles a role's holder may give or take.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ceiling {
    /// Every role.
    pub any: bool,
    /// Every role that holds no more than the actor holds at that place.
    pub subset: bool,
    /// These roles.
    pub list: BTreeSet<RoleId>,
}

impl Ceiling {
    /// Takes in what `other` allows.
    pub fn widen(&mut self, other: &Self) {
        self.any |= other.any;
        self.subset |= other.subset;
        self.list.extend(&other.list);
    }

    /// Returns whether `self` allows nothing that `other` does not.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other.any || (!self.any && (!self.subset || other.subset) && self.list.is_subset(&other.list))
    }
}

/// What becomes of direct grants on resources, and of group memberships that bring one, when a role is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnLeave {
    /// They stay.
    #[default]
    Keep,
    /// They go with the role (CE-29).
    Clear,
}
