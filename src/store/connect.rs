//! Opening the database: the pools, and the lock of the data directory.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

use super::Store;
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
                // A migration may take longer than any call waits.
                let patient = connect_postgres(settings, None).await.map_err(OpenError::Unreachable)?;
                let migrated = migrate(&patient).await;
                patient.close().await.map_err(OpenError::Unreachable)?;
                migrated?;
                let pool = connect_postgres(settings, Some(settings.patience)).await;
                let pool = pool.map_err(OpenError::Unreachable)?;
                (pool.clone(), pool, None)
            }
            Some(("sqlite", path)) => {
                let lock = lock_file(Path::new(path))?;
                let writer = connect_sqlite(settings, path, false).await.map_err(OpenError::Unreadable)?;
                migrate(&writer).await?;
                let reader = connect_sqlite(settings, path, true).await.map_err(OpenError::Unreadable)?;
                (writer, reader, Some(Arc::new(lock)))
            }
            _ => return Err(OpenError::UrlUnknown),
        };
        Ok(Self { writer, reader, queue: Queue::new(settings.waiting_writers_max), world, _lock: lock })
    }
}

/// What every connection to PostgreSQL begins with: how long the locks are kept of a process that stopped in the middle of a
/// transaction, in milliseconds, and how transactions are, whatever the database's own defaults.
const POSTGRES_SETTINGS: [(&str, &str); 3] = [
    ("idle_in_transaction_session_timeout", "30000"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
];
/// After how long without use a connection is asked for a sign of life before it is used again. Asking each time would be
/// one more round trip for every statement outside a transaction.
const IDLE_UNTESTED: Duration = Duration::from_secs(1);

async fn connect_postgres(
    settings: &Settings,
    statement_timeout: Option<Duration>,
) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(settings.url.as_str());
    options
        .max_connections(settings.connections_max)
        .acquire_timeout(settings.patience)
        .connect_timeout(settings.patience)
        .test_before_acquire_if_idle_for(IDLE_UNTESTED)
        .set_application_name("guildhall")
        .record_stmt_in_spans(false)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|options| options.options(POSTGRES_SETTINGS));
    if let Some(timeout) = statement_timeout {
        options.statement_timeout(timeout);
    }
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
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(refuse)?;
    }
    // Made here, so that nobody else may read it; what SQLite puts beside it takes the same mode.
    OpenOptions::new().create(true).append(true).mode(0o600).open(database).map_err(refuse)?;
    let path = database.with_added_extension("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(database.to_owned())),
        Err(TryLockError::Error(source)) => Err(refuse(source)),
    }
}
