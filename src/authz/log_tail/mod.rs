//! Following the log: what was committed is applied in order, published whole, and marked for those whom it touches. What this
//! process commits is followed at once; the [`Poller`] finds what others commit, and proves memory current.
//!
//! It fills the [`OrgCache`] and marks for the [`OpenStreams`], and neither knows it. A file a concern: one organization
//! (`organization`), how it comes into memory (`load`) and is laid out anew (`compaction`), the installation, how far a caller
//! wants to see (`consistency`), polls and rounds of comparing, and whether the history goes on.

mod compaction;
mod consistency;
mod history;
mod installation;
mod load;
mod organization;
mod poller;
mod round;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use poller::Poller;

use self::history::History;
use self::installation::InstallationTail;
use super::freshness::Latest;
use super::open_streams::OpenStreams;
use super::org_cache::OrgCache;
use super::settings::Settings;
use crate::changelog::{Cursor, Source};
use crate::clock::{Env, Monotonic};
use crate::domain::catalog::Catalogs;
use crate::domain::error::Error;
use crate::domain::id::OrganizationId;
use crate::domain::revision::Position;

/// What this process knows of the log.
pub(super) struct LogTail {
    source: Arc<dyn Source>,
    catalogs: Catalogs,
    env: Env,
    settings: Settings,
    cache: Arc<OrgCache>,
    streams: Arc<OpenStreams>,
    installation: InstallationTail,
    /// As of when the last poll has proven every loaded organization and the installation current.
    proven_at: Latest,
    /// When the last full round of comparisons began: what no poll can notice is younger than that.
    round_at: Latest,
    history: History,
    /// How often an overlay was laid out anew as a base.
    compactions: AtomicU64,
    /// Keys the hash of the ids that clients choose.
    seed: u64,
    /// From where the first poll goes on.
    beginning: Cursor,
}

impl LogTail {
    /// Loads the installation. No organization is in memory yet.
    ///
    /// # Errors
    /// Those of the source, and [`Reason::Internal`](crate::domain::error::Reason::Internal) if there is no installation.
    pub async fn start(
        source: Arc<dyn Source>,
        catalogs: Catalogs,
        env: Env,
        settings: Settings,
        epoch: u32,
        cache: Arc<OrgCache>,
        streams: Arc<OpenStreams>,
    ) -> Result<Self, Error> {
        let asked_at = env.clock.monotonic();
        // Before anything is loaded: what the first poll need not look at is in what is loaded after.
        let beginning = source.cursor().await?;
        let state = source.installation().await?;
        let state = state.ok_or_else(|| Error::internal("there is no installation to load"))?;
        let log = Self {
            source,
            catalogs,
            seed: u64::from_le_bytes(env.random()),
            env,
            settings,
            cache,
            streams,
            installation: InstallationTail::new(&state),
            proven_at: Latest::default(),
            round_at: Latest::default(),
            history: History::new(epoch),
            compactions: AtomicU64::new(0),
            beginning,
        };
        log.proven_at.advance(asked_at);
        log.round_at.advance(asked_at);
        Ok(log)
    }

    /// Returns the installation as this process knows it.
    pub fn installation(&self) -> &InstallationTail {
        &self.installation
    }

    /// Returns what is known of the history that this process lives in.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns as of when the last poll has proven all of memory current.
    pub fn proven_at(&self) -> Monotonic {
        self.proven_at.at()
    }

    /// Returns when the last full round of comparisons began.
    pub fn round_at(&self) -> Monotonic {
        self.round_at.at()
    }

    /// Returns how old what the poller has proven is.
    pub fn age(&self) -> Duration {
        self.env.clock.monotonic().since(self.proven_at())
    }

    /// Returns how long ago the last full round of comparisons began.
    pub fn round_age(&self) -> Duration {
        self.env.clock.monotonic().since(self.round_at())
    }

    /// Counts how often what had changed was laid out anew as a base.
    pub fn compactions(&self) -> u64 {
        self.compactions.load(Ordering::Relaxed)
    }

    /// Takes in that this process has committed: what is loaded of it is brought up to date before the caller goes on.
    ///
    /// The commit has happened whatever comes: what cannot be applied now is left to the poller.
    pub async fn committed(
        self: &Arc<Self>,
        organization: Option<(OrganizationId, Position)>,
        installation: Option<Position>,
    ) {
        if installation.is_some() {
            // It may have given somebody a place in organizations that did not exist for them.
            self.cache.forget_absences();
            if let Err(error) = self.catch_up_installation().await {
                tracing::debug!(%error, "the installation's index is left to the poller");
            }
        }
        let Some((id, position)) = organization else { return };
        self.cache.forget_absences_of(id);
        if let Some(entry) = self.cache.entry(id)
            && let Err(error) = self.catch_up(id, &entry, position).await
        {
            tracing::debug!(%error, "an organization's index is left to the poller");
        }
    }

    /// Notes that another database answers, or one that was set back. Nothing that is remembered counts until it is learned
    /// anew.
    fn note_exchange(&self) {
        self.history.note_exchange();
        self.cache.forget_absences();
    }

    /// Notes that one log was replaced by another history.
    fn note_replaced(&self) {
        self.history.note_replaced();
        self.cache.forget_absences();
    }
}
