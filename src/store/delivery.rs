//! Deliveries: what is sent out because of a commit, kept with it and carried out after it.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entity::deliveries;
use super::error::of_autocommit;
use super::tx::WRITING;
use super::{Store, Tx};
use crate::domain::error::Error;
use crate::domain::time::Timestamp;

/// Most rows that one statement writes.
const ROWS_MAX: usize = 1_000;

/// By what way a delivery goes out, and how its payload is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryKind {
    /// To a mailbox.
    Mail,
}

impl DeliveryKind {
    /// The kinds that this binary carries out. What a newer one has written besides waits for a replica that knows it.
    pub const ALL: [Self; 1] = [Self::Mail];

    const fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A delivery to make. Its payload is sealed: it holds addresses and tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Made by the server.
    pub id: Uuid,
    /// The way that it goes.
    pub kind: DeliveryKind,
    /// What is delivered, sealed with the installation key.
    pub sealed: Vec<u8>,
}

/// A delivery that was taken to be carried out.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Made by the server.
    pub id: Uuid,
    /// The way that it goes.
    pub kind: DeliveryKind,
    /// What is delivered, sealed with the installation key.
    pub sealed: Vec<u8>,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for NewDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewDelivery").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Tx {
    /// Adds a delivery to the commit.
    pub async fn delivery_insert(&mut self, delivery: NewDelivery) -> Result<(), Error> {
        self.delivery_insert_due(delivery, self.now()).await
    }

    /// Adds a delivery to the commit that waits until `due_at`: from then on it is tried for as long as any.
    pub async fn delivery_insert_due(&mut self, delivery: NewDelivery, due_at: Timestamp) -> Result<(), Error> {
        deliveries::Entity::insert(row(delivery, due_at)).exec_without_returning(&self.db).await?;
        self.has_delivery = true;
        Ok(())
    }

    /// Adds many deliveries to the commit.
    pub async fn deliveries_insert(&mut self, deliveries: Vec<NewDelivery>) -> Result<(), Error> {
        let rows: Vec<_> = deliveries.into_iter().map(|delivery| row(delivery, self.now())).collect();
        for rows in rows.chunks(ROWS_MAX) {
            deliveries::Entity::insert_many(rows.to_vec()).exec_without_returning(&self.db).await?;
            self.has_delivery = true;
        }
        Ok(())
    }
}

impl Store {
    /// Takes deliveries of some kinds that are due, at most `count`; until `leased_until` no other replica takes them.
    pub async fn deliveries_due(
        &self,
        kinds: &[DeliveryKind],
        now: Timestamp,
        leased_until: Timestamp,
        count: u64,
    ) -> Result<Vec<Delivery>, Error> {
        let due = deliveries::Entity::find()
            .filter(deliveries::Column::Kind.is_in(kinds.iter().map(|kind| kind.word())))
            .filter(deliveries::Column::NextAttemptAt.lte(now.as_micros()))
            .order_by_asc(deliveries::Column::NextAttemptAt)
            .limit(count)
            .all(&self.reader)
            .await?;
        let mut taken = Vec::new();
        for row in due {
            let Some(kind) = DeliveryKind::from_word(&row.kind) else { continue };
            // Whoever moves the instant from the value read has the delivery.
            let moved = deliveries::Entity::update_many()
                .set(deliveries::ActiveModel {
                    next_attempt_at: Set(leased_until.as_micros()),
                    attempts: Set(row.attempts + 1),
                    ..Default::default()
                })
                .filter(deliveries::Column::Id.eq(row.id))
                .filter(deliveries::Column::NextAttemptAt.eq(row.next_attempt_at))
                .exec(&self.writer)
                .await?;
            if moved.rows_affected == 1 {
                taken.push(Delivery {
                    id: row.id,
                    kind,
                    sealed: row.sealed_payload,
                    attempts: u32::try_from(row.attempts + 1).unwrap_or(u32::MAX),
                    created_at: Timestamp::from_micros(row.created_at),
                });
            }
        }
        Ok(taken)
    }

    /// Removes a delivery that was made or given up, and puts what follows upon it, if anything does, in its place.
    pub async fn delivery_end(&self, id: Uuid, follow_up: Option<NewDelivery>) -> Result<(), Error> {
        let db = self.writer.begin(WRITING, self.in_transaction).await?;
        deliveries::Entity::delete_by_id(id).exec(&db).await?;
        if let Some(delivery) = follow_up {
            let row = row(delivery, self.env.now());
            deliveries::Entity::insert(row).exec_without_returning(&db).await?;
        }
        db.commit().await.map_err(of_autocommit)
    }

    /// Puts off a delivery that could not be made.
    pub async fn delivery_put_off(&self, id: Uuid, until: Timestamp) -> Result<(), Error> {
        let later =
            deliveries::ActiveModel { id: Set(id), next_attempt_at: Set(until.as_micros()), ..Default::default() };
        deliveries::Entity::update(later).exec(&self.writer).await?;
        Ok(())
    }
}

fn row(delivery: NewDelivery, due_at: Timestamp) -> deliveries::ActiveModel {
    deliveries::ActiveModel {
        id: Set(delivery.id),
        kind: Set(delivery.kind.word().to_owned()),
        sealed_payload: Set(delivery.sealed),
        attempts: Set(0),
        next_attempt_at: Set(due_at.as_micros()),
        created_at: Set(due_at.as_micros()),
    }
}
