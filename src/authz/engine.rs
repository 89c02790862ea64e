//! The engine: returns snapshots to answer from, as fresh as a caller asks. It joins three owners that do not know it: the
//! organizations in memory ([`OrgCache`]), the log that fills them ([`LogTail`]) and the streams that are open
//! ([`OpenStreams`]).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;

use super::installation::InstallationIndex;
use super::log_tail::{LogTail, Poller};
use super::open_streams::{Inbox, OpenStreams, StreamId};
use super::org_cache::{Entry, MemoryPart, OrgCache};
use super::settings::Settings;
use super::view::{Requirement, View};
use crate::changelog::{Relation, Source};
use crate::clock::Env;
use crate::domain::catalog::{Catalogs, named_by};
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::id::{ApiKeyId, OrganizationId};
use crate::domain::place::{Place, Subject};
use crate::domain::revision::{Position, Revision};

/// How often a view is looked for while an organization's history is being replaced.
const VIEWS_MAX: u32 = 3;

/// Checks from the memory of this process.
pub struct Engine {
    source: Arc<dyn Source>,
    env: Env,
    settings: Settings,
    cache: Arc<OrgCache>,
    streams: Arc<OpenStreams>,
    log: Arc<LogTail>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("organizations", &self.organizations()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Loads the installation and returns an engine that has no organization in memory yet. The source learns `catalogs` before
    /// it returns what names them.
    ///
    /// # Errors
    /// Those of the source, and [`Reason::Internal`] if there is no installation.
    pub async fn start(
        source: Arc<dyn Source>,
        catalogs: Catalogs,
        env: Env,
        settings: Settings,
        epoch: u32,
    ) -> Result<Arc<Self>, Error> {
        let (cache, streams) = (Arc::new(OrgCache::new(settings)), Arc::<OpenStreams>::default());
        let log = LogTail::start(
            Arc::clone(&source),
            catalogs,
            env.clone(),
            settings,
            epoch,
            Arc::clone(&cache),
            Arc::clone(&streams),
        );
        let log = Arc::new(log.await?);
        Ok(Arc::new(Self { source, env, settings, cache, streams, log }))
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the clock, ids and randomness that the engine goes by.
    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    // Views.

    /// Returns a pair of snapshots as fresh as required, loading the organization if need be. Whether `caller` sees the
    /// organization is the caller's to ask of the view; an error about a revision goes only to callers who do.
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
            let entry = match self.cache.entry(id).filter(|entry| entry.snapshot().is_some()) {
                Some(entry) => {
                    // Before anything is read for this caller that is not read for an organization that is not there.
                    if self.view_now(id, bound).is_some_and(|view| !view.is_seen_by(caller)) {
                        self.must_stand_to(id, requirement, caller).await?;
                    }
                    entry
                }
                None => {
                    self.must_stand_to(id, requirement, caller).await?;
                    self.log.load_for(id, caller).await?
                }
            };
            let (reached, max_age) = match requirement {
                Requirement::MaxAge(max_age) => (Ok(()), max_age.unwrap_or(bound)),
                Requirement::AtLeast(token) => (self.log.follow_to(id, &entry, &token).await, bound),
                Requirement::Fresh => (self.log.follow_to_head(id, &entry).await, bound),
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

    /// Returns a pair of snapshots if nothing has to be waited for: no load, no log.
    pub(super) fn view_if_ready(&self, id: OrganizationId, requirement: Requirement) -> Option<View> {
        let Requirement::MaxAge(max_age) = requirement else { return None };
        self.view_now(id, max_age.unwrap_or(self.settings.staleness_bound))
    }

    /// Returns the pair of snapshots as it stands; `None` if the organization is not loaded.
    pub(super) fn view_now(&self, id: OrganizationId, max_age: Duration) -> Option<View> {
        self.cache.look(id, |entry| self.view_of(entry, id, max_age))?
    }

    /// Returns the pair of snapshots of an organization whose entry is at hand.
    pub(super) fn view_of(&self, entry: &Entry, id: OrganizationId, max_age: Duration) -> Option<View> {
        // The proof first: what it proves is in the snapshots read after it.
        let proven_at = self.log.proven_at().max(entry.proven_at().at());
        let organization = entry.snapshot()?;
        let installation = self.log.installation().snapshot();
        let asked_at = self.env.clock.monotonic();
        entry.used_at().touch(asked_at);
        let age = asked_at.since(proven_at);
        let bound = self.settings.staleness_bound;
        let is_stale = age > max_age.min(bound) || asked_at.since(self.log.round_at()) > bound;
        let now = self.env.now();
        Some(View { organization, installation, age, is_stale, now, epoch: self.epoch(), id })
    }

    /// Ensures that a caller stands to an organization in some way, so that nobody has the organizations of others loaded. One
    /// that there is not costs the same statement, and is remembered in the same way.
    ///
    /// # Errors
    /// - [`Reason::NotFound`].
    async fn must_stand_to(&self, id: OrganizationId, requirement: Requirement, caller: Subject) -> Result<(), Error> {
        let asked_at = self.env.clock.monotonic();
        if matches!(requirement, Requirement::MaxAge(_)) && self.cache.is_absent(id, caller, asked_at) {
            return Err(Error::not_found("organization", id));
        }
        let Relation { catalog, is_here } = self.source.relation(id, caller).await?;
        let stands = catalog.is_some_and(|catalog| is_here || self.stands_above(caller, &catalog));
        if stands {
            return Ok(());
        }
        self.cache.note_absent(id, caller, asked_at);
        Err(Error::not_found("organization", id))
    }

    /// Returns whether a subject holds something above the organizations that follow a catalog.
    fn stands_above(&self, subject: Subject, catalog: &str) -> bool {
        self.log.installation().load().held_above(subject).any(|grant| match &grant.place {
            Place::Installation => true,
            Place::Product(product) => named_by(catalog).0 == &**product,
            Place::Organization | Place::Resource(_) => false,
        })
    }

    /// Returns the refusal of a caller who does not see a loaded organization: the same one, after the same statement, as for
    /// one that is not there.
    pub async fn refuse_stranger(&self, id: OrganizationId, requirement: Requirement, caller: Subject) -> Error {
        match self.must_stand_to(id, requirement, caller).await {
            Ok(()) => Error::not_found("organization", id),
            Err(error) => error,
        }
    }

    // The log.

    /// Returns the installation as it stands now.
    #[must_use]
    pub fn installation(&self) -> Arc<InstallationIndex> {
        self.log.installation().snapshot()
    }

    /// Returns the installation as it stands now, to be read at once.
    pub(super) fn installation_now(&self) -> Guard<Arc<InstallationIndex>> {
        self.log.installation().load()
    }

    /// Returns what keeps memory current, to be driven beside the calls. One poller is enough.
    #[must_use]
    pub fn poller(&self) -> Poller {
        Poller::new(Arc::clone(&self.log))
    }

    /// Takes in that this process has committed: what is loaded of it is brought up to date before the caller goes on.
    ///
    /// The commit has happened whatever comes: what cannot be applied now is left to the poller.
    pub async fn committed(&self, organization: Option<(OrganizationId, Position)>, installation: Option<Position>) {
        self.log.committed(organization, installation).await;
    }

    /// Returns whether a position is known to be of the history that an organization has now; the beginning is of every one.
    pub(super) fn is_known(&self, id: OrganizationId, position: Position) -> bool {
        position == Position::default()
            || self.cache.entry(id).is_some_and(|entry| entry.recent(position.revision) == Some(position))
    }

    /// Returns the revision up to which everything that changed in the installation's log is marked.
    pub(super) fn installation_marked(&self) -> Revision {
        self.log.installation().marked()
    }

    /// Returns what counts restores that revision tokens must not survive.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.log.history().epoch()
    }

    /// Returns how often the history that this process lives in was found to be no more, in part or as a whole. What was
    /// learned at another number may be of the lost part.
    #[must_use]
    pub fn breaks(&self) -> u64 {
        self.log.history().breaks()
    }

    /// Waits until a history is found to be no more; returns at once if one was since the last time.
    pub async fn broken_off(&self) {
        self.log.history().broken_off().await;
    }

    // Streams.

    /// Numbers a new stream, which is woken from now on when its caller's credential may have ended.
    pub(super) fn open_stream(&self, inbox: &Arc<Inbox>, key: Option<ApiKeyId>) -> StreamId {
        self.streams.open(inbox, key)
    }

    /// Forgets a stream that holds nothing any more.
    pub(super) fn close_stream(&self, id: StreamId) {
        self.streams.close(id);
    }

    /// Returns the organizations in memory, for a stream that holds something of them.
    pub(super) fn cache(&self) -> &OrgCache {
        &self.cache
    }

    /// Returns the keys by which streams were opened.
    #[must_use]
    pub fn keys_of_streams(&self) -> HashSet<ApiKeyId> {
        self.streams.keys()
    }

    /// Takes in that keys which were good are not in the database: they are refused, and streams end with them.
    pub fn lose_keys(&self, keys: &HashSet<ApiKeyId>) {
        self.streams.lose_keys(keys);
    }

    /// Takes in that a key is in the database.
    pub fn find_key(&self, key: ApiKeyId) {
        self.streams.find_key(key);
    }

    /// Returns whether a key was good in a history that is no more.
    pub(super) fn is_key_lost(&self, key: ApiKeyId) -> bool {
        self.streams.is_key_lost(key)
    }

    // What is measured.

    /// Counts the organizations in memory.
    #[must_use]
    pub fn organizations(&self) -> usize {
        self.cache.count()
    }

    /// Returns how many bytes the organizations in memory take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Counts how often an organization was given up for want of memory.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.cache.evictions()
    }

    /// Returns what the organizations in memory take, by what it is of.
    #[must_use]
    pub fn memory_parts(&self) -> [MemoryPart; 5] {
        self.cache.memory_parts()
    }

    /// Returns how many subscriptions are held, and how many bytes they take, about, but for the ids in them.
    #[must_use]
    pub fn subscriptions(&self) -> (usize, usize) {
        self.cache.subscriptions()
    }

    /// Counts how often what had changed was laid out anew.
    #[must_use]
    pub fn compactions(&self) -> u64 {
        self.log.compactions()
    }

    /// Waits until no compaction is under way: for measuring.
    pub async fn compacted(&self) {
        // The permits are never closed, so this waits for one.
        let _permit = self.cache.compaction_permit().await;
    }

    /// Returns how old what the poller has proven is.
    #[must_use]
    pub fn log_age(&self) -> Duration {
        self.log.age()
    }

    /// Returns how long ago the last full round of comparisons began.
    #[must_use]
    pub fn round_age(&self) -> Duration {
        self.log.round_age()
    }

    /// Returns whether nothing is allowed, since too long nothing was proven current.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.log_age().max(self.round_age()) > self.settings.staleness_bound
    }

    /// Counts how often a log was found replaced by another history.
    #[must_use]
    pub fn histories_replaced(&self) -> u64 {
        self.log.history().replaced()
    }

    /// Counts how often another database was found to answer than before, or one that was set back.
    #[must_use]
    pub fn databases_exchanged(&self) -> u64 {
        self.log.history().exchanged()
    }

    /// Returns whether the database withholds which history it has, so that only comparing proves anything.
    #[must_use]
    pub fn is_history_withheld(&self) -> bool {
        self.log.history().is_withheld()
    }
}
