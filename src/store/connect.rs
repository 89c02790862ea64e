//! Opening the database: pools, the lock of the data directory, and the schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use migrations::Migrator;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement};
use sea_orm_migration::MigratorTrait;

use super::Store;
use super::queue::Queue;
use crate::clock::World;

/// Where the database is, and how much of it may be used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://…`, or `sqlite://path/to/file`.
    pub url: String,
    /// Most connections of the pool (PostgreSQL), or of the read-only pool (SQLite).
    pub connections_max: u32,
    /// How long a statement may run, and how long a call waits for a connection.
    pub patience: Duration,
    /// Most writes that wait for one organization; above it `ORGANIZATION_BUSY`.
    pub waiting_writers_max: usize,
}

/// Why the database was not opened. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no database that is known.
    #[error("the database URL must begin with postgres:// or sqlite://")]
    UrlUnknown,
    /// Another server uses the same file.
    #[error("another guildhall uses {0}: stop it first, or choose another data directory")]
    InUse(PathBuf),
    /// The directory of the file cannot be used.
    #[error("the data directory {path}: {source}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be reached.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] DbErr),
    /// The file is no database, or is damaged.
    #[error("the database cannot be read, is it damaged? {0}")]
    Unreadable(#[source] DbErr),
    /// A newer guildhall has written the schema.
    #[error("the database was written by a newer guildhall: it knows the migration {0}, this one does not")]
    Newer(String),
    /// A migration failed; it was rolled back.
    #[error("the schema cannot be brought up to date: {0}")]
    Migration(#[source] DbErr),
}

impl Store {
    /// Opens the database and brings its schema up to date; makes the SQLite file if it is absent.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &Settings, world: World) -> Result<Self, OpenError> {
        let (writer, reader, lock) = match settings.url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => {
                let pool = connect_postgres(settings).await.map_err(OpenError::Unreachable)?;
                (pool.clone(), pool, None)
            }
            Some(("sqlite", path)) => {
                let lock = lock_file(Path::new(path))?;
                let writer = connect_sqlite(settings, path, false).await.map_err(OpenError::Unreadable)?;
                (writer.clone(), writer, Some(Arc::new(lock)))
            }
            _ => return Err(OpenError::UrlUnknown),
        };
        migrate(&writer).await?;
        let reader = match settings.url.strip_prefix("sqlite://") {
            Some(path) => connect_sqlite(settings, path, true).await.map_err(OpenError::Unreadable)?,
            None => reader,
        };
        Ok(Self { writer, reader, queue: Queue::new(settings.waiting_writers_max), world, _lock: lock })
    }
}

async fn connect_postgres(settings: &Settings) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(settings.url.as_str());
    options
        .max_connections(settings.connections_max)
        .acquire_timeout(settings.patience)
        .connect_timeout(settings.patience)
        .statement_timeout(settings.patience)
        .set_application_name("guildhall")
        .record_stmt_in_spans(false)
        .sqlx_logging(false);
    Database::connect(options).await
}

/// Opens a pool on a SQLite file: one connection that writes, or several that cannot.
async fn connect_sqlite(settings: &Settings, path: &str, is_read_only: bool) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(format!("sqlite://{path}?mode={}", if is_read_only { "ro" } else { "rwc" }));
    options
        .max_connections(if is_read_only { settings.connections_max } else { 1 })
        .acquire_timeout(settings.patience)
        .record_stmt_in_spans(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            let options = options.busy_timeout(Duration::from_secs(5));
            if is_read_only { options } else { options.pragma("journal_mode", "WAL").pragma("synchronous", "FULL") }
        });
    Database::connect(options).await
}

/// Takes the lock that refuses a second server on the same file; it goes with the process, however that ends.
fn lock_file(database: &Path) -> Result<File, OpenError> {
    let refuse = |source| OpenError::Directory { path: database.to_owned(), source };
    if let Some(directory) = database.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(refuse)?;
    }
    let path = database.with_added_extension("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(database.to_owned())),
        Err(TryLockError::Error(source)) => Err(refuse(source)),
    }
}

/// Key of the advisory lock under which PostgreSQL migrates: the bytes of "guildhal".
const MIGRATION_LOCK: i64 = 0x6775_696c_6468_616c;

/// Brings the schema up to date, one process at a time.
async fn migrate(db: &DatabaseConnection) -> Result<(), OpenError> {
    refuse_newer(db).await?;
    if Migrator::get_pending_migrations_read_only(db).await.map_err(OpenError::Migration)?.is_empty() {
        return Ok(());
    }
    if db.get_database_backend() == DbBackend::Sqlite {
        // The lock file is held.
        return Migrator::up(db, None).await.map_err(OpenError::Migration);
    }

    // The transaction holds the lock on a connection of its own, while the migrations run on another.
    let guard = sea_orm::TransactionTrait::begin(db).await.map_err(OpenError::Unreachable)?;
    let lock = format!("select pg_advisory_xact_lock({MIGRATION_LOCK})");
    guard.execute_unprepared(&lock).await.map_err(OpenError::Migration)?;
    let migrated = match refuse_newer(db).await {
        Ok(()) => Migrator::up(db, None).await.map_err(OpenError::Migration),
        newer => newer,
    };
    guard.rollback().await.map_err(OpenError::Unreachable)?;
    migrated
}

/// Refuses a schema that holds a migration which this binary does not know.
async fn refuse_newer(db: &DatabaseConnection) -> Result<(), OpenError> {
    let backend = db.get_database_backend();
    let tables = match backend {
        DbBackend::Postgres => {
            "select count(*) as n from information_schema.tables \
             where table_schema = current_schema() and table_name = 'seaql_migrations'"
        }
        _ => "select count(*) as n from sqlite_master where type = 'table' and name = 'seaql_migrations'",
    };
    let row = db.query_one_raw(Statement::from_string(backend, tables)).await.map_err(OpenError::Unreadable)?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get("", "n")).map_err(OpenError::Unreadable)?;
    if count == 0 {
        return Ok(());
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
