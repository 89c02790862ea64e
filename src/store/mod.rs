//! The database: the only room, with `changelog` and `migrations`, that names the ORM.
//!
//! [`Store`] opens it and gives [`Reads`] on the pool, or a [`Tx`] under an organization's lock. Methods are named by
//! the noun first; each noun has a file. A `Tx` method that writes also records the change, so that no row moves
//! without a fact. No permission is judged here.

mod belonging;
mod catalog;
mod connect;
mod contact;
mod delivery;
mod embedded;
mod encoding;
mod entity;
mod error;
mod facts;
mod grant;
mod group;
mod installation;
mod invitation;
mod location;
mod lock;
mod mail_count;
mod membership;
mod notification;
mod organization;
mod page_builder;
mod polling;
mod pool;
mod principal;
mod queue;
mod refusal;
mod removal;
mod replay;
mod resource;
mod resource_page;
mod role;
mod roster;
mod schema;
mod seats;
mod service_account;
mod session;
mod snapshot;
mod source;
mod subtree;
mod sweep;
mod time;
mod tx;
mod user;

use std::sync::Arc;

use sea_orm::ConnectionTrait;

pub use self::time::TimeOnRecord;
pub use catalog::CatalogRow;
pub use connect::{OnSqliteConnection, OpenError, Settings, SqliteHook};
pub use delivery::{Delivery, DeliveryKind, NewDelivery};
pub use embedded::Beginning;
pub use grant::{GrantPage, Grants, HeldAt};
pub use group::{GroupMember, GroupMemberPage, GroupPage};
pub use installation::{InstallationRow, SigningKeyRow};
pub use location::Location;
pub use page_builder::{PageBuilder, WEIGHT_MAX};
pub use principal::Principals;
pub use refusal::{RefusalsRow, Settled};
pub use removal::RemovalKey;
pub use replay::Replay;
pub use resource_page::{BrowseKey, FoundResources};
pub use roster::{RosterPage, RosterQuery, RosterRow};
pub use service_account::KeyOwner;
pub use session::NewSession;
pub use snapshot::Snapshot;
pub use subtree::Branch;
pub use tx::{Committed, Lock, Tx};
pub use user::Credential;

use crate::clock::World;
use crate::domain::error::Error;
use crate::domain::id::OrganizationId;
use pool::{Bound, Executor, Pool};

/// One database, open.
#[derive(Clone, Debug)]
pub struct Store {
    /// Takes writes: a pool on PostgreSQL, one connection on SQLite.
    writer: Pool,
    /// Takes reads: the same pool on PostgreSQL, a read-only pool on SQLite.
    reader: Pool,
    /// How long a statement of a transaction is waited for.
    in_transaction: Bound,
    queue: queue::Queue,
    world: World,
    /// Held while the data directory is in use; SQLite only.
    _lock: Option<Arc<lock::FileLock>>,
}

/// Reading methods above organizations: of the installation, of users, and where it is not known yet which organization is
/// meant. On the pool, or inside a transaction.
#[derive(Clone, Copy)]
pub struct Reads<'a> {
    db: Executor<'a>,
}

/// Reading methods within one organization: every statement names it, so that no row of another is found by an id.
#[derive(Clone, Copy)]
pub struct OrgReads<'a> {
    db: Executor<'a>,
    organization: OrganizationId,
}

impl<'a> Reads<'a> {
    /// Returns the reads of one organization.
    #[must_use]
    pub fn of(self, organization: OrganizationId) -> OrgReads<'a> {
        OrgReads { db: self.db, organization }
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
        Reads { db: self.db }
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
        Reads { db: Executor::Pool(&self.reader) }
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
