//! How many invitations were mailed of late, counted in the transaction of their deliveries.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement, Value};

use super::entity::mail_counts;
use super::{Store, Tx};
use crate::domain::error::Error;
use crate::domain::mailing::{Mailed, REMEMBERED};
use crate::domain::throttle::Key;
use crate::domain::time::Timestamp;

impl Tx {
    /// Reads how many mails were counted under these keys, and keeps everybody else from counting under them until the end
    /// of the transaction. The keys are taken in one order, so that no two transactions wait for each other.
    pub async fn mails_counted<const N: usize>(&self, subjects: [Key; N]) -> Result<[Mailed; N], Error> {
        let mut in_order = subjects;
        in_order.sort_unstable();
        let rows: Vec<String> = (1..=N).map(|number| format!("(${number}, 0, 0)")).collect();
        let sql = format!(
            "insert into mail_counts (subject, window_began_at, mails) values {} \
             on conflict (subject) do update set mails = mail_counts.mails \
             returning subject, window_began_at, mails",
            rows.join(", ")
        );
        let values = in_order.map(|key| Value::from(key.0.to_vec()));
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let mut counted = [Mailed::default(); N];
        for row in self.db.query_all_raw(statement).await? {
            let (subject, mails): (Vec<u8>, i64) = (row.try_get("", "subject")?, row.try_get("", "mails")?);
            let window_began_at = Timestamp::from_micros(row.try_get("", "window_began_at")?);
            let mailed = Mailed { window_began_at, mails: u32::try_from(mails).unwrap_or(u32::MAX) };
            for (_, place) in subjects.iter().zip(&mut counted).filter(|(key, _)| key.0.as_slice() == subject) {
                *place = mailed;
            }
        }
        Ok(counted)
    }

    /// Keeps what [`mails_counted`](Self::mails_counted) has locked as it is now.
    pub async fn mails_count<const N: usize>(&self, counted: [(Key, Mailed); N]) -> Result<(), Error> {
        let rows = counted.map(|(subject, mailed)| mail_counts::ActiveModel {
            subject: Set(subject.0.to_vec()),
            window_began_at: Set(mailed.window_began_at.as_micros()),
            mails: Set(mailed.mails.into()),
        });
        let replace = OnConflict::column(mail_counts::Column::Subject)
            .update_columns([mail_counts::Column::WindowBeganAt, mail_counts::Column::Mails])
            .to_owned();
        mail_counts::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(&self.db).await?;
        Ok(())
    }
}

impl Store {
    /// Deletes the counts of windows that are long over.
    pub(super) async fn mail_counts_forget(&self, now: Timestamp) -> Result<(), Error> {
        mail_counts::Entity::delete_many()
            .filter(mail_counts::Column::WindowBeganAt.lte(now.minus(REMEMBERED).as_micros()))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}
