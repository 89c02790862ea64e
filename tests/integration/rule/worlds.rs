//! A world: one organization and what stands above it, in plain maps, and what one may ask about it.
//!
//! Random ones come from a [`History`](super::histories::History), which moves them on by facts, as the log would say
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guildhall::domain::catalog::{Catalog, CustomRole, PermissionId};
use guildhall::domain::fact::{
    Grant, Held, InstallationFact, MemberState, OrganizationFact, OrganizationState, UserState,
};
use guildhall::domain::id::{GrantId, GroupId, MembershipId, ServiceAccountId, UserId};
use guildhall::domain::place::{Principal, ResourceKey, Subject};
use guildhall::domain::time::Timestamp;

use super::catalogs::Product;

/// When worlds begin.
pub const EPOCH: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// One organization, and what stands above it.
#[derive(Clone, Debug)]
pub struct World {
    /// The catalog that the organization follows.
    pub product: &'static Product,
    /// Where the organization stands.
    pub organization: OrganizationState,
    /// The roles that the organization has made.
    pub roles: BTreeMap<Arc<str>, CustomRole>,
    /// Every user.
    pub users: BTreeMap<UserId, UserState>,
    /// Every membership of the organization.
    pub memberships: BTreeMap<MembershipId, Membership>,
    /// The memberships that are in each group.
    pub groups: BTreeMap<GroupId, BTreeSet<MembershipId>>,
    /// Every service account, those of other organizations too.
    pub service_accounts: BTreeMap<ServiceAccountId, Machine>,
    /// Every resource that is registered.
    pub resources: BTreeMap<ResourceKey, Resource>,
    /// The grants in the organization's log.
    pub grants: BTreeMap<GrantId, Grant>,
    /// The grants in the installation's log.
    pub grants_above: BTreeMap<GrantId, Grant>,
    /// The time.
    pub now: Timestamp,
    /// Names of resources, whether registered or not.
    pub names: Vec<ResourceKey>,
}

/// One person's place.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    /// Nobody while PENDING.
    pub user: Option<UserId>,
    /// How it stands.
    pub state: MemberState,
}

/// A service account.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Whose.
    pub home: Home,
    /// Whether it may do anything.
    pub is_enabled: bool,
}

/// Where a service account belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// To the organization; its log says so.
    Here,
    /// To a place above it; the installation's log says so.
    Above,
    /// To another organization; neither log says anything.
    Elsewhere,
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What it stands under; the organization if nothing.
    pub parent: Option<ResourceKey>,
    /// A membership or service account, if anybody.
    pub owner: Option<Principal>,
}

impl World {
    /// Returns an organization that follows `product`, with nobody and nothing in it.
    pub fn empty(product: &'static Product) -> Self {
        Self {
            product,
            organization: OrganizationState::Active,
            roles: BTreeMap::new(),
            users: BTreeMap::new(),
            memberships: BTreeMap::new(),
            groups: BTreeMap::new(),
            service_accounts: BTreeMap::new(),
            resources: BTreeMap::new(),
            grants: BTreeMap::new(),
            grants_above: BTreeMap::new(),
            now: EPOCH,
            names: Vec::new(),
        }
    }

    /// Returns the catalog that the organization follows, with the roles of its own.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::new(self.product.compiled.extended(self.roles.values().map(Some)))
    }

    /// Takes in what the two logs say.
    pub fn apply_all(&mut self, organization: &[OrganizationFact], installation: &[InstallationFact]) {
        for fact in organization {
            self.apply(fact);
        }
        for fact in installation {
            self.apply_above(fact);
        }
    }

    /// Takes in what the organization's log says.
    fn apply(&mut self, fact: &OrganizationFact) {
        match fact.clone() {
            OrganizationFact::Organization { state, .. } => self.organization = state,
            OrganizationFact::Role(role) => {
                self.roles.insert(Arc::clone(&role.name), role);
            }
            OrganizationFact::RoleGone { name } => {
                self.roles.remove(&name);
            }
            OrganizationFact::Membership { id, user, state } => {
                self.memberships.insert(id, Membership { user, state });
            }
            OrganizationFact::GroupMember { group, membership, is_in: true } => {
                self.groups.entry(group).or_default().insert(membership);
            }
            OrganizationFact::GroupMember { group, membership, is_in: false } => {
                self.groups.entry(group).or_default().remove(&membership);
            }
            OrganizationFact::ServiceAccount { id, is_enabled } => {
                self.service_accounts.insert(id, Machine { home: Home::Here, is_enabled });
            }
            OrganizationFact::Resource { key, parent, owner } => {
                self.resources.insert(key, Resource { parent, owner });
            }
            OrganizationFact::ResourceGone { key } => {
                self.resources.remove(&key);
            }
            OrganizationFact::Grant(grant) => {
                self.grants.insert(grant.id, grant);
            }
            OrganizationFact::GrantGone(grant) => {
                self.grants.remove(&grant.id);
            }
            other => panic!("no step says {other:?} of an organization"),
        }
    }

    /// Takes in what the installation's log says.
    fn apply_above(&mut self, fact: &InstallationFact) {
        match fact.clone() {
            InstallationFact::User { id, state } => {
                self.users.insert(id, state);
            }
            InstallationFact::ServiceAccount { id, is_enabled } => {
                self.service_accounts.insert(id, Machine { home: Home::Above, is_enabled });
            }
            InstallationFact::Grant(grant) => {
                self.grants_above.insert(grant.id, grant);
            }
            InstallationFact::GrantGone(grant) => {
                self.grants_above.remove(&grant.id);
            }
            other => panic!("no step says {other:?} of the installation"),
        }
    }

    /// Returns all that stands in the organization, in an order in which a reader can take it in.
    pub fn facts(&self) -> Vec<OrganizationFact> {
        let catalog = Arc::clone(self.product.compiled.name());
        let mut facts = vec![OrganizationFact::Organization { state: self.organization, catalog }];
        facts.extend(self.roles.values().cloned().map(OrganizationFact::Role));
        for (id, Membership { user, state }) in &self.memberships {
            facts.push(OrganizationFact::Membership { id: *id, user: *user, state: *state });
        }
        for (group, members) in &self.groups {
            let is_in =
                |membership: &_| OrganizationFact::GroupMember { group: *group, membership: *membership, is_in: true };
            facts.extend(members.iter().map(is_in));
        }
        let accounts = self.machines(Home::Here);
        facts.extend(accounts.map(|(id, is_enabled)| OrganizationFact::ServiceAccount { id, is_enabled }));
        let mut keys: Vec<_> = self.resources.keys().collect();
        keys.sort_by_key(|key| self.depth(key));
        for key in keys {
            let Resource { parent, owner } = self.resources[key].clone();
            facts.push(OrganizationFact::Resource { key: key.clone(), parent, owner });
        }
        facts.extend(self.grants.values().cloned().map(OrganizationFact::Grant));
        facts
    }

    /// Returns all that stands above the organization. Of users it names only those who are disabled, as the store
    /// does: all others are ACTIVE.
    pub fn facts_above(&self) -> Vec<InstallationFact> {
        let disabled = self.users.iter().filter(|(_, state)| **state == UserState::Disabled);
        let mut facts: Vec<_> = disabled.map(|(id, state)| InstallationFact::User { id: *id, state: *state }).collect();
        let accounts = self.machines(Home::Above);
        facts.extend(accounts.map(|(id, is_enabled)| InstallationFact::ServiceAccount { id, is_enabled }));
        facts.extend(self.grants_above.values().cloned().map(InstallationFact::Grant));
        facts
    }

    fn machines(&self, home: Home) -> impl Iterator<Item = (ServiceAccountId, bool)> {
        let accounts = self.service_accounts.iter().filter(move |(_, account)| account.home == home);
        accounts.map(|(id, account)| (*id, account.is_enabled))
    }

    /// Counts the resources from the organization's child down to `key`.
    pub fn depth(&self, key: &ResourceKey) -> usize {
        1 + self.resources[key].parent.as_ref().map_or(0, |parent| self.depth(parent))
    }

    /// Counts the resources from `key` down to the deepest under it.
    pub fn height(&self, key: &ResourceKey) -> usize {
        1 + self.children(key).map(|child| self.height(child)).max().unwrap_or(0)
    }

    /// Returns what stands directly under `key`.
    pub fn children(&self, key: &ResourceKey) -> impl Iterator<Item = &ResourceKey> {
        self.resources.iter().filter(|(_, resource)| resource.parent.as_ref() == Some(key)).map(|(child, _)| child)
    }

    /// Returns whether `key` is `other` or stands under it.
    pub fn is_under(&self, key: &ResourceKey, other: &ResourceKey) -> bool {
        key == other || self.resources[key].parent.as_ref().is_some_and(|parent| self.is_under(parent, other))
    }

    /// Returns everyone and everything that could ask, and a user whom nobody knows.
    pub fn subjects(&self) -> Vec<Subject> {
        let users = self.users.keys().copied().map(Subject::User);
        let accounts = self.service_accounts.keys().copied().map(Subject::ServiceAccount);
        users.chain(accounts).chain([Subject::User(UserId(uuid::Uuid::nil()))]).collect()
    }

    /// Returns the organization (`None`), every resource, and names that are not registered.
    pub fn targets(&self) -> Vec<Option<ResourceKey>> {
        [None].into_iter().chain(self.names.iter().cloned().map(Some)).collect()
    }

    /// Returns the organization (`None`) and every resource.
    pub fn places(&self) -> Vec<Option<ResourceKey>> {
        [None].into_iter().chain(self.resources.keys().cloned().map(Some)).collect()
    }

    /// Returns every permission of the catalog.
    pub fn permissions(&self) -> Vec<PermissionId> {
        self.product.compiled.permissions().collect()
    }

    /// Returns every role of the catalog, the built-in one, those of the organization's own, and `AS_MEMBER`.
    pub fn held(&self) -> Vec<Held> {
        let catalog = self.catalog();
        let roles = catalog.roles().map(|(_, role)| Held::Role(Arc::clone(&role.name)));
        roles.chain([Held::AsMember]).collect::<Vec<_>>()
    }

    /// Returns everyone to whom something can be given.
    pub fn principals(&self) -> Vec<Principal> {
        let memberships = self.memberships.keys().copied().map(Principal::Membership);
        let groups = self.groups.keys().copied().map(Principal::Group);
        let accounts = self.service_accounts.keys().copied().map(Principal::ServiceAccount);
        memberships.chain(groups).chain(accounts).chain([Principal::Everyone]).collect()
    }

    /// Returns every question: each subject before each target, with each permission.
    pub fn questions(&self) -> impl Iterator<Item = (Subject, PermissionId, Option<ResourceKey>)> {
        let (targets, permissions) = (self.targets(), self.permissions());
        self.subjects().into_iter().flat_map(move |subject| {
            let permissions = permissions.clone();
            targets.clone().into_iter().flat_map(move |target| {
                permissions.clone().into_iter().map(move |permission| (subject, permission, target.clone()))
            })
        })
    }

    /// Returns the name of a permission.
    pub fn name(&self, permission: PermissionId) -> &str {
        self.product.compiled.permission_name(permission)
    }
}
