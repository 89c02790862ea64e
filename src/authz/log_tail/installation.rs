//! Following the installation's log: what counts in every organization at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use super::LogTail;
use super::organization::continues;
use crate::authz::installation::InstallationIndex;
use crate::authz::recent::Recent;
use crate::authz::touched::Touched;
use crate::changelog::State;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::InstallationFact;
use crate::domain::revision::{Position, Revision};

/// The installation as this process knows it.
#[derive(Debug)]
pub(in crate::authz) struct InstallationTail {
    snapshot: ArcSwap<InstallationIndex>,
    /// Held while it catches up: one at a time.
    write_permit: tokio::sync::Mutex<()>,
    recent: Recent,
    /// Up to here every subscription whose answer may have changed is marked.
    marked: AtomicU64,
}

impl InstallationTail {
    pub(super) fn new(state: &State<InstallationFact>) -> Self {
        let tail = Self {
            snapshot: ArcSwap::from_pointee(InstallationIndex::load(state.position, &state.facts)),
            write_permit: tokio::sync::Mutex::new(()),
            recent: Recent::default(),
            marked: AtomicU64::new(state.position.revision.0),
        };
        tail.recent.push(state.position);
        tail
    }

    /// Returns the snapshot, to be read at once.
    pub fn load(&self) -> Guard<Arc<InstallationIndex>> {
        self.snapshot.load()
    }

    /// Returns the snapshot, to be kept.
    pub fn snapshot(&self) -> Arc<InstallationIndex> {
        self.snapshot.load_full()
    }

    /// Returns the revision up to which everything that changed is marked.
    pub fn marked(&self) -> Revision {
        Revision(self.marked.load(Ordering::Acquire))
    }

    pub(super) fn recent(&self, revision: Revision) -> Option<Position> {
        self.recent.at(revision)
    }
}

impl LogTail {
    /// Brings the installation to the head of its log.
    pub(super) async fn catch_up_installation(&self) -> Result<(), Error> {
        let tail = &self.installation;
        let _permit = tail.write_permit.lock().await;
        loop {
            let before = tail.snapshot();
            let from = before.position();
            let commits = self.source.installation_commits(from).await?;
            let (after, touched) = match continues(&commits, from) {
                Some([]) => return Ok(()),
                Some(news) => {
                    let (mut after, mut touched) = (InstallationIndex::clone(&before), Touched::default());
                    for commit in news {
                        after.apply(commit);
                        touched.take_in_installation(commit);
                    }
                    (after, touched)
                }
                None => {
                    self.note_replaced();
                    tracing::warn!("the installation's log was replaced by another history");
                    tail.recent.clear();
                    let state = self.source.installation().await?;
                    let state = state.ok_or_else(|| Error::internal("there is no installation to load"))?;
                    (InstallationIndex::load(state.position, &state.facts), Touched::everything())
                }
            };
            let position = after.position();
            tail.recent.push(position);
            // In this order: the snapshot, the marks, and then that all is marked.
            tail.snapshot.store(Arc::new(after));
            for (id, entry) in &self.cache.entries() {
                entry.registry().mark(*id, &touched, None, None);
            }
            tail.marked.store(position.revision.0, Ordering::Release);
            self.streams.wake_all();
        }
    }

    /// Follows the head that the database has of the installation.
    ///
    /// # Errors
    /// Those of the source; [`Reason::DatabaseUnavailable`] from a database that holds no installation.
    pub(super) async fn compare_installation(&self, head: Option<Position>) -> Result<(), Error> {
        let Some(head) = head else {
            return Err(Error::new(Reason::DatabaseUnavailable, "the database holds no installation"));
        };
        if self.installation.load().position() == head {
            return Ok(());
        }
        self.catch_up_installation().await
    }
}
