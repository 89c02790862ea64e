//! The organizations in memory: entries within a budget of bytes, loads within bounds, and for a moment, where there are none.
//! It knows neither the log nor the streams: who fills an entry, and who reads it, is not its concern.

mod absences;
mod entry;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) use entry::Entry;

use self::absences::Absences;
use super::open_streams::{Inbox, StreamId};
use super::settings::Settings;
use crate::clock::Monotonic;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
use crate::domain::time::Timestamp;

type Map<K, V> = HashMap<K, V, RandomState>;

/// What a part of the index takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryPart {
    /// What it is of: a membership, a grant, a resource, a group; or of the organization as a whole.
    pub noun: &'static str,
    /// All of them together.
    pub bytes: usize,
}

/// The organizations in memory, and what they take.
pub(super) struct OrgCache {
    entries: RwLock<Map<OrganizationId, Arc<Entry>>>,
    bytes: AtomicUsize,
    /// Of `bytes`, what subscriptions keep.
    pinned_bytes: AtomicUsize,
    evictions: AtomicU64,
    absences: Absences,
    loads: Semaphore,
    /// How many calls wait for a load, by caller.
    waiting: Mutex<Map<Subject, usize>>,
    /// One at a time: a compaction takes as much memory again as the organization.
    compactions: Semaphore,
    settings: Settings,
}

impl OrgCache {
    pub fn new(settings: Settings) -> Self {
        Self {
            entries: RwLock::default(),
            bytes: AtomicUsize::new(0),
            pinned_bytes: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            absences: Absences::default(),
            loads: Semaphore::new(settings.loads_max),
            waiting: Mutex::default(),
            compactions: Semaphore::new(1),
            settings,
        }
    }

    /// Returns the entry of an organization that somebody has asked about.
    pub fn entry(&self, id: OrganizationId) -> Option<Arc<Entry>> {
        self.entries.read().get(&id).cloned()
    }

    /// Returns the entry of an organization, a new one if need be. In the map before its load begins, so that what the poller
    /// finds meanwhile is announced to it.
    pub fn entry_to_load(&self, id: OrganizationId) -> Arc<Entry> {
        Arc::clone(self.entries.write().entry(id).or_default())
    }

    /// Looks at the entry of an organization without a clone of it: its count of owners need not be fetched.
    pub fn look<T>(&self, id: OrganizationId, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.entries.read().get(&id).map(|entry| look(entry))
    }

    /// Returns the entries of all organizations that somebody has asked about.
    pub fn entries(&self) -> Vec<(OrganizationId, Arc<Entry>)> {
        self.entries.read().iter().map(|(id, entry)| (*id, Arc::clone(entry))).collect()
    }

    /// Removes an entry that a failed load has left behind. Another call that waits for it holds a clone, and tries by itself.
    pub fn forget(&self, id: OrganizationId) {
        let mut entries = self.entries.write();
        if let Some(entry) = entries.get(&id).filter(|it| it.snapshot().is_none() && Arc::strong_count(it) <= 2) {
            // A stream that finds it still must not join it.
            entry.share.lock().is_evicted = true;
            entries.remove(&id);
        }
    }

    // What it takes.

    /// Counts the organizations.
    pub fn count(&self) -> usize {
        self.entries.read().len()
    }

    /// Returns how many bytes they take, about.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts how often one was given up for want of memory.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Returns what they take, by what it is of.
    pub fn memory_parts(&self) -> [MemoryPart; 5] {
        let nouns = ["membership", "grant", "resource", "group", "organization"];
        let mut parts = nouns.map(|noun| MemoryPart { noun, bytes: 0 });
        for (_, entry) in self.entries() {
            let Some(snapshot) = entry.snapshot() else { continue };
            for (part, bytes) in parts.iter_mut().zip(snapshot.bytes_by_part()) {
                part.bytes += bytes;
            }
            // The entry with its counters, its place in the map, and what makes both shared.
            parts[4].bytes += size_of::<Entry>() + size_of::<(OrganizationId, Arc<Entry>)>() * 8 / 7 + 32;
        }
        parts
    }

    /// Returns how many subscriptions are held, and how many bytes they take, about, but for the ids in them.
    pub fn subscriptions(&self) -> (usize, usize) {
        let entries = self.entries();
        let registries = entries.iter().map(|(_, entry)| entry.registry());
        registries.fold((0, 0), |(count, bytes), registry| (count + registry.len(), bytes + registry.bytes()))
    }

    /// Counts what an organization takes now.
    pub fn measure(&self, entry: &Entry, bytes: usize) {
        let mut share = entry.share.lock();
        if share.is_evicted {
            return;
        }
        let before = std::mem::replace(&mut share.bytes, bytes);
        change(&self.bytes, before, bytes);
        if share.is_pinned {
            change(&self.pinned_bytes, before, bytes);
        }
    }

    /// Gives up organizations until the others fit the budget: what nothing keeps, and of that what was asked about least
    /// recently.
    pub fn make_room(&self, newest: OrganizationId) {
        if self.bytes() <= self.settings.bytes_max {
            return;
        }
        // A little more than needed, so that not every load has to look through all.
        let goal = self.settings.bytes_max / 20 * 19;
        let mut candidates = self.entries();
        candidates.retain(|(id, entry)| *id != newest && entry.snapshot().is_some() && !entry.share.lock().is_pinned);
        candidates.sort_by_cached_key(|(_, entry)| entry.used_at().at());
        for (id, entry) in candidates {
            if self.bytes() <= goal {
                return;
            }
            // It is in use while it is loaded or catches up.
            let Some(_permit) = entry.try_write_permit() else { continue };
            let mut entries = self.entries.write();
            let mut share = entry.share.lock();
            if share.is_pinned || share.is_evicted {
                continue;
            }
            share.is_evicted = true;
            entries.remove(&id);
            change(&self.bytes, share.bytes, 0);
            entry.clear();
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    // Subscriptions keep an organization in memory.

    /// Lets a stream hold something of an organization. `Ok(false)`: the organization was given up meanwhile, find it anew.
    ///
    /// # Errors
    /// - [`Reason::IndexFull`] if subscriptions would keep more than four fifths of the budget.
    pub fn join(&self, entry: &Entry, stream: StreamId, inbox: &Arc<Inbox>, caller: Subject) -> Result<bool, Error> {
        let mut share = entry.share.lock();
        if share.is_evicted {
            return Ok(false);
        }
        if !share.is_pinned {
            let pinned = self.pinned_bytes.load(Ordering::Relaxed) + share.bytes;
            if pinned > self.settings.bytes_max / 5 * 4 {
                return Err(Error::new(Reason::IndexFull, "subscriptions keep as much in memory as they may"));
            }
            share.is_pinned = true;
            change(&self.pinned_bytes, 0, share.bytes);
        }
        entry.registry().join(stream, inbox, caller);
        Ok(true)
    }

    /// Lets a stream release all that it holds of an organization. Returns what it held: the client's numbers, and when each
    /// was to be looked at again.
    pub fn leave(&self, entry: &Entry, stream: StreamId) -> Vec<(u64, Option<Timestamp>)> {
        let mut share = entry.share.lock();
        let mut registry = entry.registry();
        let left = registry.leave(stream);
        if registry.is_empty() && std::mem::take(&mut share.is_pinned) {
            change(&self.pinned_bytes, share.bytes, 0);
        }
        left
    }

    // Bounds.

    /// Waits for one of the loads that may take place at once.
    ///
    /// # Errors
    /// None while the process lives.
    pub async fn load_permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.loads.acquire().await.map_err(Error::internal)
    }

    /// Waits until no other compaction is under way.
    ///
    /// # Errors
    /// None while the process lives.
    pub async fn compaction_permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.compactions.acquire().await.map_err(Error::internal)
    }

    /// Counts a call among those that wait for a load, until the guard is dropped.
    ///
    /// # Errors
    /// - [`Reason::IndexLoading`] if too many wait.
    pub fn wait_for_load(&self, caller: Subject) -> Result<impl Drop, Error> {
        let mut waiting = self.waiting.lock();
        let mine = waiting.get(&caller).copied().unwrap_or(0);
        let all: usize = waiting.values().sum();
        if mine >= self.settings.load_waiters_each_max || all >= self.settings.load_waiters_max {
            return Err(Error::new(Reason::IndexLoading, "too many organizations are being loaded")
                .retry_after(Duration::from_millis(500)));
        }
        waiting.insert(caller, mine + 1);
        Ok(scopeguard::guard((), move |()| {
            let mut waiting = self.waiting.lock();
            match waiting.get_mut(&caller) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    waiting.remove(&caller);
                }
            }
        }))
    }

    // Absences.

    /// Returns whether an organization was found not to exist for a caller, a moment ago.
    pub fn is_absent(&self, id: OrganizationId, caller: Subject, now: Monotonic) -> bool {
        self.absences.is_absent(id, caller, now)
    }

    /// Notes that an organization does not exist for a caller.
    pub fn note_absent(&self, id: OrganizationId, caller: Subject, now: Monotonic) {
        self.absences.note(id, caller, now, self.settings.absence);
    }

    /// Forgets for whom an organization does not exist.
    pub fn forget_absences_of(&self, id: OrganizationId) {
        self.absences.forget(id);
    }

    /// Forgets that any organization does not exist: in another history it may.
    pub fn forget_absences(&self) {
        self.absences.forget_all();
    }
}

fn change(total: &AtomicUsize, before: usize, after: usize) {
    if after >= before {
        total.fetch_add(after - before, Ordering::Relaxed);
    } else {
        total.fetch_sub(before - after, Ordering::Relaxed);
    }
}
