//! One writing transaction: the lock, the rows, the changes, the commit.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, SqliteTransactionMode, Statement, TransactionOptions, Value};
use uuid::Uuid;

use super::database::pool::{Executor, Transaction};
use super::error::{Ending, commit_unknown, ending_of, unavailable};
use super::write_queue::WritePermit;
use super::{OrgReads, Reads, Replay, Store};
use crate::changelog::{self, Author, Change, Log};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{InstallationFact, OrganizationFact, Scope};
use crate::domain::grant::cardinality::Counters;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::revision::Position;
use crate::domain::time::Timestamp;

/// What a transaction locks, first thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// An organization that exists.
    Organization(OrganizationId),
    /// An organization that this transaction makes.
    NewOrganization(OrganizationId),
    /// Nothing but the installation's log, and that just before the commit.
    Installation,
    /// The installation's log, before anything is read: for what depends on all that is held above organizations.
    InstallationAtOnce,
}

impl Lock {
    /// Returns the organization that is locked, if one is.
    #[must_use]
    pub fn organization(self) -> Option<OrganizationId> {
        match self {
            Self::Organization(id) | Self::NewOrganization(id) => Some(id),
            Self::Installation | Self::InstallationAtOnce => None,
        }
    }

    fn scope(self) -> Scope {
        match self {
            Self::Organization(id) | Self::NewOrganization(id) => Scope::Organization(id),
            Self::Installation | Self::InstallationAtOnce => Scope::Installation,
        }
    }
}

/// A writing transaction under a lock. Dropping it without a commit rolls it back.
pub struct Tx {
    pub(super) db: Transaction,
    pub(super) now: Timestamp,
    store: Store,
    author: Author,
    log: Option<Log>,
    counters: Counters,
    changes: Vec<Change<OrganizationFact>>,
    installation_changes: Vec<Change<InstallationFact>>,
    pub(super) has_delivery: bool,
    is_dry: bool,
    /// The request id whose answer is stored with the commit.
    pub(super) remembered: Option<Replay>,
    // Last: the next writer gets the permit when the transaction is over.
    _permit: WritePermit,
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("log", &self.log).finish_non_exhaustive()
    }
}

/// Where a commit has brought the logs that it wrote to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Committed {
    /// The organization's log as it stands, whether or not this commit wrote to it.
    pub organization: Option<Position>,
    /// The installation's log, if this commit wrote to it.
    pub installation: Option<Position>,
    /// Whether it has made deliveries, which wait to be carried out.
    pub has_delivery: bool,
}

/// On SQLite the write lock at once; on PostgreSQL as every connection begins.
pub(super) const WRITING: TransactionOptions = TransactionOptions {
    isolation_level: None,
    access_mode: None,
    sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
};

impl Store {
    /// Waits for the write permit, begins, and takes the lock; on `users` before that. One that is dry is never
    /// committed.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] if there is no such organization.
    /// - [`Reason::OrganizationBusy`] if the permit would not come, or did not come, in time.
    pub async fn begin(&self, lock: Lock, users: Vec<UserId>, author: Author, is_dry: bool) -> Result<Tx, Error> {
        let permit = self.queue.enter(lock.scope()).await?;
        let db = self.writer.begin(WRITING, self.in_transaction).await?;
        users_lock(&db, users).await?;

        let log = match lock {
            Lock::Installation => None,
            Lock::InstallationAtOnce => {
                changelog::head_lock(&db, lock.scope()).await?;
                None
            }
            Lock::NewOrganization(_) => {
                changelog::head_insert(&db, lock.scope()).await?;
                changelog::head_lock(&db, lock.scope()).await?
            }
            Lock::Organization(id) => {
                let log = changelog::head_lock(&db, lock.scope()).await?;
                Some(log.ok_or_else(|| Error::not_found("organization", id))?)
            }
        };
        let counters = match &log {
            Some(log) => serde_json::from_str(&log.head.counters).map_err(Error::internal)?,
            None => Counters::default(),
        };
        let now = self.env.now();
        Ok(Tx {
            db,
            now,
            store: self.clone(),
            author,
            log,
            counters,
            changes: Vec::new(),
            installation_changes: Vec::new(),
            has_delivery: false,
            is_dry,
            remembered: None,
            _permit: permit,
        })
    }

    /// Finds out what became of a COMMIT that failed with `error`.
    async fn settle(&self, error: DbErr, proof: Option<Proof>) -> Result<(), Error> {
        if ending_of(&error) == Ending::Refused {
            return Err(error.into());
        }
        let Some(proof) = proof else { return Err(commit_unknown(error)) };
        match self.is_committed(&proof).await {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(unavailable(error)),
            Ok(None) => Err(commit_unknown(error)),
            Err(lookup) => {
                tracing::warn!(cause = lookup.cause(), "what became of a commit cannot be looked up");
                Err(commit_unknown(error))
            }
        }
    }

    /// Returns whether a commit has happened, as another connection sees it; `None` while that is open.
    async fn is_committed(&self, proof: &Proof) -> Result<Option<bool>, Error> {
        if self.writer.get_database_backend() == DbBackend::Sqlite {
            // What is not there now may stand in the write-ahead log, or be under way.
            let is_there = proof.is_in(&self.reader).await?;
            return Ok(is_there.then_some(true));
        }
        let db = self.writer.begin(WRITING, self.in_transaction).await?;
        // Waits until the other transaction is over: for its lock on the head, or for the head that it inserts.
        changelog::head_await(&db, proof.scope).await?;
        let is_there = proof.is_in(&db).await?;
        db.rollback().await?;
        Ok(Some(is_there))
    }
}

/// Locks users, always in one order. SQLite has one writer at a time, which needs no such lock.
async fn users_lock(db: &Transaction, mut users: Vec<UserId>) -> Result<(), DbErr> {
    users.sort();
    users.dedup();
    if users.is_empty() || db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for user in users {
        let sql = "select id from users where id = $1 for no key update";
        let values: [Value; 1] = [user.0.into()];
        db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    }
    Ok(())
}

/// What is in the database if, and only if, a transaction was committed.
struct Proof {
    /// A log whose head that transaction locked.
    scope: Scope,
    mark: Mark,
}

enum Mark {
    Commit(Position),
    Answer(Replay),
}

impl Proof {
    async fn is_in(&self, db: &impl ConnectionTrait) -> Result<bool, Error> {
        match &self.mark {
            Mark::Commit(position) => {
                Ok(changelog::tag(db, self.scope, position.revision).await? == Some(position.tag))
            }
            Mark::Answer(replay) => replay.is_remembered(db).await,
        }
    }
}

impl Tx {
    /// Reads the locked organization inside the transaction.
    ///
    /// # Panics
    /// In a transaction on the installation, which locks no organization.
    #[must_use]
    pub fn reads(&self) -> OrgReads<'_> {
        self.above().of(self.organization())
    }

    /// Reads inside the transaction what belongs to no organization, or to another.
    #[must_use]
    pub fn above(&self) -> Reads<'_> {
        Reads { db: Executor::Transaction(&self.db), catalogs: self.store.catalogs() }
    }

    /// Tells the time of the commit.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns whether everything is done but the commit (`validate_only`).
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Keeps with the commit why it is made, in the words of who makes it.
    pub fn because(&mut self, reason: String) {
        self.author.reason = Some(reason);
    }

    /// Returns how far the organization's log had come when it was locked.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.log.as_ref().map(|log| log.head.position)
    }

    /// Returns the organization that is locked.
    ///
    /// # Panics
    /// In a transaction on the installation, which writes no organization's rows.
    pub(super) fn organization(&self) -> OrganizationId {
        match self.log.as_ref().map(|log| log.scope) {
            Some(Scope::Organization(id)) => id,
            _ => unreachable!("an organization's rows are written under its lock"),
        }
    }

    /// Returns the holders of bounded roles, to be judged and counted on.
    pub fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Locks a user to the end of the transaction, so that what they belong to is decided once. On SQLite the
    /// transaction is the lock.
    pub async fn user_lock(&self, user: UserId) -> Result<(), Error> {
        Ok(users_lock(&self.db, vec![user]).await?)
    }

    /// Returns how many more facts of the organization the commit takes.
    #[must_use]
    pub fn room(&self) -> usize {
        changelog::FACTS_MAX.saturating_sub(self.changes.len())
    }

    /// Records a change of the locked organization.
    pub(super) fn change(&mut self, change: Change<OrganizationFact>) {
        self.changes.push(change);
    }

    /// Records a change that counts in every organization.
    pub(super) fn change_installation(&mut self, fact: InstallationFact) {
        self.installation_changes.push(Change::of(fact));
    }

    /// Appends what changed to the logs and commits. Without a change nothing is appended, and no revision made.
    ///
    /// # Errors
    /// - [`Reason::ChangeTooLarge`] above 10,000 changes; nothing has happened then.
    /// - [`Reason::ConcurrentUpdate`]; nothing has happened then.
    /// - [`Reason::DatabaseUnavailable`]; nothing has happened then.
    /// - [`Reason::CommitUnknown`]: the answer to COMMIT was lost, and no other connection could settle it in time.
    pub async fn commit(mut self) -> Result<Committed, Error> {
        if self.changes.len().max(self.installation_changes.len()) > changelog::FACTS_MAX {
            let message =
                format!("more than {} things would change at once; change some of them first", changelog::FACTS_MAX);
            return Err(Error::new(Reason::ChangeTooLarge, message));
        }
        let organization = self.log.as_ref().map(|log| log.head.position);
        let mut committed = Committed { organization, installation: None, has_delivery: self.has_delivery };
        let lock = self.log.as_ref().map(|log| log.scope);
        let remembered = self.remembered.zip(lock);
        let mut proof = remembered.map(|(replay, scope)| Proof { scope, mark: Mark::Answer(replay) });
        if let Some(log) = self.log.as_mut().filter(|_| !self.changes.is_empty()) {
            log.head.counters = serde_json::to_string(&self.counters).map_err(Error::internal)?;
            let position = changelog::append(&self.db, log, &self.author, &self.changes, self.now).await?;
            committed.organization = Some(position);
            proof = Some(Proof { scope: log.scope, mark: Mark::Commit(position) });
        }
        if !self.installation_changes.is_empty() {
            let log = changelog::head_lock(&self.db, Scope::Installation).await?;
            let log = log.ok_or_else(|| Error::internal("the installation has no log"))?;
            let changes = &self.installation_changes;
            let position = changelog::append(&self.db, &log, &self.author, changes, self.now).await?;
            committed.installation = Some(position);
            proof = proof.or(Some(Proof { scope: Scope::Installation, mark: Mark::Commit(position) }));
        }

        let Self { db, store, .. } = self;
        if let Err(error) = db.commit().await {
            store.settle(error, proof).await?;
        }
        Ok(committed)
    }

    /// Undoes everything. Dropping does so too; this waits for it.
    pub async fn rollback(self) -> Result<(), Error> {
        Ok(self.db.rollback().await?)
    }

    /// Makes a new id.
    pub fn id<T: From<Uuid>>(&self) -> T {
        self.store.env.id()
    }
}
