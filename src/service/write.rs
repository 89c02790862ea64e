//! How every write goes: in a task that a caller's hanging up does not drop, under a lock, retried where that helps.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;

use super::{Context, Services, Written};
use crate::domain::error::{Error, Reason};
use crate::locked;
use crate::store::{Committed, Lock, Tx};

/// How often a write is tried when others are in the way.
const ATTEMPTS_MAX: u32 = 6;
/// How long the first pause between two tries is, about; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// What one commit of a call has brought: a call that takes more than one commit goes on after each part.
pub(super) enum Slice<T> {
    /// A part of it is done. That is not the answer, and is not remembered.
    Part(T),
    /// All of it is done: the answer.
    Whole(T),
}

impl Services {
    /// Runs `act` in a transaction under `lock` and commits what it did.
    ///
    /// `act` may run several times, each in a transaction of its own; it awaits nothing but the database. A request id
    /// that was used before gives the earlier answer, without `act`. With `validate_only` the transaction is undone.
    pub(super) async fn write<T, Act, Acting>(
        self: &Arc<Self>,
        context: &Context,
        lock: Lock,
        act: Act,
    ) -> Result<Written<T>, Error>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        Act: Fn(Tx) -> Acting + Send + Sync + 'static,
        Acting: Future<Output = Result<(Tx, T), Error>> + Send + 'static,
    {
        let whole = move |tx| {
            let acting = act(tx);
            async move { acting.await.map(|(tx, value)| (tx, Slice::Whole(value))) }
        };
        let Written { value: Slice::Whole(value) | Slice::Part(value), token, is_replay } =
            self.write_slice(context, lock, whole).await?;
        Ok(Written { value, token, is_replay })
    }

    /// Does as [`Services::write`], for a call that may take more than one commit: `act` returns whether it has done all.
    pub(super) async fn write_slice<T, Act, Acting>(
        self: &Arc<Self>,
        context: &Context,
        lock: Lock,
        act: Act,
    ) -> Result<Written<Slice<T>>, Error>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        Act: Fn(Tx) -> Acting + Send + Sync + 'static,
        Acting: Future<Output = Result<(Tx, Slice<T>), Error>> + Send + 'static,
    {
        // Calls that go on for long write many times: none of it under a credential that has ended meanwhile.
        if let Some(caller) = &context.caller {
            self.engine.must_be_alive(caller)?;
        }
        if let Lock::Organization(organization) = lock {
            context.note(organization, self.world.now());
        }
        let (services, context) = (Arc::clone(self), context.clone());
        let write = async move { services.write_retrying(&context, lock, act).await };
        // The task, not the caller, owns the transaction.
        self.writes.spawn(write.in_current_span()).await.map_err(Error::internal)?
    }

    async fn write_retrying<T, Act, Acting>(
        &self,
        context: &Context,
        lock: Lock,
        act: Act,
    ) -> Result<Written<Slice<T>>, Error>
    where
        T: Serialize + DeserializeOwned,
        Act: Fn(Tx) -> Acting,
        Acting: Future<Output = Result<(Tx, Slice<T>), Error>>,
    {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let error = match locked::hold(self.write_once(context, lock, &act)).await {
                Ok((written, committed)) => {
                    self.publish(lock, committed).await;
                    return Ok(written);
                }
                Err(error) => error,
            };
            if error.reason != Reason::ConcurrentUpdate || attempt == ATTEMPTS_MAX || self.is_late(context) {
                return Err(error);
            }
            tracing::debug!(attempt, cause = error.cause(), "another writer was in the way");
            self.world.clock.sleep(self.world.jittered(pause)).await;
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    async fn write_once<T, Act, Acting>(
        &self,
        context: &Context,
        lock: Lock,
        act: &Act,
    ) -> Result<(Written<Slice<T>>, Committed), Error>
    where
        T: Serialize + DeserializeOwned,
        Act: Fn(Tx) -> Acting,
        Acting: Future<Output = Result<(Tx, Slice<T>), Error>>,
    {
        let tx = self.store.begin(lock, Vec::new(), context.author(), context.validate_only).await?;
        if let Some(replay) = &context.replay
            && let Some(response) = tx.replayed(replay).await?
        {
            let value = Slice::Whole(serde_json::from_value(response).map_err(Error::internal)?);
            let position = tx.position();
            tx.rollback().await?;
            let token = position.and_then(|position| self.token(lock, position, None));
            return Ok((Written { value, token, is_replay: true }, Committed::default()));
        }

        if self.is_late(context) {
            // Whoever asked has stopped waiting: what is not done need not be.
            tx.rollback().await?;
            return Err(Error::new(Reason::DeadlineExceeded, "the deadline has passed"));
        }
        let (mut tx, value) = act(tx).await?;
        if context.validate_only {
            tx.rollback().await?;
            return Ok((Written { value, token: None, is_replay: false }, Committed::default()));
        }
        if let (Some(replay), Slice::Whole(answer)) = (&context.replay, &value) {
            tx.remember(replay, &serde_json::to_value(answer).map_err(Error::internal)?).await?;
        }
        let committed = tx.commit().await?;
        let token = committed.organization.and_then(|position| self.token(lock, position, committed.installation));
        Ok((Written { value, token, is_replay: false }, committed))
    }
}
