//! Following the log of one organization: its entry is brought to where the log is, or replaced if the log is another.

use std::sync::Arc;

use super::LogTail;
use crate::authz::index::OrganizationIndex;
use crate::authz::org_cache::Entry;
use crate::authz::touched::Touched;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Commit, OrganizationFact, Scope};
use crate::domain::id::OrganizationId;
use crate::domain::revision::{Position, Revision};

impl LogTail {
    /// Brings a loaded organization to `target` at the least.
    pub(super) async fn catch_up(
        self: &Arc<Self>,
        id: OrganizationId,
        entry: &Arc<Entry>,
        target: Position,
    ) -> Result<(), Error> {
        if entry.announce(target).is_none() {
            return Ok(());
        }
        let _permit = entry.write_permit().await;
        let Some(snapshot) = entry.snapshot() else { return Ok(()) };
        if snapshot.position().revision >= target.revision {
            let known = entry.recent(target.revision);
            if known.is_some_and(|position| position.tag != target.tag) {
                return self.replace(id, entry).await;
            }
            return Ok(());
        }
        self.follow_log(id, entry, &snapshot, target.revision).await
    }

    /// Follows the head that the database has of an organization, or has not. An entry that is being loaded takes it in by
    /// itself.
    pub(super) async fn compare(
        self: &Arc<Self>,
        id: OrganizationId,
        entry: &Arc<Entry>,
        head: Option<Position>,
    ) -> Result<(), Error> {
        // Without a head it was created since the heads were read, or in the part of a history that is lost.
        let Some(head) = head else { return self.keep_if_in_log(id, entry).await };
        let Some(snapshot) = entry.announce(head) else { return Ok(()) };
        let mine = snapshot.position();
        if mine == head {
            return Ok(());
        }
        if mine.revision > head.revision {
            // Ahead of the poll, by a commit that came later; or of a history that was cut off.
            return self.keep_if_in_log(id, entry).await;
        }
        self.catch_up(id, entry, head).await
    }

    /// Keeps a snapshot whose newest commit is in the log, and replaces another.
    pub(super) async fn keep_if_in_log(&self, id: OrganizationId, entry: &Entry) -> Result<(), Error> {
        let _permit = entry.write_permit().await;
        let Some(snapshot) = entry.snapshot() else { return Ok(()) };
        let mine = snapshot.position();
        if self.source.tag(Scope::Organization(id), mine.revision).await? == Some(mine.tag) {
            return Ok(());
        }
        self.replace(id, entry).await
    }

    /// Applies what the log holds past the snapshot, up to `target` or as far as it goes, the write permit being held.
    pub(super) async fn follow_log(
        self: &Arc<Self>,
        id: OrganizationId,
        entry: &Arc<Entry>,
        snapshot: &OrganizationIndex,
        target: Revision,
    ) -> Result<(), Error> {
        let mut before = snapshot.clone();
        while before.position().revision < target {
            let from = before.position();
            let commits = self.source.organization_commits(id, from).await?;
            let Some(news) = continues(&commits, from) else { return self.replace(id, entry).await };
            if news.is_empty() {
                break;
            }
            before = self.take_in(id, entry, &before, news);
        }
        self.cache.make_room(id);
        if before.wants_compaction() {
            self.compact_beside(id, entry);
        }
        Ok(())
    }

    /// Applies commits, the write permit being held, and returns the state after them.
    fn take_in(
        &self,
        id: OrganizationId,
        entry: &Entry,
        before: &OrganizationIndex,
        news: &[Commit<OrganizationFact>],
    ) -> OrganizationIndex {
        let (mut after, mut touched) = (before.clone(), Touched::default());
        for commit in news {
            let earlier = after.clone();
            after.apply(commit);
            touched.take_in(commit, &earlier, &after);
        }
        entry.record(news);
        // In this order: the snapshot, the marks, and then that all is marked.
        entry.publish(after.clone());
        entry.registry().mark(id, &touched, Some(before), Some(&after));
        entry.advance_marked(after.position().revision);
        self.cache.measure(entry, after.bytes());
        after
    }

    /// Drops a snapshot whose history is no more, loads anew and resets the streams, the write permit being held.
    pub(super) async fn replace(&self, id: OrganizationId, entry: &Entry) -> Result<(), Error> {
        self.note_replaced();
        tracing::warn!(organization = %id, "the log of an organization was replaced by another history");
        self.clear(id, entry);
        match self.load(id, entry).await {
            // It was created in the part that is lost.
            Err(error) if error.reason == Reason::NotFound => {
                self.cache.forget(id);
                Ok(())
            }
            loaded => loaded,
        }
    }

    /// Drops an organization that cannot be followed, and resets its streams; the next call that asks loads it anew.
    pub(super) async fn drop_snapshot(&self, id: OrganizationId, entry: &Entry) {
        let _permit = entry.write_permit().await;
        self.clear(id, entry);
    }

    /// Drops a snapshot, the write permit being held, and resets the streams that hold something of it.
    fn clear(&self, id: OrganizationId, entry: &Entry) {
        entry.clear();
        self.cache.measure(entry, 0);
        entry.registry().inboxes().for_each(|inbox| inbox.mark_replaced(id));
    }
}

/// Returns the commits that follow `from`; `None` if `from` itself is not in the log as it was.
pub(super) fn continues<F>(commits: &[Commit<F>], from: Position) -> Option<&[Commit<F>]> {
    if from.revision == Revision::default() {
        return Some(commits);
    }
    let (first, news) = commits.split_first()?;
    (first.position == from).then_some(news)
}
