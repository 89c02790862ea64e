//! The engine: loads organizations on first use, keeps them at the log's head, and gives snapshots to answer from.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::history::History;
use super::inbox::{Inbox, StreamId};
use super::installation::InstallationIndex;
use super::residence::Residence;
use super::slot::{Latest, Slot};
use super::view::{Requirement, View};
use crate::changelog::{Cursor, Source};
use crate::clock::World;
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::Scope;
use crate::domain::id::{ApiKeyId, OrganizationId};
use crate::domain::place::Subject;
use crate::domain::revision::{Position, Revision};

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
    /// Most calls that wait for a load; above it `INDEX_LOADING`.
    pub load_waiters_max: usize,
    /// Most of these of one caller.
    pub load_waiters_each_max: usize,
    /// How many bytes the organizations in memory may take. Above it those go that were asked about least recently;
    /// subscriptions keep theirs, up to four fifths of it. One that is larger by itself is kept alone.
    pub bytes_max: usize,
    /// How long it is remembered that an organization does not exist.
    pub absence: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            staleness_bound: Duration::from_secs(30),
            poll_interval: Duration::from_millis(250),
            lease: Duration::from_secs(5),
            loads_max: 4,
            load_waiters_max: 1_000,
            load_waiters_each_max: 100,
            bytes_max: 1 << 30,
            absence: Duration::from_secs(1),
        }
    }
}

/// What a part of the index takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryPart {
    /// What it is of: a membership, a grant, a resource, a group; or of the organization as a whole.
    pub noun: &'static str,
    /// All of them together.
    pub bytes: usize,
}

/// How often a view is looked for while an organization's history is being replaced.
const VIEWS_MAX: u32 = 3;

/// An open stream: its inbox, and the API key that it was opened with, if it was one.
type OpenStream = (Arc<Inbox>, Option<ApiKeyId>);

/// The index of this process.
pub struct Engine {
    pub(super) source: Arc<dyn Source>,
    pub(super) world: World,
    pub(super) settings: Settings,
    pub(super) installation: ArcSwap<InstallationIndex>,
    pub(super) installation_turn: tokio::sync::Mutex<()>,
    /// What the installation's log has come through, to recognise tokens by.
    pub(super) installation_recent: Mutex<VecDeque<Position>>,
    /// Up to here everything that turned in the installation's log has been marked.
    pub(super) installation_marked: AtomicU64,
    pub(super) residence: Residence,
    /// What the last poll has proven of every loaded organization, and of the installation.
    pub(super) proof: Latest,
    /// When the last full round of comparisons began: what no poll can notice is younger than that.
    pub(super) round: Latest,
    /// Keys the hash of the ids that clients choose.
    pub(super) seed: u64,
    streams: AtomicU64,
    /// The inboxes of all open streams: what counts everywhere at once may end any of them.
    pub(super) inboxes: Mutex<HashMap<StreamId, OpenStream>>,
    pub(super) history: History,
    /// How often an overlay was folded into a new base.
    pub(super) folds: AtomicU64,
    /// From where the first poll goes on.
    pub(super) beginning: Cursor,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("organizations", &self.organizations()).finish_non_exhaustive()
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
            seed: u64::from_le_bytes(world.random()),
            world,
            settings,
            installation: ArcSwap::from_pointee(InstallationIndex::load(state.position, &state.facts)),
            installation_turn: tokio::sync::Mutex::new(()),
            installation_recent: Mutex::new(VecDeque::from([state.position])),
            installation_marked: AtomicU64::new(state.position.revision.0),
            residence: Residence::new(&settings),
            proof: Latest::default(),
            round: Latest::default(),
            streams: AtomicU64::new(0),
            inboxes: Mutex::default(),
            history: History::new(epoch),
            folds: AtomicU64::new(0),
            beginning,
        };
        engine.proof.raise(asked_at);
        engine.round.raise(asked_at);
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
        self.residence.count()
    }

    /// Says how many bytes the organizations in memory take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.residence.bytes()
    }

    /// Says how often an organization was given up for want of memory.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.residence.evictions()
    }

    /// Says what the organizations in memory take, by what it is of.
    #[must_use]
    pub fn parts_of_memory(&self) -> [MemoryPart; 5] {
        let nouns = ["membership", "grant", "resource", "group", "organization"];
        let mut parts = nouns.map(|noun| MemoryPart { noun, bytes: 0 });
        for (_, slot) in self.slots() {
            let Some(snapshot) = slot.snapshot() else { continue };
            for (part, bytes) in parts.iter_mut().zip(snapshot.bytes_by_part()) {
                part.bytes += bytes;
            }
            // The slot with its counters, its entry in the map, and what makes both shared.
            parts[4].bytes += size_of::<Slot>() + size_of::<(OrganizationId, Arc<Slot>)>() * 8 / 7 + 32;
        }
        parts
    }

    /// Says how many subscriptions are held, and how many bytes they take, about, but for the ids in them.
    #[must_use]
    pub fn subscriptions(&self) -> (usize, usize) {
        let slots = self.slots();
        let registries = slots.iter().map(|(_, slot)| slot.registry.lock());
        registries.fold((0, 0), |(count, bytes), registry| (count + registry.len(), bytes + registry.bytes()))
    }

    /// Says how often what had changed was folded into a new base.
    #[must_use]
    pub fn folds(&self) -> u64 {
        self.folds.load(Ordering::Relaxed)
    }

    /// Waits until no fold is under way: for measuring.
    pub async fn folded(&self) {
        self.residence.no_fold_under_way().await;
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
        if let Some(view) = self.view_if_ready(id, requirement) {
            return Ok(view);
        }
        let bound = self.settings.staleness_bound;
        for _ in 0..VIEWS_MAX {
            let slot = match self.residence.slot(id).filter(|slot| slot.snapshot().is_some()) {
                Some(slot) => {
                    // Before anything is read for them that is not read for an organization that is not there.
                    if self.view_now(id, bound).is_some_and(|view| !view.is_seen_by(caller)) {
                        self.must_stand_to(id, requirement, caller).await?;
                    }
                    slot
                }
                None => self.loaded(id, requirement, caller).await?,
            };
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

    /// Gives a pair of snapshots if nothing has to be waited for: no load, no log.
    pub(super) fn view_if_ready(&self, id: OrganizationId, requirement: Requirement) -> Option<View> {
        let Requirement::MaxAge(max_age) = requirement else { return None };
        self.view_now(id, max_age.unwrap_or(self.settings.staleness_bound))
    }

    /// Gives the pair of snapshots as it stands; `None` if the organization is not loaded.
    pub(super) fn view_now(&self, id: OrganizationId, max_age: Duration) -> Option<View> {
        self.residence.look(id, |slot| self.view_of(slot, id, max_age))?
    }

    /// Gives the pair of snapshots of an organization that is known to be in a slot.
    pub(super) fn view_of(&self, slot: &Slot, id: OrganizationId, max_age: Duration) -> Option<View> {
        // The proof first: what it proves is in the snapshots read after it.
        let proven_at = self.proof.at().max(slot.proof().at());
        let organization = slot.snapshot()?;
        let installation = self.installation.load_full();
        let asked_at = self.world.clock.monotonic();
        slot.used_at().touch(asked_at);
        let age = asked_at.since(proven_at);
        let bound = self.settings.staleness_bound;
        let is_stale = age > max_age.min(bound) || asked_at.since(self.round.at()) > bound;
        let now = self.world.now();
        Some(View { organization, installation, age, is_stale, now, epoch: self.epoch(), id })
    }

    /// Says whether a position is known to be of the history that an organization has now; the beginning is of every one.
    pub(super) fn is_known(&self, id: OrganizationId, position: Position) -> bool {
        position == Position::default()
            || self.slot(id).is_some_and(|slot| slot.recent(position.revision) == Some(position))
    }

    /// Gives the slot of an organization that somebody has asked about.
    pub(super) fn slot(&self, id: OrganizationId) -> Option<Arc<Slot>> {
        self.residence.slot(id)
    }

    /// Gives the slots of all organizations that somebody has asked about.
    pub(super) fn slots(&self) -> Vec<(OrganizationId, Arc<Slot>)> {
        self.residence.slots()
    }

    /// Gives the revision up to which everything that turned in the installation's log is marked.
    pub(super) fn installation_marked(&self) -> Revision {
        Revision(self.installation_marked.load(Ordering::Acquire))
    }

    /// Numbers a new stream, which is told from now on when its caller's credential may have ended.
    pub(super) fn open_stream(&self, inbox: &Arc<Inbox>, key: Option<ApiKeyId>) -> StreamId {
        let id = StreamId(self.streams.fetch_add(1, Ordering::Relaxed));
        self.inboxes.lock().insert(id, (Arc::clone(inbox), key));
        id
    }

    /// Forgets a stream.
    pub(super) fn close_stream(&self, id: StreamId) {
        self.inboxes.lock().remove(&id);
    }

    /// Wakes every stream, so that it looks at its caller's credential, and tells how far the installation has come.
    pub(super) fn ring_all(&self) {
        self.inboxes.lock().values().for_each(|(inbox, _)| inbox.ring());
    }

    /// Tells that this process has committed: whatever is loaded of it is brought up to date before the caller goes on.
    ///
    /// The commit has happened whatever comes: what cannot be applied now is left to the feed.
    pub async fn committed(
        self: &Arc<Self>,
        organization: Option<(OrganizationId, Position)>,
        installation: Option<Position>,
    ) {
        if installation.is_some() {
            // It may have given somebody a place in organizations that did not exist for them.
            self.residence.forget_absences();
            if let Err(error) = self.catch_up_installation().await {
                tracing::debug!(%error, "the installation's index is left to the feed");
            }
        }
        if let Some((id, _)) = organization {
            self.residence.exists(id);
        }
        if let Some((id, position)) = organization
            && let Some(slot) = self.slot(id)
            && let Err(error) = self.catch_up(id, &slot, position).await
        {
            tracing::debug!(%error, "an organization's index is left to the feed");
        }
    }
}
