//! One organization in memory: the log applied to persistent maps, and checks evaluated on them.
//!
//! A clone is a snapshot and costs nothing; an apply changes one clone and publishes it whole.

use std::sync::Arc;

use imbl::HashMap;

use super::installation::InstallationIndex;
use super::question::{Answer, Denial, Question};
use crate::domain::catalog::{Catalog, PermissionId, Reach, Role, presets};
use crate::domain::fact::{Commit, Fact, Grant, Held, MemberState, OrganizationState};
use crate::domain::id::{GrantId, GroupId, MembershipId, ServiceAccountId, UserId};
use crate::domain::place::{DEPTH_MAX, Place, Principal, ResourceKey, Subject};
use crate::domain::revision::Position;
use crate::domain::time::Timestamp;

/// One organization's log, applied. Cheap to clone: a snapshot.
#[derive(Clone, Debug)]
pub struct OrganizationIndex {
    position: Position,
    catalog: Arc<Catalog>,
    is_active: bool,
    members: HashMap<MembershipId, Member>,
    memberships: HashMap<UserId, MembershipId>,
    groups: HashMap<MembershipId, Vec<GroupId>>,
    service_accounts: HashMap<ServiceAccountId, bool>,
    resources: HashMap<ResourceKey, Node>,
    /// Where each grant is kept, so that its tombstone finds it.
    places: HashMap<GrantId, Spot>,
    /// What a principal holds at the organization, or at one resource.
    held: HashMap<Spot, Vec<Holding>>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    user: Option<UserId>,
    state: MemberState,
}

#[derive(Clone, Debug)]
struct Node {
    parent: Option<ResourceKey>,
    owner: Option<Principal>,
}

/// A principal at the organization (no resource) or at one resource.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Spot {
    principal: Principal,
    resource: Option<ResourceKey>,
}

#[derive(Clone, Debug)]
struct Holding {
    grant: GrantId,
    held: Held,
    expires_at: Option<Timestamp>,
}

impl Holding {
    /// Says whether the grant has not expired; it counts strictly before its expiry.
    fn counts(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

impl OrganizationIndex {
    /// Brings an empty index to a loaded state. `None` if the facts name no catalog that is known.
    #[must_use]
    pub fn load(position: Position, facts: &[Fact]) -> Option<Self> {
        let catalog = facts.iter().find_map(|fact| match fact {
            Fact::Organization { catalog, .. } => presets::preset(catalog),
            _ => None,
        })?;
        let mut index = Self::empty(catalog);
        for fact in facts {
            index.apply_fact(fact);
        }
        index.position = position;
        Some(index)
    }

    /// Makes the index of an organization in which nothing has happened yet.
    #[must_use]
    pub fn empty(catalog: Arc<Catalog>) -> Self {
        Self {
            position: Position::default(),
            catalog,
            is_active: false,
            members: HashMap::new(),
            memberships: HashMap::new(),
            groups: HashMap::new(),
            service_accounts: HashMap::new(),
            resources: HashMap::new(),
            places: HashMap::new(),
            held: HashMap::new(),
        }
    }

    /// Applies the commit that follows.
    pub fn apply(&mut self, commit: &Commit) {
        for fact in &commit.facts {
            self.apply_fact(fact);
        }
        self.position = commit.position;
    }

    fn apply_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Organization { state, catalog } => {
                self.is_active = *state == OrganizationState::Active;
                if catalog != self.catalog.name()
                    && let Some(catalog) = presets::preset(catalog)
                {
                    self.catalog = catalog;
                }
            }
            Fact::Membership { id, user, state } => {
                self.members.insert(*id, Member { user: *user, state: *state });
                if let Some(user) = user {
                    self.memberships.insert(*user, *id);
                }
            }
            Fact::GroupMember { group, membership, is_in } => {
                let groups = self.groups.entry(*membership).or_default();
                groups.retain(|other| other != group);
                if *is_in {
                    groups.push(*group);
                }
            }
            Fact::ServiceAccount { id, is_enabled } => {
                self.service_accounts.insert(*id, *is_enabled);
            }
            Fact::Resource { key, parent, owner } => {
                self.resources.insert(key.clone(), Node { parent: parent.clone(), owner: *owner });
            }
            Fact::ResourceGone { key } => {
                self.resources.remove(key);
            }
            Fact::Grant(grant) => self.add_grant(grant),
            Fact::GrantGone { id } => self.remove_grant(*id),
            // Not asked by any check.
            Fact::ApiKey { .. } | Fact::Invitation { .. } | Fact::User { .. } | Fact::SessionEnded { .. } => {}
        }
    }

    fn add_grant(&mut self, grant: &Grant) {
        self.remove_grant(grant.id);
        let resource = match &grant.place {
            Place::Organization => None,
            Place::Resource(key) => Some(key.clone()),
            // Held above the organization: the installation's log knows it.
            Place::Installation | Place::Product(_) => return,
        };
        let spot = Spot { principal: grant.principal, resource };
        self.places.insert(grant.id, spot.clone());
        let holding = Holding { grant: grant.id, held: grant.held.clone(), expires_at: grant.expires_at };
        self.held.entry(spot).or_default().push(holding);
    }

    fn remove_grant(&mut self, id: GrantId) {
        let Some(spot) = self.places.remove(&id) else { return };
        let Some(holdings) = self.held.get_mut(&spot) else { return };
        holdings.retain(|holding| holding.grant != id);
        if holdings.is_empty() {
            self.held.remove(&spot);
        }
    }

    /// Tells how far the log has been applied.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Gives the catalog the organization follows.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Gives the user behind a membership, if one is bound.
    #[must_use]
    pub fn user_of(&self, membership: MembershipId) -> Option<UserId> {
        self.members.get(&membership)?.user
    }

    /// Gives who holds a grant, if it is held here.
    #[must_use]
    pub fn holder_of(&self, grant: GrantId) -> Option<Principal> {
        self.places.get(&grant).map(|spot| spot.principal)
    }

    /// Says whether a resource is registered.
    #[must_use]
    pub fn has_resource(&self, key: &ResourceKey) -> bool {
        self.resources.contains_key(key)
    }

    /// Answers one question.
    #[must_use]
    pub fn answer(&self, installation: &InstallationIndex, question: &Question, now: Timestamp) -> Answer {
        let Some(permission) = self.catalog.permission(&question.permission) else {
            return Answer::Denied(Denial::PermissionUnknown);
        };
        if let Some(target) = &question.target
            && self.catalog.resource_type(&target.kind).is_none()
        {
            return Answer::Denied(Denial::ResourceTypeUnknown);
        }
        self.judge(installation, question.subject, permission, question.target.as_ref(), now)
    }

    /// Says whether the organization exists in the eyes of a subject: of whoever is in it, and of who holds something
    /// there or above it.
    #[must_use]
    pub fn is_seen_by(&self, installation: &InstallationIndex, subject: Subject, now: Timestamp) -> bool {
        let Some(standing) = self.standing(installation, subject).filter(|_| self.is_active) else { return false };
        standing.is_at_home
            || self.counting_above(installation, subject, now).next().is_some()
            || (standing.is_in && self.holds_something_here(&standing, now))
    }

    fn holds_something_here(&self, standing: &Standing, now: Timestamp) -> bool {
        standing.principals.iter().any(|principal| {
            let spot = Spot { principal: *principal, resource: None };
            let holdings = self.held.get(&spot).into_iter().flatten();
            holdings.filter(|holding| holding.counts(now)).any(|holding| match &holding.held {
                Held::AsMember => true,
                Held::Role(name) => self.catalog.role_id(name).is_some(),
            })
        })
    }

    fn judge(
        &self,
        installation: &InstallationIndex,
        subject: Subject,
        permission: PermissionId,
        target: Option<&ResourceKey>,
        now: Timestamp,
    ) -> Answer {
        let Some(standing) = self.standing(installation, subject).filter(|_| self.is_active) else {
            return Answer::Denied(Denial::NotGranted);
        };
        let chain = self.chain(target);

        // One pass over what counts: how long ANY or OWN allows, how long SHARED would, how long the subject is listed.
        let (mut outright, mut if_listed, mut listed) = (Span::NEVER, Span::NEVER, Span::NEVER);
        let owns = standing.owner.is_some() && chain.iter().any(|(_, node)| node.owner == standing.owner);
        let mut count = |held: Option<&Role>, expires_at: Option<Timestamp>| {
            let span = Span::until(expires_at);
            let Some(role) = held else {
                listed = listed.max(span);
                return;
            };
            let reach = role.reach(permission);
            if reach.has(Reach::Any) || (reach.has(Reach::Own) && owns) {
                outright = outright.max(span);
            }
            if reach.has(Reach::Shared) {
                if_listed = if_listed.max(span);
            }
            if role.as_member {
                listed = listed.max(span);
            }
        };

        for (grant, role) in self.counting_above(installation, subject, now) {
            count(Some(role), grant.expires_at);
        }
        if standing.is_in {
            let places = std::iter::once(None).chain(chain.iter().map(|(key, _)| Some(*key)));
            for resource in places {
                for principal in &standing.principals {
                    let spot = Spot { principal: *principal, resource: resource.cloned() };
                    for holding in self.held.get(&spot).into_iter().flatten() {
                        if !holding.counts(now) {
                            continue;
                        }
                        match &holding.held {
                            Held::AsMember if resource.is_some() => count(None, holding.expires_at),
                            Held::AsMember => {}
                            Held::Role(name) => {
                                if let Some(id) = self.catalog.role_id(name) {
                                    count(Some(self.catalog.role(id)), holding.expires_at);
                                }
                            }
                        }
                    }
                }
            }
        }

        match outright.max(if_listed.min(listed)) {
            Span::NEVER => Answer::Denied(Denial::NotGranted),
            span => Answer::Allowed { until: span.end() },
        }
    }

    /// Gives the grants above the organization that count for the subject, each with its role.
    fn counting_above<'a>(
        &'a self,
        installation: &'a InstallationIndex,
        subject: Subject,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Grant, &'a Role)> {
        installation
            .held_above(subject)
            .filter(move |grant| !grant.is_expired(now))
            .filter(|grant| match &grant.place {
                Place::Installation => true,
                Place::Product(catalog) => catalog == self.catalog.name(),
                Place::Organization | Place::Resource(_) => false,
            })
            .filter_map(|grant| match &grant.held {
                Held::Role(name) => self.catalog.role_id(name).map(|id| (grant, self.catalog.role(id))),
                Held::AsMember => None,
            })
    }

    /// Finds how a subject stands here; `None` if nothing they hold counts anywhere.
    fn standing(&self, installation: &InstallationIndex, subject: Subject) -> Option<Standing> {
        match subject {
            Subject::User(user) => {
                if !installation.is_user_active(user) {
                    return None;
                }
                let Some(id) = self.memberships.get(&user).copied() else { return Some(Standing::default()) };
                let is_in = self.members.get(&id).is_some_and(|member| member.state == MemberState::Active);
                let mut principals = vec![Principal::Membership(id), Principal::Everyone];
                principals.extend(self.groups.get(&id).into_iter().flatten().map(|group| Principal::Group(*group)));
                Some(Standing { is_in, is_at_home: is_in, principals, owner: Some(Principal::Membership(id)) })
            }
            Subject::ServiceAccount(id) => {
                let is_enabled = self.service_accounts.get(&id).copied().or(installation.service_account(id));
                let principal = Principal::ServiceAccount(id);
                (is_enabled == Some(true)).then(|| Standing {
                    is_in: true,
                    is_at_home: self.service_accounts.contains_key(&id),
                    principals: vec![principal],
                    owner: Some(principal),
                })
            }
        }
    }

    /// Gives the target and what it stands under; nothing for the organization and for what is not registered.
    fn chain(&self, target: Option<&ResourceKey>) -> Vec<(&ResourceKey, &Node)> {
        let mut chain = Vec::new();
        let mut next = target.and_then(|key| self.resources.get_key_value(key));
        while let Some((key, node)) = next {
            chain.push((key, node));
            // A tree is never deeper; a longer chain would be a loop.
            if chain.len() > DEPTH_MAX {
                break;
            }
            next = node.parent.as_ref().and_then(|parent| self.resources.get_key_value(parent));
        }
        chain
    }
}

/// How a subject stands in an organization.
#[derive(Default)]
struct Standing {
    /// Whether what is held here counts.
    is_in: bool,
    /// Whether the subject is in the organization itself: an ACTIVE member, or a machine of its own.
    is_at_home: bool,
    /// What the subject is among.
    principals: Vec<Principal>,
    /// As what the subject would own.
    owner: Option<Principal>,
}

/// How long something holds: never, until an instant, or without end; in that order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span(i64);

impl Span {
    const NEVER: Self = Self(i64::MIN);
    const FOREVER: Self = Self(i64::MAX);

    fn until(expires_at: Option<Timestamp>) -> Self {
        expires_at.map_or(Self::FOREVER, |at| Self(at.as_micros()))
    }

    fn end(self) -> Option<Timestamp> {
        (self != Self::FOREVER).then(|| Timestamp::from_micros(self.0))
    }
}
