//! Opening the database: the pools, and the lock of the data directory.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::{Connection, SqliteConnection};
use sea_orm::{ConnectOptions, DbErr, SqlxError};

use super::Store;
use super::lock::{self, FileLock};
use super::pool::{Bound, Pool};
use super::queue::Queue;
use super::schema::migrate;
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
    /// How long a write waits for others of its organization; beyond it `ORGANIZATION_BUSY`.
    pub write_wait: Duration,
    /// For tests that have a database fail.
    pub sqlite_hook: Option<SqliteHook>,
}

/// Runs on each connection to SQLite as it opens.
#[derive(Clone)]
pub struct SqliteHook(pub Arc<OnSqliteConnection>);

/// See [`SqliteHook`].
pub type OnSqliteConnection =
    dyn for<'c> Fn(&'c mut SqliteConnection) -> BoxFuture<'c, Result<(), SqlxError>> + Send + Sync;

impl std::fmt::Debug for SqliteHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteHook")
    }
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
    /// Migrations, or those of another process, took too long.
    #[error("the schema was not brought up to date within {0:?}: does another process migrate, or hold the lock?")]
    MigrationTooLong(Duration),
}

impl Settings {
    /// Asks that the URL is of a database that is known, before anything is made.
    ///
    /// # Errors
    /// - [`OpenError::UrlUnknown`].
    pub fn must_be_known(&self) -> Result<(), OpenError> {
        match self.url.split_once("://") {
            Some(("postgres" | "postgresql" | "sqlite", _)) => Ok(()),
            _ => Err(OpenError::UrlUnknown),
        }
    }
}

impl Store {
    /// Opens the database and brings its schema up to date; makes the SQLite file if it is absent.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &Settings, world: World) -> Result<Self, OpenError> {
        let (writer, reader, lock) = match settings.url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => {
                let pool = open_postgres(settings).await?;
                (pool.clone(), pool, None)
            }
            Some(("sqlite", path)) => {
                let (path, lock) = lock_file(Path::new(path))?;
                let writer = open_sqlite(settings, &path, false).await.map_err(OpenError::Unreadable)?;
                migrate(&writer.driver()).await?;
                let reader = open_sqlite(settings, &path, true).await.map_err(OpenError::Unreadable)?;
                (writer, reader, Some(Arc::new(lock)))
            }
            _ => return Err(OpenError::UrlUnknown),
        };
        let in_transaction = settings.bound_in_transaction();
        let queue = Queue::new(settings.write_wait, world.clone());
        Ok(Self { writer, reader, in_transaction, queue, world, _lock: lock })
    }
}

/// What every connection to PostgreSQL begins with, whatever the database's own defaults: how transactions are, and when the
/// server gives up a client that is gone, in milliseconds, so that the locks of its transaction are free again.
const POSTGRES_SETTINGS: [(&str, &str); 3] = [
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("tcp_user_timeout", "5000"),
];
/// Ends a transaction of a process that stopped in the middle of it. Between two statements of ours lies no waiting.
const IDLE_IN_TRANSACTION: (&str, &str) = ("idle_in_transaction_session_timeout", "5000");
/// The transaction that guards migrations is idle while these run.
const IDLE_WHILE_MIGRATING: (&str, &str) = ("idle_in_transaction_session_timeout", "0");
/// After how long without use a connection is asked for a sign of life before it is used again. Asking each time would be
/// one more round trip for every statement outside a transaction.
const IDLE_UNTESTED: Duration = Duration::from_secs(1);
/// How much longer a client waits for a statement than the database lets it run, so that the database's answer comes first.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);
/// How long migrations may take, the wait for another process that migrates included.
const MIGRATING_MAX: Duration = Duration::from_mins(30);

impl Settings {
    /// Returns the bound of a statement that may wait for a connection first.
    fn bound(&self) -> Bound {
        Bound { wait: self.patience * 2 + ANSWER_MARGIN, is_generous: true }
    }

    /// Returns the bound of a statement in a transaction.
    fn bound_in_transaction(&self) -> Bound {
        Bound { wait: self.patience + ANSWER_MARGIN, is_generous: true }
    }
}

fn postgres_options(settings: &Settings, idle_in_transaction: (&'static str, &'static str)) -> ConnectOptions {
    let mut options = ConnectOptions::new(settings.url.as_str());
    options
        .max_connections(settings.connections_max)
        .acquire_timeout(settings.patience)
        .connect_timeout(settings.patience)
        .test_before_acquire_if_idle_for(IDLE_UNTESTED)
        .set_application_name("guildhall")
        .record_stmt_in_spans(false)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(move |options| options.options(POSTGRES_SETTINGS).options([idle_in_transaction]))
        .map_sqlx_postgres_pool_opts(|options| {
            options.after_release(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        });
    options
}

async fn open_postgres(settings: &Settings) -> Result<Pool, OpenError> {
    let options = postgres_options(settings, IDLE_WHILE_MIGRATING);
    let patient = Pool::open(options, settings.bound()).await.map_err(OpenError::Unreachable)?;
    let migrated = tokio::time::timeout(MIGRATING_MAX, migrate(&patient.driver())).await;
    patient.close().await;
    migrated.map_err(|_| OpenError::MigrationTooLong(MIGRATING_MAX))??;
    let mut options = postgres_options(settings, IDLE_IN_TRANSACTION);
    options.statement_timeout(settings.patience);
    Pool::open(options, settings.bound()).await.map_err(OpenError::Unreachable)
}

/// Opens a pool on a SQLite file: one connection that writes, or several that cannot.
async fn open_sqlite(settings: &Settings, path: &Path, is_read_only: bool) -> Result<Pool, DbErr> {
    // The path as it is: a URL would give % and ? in it a meaning.
    let path = path.to_owned();
    let mut options = ConnectOptions::new("sqlite://");
    let hook = settings.sqlite_hook.clone();
    options
        .max_connections(if is_read_only { settings.connections_max } else { 1 })
        .acquire_timeout(settings.patience)
        .record_stmt_in_spans(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            let options = options.filename(&path).read_only(is_read_only).busy_timeout(Duration::from_secs(5));
            if is_read_only { options } else { options.pragma("journal_mode", "WAL").pragma("synchronous", "FULL") }
        })
        .map_sqlx_sqlite_pool_opts(move |options| {
            let hook = hook.clone();
            options
                .after_connect(move |connection, _| match hook.clone() {
                    Some(hook) => (hook.0)(connection),
                    None => Box::pin(async { Ok(()) }),
                })
                .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
                .after_release(|connection, _| Box::pin(must_be_out_of_transaction(connection)))
        });
    Pool::open(options, settings.bound()).await
}

/// Returns whether a connection may be used again. After a COMMIT or ROLLBACK that failed, SQLite and the driver disagree on
/// whether a transaction is open, and what is written then is never committed.
async fn must_be_out_of_transaction(connection: &mut SqliteConnection) -> Result<bool, SqlxError> {
    // Behind a rollback that is under way.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Makes the file's directory and the file where they are absent, takes the locks, and returns the file's real path.
fn lock_file(path: &Path) -> Result<(PathBuf, FileLock), OpenError> {
    let refuse = |source| OpenError::Directory { path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(refuse)?;
    }
    let path = lock::real_path(path)?;
    let lock = FileLock::take(&path)?;
    Ok((path, lock))
}
