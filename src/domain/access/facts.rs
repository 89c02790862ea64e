//! What the rule is asked over: one subject, one target, and every grant that could matter.

use std::collections::HashMap;
use std::sync::Arc;

use super::decide::{decide, is_visible};
use crate::domain::catalog::{Catalog, PermissionId, Role};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held, MemberState};
use crate::domain::id::{GroupId, MembershipId, OrganizationId, ServiceAccountId, UserId};
use crate::domain::place::{Place, Principal, ResourceKey, Subject};
use crate::domain::time::Timestamp;

/// One subject before one target of one organization.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The catalog the organization follows.
    pub catalog: Arc<Catalog>,
    /// Whether the organization is ACTIVE.
    pub organization_is_active: bool,
    pub standing: Standing,
    /// The type of the target, registered or not; nothing for the organization itself. It decides what can be asked.
    pub kind: Option<Arc<str>>,
    /// The target and what it stands under, the target first. Empty for the organization itself, and for a target that
    /// is not registered: it is judged as a direct child of the organization, with no owner and no list.
    pub chain: Vec<Node>,
    /// The grants of every principal that the subject is among. Others may be there too; they do not count.
    pub grants: Arc<[Grant]>,
}

/// One subject before several targets of one organization: what a writing call is judged by.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The organization; the nil id before one that is not there yet.
    pub organization: OrganizationId,
    /// The user or service account.
    pub subject: Subject,
    /// The moment at which all of it is evaluated.
    pub now: Timestamp,
    /// The catalog the organization follows.
    pub catalog: Arc<Catalog>,
    /// Whether the organization is ACTIVE.
    pub organization_is_active: bool,
    pub standing: Standing,
    /// The chain of each target that is registered, the target first.
    pub chains: HashMap<ResourceKey, Vec<Node>>,
    /// The grants of every principal that the subject is among, at any target, above it or at the organization.
    pub grants: Arc<[Grant]>,
}

impl Actor {
    /// Returns the facts before one target; `None` is the organization.
    #[must_use]
    pub fn at(&self, target: Option<&ResourceKey>) -> Facts {
        Facts {
            catalog: Arc::clone(&self.catalog),
            organization_is_active: self.organization_is_active,
            standing: self.standing.clone(),
            kind: target.map(|key| Arc::clone(&key.kind)),
            chain: target.and_then(|key| self.chains.get(key)).cloned().unwrap_or_default(),
            grants: Arc::clone(&self.grants),
        }
    }

    /// Returns the facts before what `target` stands under; the organization if it stands under nothing.
    #[must_use]
    pub fn above(&self, target: &ResourceKey) -> Facts {
        self.at(Some(target)).above(1)
    }

    /// Returns whether the organization, and the place in it if one is named, exists in the actor's eyes.
    #[must_use]
    pub fn sees(&self, place: Option<&ResourceKey>) -> bool {
        place.is_none_or(|key| self.knows(key)) && is_visible(&self.at(place), self.now)
    }

    /// Ensures that the organization, and the place in it if one is named, exists in the actor's eyes.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], the same for what does not exist and for what may not be seen.
    pub fn must_see(&self, place: Option<&ResourceKey>) -> Result<(), Error> {
        // First, so that who does not see it is answered as for one that is not there, whatever else they name.
        if !self.sees(None) {
            return Err(Error::not_found("organization", self.organization));
        }
        match place {
            Some(key) if !self.sees(place) => Err(Error::not_found("resource", key)),
            _ => Ok(()),
        }
    }

    /// Returns whether the actor holds a permission at a place.
    #[must_use]
    pub fn holds(&self, permission: PermissionId, place: Option<&ResourceKey>) -> bool {
        decide(&self.at(place), permission, self.now).is_allowed()
    }

    /// Ensures that the actor holds a permission at a place that they see.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`].
    pub fn must_hold(&self, permission: PermissionId, place: Option<&ResourceKey>) -> Result<(), Error> {
        if self.holds(permission, place) {
            return Ok(());
        }
        let name = self.catalog.permission_name(permission);
        Err(Error::new(Reason::PermissionMissing, format!("lacks {name}")).about("permission", name))
    }

    /// Returns whether `target` is registered.
    #[must_use]
    pub fn knows(&self, target: &ResourceKey) -> bool {
        self.chains.contains_key(target)
    }
}

/// One resource of a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub key: ResourceKey,
    /// A membership or service account, if anybody.
    pub owner: Option<Principal>,
}

/// How a subject stands in the organization.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Not at all: unknown here, or without a place.
    Stranger,
    /// A person.
    Person {
        user: UserId,
        /// Whether the user is ACTIVE.
        is_active: bool,
        /// Their place in the organization, if any.
        membership: Option<(MembershipId, MemberState)>,
        /// The groups that the membership is in.
        groups: Vec<GroupId>,
    },
    /// A machine of this organization, or of a place above it.
    Machine {
        id: ServiceAccountId,
        /// Whether it is enabled.
        is_enabled: bool,
        /// Whether it is this organization's own.
        is_at_home: bool,
    },
}

impl Standing {
    /// Returns whether the subject is among the members of `principal`.
    #[must_use]
    pub fn is_among(&self, principal: Principal) -> bool {
        match (self, principal) {
            (Self::Person { membership, .. }, Principal::Membership(id)) => {
                membership.is_some_and(|(membership, _)| membership == id)
            }
            (Self::Person { membership: Some(_), groups, .. }, Principal::Group(id)) => groups.contains(&id),
            (Self::Person { membership, .. }, Principal::Everyone) => {
                membership.is_some_and(|(_, state)| state == MemberState::Active)
            }
            (Self::Person { user, .. }, Principal::User(id)) => *user == id,
            (Self::Machine { id, .. }, Principal::ServiceAccount(account)) => *id == account,
            _ => false,
        }
    }

    /// Returns whether `principal` is the subject and nobody besides.
    #[must_use]
    pub fn is_alone(&self, principal: Principal) -> bool {
        !matches!(principal, Principal::Group(_) | Principal::Everyone) && self.is_among(principal)
    }

    /// Returns whether the subject may use what it holds at `place`.
    #[must_use]
    pub fn stands_at(&self, place: &Place) -> bool {
        match self {
            Self::Stranger => false,
            Self::Person { is_active, membership, .. } => {
                let is_member = membership.is_some_and(|(_, state)| state == MemberState::Active);
                *is_active && (is_member || matches!(place, Place::Installation | Place::Product(_)))
            }
            Self::Machine { is_enabled, .. } => *is_enabled,
        }
    }

    /// Returns whether the subject stands to an organization of a product in any way, whatever counts of that: by a
    /// place in it, or by what it holds there or above. For who does not, the organization is not there.
    #[must_use]
    pub fn has_any(&self, grants: &[Grant], product: &str) -> bool {
        let is_in = match self {
            Self::Stranger => return false,
            Self::Person { membership, .. } => membership.is_some(),
            Self::Machine { is_at_home, .. } => *is_at_home,
        };
        let counts_here = |place: &Place| match place {
            Place::Product(name) => **name == *product,
            Place::Installation | Place::Organization | Place::Resource(_) => true,
        };
        is_in || grants.iter().any(|grant| self.is_among(grant.principal) && counts_here(&grant.place))
    }

    /// Returns the membership, in whatever state.
    #[must_use]
    pub fn membership(&self) -> Option<MembershipId> {
        match self {
            Self::Person { membership, .. } => membership.map(|(id, _)| id),
            Self::Stranger | Self::Machine { .. } => None,
        }
    }

    /// Returns whether the subject has a place in the organization that is in force.
    #[must_use]
    pub fn is_in(&self) -> bool {
        match self {
            Self::Stranger => false,
            Self::Person { is_active, membership, .. } => {
                *is_active && membership.is_some_and(|(_, state)| state == MemberState::Active)
            }
            Self::Machine { is_enabled, is_at_home, .. } => *is_enabled && *is_at_home,
        }
    }
}

impl Facts {
    /// Returns the target: a registered resource, or the organization.
    #[must_use]
    pub fn place(&self) -> Place {
        self.chain.first().map_or(Place::Organization, |node| Place::Resource(node.key.clone()))
    }

    /// Returns the facts before what the target stands under, so many levels up; the organization if there is nothing.
    #[must_use]
    pub fn above(&self, levels: usize) -> Self {
        let chain: Vec<Node> = self.chain.iter().skip(levels).cloned().collect();
        let kind = chain.first().map(|node| Arc::clone(&node.key.kind));
        Self { kind, chain, ..self.clone() }
    }

    /// Returns the facts before a resource of a type that stands under nothing, is nobody's, and lists nobody.
    #[must_use]
    pub fn before_any(&self, kind: &Arc<str>) -> Self {
        Self { kind: Some(Arc::clone(kind)), chain: Vec::new(), ..self.clone() }
    }

    /// Returns whether a permission can be asked of the target.
    #[must_use]
    pub fn asks(&self, permission: PermissionId) -> bool {
        self.catalog.askable(self.kind.as_deref()).has(permission)
    }

    /// Returns the permissions that can be asked of the target.
    pub(super) fn asked(&self) -> impl Iterator<Item = PermissionId> {
        let askable = self.catalog.askable(self.kind.as_deref());
        self.catalog.permissions().filter(move |id| askable.has(*id))
    }

    /// Returns the grants that count for the subject on the target, each with what it gives.
    ///
    /// A grant counts if it is live, the subject is among its principal and stands, and its place is the target or
    /// above it.
    pub(super) fn counting(&self, now: Timestamp) -> impl Iterator<Item = (&Grant, Given<'_>)> {
        self.counting_ever().filter(move |(grant, _)| !grant.is_expired(now))
    }

    /// Returns the grants that would count if they were live, those that do count included.
    pub(super) fn counting_ever(&self) -> impl Iterator<Item = (&Grant, Given<'_>)> {
        self.grants
            .iter()
            .filter(|_| self.organization_is_active)
            .filter(|grant| self.standing.is_among(grant.principal) && self.standing.stands_at(&grant.place))
            .filter(|grant| self.is_under(&grant.place))
            .filter_map(|grant| self.given(&grant.held).map(|given| (grant, given)))
    }

    /// Returns whether the target is `place` or stands under it.
    fn is_under(&self, place: &Place) -> bool {
        match place {
            Place::Installation | Place::Organization => true,
            Place::Product(catalog) => catalog == self.catalog.name(),
            Place::Resource(key) => self.chain.iter().any(|node| node.key == *key),
        }
    }

    /// Returns the role behind a grant; a role that the catalog no longer declares gives nothing.
    fn given(&self, held: &Held) -> Option<Given<'_>> {
        match held {
            Held::AsMember => Some(Given::AsMember),
            Held::Role(name) => self.catalog.role_id(name).map(|id| Given::Role(self.catalog.role(id))),
        }
    }
}

/// What a counting grant gives.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    Role(&'a Role),
    AsMember,
}
