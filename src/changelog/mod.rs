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

pub use append::{Author, Change, Detail, FACTS_MAX, Head, Log, append, head_insert, head_lock, scope_key, scope_of};
pub use read::{commits_after, head, head_positions, tag};

use crate::domain::error::Error;
use crate::domain::fact::{Commit, Fact, Scope};
use crate::domain::revision::{Position, Revision, Tag};

/// A future that a [`Source`] gives.
pub type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Everything that stands in one scope, at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The position at which all of it stood.
    pub position: Position,
    /// Facts that bring an empty reader there, in an order in which they can be applied.
    pub facts: Vec<Fact>,
}

/// Where a poll has got to; opaque, made and read by the source alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// What a poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From where the next poll goes on.
    pub cursor: Cursor,
    /// Scopes with commits that the poll before could not see, each with its newest such commit.
    pub scopes: Vec<(Scope, Position)>,
}

/// What a follower of the log reads from.
pub trait Source: Send + Sync + 'static {
    /// Reads everything that stands in `scope`; `None` if there is no such organization.
    fn load(&self, scope: Scope) -> Reading<'_, Option<State>>;

    /// Reads the commits of `scope` from `from` on, itself included, so that its tag can be compared.
    fn read_from(&self, scope: Scope, from: Position) -> Reading<'_, Vec<Commit>>;

    /// Reads how far each of `scopes` has come; those that do not exist are left out.
    fn positions<'a>(&'a self, scopes: &'a [Scope]) -> Reading<'a, Vec<(Scope, Position)>>;

    /// Reads the tag of one commit; `None` if there is none.
    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>>;

    /// Gives the cursor of now: a poll from it finds what is committed after. What is loaded after it misses nothing.
    fn cursor(&self) -> Reading<'_, Cursor>;

    /// Asks what moved since `cursor`. One such answer proves every scope current as of the moment it was asked, once
    /// what it names is applied. Only a database that takes writes may answer.
    fn moved_since(&self, cursor: Cursor) -> Reading<'_, Moved>;
}
