//! The outbox: mails that were committed with what they tell of, and are sent after.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entity::outbox;
use super::error::of_autocommit;
use super::tx::WRITING;
use super::{Store, Tx};
use crate::domain::error::Error;
use crate::domain::time::Timestamp;

/// A mail to send. Its content is sealed: it holds addresses and tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxMail {
    /// Made by the server.
    pub id: Uuid,
    /// The mail, sealed with the installation key.
    pub sealed: Vec<u8>,
    /// How often sending it was tried.
    pub attempts: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for OutboxMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboxMail").field("id", &self.id).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl Tx {
    /// Puts a mail into the outbox. It goes out once this transaction has committed.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn mail_insert(&mut self, id: Uuid, sealed: Vec<u8>) -> Result<(), Error> {
        outbox::Entity::insert(row(id, sealed, self.now())).exec_without_returning(&self.db).await?;
        self.has_mail = true;
        Ok(())
    }

    /// Puts a mail into the outbox, as [`Tx::mail_insert`] does, that waits there until `due_at`: from then on it is tried for
    /// as long as any.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn mail_insert_due(&mut self, id: Uuid, sealed: Vec<u8>, due_at: Timestamp) -> Result<(), Error> {
        let row = outbox::ActiveModel {
            id: Set(id),
            sealed_mail: Set(sealed),
            attempts: Set(0),
            next_attempt_at: Set(due_at.as_micros()),
            created_at: Set(due_at.as_micros()),
        };
        outbox::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.has_mail = true;
        Ok(())
    }

    /// Puts many mails into the outbox, as [`Tx::mail_insert`] does one.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn mails_insert(&mut self, sealed: Vec<Vec<u8>>) -> Result<(), Error> {
        let rows: Vec<_> = sealed.into_iter().map(|sealed| row(self.id(), sealed, self.now())).collect();
        for rows in rows.chunks(1_000) {
            outbox::Entity::insert_many(rows.to_vec()).exec_without_returning(&self.db).await?;
            self.has_mail = true;
        }
        Ok(())
    }
}

impl Store {
    /// Takes mails that are due, at most `count`; until `leased_until` no other worker takes them.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn mails_due(
        &self,
        now: Timestamp,
        leased_until: Timestamp,
        count: u64,
    ) -> Result<Vec<OutboxMail>, Error> {
        let due = outbox::Entity::find()
            .filter(outbox::Column::NextAttemptAt.lte(now.as_micros()))
            .order_by_asc(outbox::Column::NextAttemptAt)
            .limit(count)
            .all(&self.reader)
            .await?;
        let mut taken = Vec::new();
        for mail in due {
            // Whoever moves the instant from the value read has the mail.
            let moved = outbox::Entity::update_many()
                .set(outbox::ActiveModel {
                    next_attempt_at: Set(leased_until.as_micros()),
                    attempts: Set(mail.attempts + 1),
                    ..Default::default()
                })
                .filter(outbox::Column::Id.eq(mail.id))
                .filter(outbox::Column::NextAttemptAt.eq(mail.next_attempt_at))
                .exec(&self.writer)
                .await?;
            if moved.rows_affected == 1 {
                taken.push(OutboxMail {
                    id: mail.id,
                    sealed: mail.sealed_mail,
                    attempts: u32::try_from(mail.attempts + 1).unwrap_or(u32::MAX),
                    created_at: Timestamp::from_micros(mail.created_at),
                });
            }
        }
        Ok(taken)
    }

    /// Removes a mail that was sent, and puts the mail that tells of it, if any, in its place.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn mail_sent(&self, id: Uuid, follow_up: Option<(Uuid, Vec<u8>)>) -> Result<(), Error> {
        let db = self.writer.begin(WRITING, self.in_transaction).await?;
        outbox::Entity::delete_by_id(id).exec(&db).await?;
        if let Some((id, sealed)) = follow_up {
            outbox::Entity::insert(row(id, sealed, self.world.now())).exec_without_returning(&db).await?;
        }
        db.commit().await.map_err(of_autocommit)
    }

    /// Puts off a mail that could not be sent.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn mail_put_off(&self, id: Uuid, until: Timestamp) -> Result<(), Error> {
        let later = outbox::ActiveModel { id: Set(id), next_attempt_at: Set(until.as_micros()), ..Default::default() };
        outbox::Entity::update(later).exec(&self.writer).await?;
        Ok(())
    }
}

fn row(id: Uuid, sealed: Vec<u8>, now: Timestamp) -> outbox::ActiveModel {
    outbox::ActiveModel {
        id: Set(id),
        sealed_mail: Set(sealed),
        attempts: Set(0),
        next_attempt_at: Set(now.as_micros()),
        created_at: Set(now.as_micros()),
    }
}
