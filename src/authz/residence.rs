//! Which organizations are in memory: loaded on first use within bounds, given up by a budget of bytes, and for a moment
//! remembered where there are none.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use super::engine::{Engine, Settings};
use super::following::continues;
use super::inbox::{Inbox, StreamId};
use super::index::OrganizationIndex;
use super::slot::Slot;
use super::view::Requirement;
use crate::changelog::{Relation, State};
use crate::clock::Monotonic;
use crate::domain::catalog::find;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Scope;
use crate::domain::id::OrganizationId;
use crate::domain::place::{Place, Subject};
use crate::domain::revision::Position;
use crate::domain::time::Timestamp;

/// Most pairs of an organization and a caller for whom it is remembered not to exist.
const ABSENT_MAX: usize = 10_000;

type Map<K, V> = HashMap<K, V, RandomState>;

/// The organizations in memory, and what they take.
pub(super) struct Residence {
    slots: RwLock<Map<OrganizationId, Arc<Slot>>>,
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Of `bytes`, what subscriptions keep.
    pinned_bytes: AtomicUsize,
    evictions: AtomicU64,
    /// Until when organizations do not exist for callers: those that there are not, and those to which the caller does not
    /// stand in any way.
    absent: Mutex<Absent>,
    loads: Semaphore,
    /// How many calls wait for a load, by caller.
    waiting: Mutex<Map<Subject, usize>>,
    /// One at a time: a fold takes as much memory again as the organization.
    pub folds: Semaphore,
}

#[derive(Default)]
struct Absent {
    until: Map<OrganizationId, Map<Subject, Monotonic>>,
    count: usize,
}

impl Residence {
    pub fn new(settings: &Settings) -> Self {
        Self {
            slots: RwLock::default(),
            bytes: AtomicUsize::new(0),
            bytes_max: settings.bytes_max,
            pinned_bytes: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            absent: Mutex::default(),
            loads: Semaphore::new(settings.loads_max),
            waiting: Mutex::default(),
            folds: Semaphore::new(1),
        }
    }

    pub fn slot(&self, id: OrganizationId) -> Option<Arc<Slot>> {
        self.slots.read().get(&id).cloned()
    }

    /// Looks at the slot of an organization without a clone of it: its count of owners need not be fetched.
    pub fn look<T>(&self, id: OrganizationId, look: impl FnOnce(&Slot) -> T) -> Option<T> {
        self.slots.read().get(&id).map(|slot| look(slot))
    }

    pub fn slots(&self) -> Vec<(OrganizationId, Arc<Slot>)> {
        self.slots.read().iter().map(|(id, slot)| (*id, Arc::clone(slot))).collect()
    }

    pub fn count(&self) -> usize {
        self.slots.read().len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    pub async fn no_fold_under_way(&self) {
        // Closed never, so whoever waits gets it.
        let _permit = self.folds.acquire().await;
    }

    /// Forgets for whom an organization does not exist.
    pub fn exists(&self, id: OrganizationId) {
        let mut absent = self.absent.lock();
        let forgotten = absent.until.remove(&id).map_or(0, |callers| callers.len());
        absent.count -= forgotten;
    }

    /// Forgets that any organization does not exist: in another history it may.
    pub fn forget_absences(&self) {
        *self.absent.lock() = Absent::default();
    }

    fn is_absent(&self, id: OrganizationId, caller: Subject, now: Monotonic) -> bool {
        let absent = self.absent.lock();
        absent.until.get(&id).and_then(|callers| callers.get(&caller)).is_some_and(|until| now < *until)
    }

    fn note_absent(&self, id: OrganizationId, caller: Subject, now: Monotonic, absence: Duration) {
        let mut absent = self.absent.lock();
        if absent.count >= ABSENT_MAX {
            absent.until.retain(|_, callers| {
                callers.retain(|_, until| now < *until);
                !callers.is_empty()
            });
            absent.count = absent.until.values().map(Map::len).sum();
        }
        if absent.count < ABSENT_MAX
            && absent.until.entry(id).or_default().insert(caller, Monotonic(now.0 + absence)).is_none()
        {
            absent.count += 1;
        }
    }

    /// Counts what an organization takes now.
    pub fn measure(&self, slot: &Slot, bytes: usize) {
        let mut room = slot.room.lock();
        if room.is_evicted {
            return;
        }
        let before = std::mem::replace(&mut room.bytes, bytes);
        change(&self.bytes, before, bytes);
        if room.is_pinned {
            change(&self.pinned_bytes, before, bytes);
        }
    }

    /// Lets a stream hold something of an organization, which keeps it in memory from then on. `Ok(false)`: it was given
    /// up meanwhile, find it anew.
    ///
    /// # Errors
    /// - [`Reason::IndexFull`] if subscriptions would keep more than four fifths of the budget.
    pub fn join(&self, slot: &Slot, stream: StreamId, inbox: &Arc<Inbox>, caller: Subject) -> Result<bool, Error> {
        let mut room = slot.room.lock();
        if room.is_evicted {
            return Ok(false);
        }
        if !room.is_pinned {
            let pinned = self.pinned_bytes.load(Ordering::Relaxed) + room.bytes;
            if pinned > self.bytes_max / 5 * 4 {
                return Err(Error::new(Reason::IndexFull, "subscriptions keep as much in memory as they may"));
            }
            room.is_pinned = true;
            change(&self.pinned_bytes, 0, room.bytes);
        }
        slot.registry.lock().join(stream, inbox, caller);
        Ok(true)
    }

    /// Lets a stream let go of all it holds of an organization.
    /// Gives what it held: the client's numbers, and when each was to be looked at again.
    pub fn leave(&self, slot: &Slot, stream: StreamId) -> Vec<(u64, Option<Timestamp>)> {
        let mut room = slot.room.lock();
        let mut registry = slot.registry.lock();
        let left = registry.leave(stream);
        if registry.is_empty() && std::mem::take(&mut room.is_pinned) {
            change(&self.pinned_bytes, room.bytes, 0);
        }
        left
    }

    /// Gives up organizations until the others fit the budget: what nothing keeps, and of that what was asked about least
    /// recently.
    pub fn make_room(&self, newest: OrganizationId) {
        if self.bytes() <= self.bytes_max {
            return;
        }
        // A little more than needed, so that not every load has to look through all.
        let goal = self.bytes_max / 20 * 19;
        let mut candidates = self.slots();
        candidates.retain(|(id, slot)| *id != newest && slot.snapshot().is_some() && !slot.room.lock().is_pinned);
        candidates.sort_by_cached_key(|(_, slot)| slot.used_at().at());
        for (id, slot) in candidates {
            if self.bytes() <= goal {
                return;
            }
            // Whoever loads it or catches up holds the turn; it is in use.
            let Ok(_turn) = slot.turn.try_lock() else { continue };
            let mut slots = self.slots.write();
            let mut room = slot.room.lock();
            if room.is_pinned || room.is_evicted {
                continue;
            }
            room.is_evicted = true;
            slots.remove(&id);
            change(&self.bytes, room.bytes, 0);
            slot.clear();
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn change(total: &AtomicUsize, before: usize, after: usize) {
    if after >= before {
        total.fetch_add(after - before, Ordering::Relaxed);
    } else {
        total.fetch_sub(before - after, Ordering::Relaxed);
    }
}

impl Engine {
    /// Gives the slot of an organization, loaded.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], also if the caller does not stand to it in any way: then it is not loaded.
    /// - [`Reason::IndexLoading`] if too many wait for a load; what the source says.
    pub(super) async fn loaded(
        self: &Arc<Self>,
        id: OrganizationId,
        requirement: Requirement,
        caller: Subject,
    ) -> Result<Arc<Slot>, Error> {
        self.must_stand_to(id, requirement, caller).await?;
        // In a task of its own: a load that outlasts its first caller's deadline is there for the next.
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.load_in_turn(id, caller).await }).await.map_err(Error::internal)?
    }

    /// Ensures that a caller stands to an organization in some way: so nobody has others' organizations loaded. One that there
    /// is not costs the same statement, and is remembered in the same way.
    ///
    /// # Errors
    /// - [`Reason::NotFound`].
    pub(super) async fn must_stand_to(
        &self,
        id: OrganizationId,
        requirement: Requirement,
        caller: Subject,
    ) -> Result<(), Error> {
        let asked_at = self.world.clock.monotonic();
        if matches!(requirement, Requirement::MaxAge(_)) && self.residence.is_absent(id, caller, asked_at) {
            return Err(Error::not_found("organization", id));
        }
        let Relation { catalog, is_here } = self.source.relation(id, caller).await?;
        let stands = catalog.is_some_and(|catalog| is_here || self.stands_above(caller, &catalog));
        if stands {
            return Ok(());
        }
        self.residence.note_absent(id, caller, asked_at, self.settings.absence);
        Err(Error::not_found("organization", id))
    }

    /// Returns whether a subject holds something above the organizations that follow a catalog.
    fn stands_above(&self, subject: Subject, catalog: &str) -> bool {
        self.installation.load().held_above(subject).any(|grant| match &grant.place {
            Place::Installation => true,
            // One that is not known here yet is known once the organization is loaded.
            Place::Product(product) => find(catalog).is_none_or(|catalog| catalog.name() == product),
            Place::Organization | Place::Resource(_) => false,
        })
    }

    /// Refuses a caller who does not see a loaded organization as one that is not there is refused.
    pub async fn refuse_stranger(&self, id: OrganizationId, requirement: Requirement, caller: Subject) -> Error {
        match self.must_stand_to(id, requirement, caller).await {
            Ok(()) => Error::not_found("organization", id),
            Err(error) => error,
        }
    }

    /// Loads an organization, unless somebody else has while this waited.
    async fn load_in_turn(&self, id: OrganizationId, caller: Subject) -> Result<Arc<Slot>, Error> {
        let _waiting = self.wait_for_load(caller)?;
        // In the map before the load begins: what the feed finds meanwhile is noted as wanted.
        let slot = Arc::clone(self.residence.slots.write().entry(id).or_default());
        let turn = slot.turn.lock().await;
        if slot.snapshot().is_none()
            && let Err(error) = self.load(id, &slot).await
        {
            drop(turn);
            self.forget(id);
            return Err(error);
        }
        drop(turn);
        self.residence.make_room(id);
        Ok(slot)
    }

    /// Counts a call among those that wait for a load, while what is given lives.
    fn wait_for_load(&self, caller: Subject) -> Result<impl Drop, Error> {
        let mut waiting = self.residence.waiting.lock();
        let mine = waiting.get(&caller).copied().unwrap_or(0);
        let all: usize = waiting.values().sum();
        if mine >= self.settings.load_waiters_each_max || all >= self.settings.load_waiters_max {
            return Err(Error::new(Reason::IndexLoading, "too many organizations are being loaded")
                .retry_after(Duration::from_millis(500)));
        }
        waiting.insert(caller, mine + 1);
        Ok(scopeguard::guard((), move |()| {
            let mut waiting = self.residence.waiting.lock();
            match waiting.get_mut(&caller) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    waiting.remove(&caller);
                }
            }
        }))
    }

    /// Removes a slot that a failed load has left behind. Whoever else waits for it holds a clone, and tries by itself.
    pub(super) fn forget(&self, id: OrganizationId) {
        let mut slots = self.residence.slots.write();
        if let Some(slot) = slots.get(&id).filter(|slot| slot.snapshot().is_none() && Arc::strong_count(slot) <= 2) {
            // A stream that finds it still must not join it.
            slot.room.lock().is_evicted = true;
            slots.remove(&id);
        }
    }

    /// Loads an organization, its turn being held, and applies what the feed found meanwhile.
    pub(super) async fn load(&self, id: OrganizationId, slot: &Slot) -> Result<(), Error> {
        let _permit = self.residence.loads.acquire().await.map_err(Error::internal)?;
        let asked_at = self.world.clock.monotonic();
        // What is proven of a view is proven of both its halves.
        self.catch_up_installation().await?;
        let (mut index, mut known) = (self.read(id).await?, Position::default());
        while let Some((behind, told)) = slot.publish_loaded(index, known) {
            // Read after it was told: that commit is in the log, or it is no more.
            (index, known) = (self.caught_up(id, behind).await?, told);
        }
        if let Some(snapshot) = slot.snapshot() {
            self.residence.measure(slot, snapshot.bytes());
        }
        slot.raise_marked(slot.snapshot().map(|snapshot| snapshot.position().revision).unwrap_or_default());
        slot.proof().raise(asked_at);
        Ok(())
    }

    /// Applies to what was read what the log holds after it; reads it anew if that history was replaced.
    async fn caught_up(&self, id: OrganizationId, mut index: OrganizationIndex) -> Result<OrganizationIndex, Error> {
        loop {
            let commits = self.source.read_from(Scope::Organization(id), index.position()).await?;
            match continues(&commits, index.position()) {
                Some([]) => return Ok(index),
                Some(news) => index.apply_all(news),
                None => return self.read(id).await,
            }
        }
    }

    /// Reads an organization whole.
    async fn read(&self, id: OrganizationId) -> Result<OrganizationIndex, Error> {
        let state = self.source.load(Scope::Organization(id)).await?;
        self.build(state.ok_or_else(|| Error::not_found("organization", id))?).await
    }

    /// Lays an organization out. A large one takes a while, on a thread where nobody waits for the next turn.
    async fn build(&self, state: State) -> Result<OrganizationIndex, Error> {
        let seed = self.seed;
        let build = move || OrganizationIndex::load(state.position, &state.facts, seed);
        let index = tokio::task::spawn_blocking(build).await.map_err(Error::internal)?;
        index.ok_or_else(|| Error::internal("an organization follows a catalog that is not known"))
    }
}
