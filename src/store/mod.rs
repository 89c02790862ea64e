//! The database: the only room, with `changelog` and `migrations`, that names the ORM.
//!
//! [`Store`] opens it and gives [`Reads`] on the pool, or a [`Tx`] under an organization's lock. Methods are named by
//! the noun first. Each noun has a file or a folder with the statements on its tables, and imports no other; what several share
//! stands beside them. A `Tx` method that writes also records the change, so that no row moves
//! without a fact. No permission is evaluated here.

// What every noun stands on.
mod actor;
mod database;
mod encoding;
mod entity;
mod error;
mod log;
mod page_builder;
mod place;
mod replay;
mod sweep;
mod tx;
mod write_queue;

// The nouns.
mod catalog;
mod contact;
mod delivery;
mod grant;
mod group;
mod installation;
mod invitation;
mod mail_count;
mod member;
mod notification;
mod organization;
mod refusal;
mod resource;
mod role;
mod service_account;
mod session;
mod user;

use std::sync::Arc;

use sea_orm::ConnectionTrait;

pub use catalog::CatalogRow;
pub use database::{Beginning, Location, OnSqliteConnection, OpenError, Settings, SqliteHook};
pub use delivery::{Delivery, DeliveryKind, NewDelivery};
pub use grant::{GrantPage, Grants, Principals};
pub use group::{GroupMember, GroupMemberPage, GroupPage};
pub use installation::{InstallationRow, SigningKeyRow, TimeOnRecord};
pub use log::Snapshot;
pub use member::{MemberPage, MemberQuery, MemberRow, RemovalKey};
pub use page_builder::{PageBuilder, WEIGHT_MAX};
pub use place::HeldAt;
pub use refusal::{RefusalsRow, Settled};
pub use replay::Replay;
pub use resource::{Branch, BrowseKey, FoundResources};
pub use service_account::KeyOwner;
pub use session::NewSession;
pub use tx::{Committed, Lock, Tx};
pub use user::Credential;

use crate::clock::Env;
use crate::domain::catalog::Catalogs;
use crate::domain::error::Error;
use crate::domain::id::OrganizationId;
use database::lock::FileLock;
use database::pool::{Bound, Executor, Pool};
use write_queue::Queue;

/// One database, open.
#[derive(Clone, Debug)]
pub struct Store {
    /// Takes writes: a pool on PostgreSQL, one connection on SQLite.
    writer: Pool,
    /// Takes reads: the same pool on PostgreSQL, a read-only pool on SQLite.
    reader: Pool,
    /// How long a statement of a transaction is waited for.
    in_transaction: Bound,
    queue: Queue,
    env: Env,
    /// What rows name by a key is found here; what was not known is learned.
    catalogs: Catalogs,
    /// Held while the data directory is in use; SQLite only.
    _lock: Option<Arc<FileLock>>,
}

/// Reading methods above organizations: of the installation, of users, and where it is not known yet which organization is
/// meant. On the pool, or inside a transaction.
#[derive(Clone, Copy)]
pub struct Reads<'a> {
    db: Executor<'a>,
    catalogs: &'a Catalogs,
}

/// Reading methods within one organization: every statement names it, so that no row of another is found by an id.
#[derive(Clone, Copy)]
pub struct OrgReads<'a> {
    db: Executor<'a>,
    catalogs: &'a Catalogs,
    organization: OrganizationId,
}

impl<'a> Reads<'a> {
    /// Returns the reads of one organization.
    #[must_use]
    pub fn of(self, organization: OrganizationId) -> OrgReads<'a> {
        OrgReads { db: self.db, catalogs: self.catalogs, organization }
    }
}

impl<'a> OrgReads<'a> {
    /// Returns the organization.
    #[must_use]
    pub fn organization_id(self) -> OrganizationId {
        self.organization
    }

    /// Leaves the organization, for what belongs to none or to another.
    #[must_use]
    pub fn above(self) -> Reads<'a> {
        Reads { db: self.db, catalogs: self.catalogs }
    }
}

impl std::fmt::Debug for Reads<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reads")
    }
}

impl std::fmt::Debug for OrgReads<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OrgReads({})", self.organization)
    }
}

impl Store {
    /// Reads outside any transaction; every statement by itself.
    #[must_use]
    pub fn reads(&self) -> Reads<'_> {
        Reads { db: Executor::Pool(&self.reader), catalogs: &self.catalogs }
    }

    /// Returns the catalogs that rows were found to name.
    #[must_use]
    pub fn catalogs(&self) -> &Catalogs {
        &self.catalogs
    }

    /// Returns how often all connections were replaced because the database did not answer.
    #[must_use]
    pub fn connections_replaced(&self) -> u64 {
        self.writer.replaced().max(self.reader.replaced())
    }

    /// Returns how many statements were sent, on PostgreSQL and for reads on SQLite.
    #[must_use]
    pub fn statements_read(&self) -> u64 {
        self.reader.statements()
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// - [`DatabaseUnavailable`](crate::domain::error::Reason::DatabaseUnavailable).
    pub async fn ping(&self) -> Result<(), Error> {
        self.reader.execute_unprepared("select 1").await?;
        Ok(())
    }

    /// Closes the pools; what is under way ends first.
    pub async fn close(self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}
