//! One organization's place in the engine: its snapshot, how fresh it is proven, and the subscriptions on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::index::OrganizationIndex;
use super::registry::Registry;
use crate::clock::Monotonic;
use crate::domain::fact::Commit;
use crate::domain::revision::{Position, Revision};

/// How many positions of a log are remembered, to recognise tokens by.
const RECENT_MAX: usize = 256;

/// Remembers a position of a log, the latest.
pub(super) fn remember(recent: &mut VecDeque<Position>, position: Position) {
    if recent.len() == RECENT_MAX {
        recent.pop_front();
    }
    recent.push_back(position);
}

/// Finds the position that was at `revision`, if it is remembered.
pub(super) fn remembered(recent: &VecDeque<Position>, revision: Revision) -> Option<Position> {
    recent.iter().rev().find(|position| position.revision == revision).copied()
}

/// One organization in memory. What every check reads stands first, in one cache line.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Slot {
    snapshot: ArcSwapOption<OrganizationIndex>,
    proven_at: Latest,
    used_at: Latest,
    /// Held while the organization is loaded or catches up: one at a time.
    pub turn: tokio::sync::Mutex<()>,
    /// Up to here everything that turned has been marked.
    marked: AtomicU64,
    /// The newest commit that the feed has told of. Its lock orders telling and publishing, so that nothing the feed
    /// told of while the organization was being loaded is missed.
    told: Mutex<Position>,
    recent: Mutex<VecDeque<Position>>,
    /// What was applied since a fold began, while one is under way.
    since_fold: Mutex<Recording>,
    pub registry: Mutex<Registry>,
    /// What it counts for in the budget of memory.
    pub room: Mutex<Room>,
}

/// How many commits are kept together: none is moved once it is recorded, however many follow.
const RECORDED_TOGETHER: usize = 1_024;

/// What was applied since a fold began. Folds are numbered, so that one whose history was replaced finds nothing.
#[derive(Debug, Default)]
struct Recording {
    fold: u64,
    commits: Option<Vec<Vec<Commit>>>,
}

/// What an organization counts for in the budget of memory.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub bytes: usize,
    /// Whether subscriptions keep it.
    pub is_pinned: bool,
    /// Whether it was given up: whoever holds this slot must find the organization anew.
    pub is_evicted: bool,
}

impl Slot {
    /// Gives the snapshot, if the organization is loaded.
    pub fn snapshot(&self) -> Option<Arc<OrganizationIndex>> {
        self.snapshot.load_full()
    }

    /// Puts a snapshot in place of the one before. What turned is marked after, and told by [`Slot::raise_marked`].
    pub fn publish(&self, index: OrganizationIndex) {
        remember(&mut self.recent.lock(), index.position());
        self.snapshot.store(Some(Arc::new(index)));
    }

    /// Puts the same state in place of itself, laid out anew. Gives what stood there, to be freed where nobody waits.
    pub fn publish_folded(&self, index: OrganizationIndex) -> Option<Arc<OrganizationIndex>> {
        self.snapshot.swap(Some(Arc::new(index)))
    }

    /// Drops the snapshot and what is remembered of its history.
    pub fn clear(&self) {
        *self.told.lock() = Position::default();
        self.since_fold.lock().commits = None;
        self.recent.lock().clear();
        self.snapshot.store(None);
    }

    /// Finds the position that was at `revision`, if it is remembered.
    pub fn recent(&self, revision: Revision) -> Option<Position> {
        remembered(&self.recent.lock(), revision)
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
    pub fn tell(&self, position: Position) -> Option<Arc<OrganizationIndex>> {
        let mut told = self.told.lock();
        if position.revision >= told.revision {
            *told = position;
        } else {
            // Told late, or of a history that was set back. A position that is none has whoever loads read the log.
            told.tag.0 = !told.tag.0;
        }
        self.snapshot()
    }

    /// Publishes what was loaded, if the feed has told of nothing else since `known`. Otherwise gives it back with what
    /// was told last: the log is to be asked what became of it.
    pub fn publish_loaded(&self, index: OrganizationIndex, known: Position) -> Option<(OrganizationIndex, Position)> {
        let told = self.told.lock();
        if *told != known && *told != index.position() {
            return Some((index, *told));
        }
        self.publish(index);
        None
    }

    /// Gives the moment as of which this organization by itself is proven current.
    pub fn proof(&self) -> &Latest {
        &self.proven_at
    }

    /// Gives when somebody last asked.
    pub fn used_at(&self) -> &Latest {
        &self.used_at
    }

    // Folding: what is applied while the new base is built is recorded, and applied to it as well.

    /// Begins to record what is applied, the turn being held. Gives the fold's number; `None` if one is under way.
    pub fn begin_fold(&self) -> Option<u64> {
        let mut recording = self.since_fold.lock();
        if recording.commits.is_some() {
            return None;
        }
        recording.fold += 1;
        recording.commits = Some(Vec::new());
        Some(recording.fold)
    }

    /// Records commits that were applied, while a fold is under way.
    pub fn record(&self, commits: &[Commit]) {
        let mut recording = self.since_fold.lock();
        let Some(recorded) = &mut recording.commits else { return };
        for commit in commits {
            match recorded.last_mut() {
                Some(last) if last.len() < RECORDED_TOGETHER => last.push(commit.clone()),
                _ => {
                    let mut last = Vec::with_capacity(RECORDED_TOGETHER);
                    last.push(commit.clone());
                    recorded.push(last);
                }
            }
        }
    }

    /// Takes what was recorded. `None` if the history was replaced or dropped: the fold is of no use.
    pub fn take_recorded(&self, fold: u64) -> Option<Vec<Vec<Commit>>> {
        let mut recording = self.since_fold.lock();
        if recording.fold != fold {
            return None;
        }
        recording.commits.as_mut().map(std::mem::take)
    }

    /// Ends the recording of a fold.
    pub fn end_fold(&self, fold: u64) {
        let mut recording = self.since_fold.lock();
        if recording.fold == fold {
            recording.commits = None;
        }
    }
}

/// The latest moment of something, on the monotonic clock: as of when something is proven current, say.
#[derive(Debug, Default)]
pub(super) struct Latest(AtomicU64);

impl Latest {
    /// Takes in a moment: a statement sent at `at` found nothing that is not applied.
    pub fn raise(&self, at: Monotonic) {
        let nanos = u64::try_from(at.0.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::AcqRel);
    }

    /// Takes in a moment that need not be told exactly: a later one may be overwritten by an earlier of the same second,
    /// and nobody waits for the write.
    pub fn touch(&self, at: Monotonic) {
        const OFTEN_ENOUGH: u64 = 1_000_000_000;
        let nanos = u64::try_from(at.0.as_nanos()).unwrap_or(u64::MAX);
        if self.0.load(Ordering::Relaxed).saturating_add(OFTEN_ENOUGH) <= nanos {
            self.0.store(nanos, Ordering::Relaxed);
        }
    }

    /// Gives the moment; the clock's zero if nothing was proven.
    pub fn at(&self) -> Monotonic {
        Monotonic(Duration::from_nanos(self.0.load(Ordering::Acquire)))
    }
}
