//! The schema: brought up to date by one process at a time, and refused if a newer binary wrote it.

use migrations::Migrator;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use sea_orm_migration::MigratorTrait;

use super::connect::OpenError;

/// Key of the advisory lock under which PostgreSQL migrates: the bytes of "guildhal".
const MIGRATION_LOCK: i64 = 0x6775_696c_6468_616c;

/// Counts what tells that a schema of ours is there, on SQLite.
pub(in crate::store) const SCHEMA_TABLES_IN_SQLITE: &str =
    "select count(*) as n from sqlite_master where type = 'table' and name = 'seaql_migrations'";

/// Brings the schema up to date, one process at a time.
pub(in crate::store) async fn migrate(db: &DatabaseConnection) -> Result<(), OpenError> {
    refuse_newer(db).await?;
    if Migrator::get_pending_migrations_read_only(db).await.map_err(OpenError::Migration)?.is_empty() {
        return Ok(());
    }
    if db.get_database_backend() == DbBackend::Sqlite {
        // The file is locked.
        return Migrator::up(db, None).await.map_err(OpenError::Migration);
    }

    // The transaction holds the lock on a connection of its own, while the migrations run on another.
    let guard = db.begin().await.map_err(OpenError::Migration)?;
    let lock = format!("select pg_advisory_xact_lock({MIGRATION_LOCK})");
    guard.execute_unprepared(&lock).await.map_err(OpenError::Migration)?;
    let migrated = match refuse_newer(db).await {
        Ok(()) => Migrator::up(db, None).await.map_err(OpenError::Migration),
        newer => newer,
    };
    guard.rollback().await.map_err(OpenError::Migration)?;
    migrated
}

/// Refuses a file with tables of another program: nothing of ours was ever in it.
async fn refuse_foreign(db: &DatabaseConnection) -> Result<(), OpenError> {
    if db.get_database_backend() != DbBackend::Sqlite {
        return Ok(());
    }
    let others = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' limit 1";
    let row =
        db.query_one_raw(Statement::from_string(DbBackend::Sqlite, others)).await.map_err(OpenError::Unreadable)?;
    match row {
        Some(_) => Err(OpenError::Foreign),
        None => Ok(()),
    }
}

/// Refuses a schema that holds a migration which this binary does not know.
async fn refuse_newer(db: &DatabaseConnection) -> Result<(), OpenError> {
    let backend = db.get_database_backend();
    let tables = match backend {
        DbBackend::Postgres => {
            "select count(*) as n from information_schema.tables \
             where table_schema = current_schema() and table_name = 'seaql_migrations'"
        }
        _ => SCHEMA_TABLES_IN_SQLITE,
    };
    let row = db.query_one_raw(Statement::from_string(backend, tables)).await.map_err(OpenError::Unreadable)?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get("", "n")).map_err(OpenError::Unreadable)?;
    if count == 0 {
        return refuse_foreign(db).await;
    }

    let known: Vec<String> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    let applied = Statement::from_string(backend, "select version from seaql_migrations order by version");
    for row in db.query_all_raw(applied).await.map_err(OpenError::Unreadable)? {
        let version: String = row.try_get("", "version").map_err(OpenError::Unreadable)?;
        if !known.contains(&version) {
            return Err(OpenError::Newer(version));
        }
    }
    Ok(())
}
