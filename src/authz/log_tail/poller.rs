//! The poller: a poll proves every loaded organization current, as long as one history goes on.
//!
//! A database can be exchanged for another one under the same address: a standby that lacks the last commits, a copy, a
//! restore. Where the source reports it ([`Continuity`]), everything is compared before anything is proven. Where it cannot,
//! everything is compared in [rounds](super::round), and past the hard bound without one nothing is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{TryStreamExt, stream};

use super::LogTail;
use super::round::{HEADS_MAX, Round};
use crate::authz::org_cache::Entry;
use crate::changelog::{Continuity, Cursor};
use crate::clock::{Monotonic, Reading};
use crate::domain::error::{Error, Kind};
use crate::domain::fact::Scope;
use crate::domain::id::OrganizationId;
use crate::domain::revision::Position;
use crate::workers::Pulse;

/// How many organizations are brought up to date at once.
const FOLLOWED_AT_ONCE: usize = 8;

/// Polls, turn by turn: what moved is applied, and then everything is proven current as of when the poll was sent.
///
/// A poll that fails proves nothing; memory grows older and in the end allows nothing. After a failure every loaded head is
/// compared, since another server may answer by then.
pub struct Poller {
    log: Arc<LogTail>,
    cursor: Cursor,
    /// Whether everything is to be compared before anything is proven.
    is_in_doubt: bool,
    has_failed: bool,
    round: Round,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// Scopes with news, and how far the database has come with each; nothing where it has no such scope.
type News = BTreeMap<Scope, Option<Position>>;

impl Poller {
    /// Returns a poller that goes on from where memory was begun.
    pub(in crate::authz) fn new(log: Arc<LogTail>) -> Self {
        let round = Round::new(log.env.clock.monotonic());
        Self { cursor: log.beginning, is_in_doubt: false, has_failed: false, round, log }
    }

    /// Returns how long to wait, about, before the next turn.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.log.env.jittered(self.log.settings.poll_interval)
    }

    /// Polls once. A failure is logged when it begins and when it ends.
    pub async fn turn(&mut self, pulse: &Pulse) {
        let asked_at = self.log.env.clock.monotonic();
        match self.poll(asked_at, pulse).await {
            Ok(()) => {
                self.is_in_doubt = false;
                if std::mem::take(&mut self.has_failed) {
                    tracing::info!("the log can be followed again");
                }
            }
            Err(error) => {
                self.is_in_doubt = true;
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(%error, cause = error.cause(), "the log cannot be followed");
                }
            }
        }
    }

    async fn poll(&mut self, asked_at: Monotonic, pulse: &Pulse) -> Result<(), Error> {
        let moved = self.log.source.moved_since(self.cursor).await?;
        let clock = &self.log.env.clock;
        let reading = |time| Reading { time, asked_at, answered_at: clock.monotonic() };
        clock.observe(moved.database_time.map(reading));
        // If what it names cannot be applied, everything is compared next time.
        self.cursor = moved.cursor;
        self.take_in(moved.continuity, moved.epoch);
        let compared = self.round.part(&self.log, asked_at, self.is_in_doubt);
        let mut news: News = moved.scopes.into_iter().map(|(scope, position)| (scope, Some(position))).collect();
        // After the poll: where both name a scope, this is the newer.
        self.add_heads(&mut news, &compared).await?;
        self.follow(news, pulse).await?;

        for entry in compared.iter().filter_map(|id| self.log.cache.entry(*id)) {
            entry.proven_at().advance(asked_at);
        }
        if moved.continuity != Continuity::Unknown || self.is_in_doubt {
            self.log.proven_at.advance(asked_at);
        }
        if let Some(begun_at) = self.round.completed() {
            self.log.proven_at.advance(begun_at);
            self.log.round_at.advance(begun_at);
        }
        Ok(())
    }

    /// Takes in which history answered.
    fn take_in(&mut self, continuity: Continuity, epoch: Option<u32>) {
        let is_new_epoch = epoch.is_some_and(|epoch| self.log.history.take_epoch(epoch));
        if continuity == Continuity::Broken || is_new_epoch {
            self.is_in_doubt = true;
            self.log.note_exchange();
            tracing::warn!("another database answers, or one that was set back: all of memory is compared with it");
        }
        if self.log.history.note_withheld(self.cursor.lineage.is_none()) {
            tracing::warn!("the database withholds which one it is: only comparing with it proves memory current");
        }
    }

    /// Reads the heads of some organizations, and the installation's, in the history that the poll found.
    async fn add_heads(&self, news: &mut News, ids: &[OrganizationId]) -> Result<(), Error> {
        let scopes = ids.iter().copied().map(Scope::Organization);
        let scopes: Vec<Scope> = std::iter::once(Scope::Installation).chain(scopes).collect();
        for chunk in scopes.chunks(HEADS_MAX) {
            let heads = self.log.source.positions(chunk, self.cursor.lineage).await?;
            news.extend(chunk.iter().map(|scope| (*scope, None)));
            news.extend(heads.into_iter().map(|(scope, position)| (scope, Some(position))));
        }
        Ok(())
    }

    /// Brings what is loaded to where the database is.
    async fn follow(&self, mut news: News, pulse: &Pulse) -> Result<(), Error> {
        // What counts everywhere first: a user who was disabled is not admitted by what was granted to them after.
        if let Some(head) = news.remove(&Scope::Installation) {
            self.log.compare_installation(head).await?;
        }
        let news = stream::iter(news.into_iter().map(Ok));
        news.try_for_each_concurrent(FOLLOWED_AT_ONCE, |(scope, head)| async move {
            let Scope::Organization(id) = scope else { return Ok(()) };
            let Some(entry) = self.log.cache.entry(id) else { return Ok(()) };
            follow_one(&self.log, id, &entry, head).await?;
            // A turn in which all of memory is replaced may take long, and is not stuck.
            pulse.beat();
            Ok(())
        })
        .await
    }
}

/// Follows what moved in one organization. One that cannot be followed, for a fact that is not known here, say, does not
/// keep the others from being proven current.
async fn follow_one(
    log: &Arc<LogTail>,
    id: OrganizationId,
    entry: &Arc<Entry>,
    head: Option<Position>,
) -> Result<(), Error> {
    match log.compare(id, entry, head).await {
        Err(error) if error.kind() == Kind::Internal => {
            tracing::error!(organization = %id, cause = error.cause(), "an organization cannot be followed");
            log.drop_snapshot(id, entry).await;
            Ok(())
        }
        followed => followed,
    }
}
