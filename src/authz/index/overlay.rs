//! What has changed since the base was built, in persistent maps: a clone is a snapshot and costs nothing.
//!
//! Every entry is an absolute state that stands in place of what the base says under the same number. Numbers above the
//! base's are of what came later.

use std::sync::Arc;

use foldhash::fast::FixedState;
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdMap, OrdSet};

use super::number::{Holder, Holding, NOBODY, Number, mix};
use super::touched::Touched;
use crate::domain::fact::MemberState;

/// A map with a hasher that is fast: its keys are numbers of ours, or ids that the server made.
type Map<K, V> = GenericHashMap<K, V, FixedState, DefaultSharedPtr>;

/// What has changed since the base was built.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    /// What is below, by hash; none while nothing is.
    touched: Option<Arc<Touched>>,
    /// How many entries it takes until it is compacted.
    limit: usize,
    /// How many times something was put in: a bound on how much it holds.
    entries: usize,
    users: Map<u128, Number>,
    members: Map<Number, MemberNow>,
    accounts: Map<Number, AccountNow>,
    resources: Map<Number, ResourceNow>,
    spots: Map<(Holder, Number), Arc<[Holding]>>,
    pub new_members: OrdMap<u128, Number>,
    pub new_groups: OrdMap<u128, Number>,
    pub new_accounts: OrdMap<u128, Number>,
    new_resources: OrdMap<Key, Number>,
    /// The registered resources among those above, by what they stand directly under, [`NOBODY`] for nothing.
    children: OrdSet<(Number, Number)>,
    /// The registered resources among those above that have an owner, by the owner as it is stored.
    owned: OrdSet<(u32, Number)>,
    /// Where something that each holder holds has changed.
    places: OrdSet<(Holder, Number)>,
}

/// A resource's type and id.
pub(super) type Key = (u16, Arc<str>);

/// A membership as it is now.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberNow {
    pub id: u128,
    /// Zero while nobody is bound.
    pub user: u128,
    /// None for one that was only named.
    pub state: Option<MemberState>,
    pub groups: Arc<[Number]>,
}

/// A service account as it is now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AccountNow {
    /// Whether it is of this organization, and if so whether it is enabled.
    pub is_enabled: Option<bool>,
}

/// A resource as it is now.
#[derive(Clone, Debug)]
pub(super) struct ResourceNow {
    pub key: Key,
    pub parent: Option<Number>,
    pub owner: Option<Holder>,
    pub is_registered: bool,
}

/// What the hash of an entry begins with, so that equal numbers of two kinds differ.
const USER: u64 = 1;
const MEMBER: u64 = 2;
const ACCOUNT: u64 = 3;
const RESOURCE: u64 = 4;
const SPOT: u64 = 5;
const KEY: u64 = 6;
const HOLDER: u64 = 7;

impl Overlay {
    /// Makes the overlay of a new base. `limit` is how many entries it takes until it is compacted.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Returns whether it has grown so much that it should be compacted.
    pub fn is_full(&self) -> bool {
        self.entries > self.limit
    }

    fn may_have(&self, salt: u64, value: u128) -> bool {
        self.entries > 0 && self.touched.as_ref().is_some_and(|touched| touched.may_have(mix(salt, value)))
    }

    fn touch(&mut self, salt: u64, value: u128) {
        self.entries += 1;
        let limit = self.limit;
        let touched = self.touched.get_or_insert_with(|| Arc::new(Touched::for_entries(limit)));
        touched.add(mix(salt, value));
    }

    pub fn user(&self, user: u128) -> Option<Number> {
        self.may_have(USER, user).then(|| self.users.get(&user).copied()).flatten()
    }

    pub fn put_user(&mut self, user: u128, member: Number) {
        self.touch(USER, user);
        self.users.insert(user, member);
    }

    pub fn member(&self, number: Number) -> Option<&MemberNow> {
        self.may_have(MEMBER, number.into()).then(|| self.members.get(&number)).flatten()
    }

    pub fn put_member(&mut self, number: Number, member: MemberNow) {
        self.touch(MEMBER, number.into());
        self.members.insert(number, member);
    }

    pub fn account(&self, number: Number) -> Option<AccountNow> {
        self.may_have(ACCOUNT, number.into()).then(|| self.accounts.get(&number).copied()).flatten()
    }

    pub fn put_account(&mut self, number: Number, account: AccountNow) {
        self.touch(ACCOUNT, number.into());
        self.accounts.insert(number, account);
    }

    pub fn resource(&self, number: Number) -> Option<&ResourceNow> {
        self.may_have(RESOURCE, number.into()).then(|| self.resources.get(&number)).flatten()
    }

    pub fn put_resource(&mut self, number: Number, resource: ResourceNow) {
        self.touch(RESOURCE, number.into());
        if let Some(before) = self.resources.get(&number).filter(|before| before.is_registered) {
            self.children.remove(&(before.parent.unwrap_or(NOBODY), number));
            self.owned.remove(&(Holder::stored(before.owner), number));
        }
        if resource.is_registered {
            self.children.insert((resource.parent.unwrap_or(NOBODY), number));
            if resource.owner.is_some() {
                self.owned.insert((Holder::stored(resource.owner), number));
            }
        }
        self.resources.insert(number, resource);
    }

    /// Returns the changed resources that stand directly under one, or at the top for [`NOBODY`].
    pub fn children_of(&self, parent: Number) -> impl Iterator<Item = Number> {
        self.children.range((parent, 0)..=(parent, Number::MAX)).map(|(_, number)| *number)
    }

    /// Returns the changed resources that a holder owns.
    pub fn owned_by(&self, owner: Holder) -> impl Iterator<Item = Number> {
        let owner = Holder::stored(Some(owner));
        self.owned.range((owner, 0)..=(owner, Number::MAX)).map(|(_, number)| *number)
    }

    /// Returns the places at which something that a holder holds has changed.
    pub fn places_of(&self, holder: Holder) -> impl Iterator<Item = Number> {
        self.places.range((holder, 0)..=(holder, Number::MAX)).map(|(_, place)| *place)
    }

    /// Finds a resource that came later; `hash` is its key's.
    pub fn new_resource(&self, hash: u64, kind: u16, id: &str) -> Option<Number> {
        if !self.may_have(KEY, hash.into()) {
            return None;
        }
        self.new_resources.get(&(kind, Arc::from(id))).copied()
    }

    /// Numbers a resource that came later; `hash` is its key's.
    pub fn put_new_resource(&mut self, hash: u64, key: Key, number: Number) {
        self.touch(KEY, hash.into());
        self.new_resources.insert(key, number);
    }

    /// Returns whether anything that a holder holds may have changed.
    pub fn has_spots(&self, holder: Holder) -> bool {
        self.may_have(HOLDER, Holder::stored(Some(holder)).into())
    }

    /// Returns everything that a holder holds at a place, if that has changed.
    pub fn spot(&self, holder: Holder, place: Number) -> Option<&Arc<[Holding]>> {
        self.may_have(SPOT, spot_value(holder, place)).then(|| self.spots.get(&(holder, place))).flatten()
    }

    pub fn put_spot(&mut self, holder: Holder, place: Number, holdings: &[Holding]) {
        self.touch(SPOT, spot_value(holder, place));
        self.touch(HOLDER, Holder::stored(Some(holder)).into());
        self.entries -= 1;
        self.places.insert((holder, place));
        self.spots.insert((holder, place), holdings.into());
    }

    /// Returns the resources that came later, in the order of their keys.
    pub fn new_resources(&self) -> &OrdMap<Key, Number> {
        &self.new_resources
    }

    /// Returns all spots that have changed.
    pub fn spots(&self) -> impl Iterator<Item = (Holder, Number, &Arc<[Holding]>)> {
        self.spots.iter().map(|((holder, place), holdings)| (*holder, *place, holdings))
    }

    /// Estimates the bytes it takes: a persistent map spends about this much on an entry.
    pub fn bytes(&self) -> usize {
        const ENTRY_BYTES: usize = 288;
        self.touched.as_ref().map_or(0, |touched| touched.bytes()) + self.entries * ENTRY_BYTES
    }
}

fn spot_value(holder: Holder, place: Number) -> u128 {
    u128::from(Holder::stored(Some(holder))) << 64 | u128::from(place)
}
