//! What stands in the simulation at one moment: people, groups and resources of two organizations, who holds what, and
//! what the rule says of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use guildhall::authz::Question;
use guildhall::domain::access::{Actor, Node, Standing, decide};
use guildhall::domain::catalog::presets::preset;
use guildhall::domain::fact::{
    Grant, GrantSource, Held, InstallationFact, MemberState, OrganizationFact, OrganizationState, UserState,
};
use guildhall::domain::id::{GrantId, GroupId, MembershipId, OrganizationId, ServiceAccountId, UserId};
use guildhall::domain::place::{Place, Principal, ResourceKey, Subject};
use guildhall::domain::time::Timestamp;
use uuid::Uuid;

/// Who asks: an operator's service account, which may ask in every organization.
pub const CALLER: ServiceAccountId = ServiceAccountId(Uuid::from_u128(1));
pub const ORGANIZATIONS: usize = 2;
/// Fewer than resources: so what is held of the members of a group is sought by subject, and else by target.
pub const PEOPLE: usize = 4;
pub const GROUPS: usize = 2;
pub const RESOURCES: usize = 8;
/// Resources that have children or may have; the others move about under them.
pub const ROOTS: usize = 2;
const CATALOG: &str = "disaster-recovery";
const KIND: &str = "project";

/// Returns an id of one kind of thing: ids of two kinds are never the same.
fn id<T: From<Uuid>>(kind: u128, number: usize) -> T {
    T::from(Uuid::from_u128(kind << 64 | number as u128))
}

pub fn organization_id(number: usize) -> OrganizationId {
    id(2, number)
}

pub fn user(number: usize) -> UserId {
    id(3, number)
}

pub fn key(resource: usize) -> ResourceKey {
    ResourceKey { kind: KIND.into(), id: format!("p-{resource}").into() }
}

/// Names a person's place in an organization.
pub fn membership(organization: usize, person: usize) -> MembershipId {
    id(4, organization * PEOPLE + person)
}

pub fn group(organization: usize, number: usize) -> GroupId {
    id(5, organization * GROUPS + number)
}

/// One organization.
#[derive(Clone, Debug)]
pub struct Organization {
    pub is_active: bool,
    pub is_member: [bool; PEOPLE],
    pub in_group: [BTreeSet<usize>; GROUPS],
    /// Those that are registered, and what each stands under.
    pub resources: BTreeMap<usize, Option<usize>>,
    pub grants: BTreeMap<GrantId, Grant>,
}

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct World {
    pub organizations: [Organization; ORGANIZATIONS],
    pub is_user_active: [bool; PEOPLE],
    /// By which the caller may ask.
    pub may_ask: bool,
    grants_made: usize,
}

impl World {
    /// Begins with people who may work wherever they are listed, and resources in two trees.
    pub fn new() -> Self {
        let organization = Organization {
            is_active: true,
            is_member: [true; PEOPLE],
            in_group: [BTreeSet::from([0, 1]), BTreeSet::from([1, 2])],
            resources: [None, None, Some(0), Some(0), Some(1), Some(1), None, Some(0)]
                .into_iter()
                .enumerate()
                .collect(),
            grants: BTreeMap::new(),
        };
        let mut world = Self {
            organizations: std::array::from_fn(|_| organization.clone()),
            is_user_active: [true; PEOPLE],
            may_ask: true,
            grants_made: 0,
        };
        for number in 0..ORGANIZATIONS {
            world.give(number, Principal::Everyone, Place::Organization, Held::Role("user".into()), None);
            world.give(number, Principal::Everyone, Place::Resource(key(1)), Held::AsMember, None);
            for at in 0..GROUPS {
                world.give(number, Principal::Group(group(number, at)), Place::Resource(key(at)), Held::AsMember, None);
            }
            for person in 0..PEOPLE {
                let (who, on) = (Principal::Membership(membership(number, person)), key(person % RESOURCES));
                world.give(number, who, Place::Resource(on), Held::AsMember, None);
            }
        }
        world
    }

    /// Adds a grant, and gives the fact.
    pub fn give(
        &mut self,
        organization: usize,
        principal: Principal,
        place: Place,
        held: Held,
        expires_at: Option<Timestamp>,
    ) -> OrganizationFact {
        self.grants_made += 1;
        let grant =
            Grant { id: id(6, self.grants_made), principal, place, held, expires_at, source: GrantSource::Manual };
        self.organizations[organization].grants.insert(grant.id, grant.clone());
        OrganizationFact::Grant(grant)
    }

    /// Returns everything that stands in the installation, in an order in which it can be applied.
    pub fn above(&self) -> Vec<InstallationFact> {
        let caller = InstallationFact::ServiceAccount { id: CALLER, is_enabled: true };
        let users = (0..PEOPLE).map(|person| self.user_fact(person));
        let right = self.may_ask.then(|| InstallationFact::Grant(callers_right()));
        std::iter::once(caller).chain(users).chain(right).collect()
    }

    /// Returns everything that stands in an organization, in an order in which it can be applied.
    pub fn facts_of(&self, number: usize) -> Vec<OrganizationFact> {
        let it = &self.organizations[number];
        let mut facts = vec![self.organization_fact(number)];
        facts.extend((0..PEOPLE).map(|person| self.member_fact(number, person)));
        for at in 0..GROUPS {
            facts.extend(it.in_group[at].iter().map(|person| self.group_fact(number, at, *person)));
        }
        facts.extend(it.resources.keys().map(|at| self.resource_fact(number, *at)));
        facts.extend(it.grants.values().cloned().map(OrganizationFact::Grant));
        facts
    }

    pub fn organization_fact(&self, number: usize) -> OrganizationFact {
        let is_active = self.organizations[number].is_active;
        let state = if is_active { OrganizationState::Active } else { OrganizationState::Disabled };
        OrganizationFact::Organization { state, catalog: CATALOG.into() }
    }

    pub fn member_fact(&self, number: usize, person: usize) -> OrganizationFact {
        OrganizationFact::Membership {
            id: membership(number, person),
            user: Some(user(person)),
            state: self.state(number, person),
        }
    }

    fn state(&self, number: usize, person: usize) -> MemberState {
        if self.organizations[number].is_member[person] { MemberState::Active } else { MemberState::Disabled }
    }

    pub fn group_fact(&self, number: usize, at: usize, person: usize) -> OrganizationFact {
        let is_in = self.organizations[number].in_group[at].contains(&person);
        OrganizationFact::GroupMember { group: group(number, at), membership: membership(number, person), is_in }
    }

    pub fn resource_fact(&self, number: usize, at: usize) -> OrganizationFact {
        match self.organizations[number].resources.get(&at) {
            Some(parent) => OrganizationFact::Resource { key: key(at), parent: parent.map(key), owner: None },
            None => OrganizationFact::ResourceGone { key: key(at) },
        }
    }

    pub fn user_fact(&self, person: usize) -> InstallationFact {
        let state = if self.is_user_active[person] { UserState::Active } else { UserState::Disabled };
        InstallationFact::User { id: user(person), state }
    }

    /// Asks the rule, in what stands in the organization here and above it in another world.
    pub fn allows(&self, above: &Self, number: usize, question: &Question, now: Timestamp) -> bool {
        let it = &self.organizations[number];
        let catalog = preset(CATALOG).expect("a catalog that is part of the server");
        let permission = catalog.permission(&question.permission).expect("a permission of the catalog");
        let person = (0..PEOPLE).find(|person| question.subject == Subject::User(user(*person))).expect("a person");
        let actor = Actor {
            organization: OrganizationId(uuid::Uuid::nil()),
            subject: question.subject,
            now,
            catalog,
            organization_is_active: it.is_active,
            standing: Standing::Person {
                user: user(person),
                is_active: above.is_user_active[person],
                membership: Some((membership(number, person), self.state(number, person))),
                groups: (0..GROUPS)
                    .filter(|at| it.in_group[*at].contains(&person))
                    .map(|at| group(number, at))
                    .collect(),
            },
            chains: (0..RESOURCES).filter_map(|at| Some((key(at), it.chain(at)?))).collect::<HashMap<_, _>>(),
            grants: it.grants.values().cloned().collect::<Arc<[_]>>(),
        };
        decide(&actor.at(question.target.as_ref()), permission, now).is_allowed()
    }
}

impl Organization {
    fn chain(&self, at: usize) -> Option<Vec<Node>> {
        let node = Node { key: key(at), owner: None };
        let above = self.resources.get(&at)?.and_then(|parent| self.chain(parent)).unwrap_or_default();
        Some(std::iter::once(node).chain(above).collect())
    }
}

/// What lets the caller ask in every organization.
pub fn callers_right() -> Grant {
    Grant {
        id: id(7, 0),
        principal: Principal::ServiceAccount(CALLER),
        place: Place::Installation,
        held: Held::Role("operator".into()),
        expires_at: None,
        source: GrantSource::Manual,
    }
}
