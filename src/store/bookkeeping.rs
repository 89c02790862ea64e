//! What is written without a lock and without a fact: sessions that begin, sign-ins that were refused, and what has
//! lapsed.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement, Value};

use super::entity::{barred_from_links, idempotency_records, sessions, sign_in_failures};
use super::error::of_autocommit;
use super::{Reads, Store};
use crate::domain::error::Error;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;

impl Store {
    /// Begins a session.
    ///
    /// # Errors
    /// - [`CommitUnknown`](crate::domain::error::Reason::CommitUnknown): the session may have begun, and nobody has its token.
    pub async fn session_insert(&self, id: SessionId, user: UserId, expires_at: Timestamp) -> Result<(), Error> {
        let row = sessions::ActiveModel {
            id: Set(id.0),
            user_id: Set(user.0),
            created_at: Set(self.world.now().as_micros()),
            expires_at: Set(expires_at.as_micros()),
            ended_at: Set(None),
        };
        sessions::Entity::insert(row).exec_without_returning(&self.writer).await.map_err(of_autocommit)?;
        Ok(())
    }

    /// Counts a sign-in for an address that may yet be refused, in a window that begins with the first; gives how many
    /// there were, this one among them, and when the window began. In one statement: of many at once each gets a number.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn sign_in_count(&self, email_hash: &[u8; 32], window: Duration) -> Result<(u32, Timestamp), Error> {
        let now = self.world.now();
        let sql = "insert into sign_in_failures (email_hash, window_started_at, failures) values ($1, $2, 1) \
                   on conflict (email_hash) do update set \
                   failures = case when sign_in_failures.window_started_at <= $3 then 1 \
                   else sign_in_failures.failures + 1 end, \
                   window_started_at = case when sign_in_failures.window_started_at <= $3 then $2 \
                   else sign_in_failures.window_started_at end \
                   returning failures, window_started_at";
        let values: [Value; 3] =
            [email_hash.to_vec().into(), now.as_micros().into(), now.minus(window).as_micros().into()];
        let statement = Statement::from_sql_and_values(self.writer.get_database_backend(), sql, values);
        let row = self.writer.query_one_raw(statement).await?;
        let row = row.ok_or_else(|| Error::internal("an upsert that returns nothing"))?;
        let failures: i64 = row.try_get("", "failures")?;
        let started_at: i64 = row.try_get("", "window_started_at")?;
        Ok((u32::try_from(failures).unwrap_or(u32::MAX), Timestamp::from_micros(started_at)))
    }

    /// Forgets the refused sign-ins for an address.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn sign_in_failures_clear(&self, email_hash: &[u8; 32]) -> Result<(), Error> {
        sign_in_failures::Entity::delete_by_id(email_hash.to_vec()).exec(&self.writer).await?;
        Ok(())
    }

    /// Deletes what has lapsed: answers to request ids, windows of refused sign-ins, sessions a day past their end, who was
    /// barred from links that have lapsed.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn lapsed_delete(&self) -> Result<(), Error> {
        let now = self.world.now();
        let a_day_ago = now.minus(Duration::from_hours(24)).as_micros();
        idempotency_records::Entity::delete_many()
            .filter(idempotency_records::Column::ExpiresAt.lte(now.as_micros()))
            .exec(&self.writer)
            .await?;
        sign_in_failures::Entity::delete_many()
            .filter(sign_in_failures::Column::WindowStartedAt.lte(a_day_ago))
            .exec(&self.writer)
            .await?;
        sessions::Entity::delete_many().filter(sessions::Column::ExpiresAt.lte(a_day_ago)).exec(&self.writer).await?;
        barred_from_links::Entity::delete_many()
            .filter(barred_from_links::Column::ExpiresAt.lte(now.as_micros()))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// - [`DatabaseUnavailable`](crate::domain::error::Reason::DatabaseUnavailable).
    pub async fn ping(&self) -> Result<(), Error> {
        self.reader.execute_unprepared("select 1").await?;
        Ok(())
    }
}

impl Reads<'_> {
    /// Says whether a session was ended before its time.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn session_is_ended(&self, id: SessionId) -> Result<bool, Error> {
        let row = sessions::Entity::find_by_id(id.0).one(&self.db).await?;
        Ok(row.is_some_and(|row| row.ended_at.is_some()))
    }
}
