//! Laying an organization out anew beside everything else, once much has changed since it was loaded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::LogTail;
use crate::authz::org_cache::Entry;
use crate::domain::error::Error;
use crate::domain::id::OrganizationId;

/// Fewer recorded commits than this are applied to a new base while others wait; more are applied before.
const REPLAYED_AT_ONCE: usize = 64;

impl LogTail {
    /// Builds a new base of what has changed, beside everything else.
    pub(super) fn compact_beside(self: &Arc<Self>, id: OrganizationId, entry: &Arc<Entry>) {
        let Some(number) = entry.begin_compaction() else { return };
        let (log, entry) = (Arc::clone(self), Arc::clone(entry));
        tokio::spawn(async move {
            if let Err(error) = log.compact(&entry, number).await {
                tracing::error!(organization = %id, cause = error.cause(), "an organization cannot be compacted");
            }
            // Whatever came of it, another may begin.
            entry.end_compaction(number);
        });
    }

    /// Builds a new base, applies to it what came meanwhile, and puts it in place.
    async fn compact(self: &Arc<Self>, entry: &Arc<Entry>, number: u64) -> Result<(), Error> {
        let _permit = self.cache.compaction_permit().await?;
        let start = {
            let _permit = entry.write_permit().await;
            // Recorded from here on; what was before is in the snapshot.
            if entry.take_recorded(number).is_none() {
                return Ok(());
            }
            entry.snapshot()
        };
        let Some(start) = start else { return Ok(()) };
        let mut compacted = tokio::task::spawn_blocking(move || start.compacted()).await.map_err(Error::internal)?;
        loop {
            let permit = entry.write_permit().await;
            let Some(commits) = entry.take_recorded(number) else { return Ok(()) };
            if commits.iter().map(Vec::len).sum::<usize>() <= REPLAYED_AT_ONCE {
                for commits in commits {
                    compacted.apply_all(&commits);
                }
                entry.end_compaction(number);
                self.cache.measure(entry, compacted.bytes());
                let before = entry.publish_compacted(compacted);
                drop(permit);
                self.compactions.fetch_add(1, Ordering::Relaxed);
                // A large base takes a while to free: not while anybody waits.
                tokio::task::spawn_blocking(move || drop(before)).await.map_err(Error::internal)?;
                return Ok(());
            }
            drop(permit);
            let replay = move || {
                for commits in commits {
                    compacted.apply_all(&commits);
                }
                compacted
            };
            compacted = tokio::task::spawn_blocking(replay).await.map_err(Error::internal)?;
        }
    }
}
