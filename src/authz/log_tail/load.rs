//! How an organization comes into memory: read whole, laid out, and brought to what was announced meanwhile.

use std::sync::Arc;

use super::LogTail;
use super::organization::continues;
use crate::authz::index::OrganizationIndex;
use crate::authz::org_cache::Entry;
use crate::changelog::State;
use crate::domain::error::Error;
use crate::domain::fact::OrganizationFact;
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
use crate::domain::revision::Position;

impl LogTail {
    /// Loads an organization for a caller, unless somebody else has while this waited.
    ///
    /// # Errors
    /// - [`NotFound`](crate::domain::error::Reason::NotFound); [`IndexLoading`](crate::domain::error::Reason::IndexLoading) if
    ///   too many wait for a load; those of the source.
    pub async fn load_for(self: &Arc<Self>, id: OrganizationId, caller: Subject) -> Result<Arc<Entry>, Error> {
        // In a task of its own: a load that outlasts its first caller's deadline is there for the next.
        let log = Arc::clone(self);
        tokio::spawn(async move { log.load_in_turn(id, caller).await }).await.map_err(Error::internal)?
    }

    async fn load_in_turn(&self, id: OrganizationId, caller: Subject) -> Result<Arc<Entry>, Error> {
        let _waiting = self.cache.wait_for_load(caller)?;
        let entry = self.cache.entry_to_load(id);
        let permit = entry.write_permit().await;
        if entry.snapshot().is_none()
            && let Err(error) = self.load(id, &entry).await
        {
            drop(permit);
            self.cache.forget(id);
            return Err(error);
        }
        drop(permit);
        self.cache.make_room(id);
        Ok(entry)
    }

    /// Loads an organization, its write permit being held, and applies what was announced meanwhile.
    ///
    /// # Errors
    /// As [`LogTail::load_for`].
    pub(super) async fn load(&self, id: OrganizationId, entry: &Entry) -> Result<(), Error> {
        let _permit = self.cache.load_permit().await?;
        let asked_at = self.env.clock.monotonic();
        // What is proven of a view is proven of both its halves.
        self.catch_up_installation().await?;
        let (mut index, mut known) = (self.read(id).await?, Position::default());
        while let Some((behind, announced)) = entry.publish_loaded(index, known) {
            // Read after it was announced: that commit is in the log, or it is no more.
            (index, known) = (self.caught_up(id, behind).await?, announced);
        }
        if let Some(snapshot) = entry.snapshot() {
            self.cache.measure(entry, snapshot.bytes());
        }
        entry.advance_marked(entry.snapshot().map(|snapshot| snapshot.position().revision).unwrap_or_default());
        entry.proven_at().advance(asked_at);
        Ok(())
    }

    /// Applies to what was read what the log holds after it; reads it anew if that history was replaced.
    async fn caught_up(&self, id: OrganizationId, mut index: OrganizationIndex) -> Result<OrganizationIndex, Error> {
        loop {
            let commits = self.source.organization_commits(id, index.position()).await?;
            match continues(&commits, index.position()) {
                Some([]) => return Ok(index),
                Some(news) => index.apply_all(news),
                None => return self.read(id).await,
            }
        }
    }

    /// Reads an organization whole.
    async fn read(&self, id: OrganizationId) -> Result<OrganizationIndex, Error> {
        let state = self.source.organization(id).await?;
        self.build(state.ok_or_else(|| Error::not_found("organization", id))?).await
    }

    /// Lays an organization out. A large one takes a while, on a thread where nobody waits for the next turn.
    async fn build(&self, state: State<OrganizationFact>) -> Result<OrganizationIndex, Error> {
        let (catalogs, seed) = (self.catalogs.clone(), self.seed);
        let build = move || OrganizationIndex::load(state.position, &state.facts, &catalogs, seed);
        let index = tokio::task::spawn_blocking(build).await.map_err(Error::internal)?;
        index.ok_or_else(|| Error::internal("an organization follows a catalog that is not known"))
    }
}
