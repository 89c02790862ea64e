//! Answers to request ids: each is kept with its commit and given again to whoever repeats the request.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::entity::idempotency_records;
use super::{Reads, Store, Tx};
use crate::domain::error::{Error, Reason};
use crate::domain::id::RequestId;
use crate::domain::time::Timestamp;

/// What is remembered of a mutation that named a request id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replay {
    /// The principal that called.
    pub caller: Uuid,
    /// What it named the request by.
    pub request: RequestId,
    /// Hash of the method and the request.
    pub hash: [u8; 32],
}

/// How long the answer to a request id is remembered.
const REPLAY_WINDOW: std::time::Duration = std::time::Duration::from_hours(24);

impl Replay {
    /// Returns whether the answer to this very request is kept.
    pub(super) async fn is_remembered(&self, db: &impl ConnectionTrait) -> Result<bool, Error> {
        let found = idempotency_records::Entity::find_by_id((self.caller, self.request.0)).one(db).await?;
        Ok(found.is_some_and(|row| row.request_hash == self.hash))
    }
}

impl Reads<'_> {
    /// Finds the answer that was given to a request id before `now`, and that is still remembered.
    ///
    /// # Errors
    /// - [`Reason::RequestIdReused`] if it named another request.
    pub async fn replayed(&self, replay: &Replay, now: Timestamp) -> Result<Option<serde_json::Value>, Error> {
        let key = (replay.caller, replay.request.0);
        let found = idempotency_records::Entity::find_by_id(key).one(&self.db).await?;
        let Some(row) = found.filter(|row| row.expires_at > now.as_micros()) else { return Ok(None) };
        if row.request_hash != replay.hash {
            return Err(Error::invalid("request_id", Reason::RequestIdReused, "was used for another request"));
        }
        serde_json::from_str(&row.response).map(Some).map_err(Error::internal)
    }
}

impl Tx {
    /// Finds the answer that was given to this request id before.
    ///
    /// # Errors
    /// - [`Reason::RequestIdReused`] if it named another request.
    pub async fn replayed(&self, replay: &Replay) -> Result<Option<serde_json::Value>, Error> {
        self.above().replayed(replay, self.now).await
    }

    /// Remembers `response` as the answer to this request id, for 24 hours.
    ///
    /// # Errors
    /// - [`Reason::ConcurrentUpdate`] if another organization's writer has just used it.
    pub async fn remember(&mut self, replay: &Replay, response: &serde_json::Value) -> Result<(), Error> {
        idempotency_records::Entity::delete_many()
            .filter(idempotency_records::Column::Caller.eq(replay.caller))
            .filter(idempotency_records::Column::RequestId.eq(replay.request.0))
            .filter(idempotency_records::Column::ExpiresAt.lte(self.now.as_micros()))
            .exec(&self.db)
            .await?;
        let row = idempotency_records::ActiveModel {
            caller: Set(replay.caller),
            request_id: Set(replay.request.0),
            request_hash: Set(replay.hash.to_vec()),
            response: Set(response.to_string()),
            expires_at: Set(self.now.plus(REPLAY_WINDOW).as_micros()),
        };
        idempotency_records::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.remembered = Some(*replay);
        Ok(())
    }
}

impl Store {
    /// Deletes the answers that are remembered no longer.
    pub(super) async fn replays_forget(&self, now: Timestamp) -> Result<(), Error> {
        idempotency_records::Entity::delete_many()
            .filter(idempotency_records::Column::ExpiresAt.lte(now.as_micros()))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}
