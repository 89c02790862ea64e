//! Connections to one database, with a bound on every wait.
//!
//! A [`Pool`] runs each statement on a connection of its own, a [`Transaction`] several on one. A network that drops
//! packets without a reset leaves connections that never answer, and the driver has no keepalive of its own. So a bound
//! that passes replaces all connections of the pool at once: what is stuck is never used again, and nothing that was idle
//! meanwhile is either.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, SqlxError, Statement, TransactionOptions, TransactionTrait,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::error::is_answer;

/// How long the connections that were replaced may take to close.
const CLOSING_MAX: Duration = Duration::from_mins(1);

/// How many statements connections answer before one that does not answer has all of them replaced.
const SERVED: u64 = 1_000;

/// How long a statement is waited for, and what it means when it takes longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Bound {
    /// The longest wait for a statement, the wait for a connection included.
    pub wait: Duration,
    /// Whether a healthy connection always answers within `wait`. If not, a longer wait says something about the
    /// connections only where nobody else was answered either.
    pub is_generous: bool,
}

/// Runs statements, each on any connection and within a bound.
#[derive(Clone)]
pub(in crate::store) struct Pool {
    shared: Arc<Shared>,
    bound: Bound,
}

struct Shared {
    /// Opens connections when they are needed.
    options: ConnectOptions,
    current: Mutex<Arc<Generation>>,
    replaced: AtomicU64,
    /// How many statements were sent.
    statements: AtomicU64,
    closing: TaskTracker,
}

/// The connections opened between two replacements.
struct Generation {
    db: DatabaseConnection,
    /// Counts answers, so that one who waits can tell whether others are answered meanwhile.
    answers: AtomicU64,
    /// Ends all waits at once when the database was found to answer nobody.
    silent: CancellationToken,
}

/// One transaction on one connection. Dropping it rolls back.
pub(in crate::store) struct Transaction {
    db: DatabaseTransaction,
    generation: Arc<Generation>,
    pool: Pool,
    /// Whether a statement failed. PostgreSQL answers the COMMIT of such a transaction with a ROLLBACK and no error.
    has_failed: AtomicBool,
}

/// Where statements run: on the pool, or in a transaction.
#[derive(Clone, Copy)]
pub(in crate::store) enum Executor<'a> {
    Pool(&'a Pool),
    Transaction(&'a Transaction),
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl Generation {
    fn new(db: DatabaseConnection) -> Arc<Self> {
        Arc::new(Self { db, answers: AtomicU64::new(0), silent: CancellationToken::new() })
    }

    /// Waits for `statement`, which runs on these connections, within the bound of `pool`.
    async fn wait_for<T>(
        self: &Arc<Self>,
        pool: &Pool,
        bound: Bound,
        statement: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        pool.shared.statements.fetch_add(1, Ordering::Relaxed);
        let answers_before = self.answers.load(Ordering::Relaxed);
        let is_silent = || self.answers.load(Ordering::Relaxed) == answers_before;
        let mut statement = pin!(statement);
        let result = tokio::select! {
            biased;
            result = tokio::time::timeout(bound.wait, statement.as_mut()) => result.ok(),
            () = self.silent.cancelled() => None,
        };
        match result {
            Some(result) if is_answer(&result) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                result
            }
            // The pool itself gave up: no connection was to be had in time.
            Some(Err(error)) if is_pool_timeout(&error) && is_silent() => {
                pool.replace(self, true).await;
                Err(error)
            }
            Some(result) => result,
            None => {
                // Before the statement is dropped: its connection must not find its way back among those in use.
                let is_silent = is_silent();
                if is_silent || bound.is_generous || self.is_worth_replacing() {
                    pool.replace(self, is_silent).await;
                }
                Err(no_answer())
            }
        }
    }
}

impl Generation {
    /// Returns whether connections have served for long enough to be replaced for one of them that did not answer, while
    /// others did: it would keep its place among them, and a database that is only slow would be met with new ones at every
    /// turn.
    fn is_worth_replacing(&self) -> bool {
        self.answers.load(Ordering::Relaxed) >= SERVED
    }
}

impl Pool {
    /// Opens a first connection, so that a database that cannot be reached is reported now.
    pub async fn open(options: ConnectOptions, bound: Bound) -> Result<Self, DbErr> {
        let first = Database::connect(options.clone()).await?;
        let mut options = options;
        options.connect_lazy(true);
        let shared = Shared {
            options,
            current: Mutex::new(Generation::new(first)),
            replaced: AtomicU64::new(0),
            statements: AtomicU64::new(0),
            closing: TaskTracker::new(),
        };
        Ok(Self { shared: Arc::new(shared), bound })
    }

    /// Returns the same pool with another bound.
    pub fn within(&self, bound: Bound) -> Self {
        Self { shared: Arc::clone(&self.shared), bound }
    }

    /// Returns how often all connections were replaced because the database did not answer.
    pub fn replaced(&self) -> u64 {
        self.shared.replaced.load(Ordering::Relaxed)
    }

    /// Returns how many statements were sent, those that begin and end transactions included.
    pub fn statements(&self) -> u64 {
        self.shared.statements.load(Ordering::Relaxed)
    }

    /// Returns the connection pool of the driver as it is now, for migrations.
    pub fn driver(&self) -> DatabaseConnection {
        self.current().db.clone()
    }

    /// Begins a transaction, each of whose statements is waited for within `bound`.
    pub async fn begin(&self, options: TransactionOptions, bound: Bound) -> Result<Transaction, DbErr> {
        let (pool, generation) = (self.clone(), self.current());
        let begin = async move {
            let db = generation.wait_for(&pool, pool.bound, generation.db.begin_with_options(options)).await?;
            Ok(Transaction { db, generation, pool: pool.within(bound), has_failed: AtomicBool::new(false) })
        };
        undisturbed(begin).await
    }

    /// Closes all connections; those in use once they are free.
    pub async fn close(&self) {
        // Closing fails only where the connection is gone already.
        let _ = tokio::time::timeout(CLOSING_MAX, self.current().db.close_by_ref()).await;
        self.shared.closing.close();
        let _ = tokio::time::timeout(self.bound.wait, self.shared.closing.wait()).await;
    }

    fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.shared.current.lock())
    }

    /// Has new statements use new connections. If nobody was answered, whoever still waits on the old ones stops waiting.
    async fn replace(&self, old: &Arc<Generation>, is_silent: bool) {
        // Lazy, so nothing is awaited but a parsed URL.
        let next = match Database::connect(self.shared.options.clone()).await {
            Ok(db) => Generation::new(db),
            Err(error) => {
                tracing::error!(%error, "the connections to the database cannot be replaced");
                return;
            }
        };
        {
            let mut current = self.shared.current.lock();
            if !Arc::ptr_eq(&current, old) {
                return;
            }
            *current = next;
        }
        let had_answered = old.answers.load(Ordering::Relaxed) > 0;
        if had_answered {
            self.shared.replaced.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                wait_ms = self.bound.wait.as_millis(),
                "the database did not answer: its connections are replaced"
            );
        }
        if is_silent {
            old.silent.cancel();
        }
        let db = old.db.clone();
        // What is stuck closes when the kernel gives the connection up; nobody waits for it.
        self.shared.closing.spawn(async move {
            let _ = tokio::time::timeout(CLOSING_MAX, db.close_by_ref()).await;
        });
    }
}

#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.current().db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let generation = self.current();
        generation.wait_for(self, self.bound, generation.db.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let generation = self.current();
        generation.wait_for(self, self.bound, generation.db.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let generation = self.current();
        generation.wait_for(self, self.bound, generation.db.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let generation = self.current();
        generation.wait_for(self, self.bound, generation.db.query_all_raw(statement)).await
    }
}

impl Transaction {
    /// Commits. What an error leaves behind, [`ending_of`](crate::store::error::ending_of) says.
    pub async fn commit(self) -> Result<(), DbErr> {
        if self.has_failed.load(Ordering::Relaxed) {
            self.rollback().await?;
            return Err(DbErr::Custom("a statement of the transaction failed, and it was to be committed".into()));
        }
        let Self { db, generation, pool, .. } = self;
        undisturbed(async move { generation.wait_for(&pool, pool.bound, db.commit()).await }).await
    }

    /// Rolls back, and waits for it.
    pub async fn rollback(self) -> Result<(), DbErr> {
        let Self { db, generation, pool, .. } = self;
        undisturbed(async move { generation.wait_for(&pool, pool.bound, db.rollback()).await }).await
    }

    async fn run<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let result = self.generation.wait_for(&self.pool, self.pool.bound, statement).await;
        if result.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        result
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(self.db.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(self.db.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(self.db.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(self.db.query_all_raw(statement)).await
    }
}

#[async_trait]
impl ConnectionTrait for Executor<'_> {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Pool(pool) => pool.get_database_backend(),
            Self::Transaction(tx) => tx.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Pool(pool) => pool.execute_raw(statement).await,
            Self::Transaction(tx) => tx.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Pool(pool) => pool.execute_unprepared(sql).await,
            Self::Transaction(tx) => tx.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Pool(pool) => pool.query_one_raw(statement).await,
            Self::Transaction(tx) => tx.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Pool(pool) => pool.query_all_raw(statement).await,
            Self::Transaction(tx) => tx.query_all_raw(statement).await,
        }
    }
}

/// Runs what begins or ends a transaction to its end, also when nobody waits for it any more. Otherwise PostgreSQL's driver
/// would not know of a transaction whose BEGIN was dropped before its answer, and give the connection, inside that
/// transaction, to the next statement; SQLite's driver would skip the rollback of another transaction.
async fn undisturbed<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbErr>> + Send + 'static,
) -> Result<T, DbErr> {
    tokio::spawn(work).await.map_err(|error| DbErr::Custom(error.to_string()))?
}

/// Makes the error of a statement that was given up.
fn no_answer() -> DbErr {
    let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time");
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(SqlxError::Io(error))))
}

fn is_pool_timeout(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => matches!(error.as_ref(), SqlxError::PoolTimedOut),
        _ => false,
    }
}
