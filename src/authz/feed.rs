//! The feed: a poll proves every loaded organization current, as long as one history goes on. What this process commits it
//! applies at once, without waiting for the poll.
//!
//! A database can be exchanged for another one under the same address: a standby that lacks the last commits, a copy, a
//! restore. Where the source tells ([`Continuity`]), everything is compared before anything is proven. Where nothing
//! tells, everything is compared in [rounds](super::round), and past the hard bound without one nothing is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::round::{HEADS_MAX, Round};
use super::slot::Slot;
use crate::changelog::{Continuity, Cursor};
use crate::clock::{Monotonic, Reading};
use crate::domain::error::{Error, Kind};
use crate::domain::fact::Scope;
use crate::domain::id::OrganizationId;
use crate::domain::revision::Position;
use crate::workers::Pulse;

/// How many organizations are brought up to date at once.
const FOLLOWED_AT_ONCE: usize = 8;

/// Polls until `stop`: what moved is applied, and then everything is proven current as of when the poll was sent.
///
/// A poll that fails proves nothing; the index grows older and in the end allows nothing. After a failure every loaded
/// head is compared, since another server may answer by then.
pub async fn follow(engine: Arc<Engine>, pulse: Pulse, stop: CancellationToken) {
    let mut feed = Feed {
        cursor: engine.beginning,
        is_in_doubt: false,
        has_failed: false,
        round: Round::new(engine.world.clock.monotonic()),
        engine,
        pulse,
    };
    loop {
        let world = &feed.engine.world;
        let pause = world.clock.sleep(world.jittered(feed.engine.settings.poll_interval));
        tokio::select! {
            () = stop.cancelled() => return,
            () = pause => {}
        }
        feed.turn().await;
        feed.pulse.beat();
    }
}

/// What the feed keeps from poll to poll.
struct Feed {
    engine: Arc<Engine>,
    cursor: Cursor,
    /// Whether everything is to be compared before anything is proven.
    is_in_doubt: bool,
    has_failed: bool,
    round: Round,
    pulse: Pulse,
}

/// Scopes with news, and how far the database has come with each; nothing where it has no such scope.
type News = BTreeMap<Scope, Option<Position>>;

impl Feed {
    async fn turn(&mut self) {
        let asked_at = self.engine.world.clock.monotonic();
        match self.poll(asked_at).await {
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

    async fn poll(&mut self, asked_at: Monotonic) -> Result<(), Error> {
        let moved = self.engine.source.moved_since(self.cursor).await?;
        let clock = &self.engine.world.clock;
        let reading = |time| Reading { time, asked_at, answered_at: clock.monotonic() };
        clock.observe(moved.database_time.map(reading));
        // If what it names cannot be applied, everything is compared next time.
        self.cursor = moved.cursor;
        self.take_in(moved.continuity, moved.epoch);
        let compared = self.round.part(&self.engine, asked_at, self.is_in_doubt);
        let mut news: News = moved.scopes.into_iter().map(|(scope, position)| (scope, Some(position))).collect();
        // After the poll: where both name a scope, this is the newer.
        self.add_heads(&mut news, &compared).await?;
        self.follow(news).await?;

        for slot in compared.iter().filter_map(|id| self.engine.slot(*id)) {
            slot.proof().raise(asked_at);
        }
        if moved.continuity != Continuity::Unknown || self.is_in_doubt {
            self.engine.proof.raise(asked_at);
        }
        if let Some(begun_at) = self.round.completed() {
            self.engine.proof.raise(begun_at);
            self.engine.round.raise(begun_at);
        }
        Ok(())
    }

    /// Takes in which history answered.
    fn take_in(&mut self, continuity: Continuity, epoch: Option<u32>) {
        let is_new_epoch = epoch.is_some_and(|epoch| self.engine.take_epoch(epoch));
        if continuity == Continuity::Broken || is_new_epoch {
            self.is_in_doubt = true;
            self.engine.note_exchange();
            tracing::warn!("another database answers, or one that was set back: all of memory is compared with it");
        }
        if self.engine.note_withheld(self.cursor.lineage.is_none()) {
            tracing::warn!("the database does not tell which one it is: only comparing with it proves memory current");
        }
    }

    /// Reads the heads of some organizations, and the installation's, in the history that the poll found.
    async fn add_heads(&self, news: &mut News, ids: &[OrganizationId]) -> Result<(), Error> {
        let scopes = ids.iter().copied().map(Scope::Organization);
        let scopes: Vec<Scope> = std::iter::once(Scope::Installation).chain(scopes).collect();
        for chunk in scopes.chunks(HEADS_MAX) {
            let heads = self.engine.source.positions(chunk, self.cursor.lineage).await?;
            news.extend(chunk.iter().map(|scope| (*scope, None)));
            news.extend(heads.into_iter().map(|(scope, position)| (scope, Some(position))));
        }
        Ok(())
    }

    /// Brings what is loaded to where the database is.
    async fn follow(&self, mut news: News) -> Result<(), Error> {
        // What counts everywhere first: nobody who was shut out is let in by what was given to them after.
        if let Some(head) = news.remove(&Scope::Installation) {
            self.engine.compare_installation(head).await?;
        }
        let news = stream::iter(news.into_iter().map(Ok));
        news.try_for_each_concurrent(FOLLOWED_AT_ONCE, |(scope, head)| async move {
            let Scope::Organization(id) = scope else { return Ok(()) };
            let Some(slot) = self.engine.slot(id) else { return Ok(()) };
            follow_one(&self.engine, id, &slot, head).await?;
            // A turn in which all of memory is replaced may take long, and is not stuck.
            self.pulse.beat();
            Ok(())
        })
        .await
    }
}

/// Follows what moved in one organization. One that cannot be followed, for a fact that is not known here, say, does not
/// keep the others from being proven current.
async fn follow_one(
    engine: &Arc<Engine>,
    id: OrganizationId,
    slot: &Arc<Slot>,
    head: Option<Position>,
) -> Result<(), Error> {
    match engine.compare(id, slot, head).await {
        Err(error) if error.kind() == Kind::Internal => {
            tracing::error!(organization = %id, cause = error.cause(), "an organization cannot be followed");
            engine.drop_snapshot(id, slot).await;
            Ok(())
        }
        followed => followed,
    }
}
