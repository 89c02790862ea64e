//! One organization's place in the engine: its snapshot, how fresh it is proven, and the subscriptions on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::index::OrganizationIndex;
use super::subscriptions::Registry;
use crate::clock::Monotonic;
use crate::domain::revision::{Position, Revision};

/// How many positions a slot remembers, to recognise tokens by.
const RECENT_MAX: usize = 256;

/// One organization in memory.
#[derive(Debug, Default)]
pub(super) struct Slot {
    snapshot: ArcSwapOption<OrganizationIndex>,
    /// Held while the organization is loaded or catches up: one at a time.
    pub turn: tokio::sync::Mutex<()>,
    /// Up to here everything that turned has been marked.
    marked: AtomicU64,
    /// The newest commit that the feed has told of. Its lock orders telling and publishing, so that nothing the feed
    /// told of while the organization was being loaded is missed.
    told: Mutex<Revision>,
    proven_at: Proof,
    recent: Mutex<VecDeque<Position>>,
    pub registry: Mutex<Registry>,
}

impl Slot {
    /// Gives the snapshot, if the organization is loaded.
    pub fn snapshot(&self) -> Option<Arc<OrganizationIndex>> {
        self.snapshot.load_full()
    }

    /// Puts a snapshot in place of the one before. What turned is marked after, and told by [`Slot::raise_marked`].
    pub fn publish(&self, index: OrganizationIndex) {
        let mut recent = self.recent.lock();
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(index.position());
        self.snapshot.store(Some(Arc::new(index)));
    }

    /// Drops the snapshot and what is remembered of its history.
    pub fn clear(&self) {
        *self.told.lock() = Revision::default();
        self.recent.lock().clear();
        self.snapshot.store(None);
    }

    /// Finds the position that was at `revision`, if it is remembered.
    pub fn recent(&self, revision: Revision) -> Option<Position> {
        self.recent.lock().iter().rev().find(|position| position.revision == revision).copied()
    }

    /// Tells that everything that turned up to `revision` is marked.
    pub fn raise_marked(&self, revision: Revision) {
        self.marked.store(revision.0, Ordering::Release);
    }

    /// Gives the revision up to which everything that turned is marked.
    pub fn marked(&self) -> Revision {
        Revision(self.marked.load(Ordering::Acquire))
    }

    /// Notes a commit that the feed tells of, and gives the snapshot. `None`: whoever loads takes the commit in.
    pub fn tell(&self, revision: Revision) -> Option<Arc<OrganizationIndex>> {
        let mut told = self.told.lock();
        *told = revision.max(*told);
        self.snapshot()
    }

    /// Publishes what was loaded, unless the feed has told of a later commit meanwhile; then it is given back.
    pub fn publish_loaded(&self, index: OrganizationIndex) -> Option<OrganizationIndex> {
        let told = self.told.lock();
        if index.position().revision < *told {
            return Some(index);
        }
        self.publish(index);
        None
    }

    /// Gives the moment as of which this organization by itself is proven current.
    pub fn proof(&self) -> &Proof {
        &self.proven_at
    }
}

/// The latest moment as of which something is proven current, on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Proof(AtomicU64);

impl Proof {
    /// Takes in a proof: a statement sent at `at` found nothing that is not applied.
    pub fn raise(&self, at: Monotonic) {
        let nanos = u64::try_from(at.0.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::AcqRel);
    }

    /// Gives the moment; the clock's zero if nothing was proven.
    pub fn at(&self) -> Monotonic {
        Monotonic(Duration::from_nanos(self.0.load(Ordering::Acquire)))
    }
}
