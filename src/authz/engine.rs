//! The engine: loads organizations on first use, keeps them at the log's head, and gives snapshots to answer from.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::index::OrganizationIndex;
use super::installation::InstallationIndex;
use super::slot::{Proof, Slot};
use super::subscriptions::{StreamId, Touched};
use super::view::{Requirement, View};
use crate::changelog::{Cursor, Source};
use crate::clock::World;
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::{Commit, Scope};
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
use crate::domain::revision::{Position, Revision, Token};

/// How the engine behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Past this age nothing is allowed any more; also the age that a call accepts if it does not say.
    pub staleness_bound: Duration,
    /// How often the feed asks what moved.
    pub poll_interval: Duration,
    /// How long a client may trust what it was told, less the age that `progress` tells.
    pub lease: Duration,
    /// Most organizations loaded at once; callers of others wait.
    pub loads_max: usize,
    /// Most callers that wait for a load; above it `INDEX_LOADING`.
    pub load_waiters_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            staleness_bound: Duration::from_secs(30),
            poll_interval: Duration::from_millis(250),
            lease: Duration::from_secs(5),
            loads_max: 4,
            load_waiters_max: 1_000,
        }
    }
}

/// How often a view is looked for while an organization's history is being replaced.
const VIEWS_MAX: u32 = 3;

/// The index of this process.
pub struct Engine {
    pub(super) source: Arc<dyn Source>,
    pub(super) world: World,
    pub(super) settings: Settings,
    epoch: u32,
    pub(super) installation: ArcSwap<InstallationIndex>,
    installation_turn: tokio::sync::Mutex<()>,
    slots: RwLock<HashMap<OrganizationId, Arc<Slot>>>,
    /// What the last poll has proven of every loaded organization, and of the installation.
    pub(super) proof: Proof,
    loads: Semaphore,
    load_waiters: AtomicU64,
    streams: AtomicU64,
    /// How often a history was replaced by another (a standby promoted, a restore).
    histories_replaced: AtomicU64,
    /// From where the first poll goes on.
    pub(super) beginning: Cursor,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("organizations", &self.slots.read().len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Loads the installation and makes an engine that knows no organization yet.
    ///
    /// # Errors
    /// What the source says, and [`Reason::Internal`] if there is no installation.
    pub async fn start(
        source: Arc<dyn Source>,
        world: World,
        settings: Settings,
        epoch: u32,
    ) -> Result<Arc<Self>, Error> {
        let asked_at = world.clock.monotonic();
        // Before anything is loaded: what the first poll need not look at is in what is loaded after.
        let beginning = source.cursor().await?;
        let state = source.load(Scope::Installation).await?;
        let state = state.ok_or_else(|| Error::internal("there is no installation to load"))?;
        let engine = Self {
            source,
            world,
            settings,
            epoch,
            installation: ArcSwap::from_pointee(InstallationIndex::load(state.position, &state.facts)),
            installation_turn: tokio::sync::Mutex::new(()),
            slots: RwLock::default(),
            proof: Proof::default(),
            loads: Semaphore::new(settings.loads_max),
            load_waiters: AtomicU64::new(0),
            streams: AtomicU64::new(0),
            histories_replaced: AtomicU64::new(0),
            beginning,
        };
        engine.proof.raise(asked_at);
        Ok(Arc::new(engine))
    }

    /// Gives the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Gives the installation as it stands now.
    #[must_use]
    pub fn installation(&self) -> Arc<InstallationIndex> {
        self.installation.load_full()
    }

    /// Says how many organizations are loaded.
    #[must_use]
    pub fn organizations(&self) -> usize {
        self.slots.read().len()
    }

    /// Says how often a history was found replaced by another.
    #[must_use]
    pub fn histories_replaced(&self) -> u64 {
        self.histories_replaced.load(Ordering::Relaxed)
    }

    /// Says how old what the feed has proven is.
    #[must_use]
    pub fn feed_age(&self) -> Duration {
        self.world.clock.monotonic().since(self.proof.at())
    }

    /// Gives a pair of snapshots as fresh as asked, loading the organization if need be. Whether `caller` sees the
    /// organization is theirs to ask of the view; what is wrong with a revision is told only to who does.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] if there is no such organization.
    /// - [`Reason::RevisionInvalid`] for a token of another organization.
    /// - [`Reason::RevisionVanished`] for a token of a history that is no more.
    /// - [`Reason::IndexLoading`] if too many wait for a load; [`Reason::DatabaseUnavailable`].
    pub async fn view(
        self: &Arc<Self>,
        id: OrganizationId,
        requirement: Requirement,
        caller: Subject,
    ) -> Result<View, Error> {
        let bound = self.settings.staleness_bound;
        for _ in 0..VIEWS_MAX {
            let slot = self.loaded(id).await?;
            let (reached, max_age) = match requirement {
                Requirement::MaxAge(max_age) => (Ok(()), max_age.unwrap_or(bound)),
                Requirement::AtLeast(token) => (self.reach(id, &slot, &token).await, bound),
                Requirement::Fresh => (self.reach_head(id, &slot).await, bound),
            };
            // Between a history that is replaced and the next there is nothing to see: load again.
            let Some(view) = self.view_now(id, max_age) else { continue };
            return match reached {
                Ok(()) => Ok(view),
                Err(error) if error.kind() == Kind::Unavailable || view.is_seen_by(caller) => Err(error),
                Err(_) => Err(Error::not_found("organization", id)),
            };
        }
        Err(Error::new(Reason::IndexLoading, "the organization is being loaded")
            .retry_after(self.settings.poll_interval))
    }

    /// Gives the pair of snapshots as it stands; `None` if the organization is not loaded.
    pub(super) fn view_now(&self, id: OrganizationId, max_age: Duration) -> Option<View> {
        let slot = self.slot(id)?;
        // The proof first: what it proves is in the snapshots read after it.
        let proven_at = self.proof.at().max(slot.proof().at());
        let organization = slot.snapshot()?;
        let installation = self.installation.load_full();
        let age = self.world.clock.monotonic().since(proven_at);
        let is_stale = age > max_age.min(self.settings.staleness_bound);
        let now = self.world.now();
        Some(View { organization, installation, age, is_stale, now, epoch: self.epoch, id })
    }

    /// Gives the slot of an organization that somebody has asked about.
    pub(super) fn slot(&self, id: OrganizationId) -> Option<Arc<Slot>> {
        self.slots.read().get(&id).cloned()
    }

    /// Gives the slots of all organizations that somebody has asked about.
    pub(super) fn slots(&self) -> Vec<(OrganizationId, Arc<Slot>)> {
        self.slots.read().iter().map(|(id, slot)| (*id, Arc::clone(slot))).collect()
    }

    /// Numbers a new stream.
    pub(super) fn next_stream(&self) -> StreamId {
        StreamId(self.streams.fetch_add(1, Ordering::Relaxed))
    }

    /// Tells that this process has committed: whatever is loaded of it is brought up to date before the caller goes on.
    ///
    /// The commit has happened whatever comes: what cannot be applied now is left to the feed.
    pub async fn committed(&self, organization: Option<(OrganizationId, Position)>, installation: Option<Position>) {
        if installation.is_some()
            && let Err(error) = self.catch_up_installation().await
        {
            tracing::debug!(%error, "the installation's index is left to the feed");
        }
        if let Some((id, position)) = organization
            && let Some(slot) = self.slot(id)
            && let Err(error) = self.catch_up(id, &slot, position).await
        {
            tracing::debug!(%error, "an organization's index is left to the feed");
        }
    }

    /// Gives the slot of an organization, loaded.
    pub(super) async fn loaded(self: &Arc<Self>, id: OrganizationId) -> Result<Arc<Slot>, Error> {
        if let Some(slot) = self.slot(id).filter(|slot| slot.snapshot().is_some()) {
            return Ok(slot);
        }
        // In a task of its own: a load that outlasts its first caller's deadline is there for the next.
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.load_in_turn(id).await }).await.map_err(Error::internal)?
    }

    /// Loads an organization, unless somebody else has while this waited.
    async fn load_in_turn(&self, id: OrganizationId) -> Result<Arc<Slot>, Error> {
        let waiters = self.load_waiters.fetch_add(1, Ordering::AcqRel);
        let _waiting = OnDrop(|| {
            self.load_waiters.fetch_sub(1, Ordering::AcqRel);
        });
        if waiters >= self.settings.load_waiters_max as u64 {
            return Err(Error::new(Reason::IndexLoading, "too many organizations are being loaded")
                .retry_after(Duration::from_millis(500)));
        }

        // In the map before the load begins: what the feed finds meanwhile is noted as wanted.
        let slot = Arc::clone(self.slots.write().entry(id).or_default());
        let turn = slot.turn.lock().await;
        if slot.snapshot().is_none()
            && let Err(error) = self.load(id, &slot).await
        {
            drop(turn);
            self.forget(id);
            return Err(error);
        }
        drop(turn);
        Ok(slot)
    }

    /// Removes a slot that a failed load has left behind. Whoever else waits for it holds a clone, and tries by itself.
    fn forget(&self, id: OrganizationId) {
        let mut slots = self.slots.write();
        if slots.get(&id).is_some_and(|slot| slot.snapshot().is_none() && Arc::strong_count(slot) <= 2) {
            slots.remove(&id);
        }
    }

    /// Loads an organization, its turn being held, and applies what the feed found meanwhile.
    async fn load(&self, id: OrganizationId, slot: &Slot) -> Result<(), Error> {
        let scope = Scope::Organization(id);
        let _permit = self.loads.acquire().await.map_err(Error::internal)?;
        let asked_at = self.world.clock.monotonic();
        // What is proven of a view is proven of both its halves.
        self.catch_up_installation().await?;
        let state = self.source.load(scope).await?.ok_or_else(|| Error::not_found("organization", id))?;
        let mut index = OrganizationIndex::load(state.position, &state.facts, 0)
            .ok_or_else(|| Error::internal("an organization follows a catalog that is not known"))?;
        while let Some(behind) = slot.publish_loaded(index) {
            index = behind;
            let before = index.position();
            let commits = self.source.read_from(scope, before).await?;
            commits.iter().filter(|commit| commit.position.revision > before.revision).for_each(|commit| {
                index.apply(commit);
            });
            if index.position() == before {
                // The feed told of a commit that is no more.
                slot.publish(index);
                break;
            }
        }
        slot.raise_marked(slot.snapshot().map(|snapshot| snapshot.position().revision).unwrap_or_default());
        slot.proof().raise(asked_at);
        Ok(())
    }

    /// Brings a loaded organization to `target` at the least.
    ///
    /// # Errors
    /// What the source says.
    pub(super) async fn catch_up(&self, id: OrganizationId, slot: &Slot, target: Position) -> Result<(), Error> {
        if slot.tell(target.revision).is_none() {
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
        self.follow_log(id, slot, &snapshot).await
    }

    /// Follows what a poll has told of a slot. One that is being loaded takes it in by itself.
    ///
    /// # Errors
    /// What the source says.
    pub(super) async fn follow_to(&self, id: OrganizationId, slot: &Slot, told: Position) -> Result<(), Error> {
        let Some(snapshot) = slot.tell(told.revision) else { return Ok(()) };
        let mine = snapshot.position();
        if mine == told {
            return Ok(());
        }
        if mine.revision > told.revision {
            // Ahead of the poll, by a hint that came later; or of a history that was cut off. The head tells.
            let heads = self.source.positions(&[Scope::Organization(id)]).await?;
            if heads.first().is_some_and(|(_, head)| head.revision >= mine.revision) {
                return Ok(());
            }
            let _turn = slot.turn.lock().await;
            return self.replace(id, slot).await;
        }
        self.catch_up(id, slot, told).await
    }

    /// Applies everything that the log holds past the snapshot, the turn being held.
    async fn follow_log(&self, id: OrganizationId, slot: &Slot, snapshot: &OrganizationIndex) -> Result<(), Error> {
        let mut before = snapshot.clone();
        loop {
            let from = before.position();
            let commits = self.source.read_from(Scope::Organization(id), from).await?;
            let Some(news) = continues(&commits, from) else { return self.replace(id, slot).await };
            if news.is_empty() {
                return Ok(());
            }
            let (mut after, mut touched) = (before.clone(), Touched::default());
            for commit in news {
                let earlier = after.clone();
                after.apply(commit);
                touched.take_in(commit, &earlier, &after);
            }
            // In this order: the snapshot, the marks, and then the word that all is marked.
            slot.publish(after.clone());
            slot.registry.lock().mark(id, &touched);
            slot.raise_marked(after.position().revision);
            before = after;
        }
    }

    /// Drops a snapshot whose history is no more, loads anew and resets the streams, the turn being held.
    async fn replace(&self, id: OrganizationId, slot: &Slot) -> Result<(), Error> {
        self.histories_replaced.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(organization = %id, "the log of an organization was replaced by another history");
        slot.clear();
        slot.registry.lock().inboxes().for_each(|inbox| inbox.mark_replaced(id));
        self.load(id, slot).await
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
                    self.histories_replaced.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!("the installation's log was replaced by another history");
                    let state = self.source.load(Scope::Installation).await?;
                    let state = state.ok_or_else(|| Error::internal("there is no installation to load"))?;
                    (InstallationIndex::load(state.position, &state.facts), Touched::everything())
                }
            };
            self.installation.store(Arc::new(after));
            for (id, slot) in self.slots() {
                let registry = slot.registry.lock();
                registry.mark(id, &touched);
                registry.inboxes().for_each(|inbox| inbox.ring());
            }
        }
    }

    /// Waits until both logs have come as far as `token` says.
    async fn reach(&self, id: OrganizationId, slot: &Slot, token: &Token) -> Result<(), Error> {
        if token.organization != id {
            let message = "names a revision of another organization";
            return Err(Error::invalid("consistency.at_least", Reason::RevisionInvalid, message));
        }
        if token.epoch != self.epoch {
            return Err(vanished());
        }
        self.reach_revision(id, slot, token.position.revision).await?;
        let head = slot.snapshot().map(|snapshot| snapshot.position()).unwrap_or_default();
        if head.revision < token.position.revision {
            return Err(vanished());
        }
        let known = match slot.recent(token.position.revision) {
            Some(position) => Some(position.tag),
            None => self.source.tag(Scope::Organization(id), token.position.revision).await?,
        };
        if token.position.revision != Revision::default() && known != Some(token.position.tag) {
            return Err(vanished());
        }

        if self.installation.load().position().revision < token.installation.revision {
            self.catch_up_installation().await?;
        }
        let installation = self.installation.load().position();
        if installation.revision < token.installation.revision {
            return Err(vanished());
        }
        let known = if installation.revision == token.installation.revision {
            Some(installation.tag)
        } else {
            self.source.tag(Scope::Installation, token.installation.revision).await?
        };
        if token.installation.revision != Revision::default() && known != Some(token.installation.tag) {
            return Err(vanished());
        }
        Ok(())
    }

    /// Follows the log as far as `revision`, if it goes that far. A caller names it: nothing is believed of it.
    async fn reach_revision(&self, id: OrganizationId, slot: &Slot, revision: Revision) -> Result<(), Error> {
        let has_come = |snapshot: &Arc<OrganizationIndex>| snapshot.position().revision >= revision;
        if slot.snapshot().as_ref().is_some_and(has_come) {
            return Ok(());
        }
        let _turn = slot.turn.lock().await;
        match slot.snapshot() {
            None => self.load(id, slot).await,
            Some(snapshot) if has_come(&snapshot) => Ok(()),
            Some(snapshot) => self.follow_log(id, slot, &snapshot).await,
        }
    }

    /// Drops an organization that cannot be followed, and resets its streams; whoever asks next loads it anew.
    pub(super) async fn drop_snapshot(&self, id: OrganizationId, slot: &Slot) {
        let _turn = slot.turn.lock().await;
        slot.clear();
        slot.registry.lock().inboxes().for_each(|inbox| inbox.mark_replaced(id));
    }

    /// Brings both logs to where their heads are now.
    async fn reach_head(&self, id: OrganizationId, slot: &Slot) -> Result<(), Error> {
        let asked_at = self.world.clock.monotonic();
        let scopes = [Scope::Organization(id), Scope::Installation];
        for (scope, position) in self.source.positions(&scopes).await? {
            match scope {
                Scope::Organization(_) => self.catch_up(id, slot, position).await?,
                Scope::Installation if self.installation.load().position() != position => {
                    self.catch_up_installation().await?;
                }
                Scope::Installation => {}
            }
        }
        slot.proof().raise(asked_at);
        Ok(())
    }
}

/// Gives the commits that follow `from`; `None` if `from` itself is not in the log as it was.
fn continues(commits: &[Commit], from: Position) -> Option<&[Commit]> {
    if from.revision == Revision::default() {
        return Some(commits);
    }
    let (first, news) = commits.split_first()?;
    (first.position == from).then_some(news)
}

fn vanished() -> Error {
    Error::new(Reason::RevisionVanished, "the revision belongs to a history that is no more")
}

/// Does something when it goes out of scope.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
