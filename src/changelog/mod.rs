//! The append-only log: one per organization and one for the installation. Everything derived follows it.
//!
//! A revision numbers a commit, its ordinals the facts; readers apply a revision whole. Revision order is commit order,
//! because a writer holds its log's head to the end. [`Source`] is what a follower reads from: the store implements it,
//! in tests a vector does. This room and the store are the only ones that name the ORM.

mod append;
pub(crate) mod entity;
mod read;

use std::future::Future;
use std::pin::Pin;

pub use append::{
    Author, Change, Detail, FACTS_MAX, Head, Log, append, head_await, head_insert, head_lock, scope_key, scope_of,
};
pub use read::{commits_after, head, head_positions, tag};

use crate::domain::error::Error;
use crate::domain::fact::{Commit, InstallationFact, OrganizationFact, Scope};
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
use crate::domain::revision::{Position, Revision, Tag};
use crate::domain::time::Timestamp;

/// A future that a [`Source`] gives.
pub type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Everything that stands in one scope, at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State<F> {
    /// The position at which all of it stood.
    pub position: Position,
    /// Facts that bring an empty reader there, in an order in which they can be applied.
    pub facts: Vec<F>,
}

/// Where a poll has got to: in which history, and how far. Opaque: made and read by the source alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Which history answered; nothing where the database withholds it.
    pub lineage: Option<Lineage>,
    /// How far it had come, in an order of the source's own.
    pub position: u64,
}

impl Cursor {
    /// Returns what an answer that came to `self` says after one that came to `earlier`, of scopes that it does not
    /// name.
    #[must_use]
    pub fn continuity_after(&self, earlier: &Self) -> Continuity {
        match (earlier.lineage, self.lineage) {
            (before, now) if before != now || self.position < earlier.position => Continuity::Broken,
            (Some(_), Some(_)) => Continuity::Unbroken,
            _ => Continuity::Unknown,
        }
    }
}

/// Tells histories of databases apart, as far as the source can: of two that differ neither continues the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage(pub u128);

/// What a poll says of the scopes that it does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Continuity {
    /// The history that the cursor is of goes on: they have not moved.
    Unbroken,
    /// Another database answers than the one that made the cursor, or one that was set back: nothing is known of them.
    Broken,
    /// The source cannot tell: nothing is proven of them until they are compared.
    #[default]
    Unknown,
}

/// What a poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From where the next poll goes on.
    pub cursor: Cursor,
    /// Scopes with commits that the poll before could not see, each with its newest such commit.
    pub scopes: Vec<(Scope, Position)>,
    /// What that says of all others.
    pub continuity: Continuity,
    /// Counts restores that revision tokens must not survive; nothing where the source does not count them.
    pub epoch: Option<u32>,
    /// What the database's own clock said, if it has one.
    pub database_time: Option<Timestamp>,
}

/// How a subject stands to an organization, as far as one statement tells: the same one whether there is such an
/// organization or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relation {
    /// The catalog that the organization follows; nothing if there is no such organization.
    pub catalog: Option<String>,
    /// Whether the subject is in the organization, or holds something there.
    pub is_here: bool,
}

/// What a follower of the log reads from.
pub trait Source: Send + Sync + 'static {
    /// Reads how a subject stands to an organization, before it is loaded for them.
    fn relation(&self, organization: OrganizationId, subject: Subject) -> Reading<'_, Relation>;

    /// Reads everything that stands in an organization; `None` if there is no such organization.
    fn organization(&self, id: OrganizationId) -> Reading<'_, Option<State<OrganizationFact>>>;

    /// Reads everything that stands in the installation; `None` if there is none.
    fn installation(&self) -> Reading<'_, Option<State<InstallationFact>>>;

    /// Reads the commits of an organization from `from` on, itself included, so that its tag can be compared.
    fn organization_commits(&self, id: OrganizationId, from: Position) -> Reading<'_, Vec<Commit<OrganizationFact>>>;

    /// Reads the commits of the installation from `from` on, as those of an organization are read.
    fn installation_commits(&self, from: Position) -> Reading<'_, Vec<Commit<InstallationFact>>>;

    /// Reads how far each of `scopes` has come; those that do not exist are left out. Only a database that takes writes
    /// may answer, and if a history is named, only one of that.
    fn positions<'a>(&'a self, scopes: &'a [Scope], of: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>>;

    /// Reads the tag of one commit; `None` if there is none. Only a database that takes writes may answer.
    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>>;

    /// Returns the cursor of now: a poll from it finds what is committed after. What is loaded after it misses nothing.
    fn cursor(&self) -> Reading<'_, Cursor>;

    /// Asks what moved since `cursor`, and in which history. An answer of the same one proves every scope current as of
    /// the moment it was asked, once what it names is applied. Only a database that takes writes may answer.
    ///
    /// A source whose commits have no order names nothing and says [`Continuity::Unknown`]: it is followed by
    /// [`Source::positions`] alone.
    fn moved_since(&self, cursor: Cursor) -> Reading<'_, Moved>;
}
