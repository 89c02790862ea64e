//! The feed: a poll proves every loaded organization current. What this process commits it applies at once,
//! without waiting for the poll.

use std::sync::Arc;

use futures_util::{TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::slot::Slot;
use crate::changelog::{Cursor, Moved};
use crate::domain::error::{Error, Kind};
use crate::domain::fact::Scope;
use crate::domain::id::OrganizationId;
use crate::domain::revision::Position;

/// How many organizations are brought up to date at once.
const FOLLOWED_AT_ONCE: usize = 8;
/// How many heads one statement compares.
const HEADS_MAX: usize = 1_000;

/// Polls until `stop`: what moved is applied, and then everything is proven current as of when the poll was sent.
///
/// A poll that fails proves nothing; the index grows older and in the end allows nothing. After a failure every loaded
/// head is compared, since another server may answer by then.
pub async fn follow(engine: Arc<Engine>, stop: CancellationToken) {
    let mut cursor = engine.beginning;
    let mut has_failed = false;
    loop {
        let pause = engine.world.clock.sleep(engine.world.jittered(engine.settings.poll_interval));
        tokio::select! {
            () = stop.cancelled() => return,
            () = pause => {}
        }
        let asked_at = engine.world.clock.monotonic();
        match poll(&engine, cursor, has_failed).await {
            Ok(next) => {
                cursor = next;
                engine.proof.raise(asked_at);
                if std::mem::take(&mut has_failed) {
                    tracing::info!("the log can be followed again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!(%error, cause = error.cause(), "the log cannot be followed");
                }
            }
        }
    }
}

async fn poll(engine: &Arc<Engine>, cursor: Cursor, has_failed: bool) -> Result<Cursor, Error> {
    let mut moved = engine.source.moved_since(cursor).await?;
    if has_failed {
        add_heads(engine, &mut moved).await?;
    }
    // What counts everywhere first: nobody who was shut out is let in by what was given to them after.
    moved.scopes.sort_unstable_by_key(|(scope, _)| *scope);
    if let Some((Scope::Installation, position)) = moved.scopes.first().copied() {
        follow_scope(engine, Scope::Installation, position).await?;
    }
    let news = stream::iter(moved.scopes.into_iter().map(Ok));
    news.try_for_each_concurrent(FOLLOWED_AT_ONCE, |(scope, position)| follow_scope(engine, scope, position)).await?;
    Ok(moved.cursor)
}

async fn follow_scope(engine: &Arc<Engine>, scope: Scope, position: Position) -> Result<(), Error> {
    match scope {
        Scope::Installation if engine.installation().position() != position => engine.catch_up_installation().await,
        Scope::Installation => Ok(()),
        Scope::Organization(id) => match engine.slot(id) {
            Some(slot) => follow_one(engine, id, &slot, position).await,
            None => Ok(()),
        },
    }
}

/// Follows what moved in one organization. One that cannot be followed, for a fact that is not known here, say, does not
/// keep the others from being proven current.
async fn follow_one(
    engine: &Arc<Engine>,
    id: OrganizationId,
    slot: &Arc<Slot>,
    position: Position,
) -> Result<(), Error> {
    match engine.follow_to(id, slot, position).await {
        Err(error) if error.kind() == Kind::Internal => {
            tracing::error!(organization = %id, cause = error.cause(), "an organization cannot be followed");
            engine.drop_snapshot(id, slot).await;
            Ok(())
        }
        followed => followed,
    }
}

/// Adds the heads of everything that is loaded.
async fn add_heads(engine: &Engine, moved: &mut Moved) -> Result<(), Error> {
    let ids: Vec<OrganizationId> = engine.slots().into_iter().map(|(id, _)| id).collect();
    let scopes: Vec<Scope> =
        ids.into_iter().map(Scope::Organization).chain(std::iter::once(Scope::Installation)).collect();
    for chunk in scopes.chunks(HEADS_MAX) {
        moved.scopes.extend(engine.source.positions(chunk).await?);
    }
    Ok(())
}
