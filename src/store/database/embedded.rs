//! The embedded database's file, before its pools are opened: looked at, made, locked, its modes put right.
//!
//! A new database is made whole under another name and then given its own. So the file is never found without a schema,
//! unless it was emptied: by a disk that was full, by a restore that broke off, by `touch`.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions as _, Connection};
use sea_orm::{ConnectOptions, Database, DbErr, RuntimeErr, SqlxError};

use super::connect::OpenError;
use super::lock::{self, Beside, FileLock};
use super::schema::{SCHEMA_TABLES_IN_SQLITE, migrate};
use crate::private;

/// Where a new installation may begin. A key is made after its database, so a key without one is what is left of an
/// installation, unless it was given on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// In a file that is absent or empty: there is no key.
    Anywhere,
    /// Where there is no file: a key was given.
    NoFile,
    /// Nowhere: there is the key that an earlier first start has made.
    Nowhere,
}

/// The file, locked, with a schema in it or about to have one.
#[derive(Debug)]
pub(in crate::store) struct Embedded {
    /// Its real path.
    pub path: PathBuf,
    /// To be kept for as long as a connection is open.
    pub lock: FileLock,
}

/// What SQLite puts beside a database, by what it adds to the name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

impl Embedded {
    /// Prepares the database at `path`: finds it, or makes it with its schema.
    ///
    /// # Errors
    /// - [`OpenError::Lost`] and [`OpenError::Empty`] where a new installation must not begin; nothing was made then.
    /// - [`OpenError::InUse`] if another server has it.
    /// - [`OpenError::Unreadable`] if what is there is no database.
    pub async fn prepare(path: &Path, beginning: Beginning) -> Result<Self, OpenError> {
        look(path, beginning)?;
        let refuse = |source| OpenError::Directory { path: path.to_owned(), source };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            private::make_directory(directory).map_err(refuse)?;
        }
        let path = lock::real_path(path)?;
        let beside = Beside::take(&path)?;

        // Another start may have been here since.
        if look(&path, beginning)?.is_none() {
            make(&path).await?;
        }
        let lock = beside.and_itself(&path)?;
        for companion in ["", ".lock"].iter().chain(&COMPANIONS) {
            private::restrict(&beside_of(&path, companion)).map_err(refuse)?;
        }
        if beginning != Beginning::Anywhere && !has_schema(&path).await? {
            return Err(OpenError::Empty(path));
        }
        Ok(Self { path, lock })
    }
}

/// Looks at the file without opening it; refuses where a new installation would begin that must not.
fn look(path: &Path, beginning: Beginning) -> Result<Option<Metadata>, OpenError> {
    let refuse = |source| OpenError::Directory { path: path.to_owned(), source };
    let found = match path.metadata() {
        // A link that leads nowhere is found, and refused with its path.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => None,
        found => Some(found.map_err(refuse)?),
    };
    match &found {
        None if beginning == Beginning::Nowhere => Err(OpenError::Lost(path.to_owned())),
        // SQLite would play the log of the database that was here into the new one.
        None if COMPANIONS.iter().any(|companion| beside_of(path, companion).exists()) => {
            Err(OpenError::Lost(path.to_owned()))
        }
        Some(file) if !file.is_file() => Err(OpenError::NoFile(path.to_owned())),
        Some(file) if file.len() == 0 && beginning != Beginning::Anywhere => Err(OpenError::Empty(path.to_owned())),
        _ => Ok(found),
    }
}

/// Makes a database with the schema. Whenever it is cut off, there is all of it or none.
async fn make(path: &Path) -> Result<(), OpenError> {
    let refuse = |source| OpenError::Directory { path: path.to_owned(), source };
    let unfinished = path.with_added_extension("unfinished");
    for companion in [""].iter().chain(&COMPANIONS) {
        match std::fs::remove_file(beside_of(&unfinished, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refuse(error)),
            _ => {}
        }
    }
    private::make(&unfinished).map_err(refuse)?;

    let filename = unfinished.clone();
    let mut options = ConnectOptions::new("sqlite://");
    options.max_connections(1).record_stmt_in_spans(false).sqlx_logging(false);
    // It is synced once, when it is whole.
    options.map_sqlx_sqlite_opts(move |options| {
        options.filename(&filename).journal_mode(SqliteJournalMode::Memory).synchronous(SqliteSynchronous::Off)
    });
    let db = Database::connect(options).await.map_err(OpenError::Unreadable)?;
    let migrated = migrate(&db).await;
    db.close().await.map_err(OpenError::Unreadable)?;
    migrated?;

    let synced = private::open(&unfinished).and_then(|file| file.sync_all());
    synced.and_then(|()| std::fs::rename(&unfinished, path)).map_err(refuse)?;
    private::sync_name(path).map_err(refuse)
}

/// Returns whether there is a schema of ours in the file. Changes nothing in it.
async fn has_schema(path: &Path) -> Result<bool, OpenError> {
    let unreadable = |error: SqlxError| OpenError::Unreadable(DbErr::Conn(RuntimeErr::SqlxError(error.into())));
    let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
    let mut db = options.connect().await.map_err(unreadable)?;
    let count = sea_orm::sqlx::query_scalar::<_, i64>(SCHEMA_TABLES_IN_SQLITE).fetch_one(&mut db).await;
    db.close().await.map_err(unreadable)?;
    Ok(count.map_err(unreadable)? > 0)
}

/// Returns the path of what SQLite puts beside a database.
fn beside_of(path: &Path, companion: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(companion);
    name.into()
}
