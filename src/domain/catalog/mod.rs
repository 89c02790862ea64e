//! Catalogs: what a product declares of its resource types, permissions, roles and policies.
//!
//! A catalog is written in YAML (docs/catalog.md), read by [`parse()`], checked and compiled once; everything that
//! evaluates works on the compiled form. A preset is a catalog that ships with Guildhall, see [`presets`].

mod catalogs;
mod custom;
mod in_use;
mod nesting;
mod parse;
mod permission;
mod policy;
pub mod presets;
mod role;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

pub use catalogs::{Catalogs, key_of, named_by};
pub use custom::{CUSTOM_ROLES_MAX, CeilingNames, CustomRole, RolePlace};
pub use in_use::InUse;
pub use nesting::{Askable, Parents, PermissionSet, TypeSet};
pub use parse::{CatalogError, Difference, OPERATOR, Problem, diff, is_name, parse};
pub use permission::{PermissionId, RESERVED, Reach, ReachSet, TypeId, Verb};
pub use policy::{
    Features, FurtherDomains, InvitationKind, InvitationPolicy, Notice, PasswordPolicy, Plan, RemovalPolicy,
    SeatPolicy, SeatState,
};
pub use role::{At, Ceiling, Holders, OnLeave, Role, RoleId, RoleSet, SetId};
pub use view::RoleView;

/// A checked and compiled catalog.
#[derive(Clone, PartialEq, Debug)]
pub struct Catalog {
    name: Arc<str>,
    version: u32,
    description: Arc<str>,
    features: Features,
    permissions: Vec<Arc<str>>,
    permissions_by_name: HashMap<Arc<str>, PermissionId, FixedState>,
    types: Vec<ResourceType>,
    types_by_name: HashMap<Arc<str>, TypeId, FixedState>,
    roles: Vec<Role>,
    roles_by_name: HashMap<Arc<str>, RoleId, FixedState>,
    sets: Vec<RoleSet>,
    founder_roles: Vec<RoleId>,
    default_role: Option<RoleId>,
    invitation: InvitationPolicy,
    password: PasswordPolicy,
    plans: Vec<Plan>,
    seats: Option<SeatPolicy>,
    never_leave: Vec<RoleId>,
    removal: RemovalPolicy,
}

/// A kind of resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceType {
    /// Unique in the catalog.
    pub name: Arc<str>,
    /// What must be held for the resource to exist in the eyes of a subject.
    pub visible_by: PermissionId,
    /// Whether people can be put on its list (`AS_MEMBER`).
    pub has_list: bool,
    /// The roles that who may share a resource of this type may give on it.
    pub shares: Vec<RoleId>,
    /// What who registers a resource of this type holds on it from then on (X17).
    pub creator_roles: Vec<RoleId>,
    /// Whether each resource has a service account bound to it, which lives and ends with it (AX-27).
    pub has_service_account: bool,
    /// What a resource of this type may stand directly under.
    pub parents: Parents,
    /// What can stand above one, directly or through others.
    pub above: TypeSet,
    /// What can be asked of one: the permissions of this type and of those that can stand below it, and those of no
    /// type.
    pub asked: PermissionSet,
}

impl Catalog {
    /// Returns the catalog's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the catalog's version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns what the catalog says of itself, for people; may be empty.
    #[must_use]
    pub fn description(&self) -> &Arc<str> {
        &self.description
    }

    /// Returns the optional parts that organizations have.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }

    /// Finds a permission by its name, `type.verb`.
    #[must_use]
    pub fn permission(&self, name: &str) -> Option<PermissionId> {
        self.permissions_by_name.get(name).copied()
    }

    /// Returns the name of a permission of this catalog.
    #[must_use]
    pub fn permission_name(&self, id: PermissionId) -> &Arc<str> {
        &self.permissions[usize::from(id.0)]
    }

    /// Returns every permission of the catalog, reserved ones first.
    pub fn permissions(&self) -> impl Iterator<Item = PermissionId> {
        (0..self.permissions.len()).map(|index| PermissionId(u16::try_from(index).unwrap_or(u16::MAX)))
    }

    /// Finds a resource type by its name.
    #[must_use]
    pub fn resource_type(&self, name: &str) -> Option<(TypeId, &ResourceType)> {
        let id = *self.types_by_name.get(name)?;
        Some((id, &self.types[usize::from(id.0)]))
    }

    /// Returns every resource type, in the order of the catalog.
    pub fn resource_types(&self) -> impl ExactSizeIterator<Item = (TypeId, &ResourceType)> {
        self.types.iter().enumerate().map(|(index, kind)| (TypeId(u16::try_from(index).unwrap_or(u16::MAX)), kind))
    }

    /// Returns whether a permission can be asked of resources of a type, or of the organization, of which all can.
    /// Where it cannot, nobody has it.
    #[must_use]
    pub fn asks(&self, permission: PermissionId, at: Option<TypeId>) -> bool {
        at.is_none_or(|kind| self.types.get(usize::from(kind.0)).is_some_and(|kind| kind.asked.has(permission)))
    }

    /// Returns what can be asked of resources of a type, by its name, or of the organization.
    #[must_use]
    pub fn askable(&self, kind: Option<&str>) -> Askable<'_> {
        match kind.map(|kind| self.resource_type(kind)) {
            None => Askable::All,
            Some(Some((_, kind))) => Askable::Of(&kind.asked),
            Some(None) => Askable::Nothing,
        }
    }

    /// Finds a role by its name.
    #[must_use]
    pub fn role_id(&self, name: &str) -> Option<RoleId> {
        self.roles_by_name.get(name).copied()
    }

    /// Returns a role by its number, if the catalog has so many.
    #[must_use]
    pub fn declared_role(&self, id: RoleId) -> Option<&Role> {
        self.roles.get(usize::from(id.0))
    }

    /// Returns a role of this catalog.
    #[must_use]
    pub fn role(&self, id: RoleId) -> &Role {
        &self.roles[usize::from(id.0)]
    }

    /// Returns every role, the built-in ones first.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = (RoleId, &Role)> {
        self.roles.iter().enumerate().map(|(index, role)| (RoleId(u16::try_from(index).unwrap_or(u16::MAX)), role))
    }

    /// Returns every exclusive set, in the order of the catalog.
    pub fn sets(&self) -> impl ExactSizeIterator<Item = &RoleSet> {
        self.sets.iter()
    }

    /// Returns an exclusive set of this catalog.
    #[must_use]
    pub fn set(&self, id: SetId) -> &RoleSet {
        &self.sets[usize::from(id.0)]
    }

    /// Returns the roles of whoever founds an organization.
    #[must_use]
    pub fn founder_roles(&self) -> &[RoleId] {
        &self.founder_roles
    }

    /// Returns the role of a member who holds no other at the organization.
    #[must_use]
    pub fn default_role(&self) -> Option<RoleId> {
        self.default_role
    }

    /// Returns the policy of invitations.
    #[must_use]
    pub fn invitation(&self) -> &InvitationPolicy {
        &self.invitation
    }

    /// Returns the policy of passwords.
    #[must_use]
    pub fn password(&self) -> &PasswordPolicy {
        &self.password
    }

    /// Returns the plans that an operator can put an organization on.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// Returns who is waited for before a removed member is gone for good.
    #[must_use]
    pub fn removal(&self) -> &RemovalPolicy {
        &self.removal
    }

    /// Returns what takes a seat, if seats are counted.
    #[must_use]
    pub fn seats(&self) -> Option<&SeatPolicy> {
        self.seats.as_ref()
    }

    /// Returns the roles whose holders cannot leave, nor remove themselves (AX-32).
    #[must_use]
    pub fn never_leave(&self) -> &[RoleId] {
        &self.never_leave
    }
}
