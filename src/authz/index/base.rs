//! The dense part of an index: everything as it stood when it was last compacted, laid out for look-ups and never
//! changed.
//!
//! Ids are stored once, in tables sorted by id; all else names them by [`Number`]. What a check reads of a member or of
//! a resource stands in one record of at most one cache line.

use std::hash::{BuildHasher, Hasher};

use super::number::{FOREVER, Holder, HolderKind, Holding, NOBODY, Number, ORGANIZATION, mix};
use super::table::Table;
use crate::domain::fact::MemberState;
use crate::domain::place::DEPTH_MAX;

/// A chain is the target and what it stands under; one node more than the deepest tree, as a longer one would be a
/// loop.
pub(super) const CHAIN_MAX: usize = DEPTH_MAX + 1;

/// The combination of no roles, which most holders have.
pub(super) const NO_ROLES: usize = 0;
/// So many entries are looked at one by one: they stand in a cache line or two.
const SHORT_RUN: usize = 16;

/// Everything as it stood when it was last compacted.
#[derive(Debug, Default)]
pub(super) struct Base {
    /// Keys the hash of resource ids, which clients choose.
    pub seed: u64,
    /// The ids of memberships, in their order.
    pub member_ids: Box<[u128]>,
    /// The rest of each.
    pub members: Box<[Member]>,
    pub by_user: Table,
    /// The groups of each member: how many, and then their numbers, as variable-length integers.
    pub group_lists: Box<[u8]>,
    /// In the order of their ids.
    pub groups: Box<[Group]>,
    /// In the order of their ids.
    pub accounts: Box<[Account]>,
    pub everyone: Holdings,
    /// In the order of their keys.
    pub resources: Box<[Resource]>,
    pub by_key: Table,
    /// The ids of all resources, one after another.
    pub keys: Box<str>,
    /// The registered resources by what they stand directly under, [`NOBODY`] for nothing, and then by their key.
    pub children: Box<[Number]>,
    /// The registered resources that have an owner, by the owner and then by their key.
    pub owned: Box<[Number]>,
    /// The roles of each combination: where they begin, and the roles.
    pub combinations: (Box<[u32]>, Box<[u16]>),
    /// What is held elsewhere than at the organization, or expires: by holder, then by place.
    pub entries: Box<[Entry]>,
    /// When the entries that expire do, by the entry's place in the table.
    pub expiries: Box<[(u32, i64)]>,
}

/// What a check reads of a membership, in half a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct Member {
    /// Zero while nobody is bound.
    pub user: u128,
    /// Where the groups begin in `group_lists`; [`NOBODY`] for a member of none.
    pub groups: u32,
    pub held: Holdings,
}

/// What one holder holds, and for a membership its state in the same word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holdings {
    /// The combination of roles held at the organization without expiry; the top byte is a membership's state.
    packed: u32,
    /// Where the other holdings begin in `entries`; of a single one, the place.
    start: u32,
    /// How many these are; of a single one, [`SINGLE`] and what is held.
    count: u32,
}

/// A holder that holds one thing, which does not expire, has it in its own record: nothing else need be read.
const SINGLE: u32 = 1 << 31;

impl Holdings {
    const STATE_SHIFT: u32 = 24;

    /// Packs what is held elsewhere than at the organization, or expires: `count` entries from `start`.
    pub fn new(combination: u32, state: Option<MemberState>, start: u32, count: u32) -> Self {
        let state = match state {
            None | Some(MemberState::Pending) => 0,
            Some(MemberState::Active) => 1,
            Some(MemberState::Disabled) => 2,
            Some(MemberState::Removing) => 3,
        };
        Self { packed: combination | state << Self::STATE_SHIFT, start, count }
    }

    /// Packs the single thing that is held elsewhere.
    pub fn single(combination: u32, state: Option<MemberState>, entry: Entry) -> Self {
        Self::new(combination, state, entry.place, SINGLE | u32::from(entry.held))
    }

    /// Returns where the entries begin.
    pub fn start(self) -> usize {
        if self.count & SINGLE == 0 { self.start as usize } else { 0 }
    }

    fn as_single(self) -> Option<Entry> {
        let held = u16::try_from(self.count & !SINGLE).unwrap_or(0);
        (self.count & SINGLE != 0).then_some(Entry { place: self.start, held, does_expire: false })
    }

    fn combination(self) -> usize {
        (self.packed & ((1 << Self::STATE_SHIFT) - 1)) as usize
    }
}

impl Member {
    pub fn state(&self) -> MemberState {
        match self.held.packed >> Holdings::STATE_SHIFT {
            1 => MemberState::Active,
            2 => MemberState::Disabled,
            3 => MemberState::Removing,
            _ => MemberState::Pending,
        }
    }
}

/// A group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub id: u128,
    pub held: Holdings,
}

/// A service account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub id: u128,
    /// Whether it is of this organization, and if so whether it is enabled. One that is not may hold grants here.
    pub is_enabled: Option<bool>,
    pub held: Holdings,
}

/// A resource with all that it stands under, in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Resource {
    /// What it stands under, the nearest first. The last may be one that is not registered: it is no part of the chain.
    pub above: [Number; CHAIN_MAX - 1],
    pub owner: u32,
    pub key_start: u32,
    pub kind: u16,
    pub key_bytes: u8,
    /// How many of `above` are meant.
    pub above_count: u8,
    /// How many of these are registered.
    pub registered_count: u8,
    pub is_registered: bool,
}

impl Resource {
    /// Returns what it stands directly under; [`NOBODY`] at the top.
    pub fn parent(&self) -> Number {
        if self.above_count == 0 { NOBODY } else { self.above[0] }
    }
}

/// One thing held at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub place: Number,
    pub held: u16,
    pub does_expire: bool,
}

impl Base {
    /// Finds the membership of a user.
    pub fn member_of(&self, user: u128) -> Option<Number> {
        self.by_user.find(mix(0, user), |number| self.members[number as usize].user == user)
    }

    /// Hashes a resource's key.
    pub fn key_hash(seed: u64, kind: u16, id: &str) -> u64 {
        let mut hasher = foldhash::fast::FixedState::with_seed(seed).build_hasher();
        hasher.write(id.as_bytes());
        hasher.write_u16(kind);
        hasher.finish()
    }

    /// Finds a resource whose key hashes to `hash`, registered or not.
    pub fn resource(&self, hash: u64, kind: u16, id: &str) -> Option<Number> {
        self.by_key.find(hash, |number| self.is_resource(number, kind, id))
    }

    /// Returns whether a resource is the one of this type and id.
    pub fn is_resource(&self, number: Number, kind: u16, id: &str) -> bool {
        let resource = &self.resources[number as usize];
        resource.kind == kind && self.key(resource) == id
    }

    /// Returns the id of a resource.
    pub fn key(&self, resource: &Resource) -> &str {
        let start = resource.key_start as usize;
        &self.keys[start..start + usize::from(resource.key_bytes)]
    }

    /// Returns what stands directly under a resource, or at the top for [`NOBODY`].
    pub fn children_of(&self, parent: Number) -> &[Number] {
        self.run(&self.children, parent, Resource::parent)
    }

    /// Returns what a holder owns.
    pub fn owned_by(&self, owner: Holder) -> &[Number] {
        self.run(&self.owned, Holder::stored(Some(owner)), |resource| resource.owner)
    }

    /// Returns the part of a table of resources, in the order of what `of` gives, for which it gives `value`.
    fn run<'a>(&self, table: &'a [Number], value: u32, of: impl Fn(&Resource) -> u32) -> &'a [Number] {
        let of = |number: &Number| of(&self.resources[*number as usize]);
        let from = table.partition_point(|number| of(number) < value);
        let count = table[from..].partition_point(|number| of(number) == value);
        &table[from..from + count]
    }

    /// Returns the groups of a member.
    pub fn groups_of(&self, member: &Member) -> impl Iterator<Item = Number> {
        let mut at = member.groups as usize;
        let mut left = if member.groups == NOBODY { 0 } else { self.varint(&mut at) };
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            Some(self.varint(&mut at))
        })
    }

    fn varint(&self, at: &mut usize) -> u32 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.group_lists[*at];
            *at += 1;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
            shift += 7;
        }
    }

    /// Returns what a holder holds at the organization and at some places.
    pub fn each_held_on(&self, holder: Holder, places: &[Number], mut each: impl FnMut(Number, Holding)) {
        let Some(held) = self.holdings(holder) else { return };
        if held.combination() != NO_ROLES {
            for role in self.combination(held) {
                each(ORGANIZATION, Holding { held: *role, expires_at: FOREVER });
            }
        }
        if let Some(entry) = held.as_single() {
            if places.contains(&entry.place) {
                each(entry.place, Holding { held: entry.held, expires_at: FOREVER });
            }
            return;
        }
        let start = held.start as usize;
        let run = &self.entries[start..start + held.count as usize];
        let mut tell = |at: usize, entry: &Entry| {
            let expires_at = if entry.does_expire { self.expiry(start + at) } else { FOREVER };
            each(entry.place, Holding { held: entry.held, expires_at });
        };
        if run.len() <= SHORT_RUN {
            for (at, entry) in run.iter().enumerate() {
                if entry.place == ORGANIZATION || places.contains(&entry.place) {
                    tell(at, entry);
                }
            }
            return;
        }
        for place in std::iter::once(ORGANIZATION).chain(places.iter().copied()) {
            let first = run.partition_point(|entry| entry.place < place);
            for (at, entry) in run.iter().enumerate().skip(first).take_while(|(_, entry)| entry.place == place) {
                tell(at, entry);
            }
        }
    }

    /// Returns what a holder holds at one place.
    pub fn each_held(&self, holder: Holder, place: Number, mut each: impl FnMut(Holding)) {
        let Some(held) = self.holdings(holder) else { return };
        if place == ORGANIZATION {
            for role in self.combination(held) {
                each(Holding { held: *role, expires_at: FOREVER });
            }
        }
        for (_, holding) in self.elsewhere(held).filter(|(other, _)| *other == place) {
            each(holding);
        }
    }

    /// Returns the roles that are held at the organization without expiry.
    pub fn combination(&self, held: Holdings) -> &[u16] {
        let (starts, roles) = &self.combinations;
        let combination = held.combination();
        &roles[starts[combination] as usize..starts[combination + 1] as usize]
    }

    /// Returns everything else that is held, each with its place.
    pub fn elsewhere(&self, held: Holdings) -> impl Iterator<Item = (Number, Holding)> {
        let single = held.as_single();
        let (start, count) = if single.is_some() { (0, 0) } else { (held.start as usize, held.count as usize) };
        let several = self.entries[start..start + count].iter().enumerate().map(move |(at, entry)| {
            let expires_at = if entry.does_expire { self.expiry(start + at) } else { FOREVER };
            (entry.place, Holding { held: entry.held, expires_at })
        });
        let single = single.map(|entry| (entry.place, Holding { held: entry.held, expires_at: FOREVER }));
        single.into_iter().chain(several)
    }

    fn expiry(&self, entry: usize) -> i64 {
        let found = self.expiries.binary_search_by_key(&entry, |(entry, _)| *entry as usize);
        found.map_or(FOREVER, |at| self.expiries[at].1)
    }

    /// Returns what a holder holds; `None` for one that came later.
    pub fn holdings(&self, holder: Holder) -> Option<Holdings> {
        match holder.kind() {
            HolderKind::Membership(number) => self.members.get(number as usize).map(|member| member.held),
            HolderKind::Group(number) => self.groups.get(number as usize).map(|group| group.held),
            HolderKind::Account(number) => self.accounts.get(number as usize).map(|account| account.held),
            HolderKind::Everyone => Some(self.everyone),
        }
    }

    /// Counts what it holds of everything.
    pub fn len(&self) -> usize {
        self.members.len() + self.groups.len() + self.accounts.len() + self.resources.len() + self.entries.len()
    }

    /// Counts the bytes that memberships, grants, resources, groups with service accounts, and all the rest take.
    pub fn bytes_by_part(&self) -> [usize; 5] {
        let members = size_of_val(&*self.member_ids)
            + size_of_val(&*self.members)
            + self.by_user.bytes()
            + self.group_lists.len();
        let grants = size_of_val(&*self.entries)
            + size_of_val(&*self.expiries)
            + size_of_val(&*self.combinations.0)
            + size_of_val(&*self.combinations.1);
        let resources = size_of_val(&*self.resources)
            + self.by_key.bytes()
            + self.keys.len()
            + size_of_val(&*self.children)
            + size_of_val(&*self.owned);
        let groups = size_of_val(&*self.groups) + size_of_val(&*self.accounts);
        [members, grants, resources, groups, size_of::<Self>()]
    }
}
