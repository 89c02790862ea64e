//! A look at one organization that stands still while it is read.

use sea_orm::{AccessMode, ConnectionTrait, DbBackend, IsolationLevel, TransactionOptions};

use super::polling::must_take_writes;
use crate::changelog;
use crate::domain::catalog::Catalogs;
use crate::domain::error::Error;
use crate::domain::fact::Scope;
use crate::domain::id::OrganizationId;
use crate::domain::revision::Position;
use crate::store::database::pool::{Bound, Executor, Transaction};
use crate::store::{Reads, Store};

/// One organization and the installation as they were at one moment. [`end`](Self::end) it, and do not drop it while it
/// is being read: run it where no caller's hanging up drops it.
pub struct Snapshot {
    db: Transaction,
    catalogs: Catalogs,
    /// How far the organization's log had come.
    pub organization: Position,
    /// How far the installation's log had come.
    pub installation: Position,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("organization", &self.organization).finish_non_exhaustive()
    }
}

impl Store {
    /// Takes a snapshot that everything committed before this call is in. That there is such an organization is not ensured
    /// here: who reads asks for the actor next, for whom one that is not there is as one that they do not see.
    ///
    /// # Errors
    /// - [`DatabaseUnavailable`](crate::domain::error::Reason::DatabaseUnavailable), on a standby too: it may lag.
    pub async fn snapshot(&self, organization: OrganizationId) -> Result<Snapshot, Error> {
        let db = self.begin_still(self.in_transaction).await?;
        match heads(&db, organization).await {
            Ok((organization, installation)) => {
                Ok(Snapshot { db, catalogs: self.catalogs.clone(), organization, installation })
            }
            Err(error) => {
                // What went wrong first is what is told.
                let _ = db.rollback().await;
                Err(error)
            }
        }
    }

    /// Begins a transaction whose first statement fixes what all of them read; each is waited for within `bound`.
    pub(in crate::store) async fn begin_still(&self, bound: Bound) -> Result<Transaction, Error> {
        // SQLite's read transactions are snapshots by themselves.
        let is_postgres = self.reader.get_database_backend() == DbBackend::Postgres;
        let options = TransactionOptions {
            isolation_level: is_postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: is_postgres.then_some(AccessMode::ReadOnly),
            sqlite_transaction_mode: None,
        };
        Ok(self.reader.begin(options, bound).await?)
    }
}

/// Reads the heads before anything else.
async fn heads(db: &Transaction, organization: OrganizationId) -> Result<(Position, Position), Error> {
    must_take_writes(db).await?;
    let position = changelog::head(db, Scope::Organization(organization)).await?;
    let installation = changelog::head(db, Scope::Installation).await?;
    Ok((position.unwrap_or_default(), installation.unwrap_or_default()))
}

impl Snapshot {
    /// Reads inside the snapshot.
    #[must_use]
    pub fn reads(&self) -> Reads<'_> {
        Reads { db: Executor::Transaction(&self.db), catalogs: &self.catalogs }
    }

    /// Lets it go.
    pub async fn end(self) -> Result<(), Error> {
        Ok(self.db.rollback().await?)
    }
}
