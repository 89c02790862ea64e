//! Opening the database: the pools, and the lock of the data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{ConnectOptions as _, Connection, SqliteConnection};
use sea_orm::{ConnectOptions, DbErr, SqlxError};
use secrecy::{ExposeSecret, SecretString};

use super::embedded::{Beginning, Embedded};
use super::location::Location;
use super::pool::{Bound, Pool};
use super::schema::migrate;
use crate::clock::Env;
use crate::domain::catalog::Catalogs;
use crate::store::Store;
use crate::store::write_queue::Queue;

/// Where the database is, and how much of it may be used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://…`, or `sqlite://path/to/file`. It may hold a password.
    pub url: SecretString,
    /// Where an embedded database may be a new one.
    pub beginning: Beginning,
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
    /// The URL is of a database that is known, and cannot be read. What it says is not told: it may hold a password.
    #[error("the database URL cannot be read, and is not shown since it may hold a password: {0}")]
    UrlMalformed(&'static str),
    /// There was an installation, and its database is gone.
    #[error(
        "there is no database at {}, and there is what an installation leaves beside it: its key, or a log of SQLite. \
         Restore the database from its backup. To begin a new installation instead, move what is left away; a key of \
         your own choice is named with --installation-key-file", .0.display()
    )]
    Lost(PathBuf),
    /// There was an installation, and its database was emptied.
    #[error(
        "the database {} is empty, and there is the key of an installation: restore the database from its backup. To \
         begin a new installation instead, move the empty file and the key away", .0.display()
    )]
    Empty(PathBuf),
    /// Something else stands where the database should be.
    #[error("{} is not a file", .0.display())]
    NoFile(PathBuf),
    /// Another server uses the same file.
    #[error("another guildhall uses {}: stop it first, or choose another data directory", .0.display())]
    InUse(PathBuf),
    /// The file or its directory cannot be used.
    #[error("the database {}: {source}", .path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    /// Nobody listens where the database should be.
    #[error("the database cannot be reached: {database}: connection refused, so nothing listens there: is it running?")]
    Refused { database: String },
    /// The database cannot be reached.
    #[error("the database cannot be reached: {database}: {source}")]
    Unreachable { database: String, source: DbErr },
    /// The file is no database, or is damaged.
    #[error("the database cannot be read, is it damaged? {0}")]
    Unreadable(#[source] DbErr),
    /// It has tables, and none of them is ours.
    #[error("the file is the database of another program")]
    Foreign,
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
    /// Returns where the database is. Nothing is asked of it.
    ///
    /// # Errors
    /// - [`OpenError::UrlUnknown`], [`OpenError::UrlMalformed`].
    pub fn location(&self) -> Result<Location, OpenError> {
        Location::parse(self.url.expose_secret())
    }
}

impl Store {
    /// Opens the database and brings its schema up to date; makes the SQLite file if it is absent.
    /// The catalogs that its rows name are learned into `catalogs`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &Settings, env: Env, catalogs: Catalogs) -> Result<Self, OpenError> {
        let location = settings.location()?;
        let (writer, reader, lock) = match &location {
            Location::Postgres(server) => {
                let pool = open_postgres(settings, &location, server).await?;
                (pool.clone(), pool, None)
            }
            Location::Sqlite(path) => {
                let Embedded { path, lock } = Embedded::prepare(path, settings.beginning).await?;
                let writer = open_sqlite(settings, &path, false).await.map_err(OpenError::Unreadable)?;
                if let Err(error) = migrate(&writer.driver()).await {
                    // Or SQLite's log would stay behind.
                    writer.close().await;
                    return Err(error);
                }
                let reader = open_sqlite(settings, &path, true).await.map_err(OpenError::Unreadable)?;
                (writer, reader, Some(Arc::new(lock)))
            }
        };
        let in_transaction = settings.bound_in_transaction();
        let queue = Queue::new(settings.write_wait, env.clone());
        Ok(Self { writer, reader, in_transaction, queue, env, catalogs, _lock: lock })
    }
}

/// What every connection to PostgreSQL begins with, whatever the database's own defaults: how transactions are, and when the
/// server gives up a client that is gone, in milliseconds, so that the locks of its transaction are free again.
const POSTGRES_SETTINGS: [(&str, &str); 6] = [
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("tcp_user_timeout", "5000"),
    // In seconds, but for the count: for a server that waits in the middle of a statement for a client that is gone.
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "3"),
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

fn postgres_options(settings: &Settings, server: PgConnectOptions) -> ConnectOptions {
    // The ORM writes the URL that it is given into its spans, password and all: it is given none.
    let mut options = ConnectOptions::new("postgres://");
    let server = server.application_name("guildhall").options(POSTGRES_SETTINGS).disable_statement_logging();
    options
        .max_connections(settings.connections_max)
        .acquire_timeout(settings.patience)
        .connect_timeout(settings.patience)
        .test_before_acquire_if_idle_for(IDLE_UNTESTED)
        .record_stmt_in_spans(false)
        .map_sqlx_postgres_opts(move |_| server.clone())
        .map_sqlx_postgres_pool_opts(|options| {
            options.after_release(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        });
    options
}

async fn open_postgres(settings: &Settings, location: &Location, server: &PgConnectOptions) -> Result<Pool, OpenError> {
    let options = postgres_options(settings, server.clone().options([IDLE_WHILE_MIGRATING]));
    let patient = match Pool::open(options, settings.bound()).await {
        Ok(patient) => patient,
        Err(error) => return Err(location.unreachable(error).await),
    };
    let migrated = tokio::time::timeout(MIGRATING_MAX, migrate(&patient.driver())).await;
    patient.close().await;
    migrated.map_err(|_| OpenError::MigrationTooLong(MIGRATING_MAX))??;
    let statement_timeout = ("statement_timeout", settings.patience.as_millis().to_string());
    let server = server.clone().options([IDLE_IN_TRANSACTION]).options([statement_timeout]);
    match Pool::open(postgres_options(settings, server), settings.bound()).await {
        Ok(pool) => Ok(pool),
        Err(error) => Err(location.unreachable(error).await),
    }
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
