//! One organization in memory: a dense base that never changes under a small overlay that does.
//!
//! A clone is a snapshot and costs nothing; an apply changes one clone and publishes it whole, in a time that does not
//! depend on how much the organization holds. When the overlay has grown to a sixteenth of the base, both are compacted
//! into a new base beside the running one ([`OrganizationIndex::compacted`]). `evaluate` evaluates the rule on it,
//! `list` enumerates.

mod base;
mod browse;
mod draft;
mod evaluate;
mod extent;
mod list;
mod number;
mod overlay;
mod staged;
mod table;
mod touched;
mod words;

use std::sync::Arc;

use smallvec::SmallVec;

use self::base::Base;
use self::draft::Draft;
use self::number::{Holder, HolderKind, Holding, NOBODY, NUMBERS_MAX, Number, ORGANIZATION};
use self::overlay::{AccountNow, MemberNow, Overlay, ResourceNow};
use self::words::Words;
use crate::domain::catalog::{Catalog, Catalogs};
use crate::domain::fact::{Commit, Grant, GrantSource, OrganizationFact, OrganizationState};
use crate::domain::id::{GrantId, GroupId, MembershipId, ServiceAccountId, UserId};
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::revision::Position;
use crate::domain::time::Timestamp;

pub use browse::{Candidates, Seen};
pub use list::{Page, PermissionHeld, SubjectKey, Viewer};

/// An overlay is compacted when it holds more than this share of the base...
const FOLD_SHARE: usize = 16;
/// ...but a small one is left alone.
const FOLD_LEAST: usize = 64;

/// One organization's log, applied. Cheap to clone: a snapshot.
///
/// What every check reads stands first, in the cache line of the count of owners, which a view has just fetched.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct OrganizationIndex {
    base: Arc<Base>,
    words: Words,
    is_active: bool,
    overlay: Overlay,
    position: Position,
    catalog_key: Arc<str>,
    /// Among these is the one that a commit has it follow next.
    catalogs: Catalogs,
}

impl OrganizationIndex {
    /// Brings an empty index to a loaded state; `None` if the facts name no catalog that is known. `seed` keys the hash
    /// of the ids that clients choose.
    #[must_use]
    pub fn load(position: Position, facts: &[OrganizationFact], catalogs: &Catalogs, seed: u64) -> Option<Self> {
        let (key, catalog) = facts.iter().find_map(|fact| match fact {
            OrganizationFact::Organization { catalog, .. } => {
                catalogs.find(catalog).map(|found| (Arc::clone(catalog), found))
            }
            _ => None,
        })?;
        let mut index = Self::of(key, catalog, facts.iter(), (catalogs.clone(), seed));
        index.position = position;
        Some(index)
    }

    /// Makes the index of an organization in which nothing has happened yet.
    #[must_use]
    pub fn empty(catalog: Arc<Catalog>) -> Self {
        Self::of(Arc::clone(catalog.name()), catalog, [].iter(), (Catalogs::default(), 0))
    }

    /// Makes an index of states.
    fn of<Told: std::borrow::Borrow<OrganizationFact>>(
        key: Arc<str>,
        catalog: Arc<Catalog>,
        facts: impl Iterator<Item = Told>,
        (catalogs, seed): (Catalogs, u64),
    ) -> Self {
        let (mut words, mut draft, mut is_active) = (Words::new(catalog), Draft::default(), false);
        for fact in facts {
            match fact.borrow() {
                OrganizationFact::Organization { state, .. } => is_active = *state == OrganizationState::Active,
                // Before any grant of it, so that no number that was given moves.
                OrganizationFact::Role(role) => words.put_role(role),
                fact => draft.take(fact, &mut words),
            }
        }
        let base = Arc::new(draft.build(seed));
        let overlay = Overlay::new(compaction_limit(&base));
        Self { position: Position::default(), is_active, words, base, overlay, catalog_key: key, catalogs }
    }

    /// Returns whether the overlay has grown so much that it should be compacted.
    #[must_use]
    pub fn wants_compaction(&self) -> bool {
        self.overlay.is_full()
    }

    /// Makes the same index anew with everything in its base. Takes as long as loading did.
    #[must_use]
    pub fn compacted(&self) -> Self {
        self.anew(Arc::clone(&self.catalog_key), Arc::clone(self.words.followed()))
    }

    /// Estimates the memory it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes_by_part().into_iter().sum()
    }

    /// Estimates what memberships, grants, resources, groups and all the rest take, in bytes.
    pub(super) fn bytes_by_part(&self) -> [usize; 5] {
        let [members, grants, resources, groups, rest] = self.base.bytes_by_part();
        [members, grants, resources, groups, rest + size_of::<Self>() + self.overlay.bytes()]
    }

    /// Applies the commit that follows.
    pub fn apply(&mut self, commit: &Commit<OrganizationFact>) {
        for fact in &commit.facts {
            self.apply_fact(fact);
        }
        self.position = commit.position;
    }

    /// Applies commits in order.
    pub fn apply_all(&mut self, commits: &[Commit<OrganizationFact>]) {
        for commit in commits {
            self.apply(commit);
        }
    }

    fn apply_fact(&mut self, fact: &OrganizationFact) {
        match fact {
            OrganizationFact::Organization { state, catalog } => {
                self.is_active = *state == OrganizationState::Active;
                if *catalog != self.catalog_key
                    && let Some(found) = self.catalogs.find(catalog)
                {
                    // The numbers of its types and roles are others. It happens to an organization once in years.
                    *self = self.anew(Arc::clone(catalog), found);
                }
            }
            OrganizationFact::Role(role) => {
                if self.words.must_number_anew_for(role) {
                    let (key, followed) = (Arc::clone(&self.catalog_key), Arc::clone(self.words.followed()));
                    let facts = std::iter::once(OrganizationFact::Role(role.clone())).chain(self.facts());
                    let anew = Self::of(key, followed, facts, (self.catalogs.clone(), self.base.seed));
                    *self = Self { position: self.position, ..anew };
                } else {
                    self.words.put_role(role);
                }
            }
            OrganizationFact::RoleGone { name } => self.words.remove_role(name),
            OrganizationFact::Membership { id, user, state } => {
                let number = self.member_number(*id);
                let mut member = self.member_now(number);
                member.user = user.map_or(0, |user| user.0.as_u128());
                member.state = Some(*state);
                if member.user != 0 && self.member_of(member.user) != Some(number) {
                    self.overlay.put_user(member.user, number);
                }
                self.overlay.put_member(number, member);
            }
            OrganizationFact::MembershipGone { id } => {
                // Whoever comes back comes with another membership.
                let number = self.member_number(*id);
                self.overlay.put_member(number, MemberNow { id: id.0.as_u128(), ..MemberNow::default() });
            }
            OrganizationFact::GroupMember { group, membership, is_in } => {
                let group = self.group_number(*group);
                let number = self.member_number(*membership);
                let mut member = self.member_now(number);
                let others = member.groups.iter().copied().filter(|other| *other != group);
                member.groups = others.chain(is_in.then_some(group)).collect();
                self.overlay.put_member(number, member);
            }
            OrganizationFact::ServiceAccount { id, is_enabled } => {
                let number = self.account_number(*id);
                self.overlay.put_account(number, AccountNow { is_enabled: Some(*is_enabled) });
            }
            OrganizationFact::ServiceAccountGone { id } => {
                let number = self.account_number(*id);
                self.overlay.put_account(number, AccountNow { is_enabled: None });
            }
            OrganizationFact::Resource { key, parent, owner } => {
                let parent = parent.as_ref().map(|parent| self.resource_number(parent));
                let owner = owner.map(|owner| self.holder(owner));
                let number = self.resource_number(key);
                let key = self.key_of(number);
                self.overlay.put_resource(number, ResourceNow { key, parent, owner, is_registered: true });
            }
            OrganizationFact::ResourceGone { key } => {
                let number = self.resource_number(key);
                let key = self.key_of(number);
                let gone = ResourceNow { key, parent: None, owner: None, is_registered: false };
                self.overlay.put_resource(number, gone);
            }
            OrganizationFact::Grant(grant) => self.change_spot(grant, SmallVec::push),
            OrganizationFact::GrantGone(grant) => self.change_spot(grant, |holdings, holding| {
                if let Some(at) = holdings.iter().position(|held| *held == holding) {
                    holdings.swap_remove(at);
                }
            }),
            // Not asked by any check.
            OrganizationFact::RemovalAwaiting { .. }
            | OrganizationFact::SeatLimit { .. }
            | OrganizationFact::Group { .. }
            | OrganizationFact::GroupGone { .. }
            | OrganizationFact::ApiKey { .. }
            | OrganizationFact::Contact { .. }
            | OrganizationFact::Invitation { .. } => {}
        }
    }

    fn change_spot(&mut self, grant: &Grant, change: impl FnOnce(&mut SmallVec<[Holding; 8]>, Holding)) {
        let place = match &grant.place {
            Place::Organization => ORGANIZATION,
            Place::Resource(key) => self.resource_number(key),
            // Held above the organization: the installation's log knows it.
            Place::Installation | Place::Product(_) => return,
        };
        let holder = self.holder(grant.principal);
        let holding = self.words.holding(grant);
        let mut holdings = SmallVec::new();
        self.each_held(holder, place, |holding| holdings.push(holding));
        change(&mut holdings, holding);
        self.overlay.put_spot(holder, place, &holdings);
    }

    /// Makes everything anew under a catalog. Takes as long as loading.
    fn anew(&self, key: Arc<str>, catalog: Arc<Catalog>) -> Self {
        let mut anew = Self::of(key, catalog, self.facts(), (self.catalogs.clone(), self.base.seed));
        anew.position = self.position;
        anew
    }

    // Numbers: those that the base gave, and behind them those of what came later.

    fn member_number(&mut self, id: MembershipId) -> Number {
        let id = id.0.as_u128();
        self.known_member(id).unwrap_or_else(|| {
            let number = number(self.base.members.len(), self.overlay.new_members.len());
            self.overlay.new_members.insert(id, number);
            self.overlay.put_member(number, MemberNow { id, ..MemberNow::default() });
            number
        })
    }

    fn known_member(&self, id: u128) -> Option<Number> {
        let found = self.base.member_ids.binary_search(&id);
        found.map(|at| number(at, 0)).ok().or_else(|| self.overlay.new_members.get(&id).copied())
    }

    fn group_number(&mut self, id: GroupId) -> Number {
        let id = id.0.as_u128();
        let found = self.base.groups.binary_search_by_key(&id, |group| group.id);
        let known = found.map(|at| number(at, 0)).ok().or_else(|| self.overlay.new_groups.get(&id).copied());
        known.unwrap_or_else(|| {
            let number = number(self.base.groups.len(), self.overlay.new_groups.len());
            self.overlay.new_groups.insert(id, number);
            number
        })
    }

    fn account_number(&mut self, id: ServiceAccountId) -> Number {
        let id = id.0.as_u128();
        self.known_account(id).unwrap_or_else(|| {
            let number = number(self.base.accounts.len(), self.overlay.new_accounts.len());
            self.overlay.new_accounts.insert(id, number);
            self.overlay.put_account(number, AccountNow::default());
            number
        })
    }

    fn known_account(&self, id: u128) -> Option<Number> {
        let found = self.base.accounts.binary_search_by_key(&id, |account| account.id);
        found.map(|at| number(at, 0)).ok().or_else(|| self.overlay.new_accounts.get(&id).copied())
    }

    fn resource_number(&mut self, key: &ResourceKey) -> Number {
        let kind = self.words.kind(&key.kind);
        let hash = Base::key_hash(self.base.seed, kind, &key.id);
        self.known_resource(hash, kind, &key.id).unwrap_or_else(|| {
            let number = number(self.base.resources.len(), self.overlay.new_resources().len());
            let key = (kind, Arc::clone(&key.id));
            self.overlay.put_new_resource(hash, key.clone(), number);
            let named = ResourceNow { key, parent: None, owner: None, is_registered: false };
            self.overlay.put_resource(number, named);
            number
        })
    }

    /// Finds a resource that was ever named, registered or not; `hash` is its key's.
    fn known_resource(&self, hash: u64, kind: u16, id: &str) -> Option<Number> {
        self.base.resource(hash, kind, id).or_else(|| self.overlay.new_resource(hash, kind, id))
    }

    fn find_resource(&self, key: &ResourceKey) -> Option<Number> {
        let kind = self.words.known_kind(&key.kind)?;
        self.known_resource(Base::key_hash(self.base.seed, kind, &key.id), kind, &key.id)
    }

    fn holder(&mut self, principal: Principal) -> Holder {
        match principal {
            Principal::Membership(id) => Holder::membership(self.member_number(id)),
            Principal::Group(id) => Holder::group(self.group_number(id)),
            Principal::ServiceAccount(id) => Holder::account(self.account_number(id)),
            // A user holds something above organizations only; here nobody asks as one.
            Principal::Everyone | Principal::User(_) => Holder::EVERYONE,
        }
    }

    // What stands under a number now: what the overlay says, or else the base.

    /// Finds the membership of a user, the latest if there were several.
    fn member_of(&self, user: u128) -> Option<Number> {
        self.overlay.user(user).or_else(|| self.base.member_of(user))
    }

    fn member_now(&self, number: Number) -> MemberNow {
        if let Some(member) = self.overlay.member(number) {
            return member.clone();
        }
        let member = &self.base.members[number as usize];
        let groups = self.base.groups_of(member).collect();
        let id = self.base.member_ids[number as usize];
        MemberNow { id, user: member.user, state: Some(member.state()), groups }
    }

    fn account_now(&self, number: Number) -> Option<bool> {
        match self.overlay.account(number) {
            Some(account) => account.is_enabled,
            None => self.base.accounts.get(number as usize)?.is_enabled,
        }
    }

    fn resource_now(&self, number: Number) -> ResourceNow {
        if let Some(resource) = self.overlay.resource(number) {
            return resource.clone();
        }
        let resource = &self.base.resources[number as usize];
        ResourceNow {
            key: (resource.kind, self.base.key(resource).into()),
            parent: (resource.above_count > 0).then_some(resource.above[0]),
            owner: Holder::from_stored(resource.owner),
            is_registered: resource.is_registered,
        }
    }

    fn key_of(&self, number: Number) -> overlay::Key {
        self.resource_now(number).key
    }

    /// Returns what a holder holds at one place now.
    fn each_held(&self, holder: Holder, place: Number, mut each: impl FnMut(Holding)) {
        match self.overlay.spot(holder, place) {
            Some(spot) => spot.iter().copied().for_each(each),
            None => self.base.each_held(holder, place, &mut each),
        }
    }

    // What the outside asks.

    /// Returns how far the log has been applied.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the catalog the organization follows.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.words.catalog
    }

    /// Returns the user behind a membership, if one is bound.
    #[must_use]
    pub fn user_of(&self, membership: MembershipId) -> Option<UserId> {
        let number = self.known_member(membership.0.as_u128())?;
        let user = match self.overlay.member(number) {
            Some(member) => member.user,
            None => self.base.members[number as usize].user,
        };
        (user != 0).then(|| UserId(uuid::Uuid::from_u128(user)))
    }

    /// Returns whether a resource is registered.
    #[must_use]
    pub fn has_resource(&self, key: &ResourceKey) -> bool {
        self.find_resource(key).is_some_and(|number| self.resource_now(number).is_registered)
    }

    /// Returns everything as states, in an order in which what is named stands before what names it.
    ///
    /// The ids and sources of grants are not kept, so they come out empty.
    pub fn facts(&self) -> impl Iterator<Item = OrganizationFact> {
        let state = if self.is_active { OrganizationState::Active } else { OrganizationState::Disabled };
        let organization = OrganizationFact::Organization { state, catalog: Arc::clone(&self.catalog_key) };
        std::iter::once(organization)
            .chain(self.words.roles().cloned().map(OrganizationFact::Role))
            .chain(
                (0..number(self.base.members.len(), self.overlay.new_members.len()))
                    .flat_map(|it| self.member_facts(it)),
            )
            .chain(self.account_facts())
            .chain(
                (0..number(self.base.resources.len(), self.overlay.new_resources().len()))
                    .filter_map(|it| self.resource_fact(it)),
            )
            .chain(self.grant_facts())
    }

    fn member_facts(&self, number: Number) -> impl Iterator<Item = OrganizationFact> {
        let member = self.member_now(number);
        let id = MembershipId(uuid::Uuid::from_u128(member.id));
        let user = (member.user != 0).then(|| UserId(uuid::Uuid::from_u128(member.user)));
        let membership = member.state.map(|state| OrganizationFact::Membership { id, user, state });
        let groups = SmallVec::<[Number; 8]>::from_slice(&member.groups);
        membership.into_iter().chain(groups.into_iter().map(move |group| {
            let group = self.group_id(group);
            OrganizationFact::GroupMember { group, membership: id, is_in: true }
        }))
    }

    fn account_facts(&self) -> impl Iterator<Item = OrganizationFact> {
        (0..number(self.base.accounts.len(), self.overlay.new_accounts.len())).filter_map(|number| {
            let is_enabled = self.account_now(number)?;
            Some(OrganizationFact::ServiceAccount { id: self.account_id(number), is_enabled })
        })
    }

    fn resource_fact(&self, number: Number) -> Option<OrganizationFact> {
        let resource = self.resource_now(number);
        let owner = resource.owner.map(|owner| self.principal(owner));
        let parent = resource.parent.map(|parent| self.resource_key(parent));
        resource.is_registered.then(|| OrganizationFact::Resource { key: self.resource_key(number), parent, owner })
    }

    fn grant_facts(&self) -> impl Iterator<Item = OrganizationFact> {
        let numbered = |make: fn(Number) -> Holder, count: usize| (0..number(count, 0)).map(make);
        let holders = numbered(Holder::membership, self.base.members.len())
            .chain(numbered(Holder::group, self.base.groups.len()))
            .chain(numbered(Holder::account, self.base.accounts.len()))
            .chain(std::iter::once(Holder::EVERYONE));
        let unchanged = holders.flat_map(move |holder| {
            let held = self.base.holdings(holder).unwrap_or_default();
            let roles = self.base.combination(held).iter();
            let roles = roles.map(|role| (ORGANIZATION, Holding { held: *role, expires_at: number::FOREVER }));
            let all = roles.chain(self.base.elsewhere(held));
            all.filter(move |(place, _)| self.overlay.spot(holder, *place).is_none())
                .map(move |(place, holding)| (holder, place, holding))
        });
        let changed = self
            .overlay
            .spots()
            .flat_map(|(holder, place, holdings)| holdings.iter().map(move |holding| (holder, place, *holding)));
        unchanged.chain(changed).map(move |(holder, place, holding)| {
            OrganizationFact::Grant(Grant {
                id: GrantId(uuid::Uuid::nil()),
                principal: self.principal(holder),
                place: if place == ORGANIZATION {
                    Place::Organization
                } else {
                    Place::Resource(self.resource_key(place))
                },
                held: self.words.held(holding.held),
                expires_at: (holding.expires_at != number::FOREVER).then(|| Timestamp::from_micros(holding.expires_at)),
                source: GrantSource::Manual,
            })
        })
    }

    // Ids of numbers.

    fn principal(&self, holder: Holder) -> Principal {
        match holder.kind() {
            HolderKind::Membership(number) => {
                Principal::Membership(MembershipId(uuid::Uuid::from_u128(self.member_now(number).id)))
            }
            HolderKind::Group(number) => Principal::Group(self.group_id(number)),
            HolderKind::Account(number) => Principal::ServiceAccount(self.account_id(number)),
            HolderKind::Everyone => Principal::Everyone,
        }
    }

    fn group_id(&self, number: Number) -> GroupId {
        let known = self.base.groups.get(number as usize).map(|group| group.id);
        let id = known.or_else(|| later(&self.overlay.new_groups, number));
        GroupId(uuid::Uuid::from_u128(id.unwrap_or_default()))
    }

    fn account_id(&self, number: Number) -> ServiceAccountId {
        let known = self.base.accounts.get(number as usize).map(|account| account.id);
        let id = known.or_else(|| later(&self.overlay.new_accounts, number));
        ServiceAccountId(uuid::Uuid::from_u128(id.unwrap_or_default()))
    }

    fn resource_key(&self, number: Number) -> ResourceKey {
        let (kind, id) = self.key_of(number);
        ResourceKey { kind: self.words.kind_name(kind), id }
    }
}

/// Finds what came later under a number. Groups and accounts are few.
fn later(ids: &imbl::OrdMap<u128, Number>, number: Number) -> Option<u128> {
    ids.iter().find(|(_, known)| **known == number).map(|(id, _)| *id)
}

fn compaction_limit(base: &Base) -> usize {
    (base.len() / FOLD_SHARE).max(FOLD_LEAST)
}

/// Returns the number that follows so many, and so many more.
fn number(count: usize, more: usize) -> Number {
    let number = Number::try_from(count + more).ok().filter(|number| (*number as usize) < NUMBERS_MAX);
    number.filter(|number| *number != NOBODY).expect("one organization has fewer than 2^30 of a kind")
}
