//! One organization in memory: its snapshot, how fresh it is proven, and the subscriptions on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, MutexGuard};

use crate::authz::freshness::Latest;
use crate::authz::index::OrganizationIndex;
use crate::authz::recent::Recent;
use crate::authz::registry::Registry;
use crate::domain::fact::{Commit, OrganizationFact};
use crate::domain::revision::{Position, Revision};

/// One organization in memory. What every check reads stands first, in one cache line.
#[derive(Debug, Default)]
#[repr(C)]
pub(in crate::authz) struct Entry {
    snapshot: ArcSwapOption<OrganizationIndex>,
    proven_at: Latest,
    used_at: Latest,
    write_permit: tokio::sync::Mutex<()>,
    /// Up to here every subscription whose answer may have changed is marked.
    marked: AtomicU64,
    /// The newest commit that was announced. Its lock orders announcing and publishing, so that nothing is missed that is
    /// announced while the organization is being loaded.
    announced: Mutex<Position>,
    recent: Recent,
    /// What was applied since a compaction began, while one is under way.
    since_compaction: Mutex<Recording>,
    registry: Mutex<Registry>,
    /// What it counts for in the budget of memory.
    pub(super) share: Mutex<BudgetShare>,
}

/// How many commits are kept together: none is moved once it is recorded, however many follow.
const RECORDED_TOGETHER: usize = 1_024;

/// What was applied since a compaction began. Compactions are numbered, so that one whose history was replaced finds nothing.
#[derive(Debug, Default)]
struct Recording {
    compaction: u64,
    commits: Option<Vec<Vec<Commit<OrganizationFact>>>>,
}

/// What an organization counts for in the budget of memory.
#[derive(Debug, Default)]
pub(super) struct BudgetShare {
    pub bytes: usize,
    /// Whether subscriptions keep it.
    pub is_pinned: bool,
    /// Whether it was given up: a holder of this entry must find the organization anew.
    pub is_evicted: bool,
}

impl Entry {
    /// Waits for the right to change the snapshot: one load, one catching up at a time.
    pub async fn write_permit(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.write_permit.lock().await
    }

    /// Returns the right to change the snapshot, unless somebody has it.
    pub fn try_write_permit(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        self.write_permit.try_lock().ok()
    }

    /// Returns the subscriptions on the organization, locked.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }

    /// Returns the snapshot, if the organization is loaded.
    pub fn snapshot(&self) -> Option<Arc<OrganizationIndex>> {
        self.snapshot.load_full()
    }

    /// Puts a snapshot in place of the one before. What has changed is marked after, and [`Entry::advance_marked`] says so.
    pub fn publish(&self, index: OrganizationIndex) {
        self.recent.push(index.position());
        self.snapshot.store(Some(Arc::new(index)));
    }

    /// Puts the same state in place of itself, laid out anew. Returns what stood there, to be freed where nobody waits.
    pub fn publish_compacted(&self, index: OrganizationIndex) -> Option<Arc<OrganizationIndex>> {
        self.snapshot.swap(Some(Arc::new(index)))
    }

    /// Drops the snapshot and what is known of its history.
    pub fn clear(&self) {
        *self.announced.lock() = Position::default();
        self.since_compaction.lock().commits = None;
        self.recent.clear();
        self.snapshot.store(None);
    }

    /// Finds the position that the log had at `revision`, if it is kept.
    pub fn recent(&self, revision: Revision) -> Option<Position> {
        self.recent.at(revision)
    }

    /// Notes that everything which changed up to `revision` is marked.
    pub fn advance_marked(&self, revision: Revision) {
        self.marked.store(revision.0, Ordering::Release);
    }

    /// Returns the revision up to which everything that changed is marked.
    pub fn marked(&self) -> Revision {
        Revision(self.marked.load(Ordering::Acquire))
    }

    /// Announces a commit, and returns the snapshot. `None`: the load that is under way takes the commit in.
    pub fn announce(&self, position: Position) -> Option<Arc<OrganizationIndex>> {
        let mut announced = self.announced.lock();
        if position.revision >= announced.revision {
            *announced = position;
        } else {
            // It comes late, or of a history that was set back. A position that is none has the load read the log.
            announced.tag.0 = !announced.tag.0;
        }
        self.snapshot()
    }

    /// Publishes what was loaded, if nothing else was announced since `known`. Otherwise returns it with what was announced
    /// last: the log is to be asked what became of it.
    pub fn publish_loaded(&self, index: OrganizationIndex, known: Position) -> Option<(OrganizationIndex, Position)> {
        let announced = self.announced.lock();
        if *announced != known && *announced != index.position() {
            return Some((index, *announced));
        }
        self.publish(index);
        None
    }

    /// Returns the moment as of which this organization by itself is proven current.
    pub fn proven_at(&self) -> &Latest {
        &self.proven_at
    }

    /// Returns when somebody last asked about it.
    pub fn used_at(&self) -> &Latest {
        &self.used_at
    }

    // Compaction: what is applied while the new base is built is recorded, and applied to it as well.

    /// Begins to record what is applied, the write permit being held. Returns the compaction's number; `None` if one is under
    /// way.
    pub fn begin_compaction(&self) -> Option<u64> {
        let mut recording = self.since_compaction.lock();
        if recording.commits.is_some() {
            return None;
        }
        recording.compaction += 1;
        recording.commits = Some(Vec::new());
        Some(recording.compaction)
    }

    /// Records commits that were applied, while a compaction is under way.
    pub fn record(&self, commits: &[Commit<OrganizationFact>]) {
        let mut recording = self.since_compaction.lock();
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

    /// Takes what was recorded. `None` if the history was replaced or dropped: the compaction is of no use.
    pub fn take_recorded(&self, compaction: u64) -> Option<Vec<Vec<Commit<OrganizationFact>>>> {
        let mut recording = self.since_compaction.lock();
        if recording.compaction != compaction {
            return None;
        }
        recording.commits.as_mut().map(std::mem::take)
    }

    /// Ends the recording of a compaction.
    pub fn end_compaction(&self, compaction: u64) {
        let mut recording = self.since_compaction.lock();
        if recording.compaction == compaction {
            recording.commits = None;
        }
    }
}
