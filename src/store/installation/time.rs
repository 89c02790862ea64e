//! Time as the database has it: its own clock, and the newest instant on record.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement};

use crate::domain::error::Error;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::entity::installation;

/// What a database says of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeOnRecord {
    /// Its own clock; `None` of SQLite, which has the machine's.
    pub clock: Option<Timestamp>,
    /// The newest instant that a server has written down: of its last commit, or as it [went on](Store::time_keep).
    pub newest: Option<Timestamp>,
    /// By how much time may have gone on since then without a record.
    pub unrecorded: Duration,
}

impl Store {
    /// Reads the time.
    pub async fn time(&self) -> Result<TimeOnRecord, Error> {
        let backend = self.reader.get_database_backend();
        let (clock, order) = match backend {
            DbBackend::Postgres => ("(extract(epoch from clock_timestamp()) * 1000000)::bigint", "txid"),
            _ => ("cast(null as bigint)", "sequence"),
        };
        let sql = format!(
            "select (select committed_at from commits order by {order} desc limit 1) as newest, \
             (select reached_at from installation where id = 1) as reached, \
             (select unrecorded_us from installation where id = 1) as unrecorded, {clock} as clock"
        );
        let row = self.reader.query_one_raw(Statement::from_string(backend, sql)).await?;
        let row = row.ok_or_else(|| Error::internal("a statement without an answer"))?;
        let instant = |column| Ok::<_, Error>(row.try_get::<Option<i64>>("", column)?.map(Timestamp::from_micros));
        let unrecorded: Option<i64> = row.try_get("", "unrecorded")?;
        Ok(TimeOnRecord {
            clock: instant("clock")?,
            newest: instant("newest")?.max(instant("reached")?),
            unrecorded: Duration::from_micros(unrecorded.unwrap_or_default().unsigned_abs()),
        })
    }

    /// Puts on record that a server's time has come to `now` and goes on by up to `unrecorded` until it says so again: no
    /// later one begins before that. Commits say the first, but there may be none for long, and what expired meanwhile
    /// would count again.
    pub async fn time_keep(&self, now: Timestamp, unrecorded: Duration) -> Result<(), Error> {
        let reached = installation::ActiveModel {
            reached_at: Set(now.as_micros()),
            unrecorded_us: Set(i64::try_from(unrecorded.as_micros()).unwrap_or(i64::MAX)),
            ..Default::default()
        };
        installation::Entity::update_many()
            .set(reached)
            .filter(installation::Column::ReachedAt.lte(now.as_micros()))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}
