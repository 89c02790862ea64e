//! What the poller asks again and again: what moved, in which history, and how far the heads have come.
//!
//! PostgreSQL has an order of transactions and names its cluster, database and timeline; all of it comes with the
//! poll's own statement, so that no other server can have answered a part of it. SQLite has one writer, so commits are
//! numbered; of its history the last commit's tag is the name.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, RuntimeErr, SqlxError, Statement, Value};
use uuid::Uuid;

use crate::changelog::{self, Continuity, Cursor, Lineage, Moved, scope_key, scope_of};
use crate::domain::error::Error;
use crate::domain::fact::Scope;
use crate::domain::revision::{Position, Revision, Tag};
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::database::pool::{Bound, Pool};
use crate::store::error::unavailable;

/// How long a poll of the log may take. Above it nothing is proven, and the next one asks on new connections if nobody
/// else was answered either.
const POLL: Bound = Bound { wait: Duration::from_secs(2), is_generous: false };

/// Who answers, as PostgreSQL tells everybody.
pub(in crate::store) const HERE: &str = "pg_is_in_recovery() as is_standby";
/// Which history that is. The database's number stands beside the cluster's, since one may take another's name. The
/// timeline is that of what is written now: the control file's follows a promotion only at the next checkpoint.
const LINEAGE: &str = "(select system_identifier from pg_control_system()) as cluster, \
    (select oid::bigint from pg_database where datname = current_database()) as database, \
    case when pg_is_in_recovery() then null else left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline";

impl Store {
    /// Finds commits by the transaction that wrote them. What the previous poll could not see was written by a
    /// transaction that had not ended then, so its id is at or above that poll's `xmin`. Ids at or above `xmax` are of
    /// no transaction that has ended here: they came with a restore from another cluster.
    pub(in crate::store) async fn moved_since_transaction(&self, cursor: Cursor) -> Result<Moved, Error> {
        let rows = naming_history(&self.reader.within(POLL), cursor.lineage.is_some(), |here| {
            let sql = format!(
                "with here as (select {here}, pg_snapshot_xmin(pg_current_snapshot())::text as xmin, \
                 (select epoch from installation where id = 1) as epoch, \
                 (extract(epoch from clock_timestamp()) * 1000000)::bigint as database_time) \
                 select here.*, c.scope, c.revision, c.tag from here left join \
                 (select distinct on (scope) scope, revision, tag from commits where txid >= ($1::text)::xid8 \
                 and txid < pg_snapshot_xmax(pg_current_snapshot()) \
                 order by scope, revision desc) c on true"
            );
            let values: [Value; 1] = [cursor.position.to_string().into()];
            Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
        })
        .await?;
        let mut moved = Moved::default();
        for (number, row) in rows.iter().enumerate() {
            if number == 0 {
                moved.cursor = cursor_of(row)?;
                moved.continuity = moved.cursor.continuity_after(&cursor);
                moved.epoch = epoch(row)?;
                moved.database_time = Some(Timestamp::from_micros(row.try_get("", "database_time")?));
            }
            moved.scopes.extend(named(row)?);
        }
        Ok(moved)
    }

    /// Finds commits by their number: SQLite has one writer at a time, so numbers become visible in order. The history
    /// is the one of the cursor if the commit that it came to is still there, with the same tag: all before it are,
    /// too.
    pub(in crate::store) async fn moved_since_sequence(&self, cursor: Cursor) -> Result<Moved, Error> {
        // Beside max(), SQLite gives the other columns of the row that has it.
        let sql = "select last.sequence as last, last.tag as last_tag, \
                   (select tag from commits where sequence = $1) as tag_here, \
                   (select epoch from installation where id = 1) as epoch, c.scope, c.revision, c.tag \
                   from (select 1) left join (select sequence, tag from commits order by sequence desc limit 1) last \
                   left join (select scope, revision, tag, max(sequence) as sequence from commits \
                   where sequence > $1 group by scope) c";
        let values: [Value; 1] = [cursor.position.cast_signed().into()];
        let statement = Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
        let mut moved = Moved::default();
        for (number, row) in self.reader.within(POLL).query_all_raw(statement).await?.iter().enumerate() {
            if number == 0 {
                let (last, tag): (Option<i64>, Option<i64>) = (row.try_get("", "last")?, row.try_get("", "last_tag")?);
                moved.cursor = Cursor {
                    lineage: Some(lineage_of_tag(tag.unwrap_or_default())),
                    position: last.unwrap_or_default().cast_unsigned(),
                };
                let here = row.try_get::<Option<i64>>("", "tag_here")?.map(lineage_of_tag);
                let goes_on = cursor.position == 0 || here == cursor.lineage && here.is_some();
                moved.continuity = if goes_on { Continuity::Unbroken } else { Continuity::Broken };
                moved.epoch = epoch(row)?;
            }
            moved.scopes.extend(named(row)?);
        }
        Ok(moved)
    }

    /// Reads where the log of all scopes together has come to.
    pub(in crate::store) async fn present(&self) -> Result<Cursor, Error> {
        if self.reader.get_database_backend() != DbBackend::Postgres {
            // Past every commit: none is to be named.
            let end = Cursor { lineage: None, position: i64::MAX.cast_unsigned() };
            return Ok(self.moved_since_sequence(end).await?.cursor);
        }
        let rows = naming_history(&self.reader, true, |here| {
            let sql = format!("select {here}, pg_snapshot_xmin(pg_current_snapshot())::text as xmin");
            Statement::from_string(DbBackend::Postgres, sql)
        })
        .await?;
        cursor_of(rows.first().ok_or_else(no_answer)?)
    }

    /// Reads how far each of `scopes` has come, in the history `of` if one is named: another one answers for nobody.
    pub(in crate::store) async fn heads_in(
        &self,
        scopes: &[Scope],
        of: Option<Lineage>,
    ) -> Result<Vec<(Scope, Position)>, Error> {
        if self.reader.get_database_backend() != DbBackend::Postgres {
            return Ok(changelog::head_positions(&self.reader.within(POLL), scopes).await?);
        }
        // One text however many there are: a statement for each number of them would be planned each time. And each is
        // found by its key: for a thousand of a hundred thousand, the planner would rather read them all.
        let keys: Vec<String> = scopes.iter().map(|scope| scope_key(*scope).to_string()).collect();
        let rows = naming_history(&self.reader.within(POLL), of.is_some(), |here| {
            let sql = format!(
                "with here as (select {here}) select here.*, h.scope, h.revision, h.tag from here left join \
                 (select h.* from unnest(string_to_array($1, ',')::uuid[]) as k (scope) cross join lateral \
                 (select scope, revision, tag from heads where heads.scope = k.scope limit 1) h) h on true"
            );
            let values: [Value; 1] = [keys.join(",").into()];
            Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
        })
        .await?;
        let first = rows.first().ok_or_else(no_answer)?;
        must_be_primary(first)?;
        if of.is_some() && lineage(first)? != of {
            return Err(unavailable("another database than a moment ago"));
        }
        let mut heads = Vec::with_capacity(scopes.len());
        for row in &rows {
            heads.extend(named(row)?);
        }
        Ok(heads)
    }

    /// Reads the tag of one commit.
    pub(in crate::store) async fn tag_of(&self, scope: Scope, revision: Revision) -> Result<Option<Tag>, Error> {
        if self.reader.get_database_backend() != DbBackend::Postgres {
            return Ok(changelog::tag(&self.reader, scope, revision).await?);
        }
        let sql = format!("select {HERE}, (select tag from commits where scope = $1 and revision = $2) as tag");
        let values: [Value; 2] = [scope_key(scope).into(), revision.0.cast_signed().into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let row = self.reader.query_one_raw(statement).await?.ok_or_else(no_answer)?;
        must_be_primary(&row)?;
        Ok(row.try_get::<Option<i64>>("", "tag")?.map(|tag| Tag(tag.cast_unsigned())))
    }
}

/// Runs a statement of PostgreSQL that says which history answers, if it is asked and the server lets it.
async fn naming_history(
    reader: &Pool,
    is_asked: bool,
    statement: impl Fn(&str) -> Statement,
) -> Result<Vec<QueryResult>, DbErr> {
    if is_asked {
        match reader.query_all_raw(statement(&format!("{HERE}, {LINEAGE}"))).await {
            Err(error) if is_withheld(&error) => {}
            answered => return answered,
        }
    }
    reader.query_all_raw(statement(&format!("{HERE}, null::bigint as cluster"))).await
}

/// Ensures that the database takes writes: a standby may lag, and proves nothing current.
pub(in crate::store) async fn must_take_writes(db: &impl ConnectionTrait) -> Result<(), Error> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, format!("select {HERE}"))).await?;
    must_be_primary(&row.ok_or_else(no_answer)?)
}

pub(in crate::store) fn must_be_primary(row: &QueryResult) -> Result<(), Error> {
    if row.try_get("", "is_standby")? { Err(unavailable("a standby proves nothing current")) } else { Ok(()) }
}

fn cursor_of(row: &QueryResult) -> Result<Cursor, Error> {
    must_be_primary(row)?;
    let xmin: String = row.try_get("", "xmin")?;
    Ok(Cursor { lineage: lineage(row)?, position: xmin.parse().map_err(Error::internal)? })
}

/// Reads which history answered; nothing where it was not asked, or not told.
fn lineage(row: &QueryResult) -> Result<Option<Lineage>, Error> {
    let Some(cluster) = row.try_get::<Option<i64>>("", "cluster")? else { return Ok(None) };
    let database: i64 = row.try_get("", "database")?;
    let timeline: String = row.try_get("", "timeline")?;
    let timeline = u32::from_str_radix(&timeline, 16).map_err(Error::internal)?;
    let number = u128::from(cluster.cast_unsigned()) << 64 | u128::from(database.cast_unsigned()) << 32;
    Ok(Some(Lineage(number | u128::from(timeline))))
}

fn lineage_of_tag(tag: i64) -> Lineage {
    Lineage(u128::from(tag.cast_unsigned()))
}

fn epoch(row: &QueryResult) -> Result<Option<u32>, DbErr> {
    let epoch: Option<i64> = row.try_get("", "epoch")?;
    Ok(epoch.map(|epoch| u32::try_from(epoch).unwrap_or(u32::MAX)))
}

/// Reads which scope a row names, if it names one, and how far that has come.
fn named(row: &QueryResult) -> Result<Option<(Scope, Position)>, DbErr> {
    let Some(scope) = row.try_get::<Option<Uuid>>("", "scope")? else { return Ok(None) };
    let revision: i64 = row.try_get("", "revision")?;
    let tag: i64 = row.try_get("", "tag")?;
    let position = Position { revision: Revision(revision.cast_unsigned()), tag: Tag(tag.cast_unsigned()) };
    Ok(Some((scope_of(scope), position)))
}

/// Returns whether a server does not tell which history it has: the function is not this role's to call, or there is
/// none.
fn is_withheld(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return false;
    };
    let SqlxError::Database(error) = error.as_ref() else { return false };
    // insufficient_privilege, undefined_function, undefined_table, undefined_column, feature_not_supported
    matches!(error.code().as_deref(), Some("42501" | "42883" | "42P01" | "42703" | "0A000"))
}

fn no_answer() -> Error {
    Error::internal("a statement without an answer")
}
