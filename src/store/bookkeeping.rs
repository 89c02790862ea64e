//! What is written without a lock and without a fact: what has lapsed.

use std::time::Duration;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::entity::{barred_from_links, idempotency_records, sessions};
use super::{Reads, Store};
use crate::domain::error::Error;
use crate::domain::id::SessionId;

impl Store {
    /// Deletes what has lapsed: answers to request ids, sessions a day past their end, refused tries, devices, counts of mails, who was
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
        sessions::Entity::delete_many().filter(sessions::Column::ExpiresAt.lte(a_day_ago)).exec(&self.writer).await?;
        barred_from_links::Entity::delete_many()
            .filter(barred_from_links::Column::ExpiresAt.lte(now.as_micros()))
            .exec(&self.writer)
            .await?;
        self.refusals_forget(now).await?;
        self.devices_forget(now).await?;
        self.mail_counts_forget(now).await
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
