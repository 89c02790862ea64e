//! What is written without a lock and without a fact: sessions that begin, sign-ins that were refused, and what has
//! lapsed.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::entity::{idempotency_records, sessions, sign_in_failures};
use super::{Reads, Store};
use crate::domain::error::Error;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;

impl Reads<'_> {
    /// Reads how many sign-ins were refused for an address since `since`, by the hash of its key.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn sign_in_failures(&self, email_hash: &[u8; 32], since: Timestamp) -> Result<u32, Error> {
        let row = sign_in_failures::Entity::find_by_id(email_hash.to_vec()).one(&self.db).await?;
        let row = row.filter(|row| row.window_started_at > since.as_micros());
        Ok(row.map_or(0, |row| u32::try_from(row.failures).unwrap_or(u32::MAX)))
    }
}

impl Store {
    /// Begins a session.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn session_insert(&self, id: SessionId, user: UserId, expires_at: Timestamp) -> Result<(), Error> {
        let row = sessions::ActiveModel {
            id: Set(id.0),
            user_id: Set(user.0),
            created_at: Set(self.world.now().as_micros()),
            expires_at: Set(expires_at.as_micros()),
            ended_at: Set(None),
        };
        sessions::Entity::insert(row).exec_without_returning(&self.writer).await?;
        Ok(())
    }

    /// Counts a refused sign-in for an address, in a window that begins with the first.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn sign_in_failure_count(&self, email_hash: &[u8; 32], window: Duration) -> Result<(), Error> {
        use sign_in_failures::Column::{EmailHash, Failures, WindowStartedAt};
        let now = self.world.now();
        let row = sign_in_failures::ActiveModel {
            email_hash: Set(email_hash.to_vec()),
            window_started_at: Set(now.as_micros()),
            failures: Set(1),
        };
        let is_over = || Expr::col((sign_in_failures::Entity, WindowStartedAt)).lte(now.minus(window).as_micros());
        let failures = Expr::col((sign_in_failures::Entity, Failures));
        let started_at = Expr::col((sign_in_failures::Entity, WindowStartedAt));
        let conflict = OnConflict::column(EmailHash)
            .value(Failures, Expr::case(is_over(), 1).finally(failures.add(1)))
            .value(WindowStartedAt, Expr::case(is_over(), now.as_micros()).finally(started_at))
            .to_owned();
        sign_in_failures::Entity::insert(row).on_conflict(conflict).exec_without_returning(&self.writer).await?;
        Ok(())
    }

    /// Forgets the refused sign-ins for an address.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn sign_in_failures_clear(&self, email_hash: &[u8; 32]) -> Result<(), Error> {
        sign_in_failures::Entity::delete_by_id(email_hash.to_vec()).exec(&self.writer).await?;
        Ok(())
    }

    /// Deletes what has lapsed: answers to request ids, windows of refused sign-ins, sessions a day past their end.
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
