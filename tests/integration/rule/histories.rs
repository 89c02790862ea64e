//! Random histories of a [`World`]: small, so that what collides in practice collides here all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use guildhall::domain::catalog::{CeilingNames, CustomRole, Holders, Reach, RolePlace};
use guildhall::domain::fact::{
    Grant, GrantSource, Held, InstallationFact, MemberState, OrganizationFact, OrganizationState, UserState,
};
use guildhall::domain::id::{GroupId, MembershipId, ServiceAccountId, UserId};
use guildhall::domain::place::{DEPTH_MAX, Place, Principal, ResourceKey};
use guildhall::domain::time::Timestamp;
use uuid::Uuid;

use super::catalogs::{Product, products};
use super::rng::{Rng, mix};
use super::worlds::{EPOCH, Home, Machine, Membership, Resource, World};

const USERS: usize = 6;
const MEMBERSHIPS: usize = 5;
const MEMBERSHIPS_MAX: usize = 8;
const GROUPS: usize = 2;
const RESOURCES: usize = 8;
const NAMES: usize = 11;
const GRANTS: usize = 15;
const ROLES: usize = 3;
const GRANTS_ABOVE: usize = 4;
/// A role that grants have and that nobody declares, but for an organization that makes one of this name.
const UNDECLARED: &str = "no-longer-declared";
/// Times and expiries lie whole ticks apart, so that they often meet.
const TICK: Duration = Duration::from_secs(1);

/// One thing that may happen to a world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A grant in the organization.
    Granted,
    /// One is taken away.
    GrantTaken,
    /// One is given another expiry.
    GrantRenewed,
    /// One is replaced by another in the same commit.
    GrantReplaced,
    /// A membership is made, PENDING or with a user.
    MemberJoined,
    /// A PENDING one is bound to a user.
    MemberActivated,
    /// An ACTIVE one is shut out.
    MemberDisabled,
    /// A DISABLED one is let in.
    MemberEnabled,
    /// A membership is put into a group.
    GroupJoined,
    /// One is taken out.
    GroupLeft,
    /// A service account is enabled or disabled, here or above.
    MachineSwitched,
    /// A resource is registered.
    Registered,
    /// One is moved.
    Moved,
    /// One with nothing below it is removed, with the grants on it.
    Removed,
    /// One without an owner gets one.
    OwnerNamed,
    /// One gets another owner, or none.
    OwnerChanged,
    /// The organization is shut or opened.
    OrganizationSwitched,
    /// A user is shut out everywhere, or let in.
    UserSwitched,
    /// A grant above the organization.
    GrantedAbove,
    /// One is taken away.
    GrantTakenAbove,
    /// The organization makes a role of its own, or changes one.
    RoleShaped,
    /// It deletes one, with the grants of it.
    RoleDeleted,
    /// Time passes, and nothing else.
    TimePassed,
}

impl Kind {
    /// What only adds: a grant, a group member, a resource, an owner where there was none.
    pub const ADDING: &[Self] =
        &[Self::Granted, Self::GrantedAbove, Self::GroupJoined, Self::Registered, Self::OwnerNamed];

    /// Every kind, with how often it happens among the others.
    pub const ALL: &[(Self, usize)] = &[
        (Self::Granted, 14),
        (Self::GrantTaken, 8),
        (Self::GrantRenewed, 3),
        (Self::GrantReplaced, 4),
        (Self::MemberJoined, 2),
        (Self::MemberActivated, 4),
        (Self::MemberDisabled, 3),
        (Self::MemberEnabled, 5),
        (Self::GroupJoined, 6),
        (Self::GroupLeft, 4),
        (Self::MachineSwitched, 4),
        (Self::Registered, 8),
        (Self::Moved, 8),
        (Self::Removed, 5),
        (Self::OwnerNamed, 4),
        (Self::OwnerChanged, 4),
        (Self::OrganizationSwitched, 3),
        (Self::UserSwitched, 3),
        (Self::GrantedAbove, 4),
        (Self::GrantTakenAbove, 3),
        (Self::RoleShaped, 6),
        (Self::RoleDeleted, 3),
        (Self::TimePassed, 8),
    ];
}

/// What one step said in each log. One of them is empty, as a commit stands in one log.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happened.
    pub kind: Kind,
    /// Facts of one commit of the organization.
    pub organization: Vec<OrganizationFact>,
    /// Facts of one commit of the installation.
    pub installation: Vec<InstallationFact>,
    /// The time after it.
    pub now: Timestamp,
}

/// A world and how it moves on. The same seed gives the same history.
#[derive(Clone, Debug)]
pub struct History {
    rng: Rng,
    world: World,
    initial: (Vec<OrganizationFact>, Vec<InstallationFact>),
    /// Ids made so far.
    made: u64,
    /// Tells the ids of this history from those of others in the same installation.
    number: u16,
}

impl History {
    /// Begins a history. Seeds in a row go round the catalogs.
    pub fn new(seed: u64) -> Self {
        let products = products();
        let product = &products[usize::try_from(seed % products.len() as u64).expect("is below a usize")];
        Self::begin(product, seed, 0)
    }

    /// Begins one of several histories in one installation, all of one catalog: no id of one is an id of another.
    pub fn among(product: &'static Product, seed: u64, number: u16) -> Self {
        Self::begin(product, seed, number)
    }

    fn begin(product: &'static Product, seed: u64, number: u16) -> Self {
        let (world, initial) = (World::empty(product), (Vec::new(), Vec::new()));
        let mut history = Self { rng: Rng::new(mix(seed)), world, initial, made: 0, number };
        history.populate();
        history.initial = (history.world.facts(), history.world.facts_above());
        history
    }

    /// Goes another way from here than it would have.
    pub fn diverge(&mut self, seed: u64) {
        self.rng = Rng::new(mix(seed));
    }

    /// Returns what stood in the organization and in the installation at the beginning.
    pub fn initial(&self) -> (Vec<OrganizationFact>, Vec<InstallationFact>) {
        self.initial.clone()
    }

    /// Returns the world as it is now.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Lets something happen.
    pub fn step(&mut self) -> Step {
        let weights: usize = Kind::ALL.iter().map(|(_, weight)| weight).sum();
        loop {
            let mut drawn = self.rng.below(weights);
            let kind = Kind::ALL.iter().find(|(_, weight)| {
                let is_it = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                is_it
            });
            let (kind, _) = kind.expect("what is drawn is below the sum");
            if let Some(step) = self.step_of(*kind) {
                return step;
            }
        }
    }

    /// Lets something of that kind happen; `None` if nothing of it can.
    pub fn step_of(&mut self, kind: Kind) -> Option<Step> {
        let (mut organization, mut installation) = (Vec::new(), Vec::new());
        match kind {
            Kind::Granted => organization.push(OrganizationFact::Grant(self.grant())),
            Kind::GrantTaken => organization.push(OrganizationFact::GrantGone(self.any_grant()?)),
            Kind::GrantRenewed => {
                let grant = self.any_grant()?;
                organization.push(OrganizationFact::GrantGone(grant.clone()));
                organization.push(OrganizationFact::Grant(Grant {
                    id: self.id(GRANT),
                    expires_at: self.expiry(),
                    ..grant
                }));
            }
            Kind::GrantReplaced => {
                let grant = self.any_grant()?;
                organization.push(OrganizationFact::GrantGone(grant.clone()));
                let Grant { principal, place, .. } = grant;
                let held = self.held(&place);
                let (id, source) = (self.id(GRANT), GrantSource::Manual);
                organization.push(OrganizationFact::Grant(Grant {
                    id,
                    principal,
                    place,
                    held,
                    expires_at: None,
                    source,
                }));
            }
            Kind::MemberJoined => organization.push(self.member_joined()?),
            Kind::MemberActivated => {
                let (id, _) = self.any_membership(MemberState::Pending)?;
                let user = Some(self.newcomer()?);
                organization.push(OrganizationFact::Membership { id, user, state: MemberState::Active });
            }
            Kind::MemberDisabled => {
                let (id, Membership { user, .. }) = self.any_membership(MemberState::Active)?;
                organization.push(OrganizationFact::Membership { id, user, state: MemberState::Disabled });
            }
            Kind::MemberEnabled => {
                let (id, Membership { user, .. }) = self.any_membership(MemberState::Disabled)?;
                organization.push(OrganizationFact::Membership { id, user, state: MemberState::Active });
            }
            Kind::GroupJoined => organization.push(self.group_member(true)?),
            Kind::GroupLeft => organization.push(self.group_member(false)?),
            Kind::MachineSwitched => {
                let (id, Machine { home, is_enabled }) = self.any_machine()?;
                let is_enabled = !is_enabled;
                match home {
                    Home::Here => organization.push(OrganizationFact::ServiceAccount { id, is_enabled }),
                    Home::Above | Home::Elsewhere => {
                        installation.push(InstallationFact::ServiceAccount { id, is_enabled });
                    }
                }
            }
            Kind::Registered => organization.push(self.registered()?),
            Kind::Moved => organization.push(self.moved()?),
            Kind::Removed => organization = self.removed()?,
            Kind::OwnerNamed => organization.push(self.owner_changed(true)?),
            Kind::OwnerChanged => organization.push(self.owner_changed(false)?),
            Kind::OrganizationSwitched => organization.push(self.organization_switched()),
            Kind::UserSwitched => {
                let users: Vec<_> = self.world.users.iter().map(|(id, state)| (*id, *state)).collect();
                let (id, state) = self.rng.pick(&users)?;
                let is_active = state == UserState::Active;
                let state = if is_active { UserState::Disabled } else { UserState::Active };
                installation.push(InstallationFact::User { id, state });
            }
            Kind::GrantedAbove => installation.push(InstallationFact::Grant(self.grant_above())),
            Kind::GrantTakenAbove => {
                let grants: Vec<_> = self.world.grants_above.values().cloned().collect();
                installation.push(InstallationFact::GrantGone(self.rng.pick(&grants)?));
            }
            Kind::RoleShaped => organization.push(OrganizationFact::Role(self.role())),
            Kind::RoleDeleted => organization = self.role_deleted()?,
            Kind::TimePassed => {
                let ticks = 1 + self.rng.below(2);
                self.world.now = self.world.now.plus(TICK * u32::try_from(ticks).expect("is 1 or 2"));
            }
        }
        self.world.apply_all(&organization, &installation);
        Some(Step { kind, organization, installation, now: self.world.now })
    }

    fn populate(&mut self) {
        for _ in 0..USERS {
            let state = if self.rng.percent(15) { UserState::Disabled } else { UserState::Active };
            let id = self.id(USER);
            self.world.users.insert(id, state);
        }
        for _ in 0..MEMBERSHIPS {
            self.step_of(Kind::MemberJoined);
        }
        for _ in 0..GROUPS {
            let id: GroupId = self.id(GROUP);
            self.world.groups.insert(id, BTreeSet::new());
            self.step_of(Kind::GroupJoined);
            self.step_of(Kind::GroupJoined);
        }
        for home in [Home::Here, Home::Here, Home::Above, Home::Elsewhere] {
            let id = self.id(SERVICE_ACCOUNT);
            let is_enabled = self.rng.percent(80);
            self.world.service_accounts.insert(id, Machine { home, is_enabled });
        }
        for index in 0..NAMES {
            let kinds: Vec<_> =
                self.world.product.compiled.resource_types().map(|(_, kind)| kind.name.clone()).collect();
            let kind = self.rng.pick(&kinds).expect("every catalog has a type");
            self.world.names.push(ResourceKey { kind, id: format!("r{index}").into() });
        }
        for _ in 0..RESOURCES {
            self.step_of(Kind::Registered);
        }
        for _ in 0..self.rng.below(ROLES) {
            self.step_of(Kind::RoleShaped);
        }
        for _ in 0..GRANTS {
            self.step_of(Kind::Granted);
        }
        for _ in 0..GRANTS_ABOVE {
            self.step_of(Kind::GrantedAbove);
        }
        if self.rng.percent(5) {
            self.world.organization = OrganizationState::Disabled;
        }
    }

    fn grant(&mut self) -> Grant {
        let place = match self.any_resource() {
            Some(key) if self.rng.percent(60) => Place::Resource(key),
            _ => Place::Organization,
        };
        let memberships: Vec<_> = self.world.memberships.keys().copied().collect();
        let groups: Vec<_> = self.world.groups.keys().copied().collect();
        let accounts: Vec<_> = self.world.service_accounts.keys().copied().collect();
        let principal = match self.rng.below(100) {
            0..15 => self.rng.pick(&groups).map(Principal::Group),
            15..22 => None,
            22..40 => self.rng.pick(&accounts).map(Principal::ServiceAccount),
            _ => self.rng.pick(&memberships).map(Principal::Membership),
        };
        let principal = principal.unwrap_or(Principal::Everyone);
        let held = self.held(&place);
        Grant { id: self.id(GRANT), principal, place, held, expires_at: self.expiry(), source: GrantSource::Manual }
    }

    /// A service account of an organization holds nothing above it, but if it did, that must not reach elsewhere.
    fn grant_above(&mut self) -> Grant {
        let users: Vec<_> = self.world.users.keys().copied().collect();
        let accounts: Vec<_> = self.world.service_accounts.keys().copied().collect();
        let machine = self.rng.pick(&accounts).filter(|_| self.rng.percent(40)).map(Principal::ServiceAccount);
        let principal = machine.or_else(|| self.rng.pick(&users).map(Principal::User)).expect("there are users");
        let place = match self.rng.below(100) {
            0..25 => Place::Installation,
            25..45 => {
                let name = products()[self.rng.below(products().len())].name();
                Place::Product(name.into())
            }
            _ => Place::Product(Arc::clone(self.world.product.compiled.name())),
        };
        let held = self.held(&place);
        Grant { id: self.id(GRANT), principal, place, held, expires_at: self.expiry(), source: GrantSource::Manual }
    }

    /// Any role anywhere, whatever its `at` says: the rule does not ask. The built-in one is of the installation.
    fn held(&mut self, place: &Place) -> Held {
        let catalog = &self.world.product.compiled;
        let has_list = match place {
            Place::Installation => return Held::Role("operator".into()),
            Place::Resource(key) => catalog.resource_type(&key.kind).is_some_and(|(_, kind)| kind.has_list),
            Place::Product(_) | Place::Organization => false,
        };
        if has_list && self.rng.percent(40) {
            return Held::AsMember;
        }
        if self.rng.percent(4) {
            return Held::Role(UNDECLARED.into());
        }
        let own: Vec<_> = self.world.roles.keys().cloned().collect();
        if !matches!(place, Place::Product(_)) && self.rng.percent(35) && !own.is_empty() {
            return Held::Role(self.rng.pick(&own).expect("there is one"));
        }
        let roles: Vec<_> = catalog.roles().skip(1).map(|(_, role)| role.name.clone()).collect();
        Held::Role(self.rng.pick(&roles).expect("every catalog has a role"))
    }

    /// Any role, whatever its maker could give: the rule does not ask. Sometimes of a name that grants have had before
    /// there was such a role.
    fn role(&mut self) -> CustomRole {
        let name = self.rng.pick(&["own-a", "own-b", "own-c", UNDECLARED]).expect("there are some");
        let catalog = Arc::clone(&self.world.product.compiled);
        let names: Vec<Arc<str>> = catalog.roles().skip(1).map(|(_, role)| Arc::clone(&role.name)).collect();
        let permissions: Vec<_> = catalog.permissions().collect();
        let mut held = BTreeMap::new();
        for _ in 0..self.rng.below(6) {
            let permission = self.rng.pick(&permissions).expect("every catalog has some");
            let reach = self.rng.pick(&[Reach::Any, Reach::Shared, Reach::Own]).expect("there are three");
            held.insert(Arc::clone(catalog.permission_name(permission)), reach);
        }
        let some = |rng: &mut Rng, most| (0..rng.below(most)).filter_map(|_| rng.pick(&names)).collect::<Vec<_>>();
        let includes = some(&mut self.rng, 3);
        let ceiling = |rng: &mut Rng| match rng.below(4) {
            0 => CeilingNames::Subset,
            1 => CeilingNames::Any,
            2 => CeilingNames::Roles(some(rng, 3)),
            _ => CeilingNames::None,
        };
        let (may_grant, may_take) = (ceiling(&mut self.rng), ceiling(&mut self.rng));
        CustomRole {
            name: name.into(),
            description: String::new(),
            at: vec![RolePlace::Organization],
            to: Holders { people: true, groups: true, everyone: true, service_accounts: true },
            includes,
            permissions: held,
            as_member: self.rng.percent(15),
            may_grant,
            may_take,
        }
    }

    fn role_deleted(&mut self) -> Option<Vec<OrganizationFact>> {
        let names: Vec<_> = self.world.roles.keys().cloned().collect();
        let name = self.rng.pick(&names)?;
        let held = Held::Role(Arc::clone(&name));
        let grants = self.world.grants.values().filter(|grant| grant.held == held);
        let mut facts: Vec<_> = grants.cloned().map(OrganizationFact::GrantGone).collect();
        facts.push(OrganizationFact::RoleGone { name });
        Some(facts)
    }

    fn expiry(&mut self) -> Option<Timestamp> {
        // From a tick ago, which has run out, over now, which has as well, to what this history may live to see.
        let ticks = u32::try_from(self.rng.below(8)).expect("is below 8");
        let now = self.world.now;
        self.rng.percent(40).then(|| now.minus(TICK).plus(TICK * ticks))
    }

    fn any_grant(&mut self) -> Option<Grant> {
        let grants: Vec<_> = self.world.grants.values().cloned().collect();
        self.rng.pick(&grants)
    }

    fn any_membership(&mut self, state: MemberState) -> Option<(MembershipId, Membership)> {
        let memberships = self.world.memberships.iter().filter(|(_, membership)| membership.state == state);
        let memberships: Vec<_> = memberships.map(|(id, membership)| (*id, *membership)).collect();
        self.rng.pick(&memberships)
    }

    fn any_machine(&mut self) -> Option<(ServiceAccountId, Machine)> {
        let machines = self.world.service_accounts.iter().filter(|(_, machine)| machine.home != Home::Elsewhere);
        let machines: Vec<_> = machines.map(|(id, machine)| (*id, *machine)).collect();
        self.rng.pick(&machines)
    }

    fn any_resource(&mut self) -> Option<ResourceKey> {
        let keys: Vec<_> = self.world.resources.keys().cloned().collect();
        self.rng.pick(&keys)
    }

    fn member_joined(&mut self) -> Option<OrganizationFact> {
        if self.world.memberships.len() >= MEMBERSHIPS_MAX {
            return None;
        }
        let state = match self.rng.below(100) {
            0..20 => MemberState::Pending,
            20..35 => MemberState::Disabled,
            _ => MemberState::Active,
        };
        let user = if state == MemberState::Pending { None } else { Some(self.newcomer()?) };
        Some(OrganizationFact::Membership { id: self.id(MEMBERSHIP), user, state })
    }

    /// A user without a membership.
    fn newcomer(&mut self) -> Option<UserId> {
        let is_taken = |id: &UserId| self.world.memberships.values().any(|membership| membership.user == Some(*id));
        let free: Vec<_> = self.world.users.keys().copied().filter(|id| !is_taken(id)).collect();
        self.rng.pick(&free)
    }

    fn group_member(&mut self, is_in: bool) -> Option<OrganizationFact> {
        let groups: Vec<_> = self.world.groups.keys().copied().collect();
        let group = self.rng.pick(&groups)?;
        let members = &self.world.groups[&group];
        let memberships = self.world.memberships.keys().copied().filter(|id| members.contains(id) != is_in);
        let memberships: Vec<_> = memberships.collect();
        let membership = self.rng.pick(&memberships)?;
        Some(OrganizationFact::GroupMember { group, membership, is_in })
    }

    fn registered(&mut self) -> Option<OrganizationFact> {
        let free = self.world.names.iter().filter(|name| !self.world.resources.contains_key(*name));
        let free: Vec<_> = free.cloned().collect();
        let key = self.rng.pick(&free)?;
        let parent = self.parent_for(&key.kind, 1, |_, _| true)?.resource().cloned();
        let owner = if self.rng.percent(45) { self.owner() } else { None };
        Some(OrganizationFact::Resource { key, parent, owner })
    }

    fn moved(&mut self) -> Option<OrganizationFact> {
        let key = self.any_resource()?;
        let height = self.world.height(&key);
        let parent =
            self.parent_for(&key.kind, height, |world, parent| !world.is_under(parent, &key))?.resource().cloned();
        let Resource { owner, .. } = self.world.resources[&key].clone();
        Some(OrganizationFact::Resource { key, parent, owner })
    }

    /// What something as high as `height` can stand under, if anything; often the deepest, so that trees grow to the
    /// limit.
    fn parent_for(&mut self, kind: &str, height: usize, may: impl Fn(&World, &ResourceKey) -> bool) -> Option<Place> {
        let world = &self.world;
        let written = &world.product.written.types[kind];
        let fits = |key: &&ResourceKey| {
            written.may_stand_under(&key.kind) && may(world, key) && world.depth(key) + height <= DEPTH_MAX
        };
        let mut parents: Vec<_> = world.resources.keys().filter(fits).cloned().collect();
        parents.sort_by_key(|key| world.depth(key));
        let parent = match self.rng.below(100) {
            0..20 => None,
            20..60 => parents.pop(),
            _ => self.rng.pick(&parents),
        };
        match parent {
            None if written.may_stand_under("organization") => Some(Place::Organization),
            None => self.rng.pick(&parents).map(Place::Resource),
            Some(parent) => Some(Place::Resource(parent)),
        }
    }

    fn removed(&mut self) -> Option<Vec<OrganizationFact>> {
        let leaves = self.world.resources.keys().filter(|key| self.world.children(key).next().is_none());
        let leaves: Vec<_> = leaves.cloned().collect();
        let key = self.rng.pick(&leaves)?;
        let place = Place::Resource(key.clone());
        let grants = self.world.grants.values().filter(|grant| grant.place == place);
        let mut facts: Vec<_> = grants.cloned().map(OrganizationFact::GrantGone).collect();
        facts.push(OrganizationFact::ResourceGone { key });
        Some(facts)
    }

    fn owner_changed(&mut self, from_none: bool) -> Option<OrganizationFact> {
        let resources = self.world.resources.iter().filter(|(_, resource)| resource.owner.is_none() == from_none);
        let resources: Vec<_> = resources.map(|(key, resource)| (key.clone(), resource.parent.clone())).collect();
        let (key, parent) = self.rng.pick(&resources)?;
        let owner = if from_none || self.rng.percent(70) { Some(self.owner()?) } else { None };
        Some(OrganizationFact::Resource { key, parent, owner })
    }

    fn owner(&mut self) -> Option<Principal> {
        let memberships = self.world.memberships.keys().copied().map(Principal::Membership);
        let accounts = self.world.service_accounts.iter().filter(|(_, machine)| machine.home == Home::Here);
        let owners: Vec<_> = memberships.chain(accounts.map(|(id, _)| Principal::ServiceAccount(*id))).collect();
        self.rng.pick(&owners)
    }

    /// Rarely shut, soon opened: in a shut organization there is little to see.
    fn organization_switched(&mut self) -> OrganizationFact {
        let is_active = self.world.organization == OrganizationState::Active;
        let state =
            if is_active && self.rng.percent(40) { OrganizationState::Disabled } else { OrganizationState::Active };
        OrganizationFact::Organization { state, catalog: Arc::clone(self.world.product.compiled.name()) }
    }

    /// Makes an id that can be told from others by eye, and whose order is not that of making.
    fn id<T: From<Uuid>>(&mut self, noun: u128) -> T {
        self.made += 1;
        let scattered = u128::from(mix(self.made) >> 32);
        let number = u128::from(self.number);
        T::from(Uuid::from_u128((scattered << 96) | (number << 64) | (noun << 48) | u128::from(self.made)))
    }
}

const USER: u128 = 0xa;
const MEMBERSHIP: u128 = 0xb;
const GROUP: u128 = 0xc;
const SERVICE_ACCOUNT: u128 = 0xd;
const GRANT: u128 = 0xe;

#[test]
fn a_seed_gives_one_history_and_its_facts_are_its_world() {
    for seed in 0..20 {
        let (mut one, mut same) = (History::new(seed), History::new(seed));
        let mut told = World { users: one.world.users.clone(), ..World::empty(one.world.product) };
        told.groups = one.world.groups.keys().map(|group| (*group, BTreeSet::new())).collect();
        let elsewhere = one.world.service_accounts.iter().filter(|(_, machine)| machine.home == Home::Elsewhere);
        told.service_accounts = elsewhere.map(|(id, machine)| (*id, *machine)).collect();
        told.names.clone_from(&one.world.names);
        let (organization, installation) = one.initial();
        told.apply_all(&organization, &installation);
        assert_eq!(told.now, EPOCH);

        for _ in 0..60 {
            let (step, again) = (one.step(), same.step());
            assert_eq!(format!("{step:?}"), format!("{again:?}"), "seed {seed}");
            assert!(step.organization.is_empty() || step.installation.is_empty(), "seed {seed}: {step:?}");
            told.apply_all(&step.organization, &step.installation);
            told.now = step.now;
            assert_eq!(format!("{told:?}"), format!("{:?}", one.world), "seed {seed} after {:?}", step.kind);
            assert!(told.resources.keys().all(|key| told.depth(key) <= DEPTH_MAX), "seed {seed}");
        }
    }
}
