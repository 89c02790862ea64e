//! What the database says, told as the one error type. Its text goes to the log alone.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, SqlxError};

use crate::domain::error::{Error, Reason};

/// What a caller can do about a database error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// Another transaction was in the way: trying again helps at once.
    Conflict,
    /// The database does not answer: trying again helps later.
    Away,
    /// A bug.
    Bug,
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match classify(&error) {
            Class::Conflict => {
                Self::new(Reason::ConcurrentUpdate, "another call changed the same thing").with_source(error)
            }
            Class::Away => unavailable(error),
            Class::Bug => Self::internal(error),
        }
    }
}

/// Makes the error of a database that does not answer.
pub(super) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Reason::DatabaseUnavailable, "the database does not answer")
        .with_source(source)
        .retry_after(Duration::from_secs(1))
}

/// Says whether the connection went away, so that what became of a COMMIT is not known.
pub(super) fn is_connection_lost(error: &DbErr) -> bool {
    classify(error) == Class::Away
}

fn classify(error: &DbErr) -> Class {
    let runtime = match error {
        DbErr::ConnectionAcquire(_) => return Class::Away,
        DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
        _ => return Class::Bug,
    };
    let RuntimeErr::SqlxError(error) = runtime else { return Class::Bug };
    match error.as_ref() {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => Class::Away,
        SqlxError::Database(error) => {
            let is_unique = error.is_unique_violation();
            match error.code().as_deref() {
                // A unique key that was free under our lock is taken by another organization's writer.
                _ if is_unique => Class::Conflict,
                Some(code) if code.len() == 5 => of_sqlstate(code),
                Some(code) => code.parse().map_or(Class::Bug, of_sqlite),
                None => Class::Bug,
            }
        }
        _ => Class::Bug,
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_sqlstate(code: &str) -> Class {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Class::Conflict,
        // read_only_sql_transaction, query_canceled, idle_in_transaction_session_timeout, cannot_connect_now and its kind
        "25006" | "57014" | "25P03" | "57P01" | "57P02" | "57P03" => Class::Away,
        code if code.starts_with("08") || code.starts_with("53") => Class::Away,
        _ => Class::Bug,
    }
}

/// <https://www.sqlite.org/rescode.html>; the low byte is the primary code.
fn of_sqlite(code: i32) -> Class {
    match code & 0xff {
        // SQLITE_BUSY, SQLITE_LOCKED
        5 | 6 => Class::Conflict,
        // SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
        10 | 13 | 14 => Class::Away,
        _ => Class::Bug,
    }
}
