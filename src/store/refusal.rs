//! Refused tries: read before one is decided, and written some time after, many at once.

use std::time::Duration;

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, Statement, Value};

use super::entity::refusals;
use super::error::of_autocommit;
use super::tx::WRITING;
use super::{Reads, Store};
use crate::domain::error::Error;
use crate::domain::throttle::{FEW, Key, REMEMBERED, Refusals};
use crate::domain::time::Timestamp;

/// Most rows that one statement writes.
const ROWS_MAX: usize = 500;
/// Columns of a row.
const COLUMNS: usize = 6;
/// Most things that are asked about at once. Fewer take as many, so that the statement is the same for all.
const SUBJECTS_MAX: usize = 3;

/// What was refused of one thing that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusalsRow {
    /// An address, a source, or something that its bearer presents.
    pub subject: Key,
    /// Which address from a source; [`Key::NONE`] for anything else.
    pub address: Key,
    /// How often and when.
    pub refusals: Refusals,
}

/// What was counted since it was last written.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Settled {
    /// Of which all that was refused before is forgotten.
    pub forgiven: Vec<(Key, Key)>,
    /// What was refused since then.
    pub added: Vec<RefusalsRow>,
}

impl Settled {
    /// Returns whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forgiven.is_empty() && self.added.is_empty()
    }
}

impl Reads<'_> {
    /// Reads what was refused of up to three subjects; of a source, for each address whose window began after `since`.
    pub async fn refusals(&self, subjects: &[Key], since: Timestamp) -> Result<Vec<RefusalsRow>, Error> {
        let mut keys = [Key::NONE; SUBJECTS_MAX];
        for (place, key) in keys.iter_mut().zip(subjects) {
            *place = *key;
        }
        let counts = Condition::any()
            .add(refusals::Column::Address.eq(Key::NONE.0.to_vec()))
            .add(refusals::Column::WindowBeganAt.gt(since.as_micros()));
        let rows = refusals::Entity::find()
            .filter(refusals::Column::Subject.is_in(keys.map(|key| key.0.to_vec())))
            .filter(counts)
            .all(&self.db)
            .await?;
        rows.iter().map(row).collect()
    }
}

impl Store {
    /// Writes what was counted, in one transaction.
    ///
    /// # Errors
    /// Only what the database says; nothing is written then.
    pub async fn refusals_settle(&self, settled: &Settled, window: Duration) -> Result<(), Error> {
        let db = self.writer.begin(WRITING, self.in_transaction).await?;
        for forgiven in settled.forgiven.chunks(ROWS_MAX) {
            let is_one = |(subject, address): &(Key, Key)| {
                Condition::all()
                    .add(refusals::Column::Subject.eq(subject.0.to_vec()))
                    .add(refusals::Column::Address.eq(address.0.to_vec()))
            };
            let any = forgiven.iter().fold(Condition::any(), |any, key| any.add(is_one(key)));
            refusals::Entity::delete_many().filter(any).exec(&db).await?;
        }
        for added in settled.added.chunks(ROWS_MAX) {
            let backend = db.get_database_backend();
            db.execute_raw(Statement::from_sql_and_values(backend, upsert(added.len()), values(added, window))).await?;
        }
        db.commit().await.map_err(of_autocommit)
    }

    /// Deletes what is forgotten.
    pub(super) async fn refusals_forget(&self, now: Timestamp) -> Result<(), Error> {
        let (few, any) = REMEMBERED;
        let is_few = Condition::any()
            .add(refusals::Column::Address.ne(Key::NONE.0.to_vec()))
            .add(refusals::Column::InARow.lt(i64::from(FEW)));
        let of_few = Condition::all().add(refusals::Column::RefusedAt.lte(now.minus(few).as_micros())).add(is_few);
        let of_any = Condition::all().add(refusals::Column::RefusedAt.lte(now.minus(any).as_micros()));
        for forgotten in [of_few, of_any] {
            refusals::Entity::delete_many().filter(forgotten).exec(&self.writer).await?;
        }
        Ok(())
    }
}

/// Adds as [`Refusals::and`] does.
fn upsert(rows: usize) -> String {
    let row = |number: usize| {
        let places: Vec<String> = (0..COLUMNS).map(|column| format!("${}", 2 + number * COLUMNS + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    let is_over = "refusals.in_window = 0 or excluded.window_began_at >= refusals.window_began_at + $1";
    format!(
        "insert into refusals (subject, address, window_began_at, in_window, in_a_row, refused_at) \
         values {rows} on conflict (subject, address) do update set \
         window_began_at = case when {is_over} then excluded.window_began_at else refusals.window_began_at end, \
         in_window = case when {is_over} then excluded.in_window \
         else refusals.in_window + excluded.in_window end, \
         in_a_row = refusals.in_a_row + excluded.in_a_row, \
         refused_at = case when excluded.refused_at > refusals.refused_at then excluded.refused_at \
         else refusals.refused_at end",
        rows = rows.join(", "),
    )
}

fn values(rows: &[RefusalsRow], window: Duration) -> Vec<Value> {
    let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
    let mut values: Vec<Value> = vec![window.into()];
    for RefusalsRow { subject, address, refusals } in rows {
        values.extend([Value::from(subject.0.to_vec()), address.0.to_vec().into()]);
        values.extend([refusals.window_began_at.as_micros(), refusals.in_window.into()].map(Value::from));
        values.extend([refusals.in_a_row.into(), refusals.last_at.as_micros()].map(Value::from));
    }
    values
}

fn row(row: &refusals::Model) -> Result<RefusalsRow, Error> {
    let key = |bytes: &[u8]| bytes.try_into().map(Key).map_err(Error::internal);
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(RefusalsRow {
        subject: key(&row.subject)?,
        address: key(&row.address)?,
        refusals: Refusals {
            window_began_at: Timestamp::from_micros(row.window_began_at),
            in_window: count(row.in_window),
            in_a_row: count(row.in_a_row),
            last_at: Timestamp::from_micros(row.refused_at),
        },
    })
}
