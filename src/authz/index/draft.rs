//! Building a base: facts are taken in as they come, and laid out at the end.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::FixedState;

use super::base::{Account, Base, CHAIN_MAX, Entry, Group, Holdings, Member, Resource};
use super::number::{FOREVER, Holder, HolderKind, Holding, NOBODY, Number, ORGANIZATION, mix};
use super::table::Table;
use super::words::Words;
use crate::domain::fact::{Grant, MemberState, OrganizationFact};
use crate::domain::place::{Place, Principal, ResourceKey};

/// What a base will be built of. It takes states and no tombstones: of what is gone nothing is said.
#[derive(Debug, Default)]
pub(super) struct Draft {
    members: Interned<u128, DraftMember>,
    groups: Interned<u128, ()>,
    accounts: Interned<u128, Option<bool>>,
    resources: Interned<(u16, Box<str>), DraftResource>,
    held: Vec<(Holder, Number, Holding)>,
}

#[derive(Debug, Default)]
struct DraftMember {
    user: u128,
    state: Option<MemberState>,
    groups: Vec<Number>,
}

#[derive(Debug)]
struct DraftResource {
    parent: Number,
    owner: Option<Holder>,
    is_registered: bool,
}

impl Default for DraftResource {
    fn default() -> Self {
        Self { parent: NOBODY, owner: None, is_registered: false }
    }
}

/// Things by the order in which they were first named.
#[derive(Debug)]
struct Interned<K, V> {
    numbers: HashMap<K, Number, FixedState>,
    values: Vec<V>,
}

impl<K, V> Default for Interned<K, V> {
    fn default() -> Self {
        Self { numbers: HashMap::default(), values: Vec::new() }
    }
}

impl<K: Hash + Eq + Ord, V: Default> Interned<K, V> {
    fn number(&mut self, key: K) -> Number {
        *self.numbers.entry(key).or_insert_with(|| {
            self.values.push(V::default());
            number(self.values.len() - 1)
        })
    }

    fn get_mut(&mut self, key: K) -> &mut V {
        let number = self.number(key);
        &mut self.values[number as usize]
    }

    /// Returns everything in the order of the keys, and where each went.
    fn sorted(self) -> (Vec<(K, V)>, Vec<Number>) {
        let mut keys: Vec<(K, Number)> = self.numbers.into_iter().collect();
        keys.sort_unstable();
        let mut moved = vec![0; keys.len()];
        for (after, (_, before)) in keys.iter().enumerate() {
            moved[*before as usize] = number(after);
        }
        let mut values: Vec<Option<V>> = self.values.into_iter().map(Some).collect();
        let sorted = keys.into_iter().filter_map(|(key, before)| Some((key, values[before as usize].take()?)));
        (sorted.collect(), moved)
    }
}

impl Draft {
    /// Takes a state in.
    pub fn take(&mut self, fact: &OrganizationFact, words: &mut Words) {
        match fact {
            OrganizationFact::Membership { id, user, state } => {
                let member = self.members.get_mut(id.0.as_u128());
                member.user = user.map_or(0, |user| user.0.as_u128());
                member.state = Some(*state);
            }
            OrganizationFact::GroupMember { group, membership, is_in: true } => {
                let group = self.groups.number(group.0.as_u128());
                self.members.get_mut(membership.0.as_u128()).groups.push(group);
            }
            OrganizationFact::ServiceAccount { id, is_enabled } => {
                *self.accounts.get_mut(id.0.as_u128()) = Some(*is_enabled);
            }
            OrganizationFact::Resource { key, parent, owner } => {
                let parent = parent.as_ref().map_or(NOBODY, |parent| self.resource(parent, words));
                let owner = owner.map(|owner| self.holder(owner));
                let number = self.resource(key, words);
                self.resources.values[number as usize] = DraftResource { parent, owner, is_registered: true };
            }
            OrganizationFact::Grant(grant) => self.take_grant(grant, words),
            // Taken in by the index itself, not asked by any check, or tombstones.
            OrganizationFact::Organization { .. }
            | OrganizationFact::Role(_)
            | OrganizationFact::RoleGone { .. }
            | OrganizationFact::SeatLimit { .. }
            | OrganizationFact::MembershipGone { .. }
            | OrganizationFact::RemovalAwaiting { .. }
            | OrganizationFact::Group { .. }
            | OrganizationFact::GroupGone { .. }
            | OrganizationFact::GroupMember { is_in: false, .. }
            | OrganizationFact::ResourceGone { .. }
            | OrganizationFact::GrantGone(_)
            | OrganizationFact::ServiceAccountGone { .. }
            | OrganizationFact::ApiKey { .. }
            | OrganizationFact::Contact { .. }
            | OrganizationFact::Invitation { .. } => {}
        }
    }

    fn take_grant(&mut self, grant: &Grant, words: &mut Words) {
        let place = match &grant.place {
            Place::Organization => ORGANIZATION,
            Place::Resource(key) => self.resource(key, words),
            // Held above the organization: the installation's log knows it.
            Place::Installation | Place::Product(_) => return,
        };
        let holder = self.holder(grant.principal);
        self.held.push((holder, place, words.holding(grant)));
    }

    fn resource(&mut self, key: &ResourceKey, words: &mut Words) -> Number {
        self.resources.number((words.kind(&key.kind), (&*key.id).into()))
    }

    fn holder(&mut self, principal: Principal) -> Holder {
        match principal {
            Principal::Membership(id) => Holder::membership(self.members.number(id.0.as_u128())),
            Principal::Group(id) => Holder::group(self.groups.number(id.0.as_u128())),
            Principal::ServiceAccount(id) => Holder::account(self.accounts.number(id.0.as_u128())),
            // A user holds something above organizations only; here nobody asks as one.
            Principal::Everyone | Principal::User(_) => Holder::EVERYONE,
        }
    }

    /// Lays everything out. `seed` keys the hash of resource ids.
    pub fn build(self, seed: u64) -> Base {
        let (members, members_moved) = self.members.sorted();
        let (groups, groups_moved) = self.groups.sorted();
        let (accounts, accounts_moved) = self.accounts.sorted();
        let (resources, resources_moved) = self.resources.sorted();
        let moved = |holder: Holder| match holder.kind() {
            HolderKind::Membership(number) => Holder::membership(members_moved[number as usize]),
            HolderKind::Group(number) => Holder::group(groups_moved[number as usize]),
            HolderKind::Account(number) => Holder::account(accounts_moved[number as usize]),
            HolderKind::Everyone => Holder::EVERYONE,
        };

        let mut held: Vec<_> = self
            .held
            .into_iter()
            .map(|(holder, place, holding)| {
                let place = if place == ORGANIZATION { ORGANIZATION } else { resources_moved[place as usize] };
                (moved(holder), place, holding)
            })
            .collect();
        held.sort_unstable();
        let mut holdings = HoldingsBuilder::new(&held);

        let mut group_lists = Vec::new();
        let member_ids = members.iter().map(|(id, _)| *id).collect();
        let members: Box<[Member]> = (0..)
            .zip(members)
            .map(|(number, (_, member))| Member {
                user: member.user,
                groups: list_groups(&mut group_lists, member.groups.iter().map(|group| groups_moved[*group as usize])),
                held: holdings.next(Holder::membership(number), member.state),
            })
            .collect();
        let groups =
            (0..).zip(groups).map(|(number, (id, ()))| Group { id, held: holdings.next(Holder::group(number), None) });
        let groups = groups.collect();
        let accounts = (0..).zip(accounts).map(|(number, (id, is_enabled))| Account {
            id,
            is_enabled,
            held: holdings.next(Holder::account(number), None),
        });
        let accounts = accounts.collect();
        let everyone = holdings.next(Holder::EVERYONE, None);
        let (combinations, entries, expiries) = holdings.finish();

        let users = members.iter().enumerate().filter(|(_, member)| member.user != 0);
        let users: Vec<_> = users.map(|(at, member)| (mix(0, member.user), number(at))).collect();
        let by_user = Table::build(members.len(), users.into_iter());
        let (resources, keys) = lay_out(&resources, &resources_moved, moved);
        let hashes = (0..).zip(&*resources).map(|(number, resource)| {
            let start = resource.key_start as usize;
            let id = &keys[start..start + usize::from(resource.key_bytes)];
            (Base::key_hash(seed, resource.kind, id), number)
        });
        let hashes: Vec<_> = hashes.collect();
        let by_key = Table::build(resources.len(), hashes.into_iter());
        let children = by(&resources, |resource| Some(resource.parent()));
        let owned = by(&resources, |resource| (resource.owner != NOBODY).then_some(resource.owner));
        Base {
            seed,
            member_ids,
            members,
            by_user,
            group_lists: group_lists.into(),
            groups,
            accounts,
            everyone,
            resources,
            by_key,
            keys,
            children,
            owned,
            combinations,
            entries,
            expiries,
        }
    }
}

/// Returns the registered resources for which `of` gives something, in the order of that and then of their keys.
fn by(resources: &[Resource], of: impl Fn(&Resource) -> Option<u32>) -> Box<[Number]> {
    let registered = (0..).zip(resources).filter(|(_, resource)| resource.is_registered);
    let mut sorted: Vec<(u32, Number)> =
        registered.filter_map(|(number, resource)| Some((of(resource)?, number))).collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|(_, number)| number).collect()
}

/// Writes the groups of one member, and says where they begin.
fn list_groups(lists: &mut Vec<u8>, groups: impl ExactSizeIterator<Item = Number>) -> u32 {
    if groups.len() == 0 {
        return NOBODY;
    }
    let start = number(lists.len());
    for mut value in std::iter::once(number(groups.len())).chain(groups) {
        while value > 0x7f {
            lists.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        lists.push(u8::try_from(value).unwrap_or(0));
    }
    start
}

/// Writes the records of resources, each with what it stands under.
fn lay_out(
    drafts: &[((u16, Box<str>), DraftResource)],
    moved: &[Number],
    owner: impl Fn(Holder) -> Holder,
) -> (Box<[Resource]>, Box<str>) {
    let parent = |number: Number| {
        let parent = drafts[number as usize].1.parent;
        (parent != NOBODY).then(|| moved[parent as usize])
    };
    let mut keys = String::with_capacity(drafts.iter().map(|((_, id), _)| id.len()).sum());
    let resources = (0..).zip(drafts).map(|(at, ((kind, id), draft))| {
        let (mut above, mut above_count, mut registered_count) = ([NOBODY; CHAIN_MAX - 1], 0, 0);
        let mut next = parent(at);
        while let (Some(number), true) = (next, usize::from(above_count) < above.len()) {
            above[usize::from(above_count)] = number;
            above_count += 1;
            if !drafts[number as usize].1.is_registered {
                break;
            }
            registered_count += 1;
            next = parent(number);
        }
        let key_start = number(keys.len());
        keys.push_str(id);
        Resource {
            above,
            owner: Holder::stored(draft.owner.map(&owner)),
            key_start,
            kind: *kind,
            key_bytes: u8::try_from(id.len()).unwrap_or(u8::MAX),
            above_count,
            registered_count,
            is_registered: draft.is_registered,
        }
    });
    let resources = resources.collect();
    (resources, keys.into())
}

/// Goes through what is held, holder by holder in their order.
struct HoldingsBuilder<'a> {
    left: &'a [(Holder, Number, Holding)],
    combinations: HashMap<Vec<u16>, u32, FixedState>,
    starts: Vec<u32>,
    roles: Vec<u16>,
    entries: Vec<Entry>,
    expiries: Vec<(u32, i64)>,
}

impl<'a> HoldingsBuilder<'a> {
    fn new(held: &'a [(Holder, Number, Holding)]) -> Self {
        Self {
            left: held,
            // The combination of no roles is the first.
            combinations: HashMap::from_iter([(Vec::new(), 0)]),
            starts: vec![0, 0],
            roles: Vec::new(),
            entries: Vec::new(),
            expiries: Vec::new(),
        }
    }

    /// Takes what the next holder holds.
    fn next(&mut self, holder: Holder, state: Option<MemberState>) -> Holdings {
        let count = self.left.iter().take_while(|(other, ..)| *other == holder).count();
        let (mine, left) = self.left.split_at(count);
        self.left = left;
        let start = self.entries.len();
        let mut roles = Vec::new();
        for (_, place, holding) in mine {
            if *place == ORGANIZATION && holding.expires_at == FOREVER {
                roles.push(holding.held);
                continue;
            }
            let does_expire = holding.expires_at != FOREVER;
            if does_expire {
                self.expiries.push((number(self.entries.len()), holding.expires_at));
            }
            self.entries.push(Entry { place: *place, held: holding.held, does_expire });
        }
        let combination = self.combination(roles);
        match self.entries[start..] {
            [entry] if !entry.does_expire && entry.place != ORGANIZATION => {
                self.entries.truncate(start);
                Holdings::single(combination, state, entry)
            }
            _ => Holdings::new(combination, state, number(start), number(self.entries.len() - start)),
        }
    }

    fn combination(&mut self, roles: Vec<u16>) -> u32 {
        if let Some(known) = self.combinations.get(&roles) {
            return *known;
        }
        self.roles.extend(&roles);
        self.starts.push(number(self.roles.len()));
        let made = number(self.starts.len() - 2);
        self.combinations.insert(roles, made);
        made
    }

    #[expect(clippy::type_complexity, reason = "three tables of a base, taken apart where it is built")]
    fn finish(self) -> ((Box<[u32]>, Box<[u16]>), Box<[Entry]>, Box<[(u32, i64)]>) {
        ((self.starts.into(), self.roles.into()), self.entries.into(), self.expiries.into())
    }
}

/// Counts as a number. Each table of one organization is far below four thousand million.
fn number(count: usize) -> Number {
    Number::try_from(count).expect("a table of one organization has fewer than 2^32 entries")
}
