//! What is asked of the index, and what it answers.

use std::sync::Arc;

use crate::domain::place::{ResourceKey, Subject};
use crate::domain::time::Timestamp;

/// May the subject do this there?
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Question {
    /// Who.
    pub subject: Subject,
    /// What, by name, as in `type.verb`.
    pub permission: Arc<str>,
    /// On what; the organization itself if nothing.
    pub target: Option<ResourceKey>,
}

/// A question, or what is wrong with it: a bad item is answered by itself.
pub type Item = Result<Question, Denial>;

/// An answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Yes; until then, if nothing changes.
    Allowed {
        /// The last instant is not part of it. `None`: without end.
        until: Option<Timestamp>,
    },
    /// No.
    Denied(Denial),
}

impl Answer {
    /// Says whether the answer is yes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// Turns what is not proven fresh enough to be allowed into a denial; denials stand.
    #[must_use]
    pub fn unless_stale(self, is_stale: bool) -> Self {
        match self {
            Self::Allowed { .. } if is_stale => Self::Denied(Denial::Stale),
            answer => answer,
        }
    }
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// No grant allows it.
    NotGranted,
    /// The catalog declares no such permission.
    PermissionUnknown,
    /// The catalog declares no such resource type.
    ResourceTypeUnknown,
    /// The item lacks a field, or an id in it is malformed.
    Malformed,
    /// It would be allowed, but is not proven fresh enough.
    Stale,
}
