//! What the database says, told as the one error type. Its text goes to the log alone.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, SqlxError, UpdateResult};

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

/// What a statement that failed has left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// Nothing: the database refused it, or it was never sent.
    Refused,
    /// The answer was lost, or does not settle it: it may have happened, now or later.
    Unknown,
}

/// Returns what a COMMIT, or a statement that commits by itself, has left behind when it failed.
pub(super) fn ending_of(error: &DbErr) -> Ending {
    let Some(error) = driver_error(error) else { return Ending::Refused };
    match error {
        SqlxError::Database(error) => match error.code().as_deref() {
            // The server ended the session: a COMMIT that waits for a standby has happened by then. 25P03, which ends it
            // before a COMMIT, is not among these.
            Some(code) if code.len() == 5 => {
                let is_lost = code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "57P05");
                if is_lost { Ending::Unknown } else { Ending::Refused }
            }
            // SQLITE_IOERR: the commit may stand whole in the write-ahead log, where the next start finds it.
            Some(code) if code.parse().is_ok_and(|code: i32| code & 0xff == 10) => Ending::Unknown,
            _ => Ending::Refused,
        },
        SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::Protocol(_) | SqlxError::WorkerCrashed => Ending::Unknown,
        // Among them PoolTimedOut and PoolClosed: it was never sent.
        _ => Ending::Refused,
    }
}

/// Makes the error of a statement that commits by itself.
pub(super) fn of_autocommit(error: DbErr) -> Error {
    match ending_of(&error) {
        Ending::Refused => error.into(),
        Ending::Unknown => commit_unknown(error),
    }
}

/// Makes the error of a commit of which nobody knows whether it happened.
pub(super) fn commit_unknown(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message = "the database did not answer whether it committed: repeat the call with the same request_id";
    Error::new(Reason::CommitUnknown, message).with_source(source).retry_after(Duration::from_secs(1))
}

/// Returns whether the database answered, if only with a refusal.
pub(super) fn is_answer<T>(result: &Result<T, DbErr>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => !matches!(
            driver_error(error),
            None | Some(
                SqlxError::Io(_)
                    | SqlxError::Tls(_)
                    | SqlxError::Protocol(_)
                    | SqlxError::PoolTimedOut
                    | SqlxError::PoolClosed
                    | SqlxError::WorkerCrashed
            )
        ),
    }
}

fn driver_error(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error.as_ref()),
        _ => None,
    }
}

fn classify(error: &DbErr) -> Class {
    // Whatever is wrong with a connection that does not come about: a login that is refused, a database that is gone.
    if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
        return Class::Away;
    }
    let Some(error) = driver_error(error) else { return Class::Bug };
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed
        | SqlxError::BeginFailed => Class::Away,
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
        // connection_exception, invalid_authorization_specification, insufficient_resources; and invalid_catalog_name and
        // insufficient_privilege, as a connection is refused with which a statement begins
        code if ["08", "28", "53", "3D000", "42501"].iter().any(|class| code.starts_with(class)) => Class::Away,
        _ => Class::Bug,
    }
}

/// <https://www.sqlite.org/rescode.html>; the low byte is the primary code.
fn of_sqlite(code: i32) -> Class {
    match code & 0xff {
        // SQLITE_BUSY, SQLITE_LOCKED
        5 | 6 => Class::Conflict,
        // SQLITE_NOMEM, SQLITE_READONLY, SQLITE_INTERRUPT, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
        7..=10 | 13 | 14 => Class::Away,
        _ => Class::Bug,
    }
}
/// Ensures that an update found the one row that it was for: a fact of a change that no row has would lead the index astray.
///
/// # Errors
/// INTERNAL; the transaction is rolled back.
pub(super) fn one_row(updated: &UpdateResult) -> Result<(), Error> {
    match updated.rows_affected {
        1 => Ok(()),
        rows => Err(Error::internal(format!("an update of one row found {rows}"))),
    }
}
