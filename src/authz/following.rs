//! Following the log: what was committed is applied in order, published whole, and marked for whom it touches.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::engine::Engine;
use super::index::OrganizationIndex;
use super::installation::InstallationIndex;
use super::slot::{Slot, remember};
use super::touched::Touched;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Commit, Scope};
use crate::domain::id::OrganizationId;
use crate::domain::revision::{Position, Revision};

/// Fewer recorded commits than this are applied to a folded base while others wait; more are applied before.
const REPLAYED_AT_ONCE: usize = 64;

impl Engine {
    /// Brings a loaded organization to `target` at the least.
    ///
    /// # Errors
    /// What the source says.
    pub(super) async fn catch_up(
        self: &Arc<Self>,
        id: OrganizationId,
        slot: &Arc<Slot>,
        target: Position,
    ) -> Result<(), Error> {
        if slot.tell(target).is_none() {
            return Ok(());
        }
        let _turn = slot.turn.lock().await;
        let Some(snapshot) = slot.snapshot() else { return Ok(()) };
        if snapshot.position().revision >= target.revision {
            let remembered = slot.recent(target.revision);
            if remembered.is_some_and(|position| position.tag != target.tag) {
                return self.replace(id, slot).await;
            }
            return Ok(());
        }
        self.follow_log(id, slot, &snapshot, target.revision).await
    }

    /// Follows what a poll has told of a slot. One that is being loaded takes it in by itself.
    ///
    /// # Errors
    /// What the source says.
    pub(super) async fn follow_to(
        self: &Arc<Self>,
        id: OrganizationId,
        slot: &Arc<Slot>,
        told: Position,
    ) -> Result<(), Error> {
        let Some(snapshot) = slot.tell(told) else { return Ok(()) };
        let mine = snapshot.position();
        if mine == told {
            return Ok(());
        }
        if mine.revision > told.revision {
            // Ahead of the poll, by a commit that came later; or of a history that was cut off.
            return self.keep_if_in_log(id, slot).await;
        }
        self.catch_up(id, slot, told).await
    }

    /// Follows the head that the database has of a slot, or has not.
    ///
    /// # Errors
    /// What the source says.
    pub(super) async fn compare(
        self: &Arc<Self>,
        id: OrganizationId,
        slot: &Arc<Slot>,
        head: Option<Position>,
    ) -> Result<(), Error> {
        match head {
            Some(head) => self.follow_to(id, slot, head).await,
            // Founded since the heads were read, or in the part of a history that is lost.
            None => self.keep_if_in_log(id, slot).await,
        }
    }

    /// Follows the head that the database has of the installation.
    ///
    /// # Errors
    /// What the source says; [`Reason::DatabaseUnavailable`] from a
    /// database that holds no installation.
    pub(super) async fn compare_installation(&self, head: Option<Position>) -> Result<(), Error> {
        let Some(head) = head else {
            return Err(Error::new(Reason::DatabaseUnavailable, "the database holds no installation"));
        };
        if self.installation.load().position() == head {
            return Ok(());
        }
        self.catch_up_installation().await
    }

    /// Keeps a snapshot whose newest commit is in the log, and replaces another.
    ///
    /// # Errors
    /// What the source says.
    pub(super) async fn keep_if_in_log(&self, id: OrganizationId, slot: &Slot) -> Result<(), Error> {
        let _turn = slot.turn.lock().await;
        let Some(snapshot) = slot.snapshot() else { return Ok(()) };
        let mine = snapshot.position();
        if self.source.tag(Scope::Organization(id), mine.revision).await? == Some(mine.tag) {
            return Ok(());
        }
        self.replace(id, slot).await
    }

    /// Applies what the log holds past the snapshot, up to `target` or as far as it goes, the turn being held.
    pub(super) async fn follow_log(
        self: &Arc<Self>,
        id: OrganizationId,
        slot: &Arc<Slot>,
        snapshot: &OrganizationIndex,
        target: Revision,
    ) -> Result<(), Error> {
        let mut before = snapshot.clone();
        while before.position().revision < target {
            let from = before.position();
            let commits = self.source.read_from(Scope::Organization(id), from).await?;
            let Some(news) = continues(&commits, from) else { return self.replace(id, slot).await };
            if news.is_empty() {
                break;
            }
            before = self.take_in(id, slot, &before, news);
        }
        self.residence.make_room(id);
        if before.wants_folding() {
            self.fold_beside(id, slot);
        }
        Ok(())
    }

    /// Applies commits, the turn being held, and gives the state after them.
    fn take_in(
        &self,
        id: OrganizationId,
        slot: &Slot,
        before: &OrganizationIndex,
        news: &[Commit],
    ) -> OrganizationIndex {
        let (mut after, mut touched) = (before.clone(), Touched::default());
        for commit in news {
            let earlier = after.clone();
            after.apply(commit);
            touched.take_in(commit, &earlier, &after);
        }
        slot.record(news);
        // In this order: the snapshot, the marks, and then the word that all is marked.
        slot.publish(after.clone());
        slot.registry.lock().mark(id, &touched, Some(before), Some(&after));
        slot.raise_marked(after.position().revision);
        self.residence.measure(slot, after.bytes());
        after
    }

    /// Folds what has changed into a new base, beside everything else.
    fn fold_beside(self: &Arc<Self>, id: OrganizationId, slot: &Arc<Slot>) {
        let Some(number) = slot.begin_fold() else { return };
        let (engine, slot) = (Arc::clone(self), Arc::clone(slot));
        tokio::spawn(async move {
            if let Err(error) = engine.fold(&slot, number).await {
                tracing::error!(organization = %id, cause = error.cause(), "an organization cannot be folded");
            }
            // Whatever came of it, another may begin.
            slot.end_fold(number);
        });
    }

    /// Builds a new base, applies to it what came meanwhile, and puts it in place.
    async fn fold(self: &Arc<Self>, slot: &Arc<Slot>, number: u64) -> Result<(), Error> {
        let _permit = self.residence.folds.acquire().await.map_err(Error::internal)?;
        let start = {
            let _turn = slot.turn.lock().await;
            // Recorded from here on; what was before is in the snapshot.
            if slot.take_recorded(number).is_none() {
                return Ok(());
            }
            slot.snapshot()
        };
        let Some(start) = start else { return Ok(()) };
        let mut folded = tokio::task::spawn_blocking(move || start.folded()).await.map_err(Error::internal)?;
        loop {
            let turn = slot.turn.lock().await;
            let Some(commits) = slot.take_recorded(number) else { return Ok(()) };
            if commits.iter().map(Vec::len).sum::<usize>() <= REPLAYED_AT_ONCE {
                for commits in commits {
                    folded.apply_all(&commits);
                }
                slot.end_fold(number);
                self.residence.measure(slot, folded.bytes());
                let before = slot.publish_folded(folded);
                drop(turn);
                self.folds.fetch_add(1, Ordering::Relaxed);
                // A large base takes a while to free: not while anybody waits.
                tokio::task::spawn_blocking(move || drop(before)).await.map_err(Error::internal)?;
                return Ok(());
            }
            drop(turn);
            let replay = move || {
                for commits in commits {
                    folded.apply_all(&commits);
                }
                folded
            };
            folded = tokio::task::spawn_blocking(replay).await.map_err(Error::internal)?;
        }
    }

    /// Drops a snapshot whose history is no more, loads anew and resets the streams, the turn being held.
    pub(super) async fn replace(&self, id: OrganizationId, slot: &Slot) -> Result<(), Error> {
        self.note_replaced();
        tracing::warn!(organization = %id, "the log of an organization was replaced by another history");
        self.clear(id, slot);
        match self.load(id, slot).await {
            // It was founded in the part that is lost.
            Err(error) if error.reason == Reason::NotFound => {
                self.forget(id);
                Ok(())
            }
            loaded => loaded,
        }
    }

    /// Drops a snapshot, the turn being held, and resets the streams that hold something of it.
    fn clear(&self, id: OrganizationId, slot: &Slot) {
        slot.clear();
        self.residence.measure(slot, 0);
        slot.registry.lock().inboxes().for_each(|inbox| inbox.mark_replaced(id));
    }

    /// Brings the installation to the head of its log.
    ///
    /// # Errors
    /// What the source says.
    pub(super) async fn catch_up_installation(&self) -> Result<(), Error> {
        let _turn = self.installation_turn.lock().await;
        loop {
            let before = self.installation.load_full();
            let from = before.position();
            let commits = self.source.read_from(Scope::Installation, from).await?;
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
                    self.installation_recent.lock().clear();
                    let state = self.source.load(Scope::Installation).await?;
                    let state = state.ok_or_else(|| Error::internal("there is no installation to load"))?;
                    (InstallationIndex::load(state.position, &state.facts), Touched::everything())
                }
            };
            let revision = after.position().revision;
            remember(&mut self.installation_recent.lock(), after.position());
            self.installation.store(Arc::new(after));
            let slots = self.slots();
            for (id, slot) in &slots {
                slot.registry.lock().mark(*id, &touched, None, None);
            }
            self.installation_marked.store(revision.0, Ordering::Release);
            self.ring_all();
        }
    }

    /// Drops an organization that cannot be followed, and resets its streams; whoever asks next loads it anew.
    pub(super) async fn drop_snapshot(&self, id: OrganizationId, slot: &Slot) {
        let _turn = slot.turn.lock().await;
        self.clear(id, slot);
    }
}

/// Gives the commits that follow `from`; `None` if `from` itself is not in the log as it was.
pub(super) fn continues(commits: &[Commit], from: Position) -> Option<&[Commit]> {
    if from.revision == Revision::default() {
        return Some(commits);
    }
    let (first, news) = commits.split_first()?;
    (first.position == from).then_some(news)
}
