//! What is asked of the index, and what it answers.

use std::sync::Arc;

use crate::domain::id::SessionId;
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::time::Timestamp;

/// May the subject do this there?
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Question {
    pub subject: Subject,
    /// The session that the subject was named by, if an access token was.
    pub session: Option<Session>,
    /// What, by name, as in `type.verb`.
    pub permission: Arc<str>,
    /// On what; the organization itself if nothing.
    pub target: Option<ResourceKey>,
}

impl Question {
    /// Returns the question with its names borrowed.
    #[must_use]
    pub fn asked(&self) -> Asked<'_> {
        Asked {
            subject: self.subject,
            session: self.session,
            permission: &self.permission,
            target: self.target.as_ref().map(|target| (&*target.kind, &*target.id)),
        }
    }
}

/// A question whose names are borrowed from the message it came in. Nothing has been looked up yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked<'a> {
    pub subject: Subject,
    /// The session that the subject was named by, if an access token was.
    pub session: Option<Session>,
    /// What, by name, as in `type.verb`.
    pub permission: &'a str,
    /// Type and id of what it is about; the organization itself if nothing.
    pub target: Option<(&'a str, &'a str)>,
}

impl Asked<'_> {
    /// Keeps the question beyond its message.
    #[must_use]
    pub fn to_question(&self) -> Question {
        Question {
            subject: self.subject,
            session: self.session,
            permission: self.permission.into(),
            target: self.target.map(|(kind, id)| ResourceKey { kind: kind.into(), id: id.into() }),
        }
    }
}

/// Who is asked about, and the session that they were named by, if an access token was.
pub type Whom = (Subject, Option<Session>);

/// The session of an access token whose signature was verified: what of it is asked at every check.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Session {
    pub id: SessionId,
    /// From then on it is refused.
    pub expires_at: Timestamp,
}

/// A question, or what is wrong with it: a bad item is answered by itself.
pub type Item = Result<Question, Denial>;

/// Questions as they came in, to be read where they are answered.
pub trait Questions {
    /// Counts them.
    fn count(&self) -> usize;

    /// Returns them in order.
    fn asked(&self) -> impl Iterator<Item = Result<Asked<'_>, Denial>>;
}

impl Questions for Vec<Item> {
    fn count(&self) -> usize {
        self.len()
    }

    fn asked(&self) -> impl Iterator<Item = Result<Asked<'_>, Denial>> {
        self.iter().map(|item| item.as_ref().map(Question::asked).map_err(|denial| *denial))
    }
}

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
    /// Returns whether the answer is yes.
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
    /// The permission is of a type that cannot stand under the target's: nobody has it there.
    PermissionNotAskedHere,
    /// The item lacks this, or it is malformed.
    Malformed(ItemFault),
    /// It would be allowed, but is not proven fresh enough.
    Stale,
    /// The access token that is the subject is none of this installation.
    TokenInvalid,
    /// The access token that is the subject has expired.
    TokenExpired,
    /// The session of the access token that is the subject has ended.
    SessionEnded,
}

/// What of an item is missing or malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemFault {
    /// There is no item.
    Item,
    /// Nobody is asked about.
    Subject,
    /// Not the id of a user.
    UserId,
    /// Not the id of a service account.
    ServiceAccountId,
    /// Longer than any access token.
    AccessToken,
    /// Empty, or longer than any permission.
    Permission,
    /// Empty, too long, or with control characters.
    ResourceType,
    /// Empty, too long, or with control characters.
    ResourceId,
}

impl ItemFault {
    /// Returns the path of the field in the item.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Subject => "subject",
            Self::UserId => "subject.user_id",
            Self::ServiceAccountId => "subject.service_account_id",
            Self::AccessToken => "subject.access_token",
            Self::Permission => "permission",
            Self::ResourceType => "resource.type",
            Self::ResourceId => "resource.id",
        }
    }

    /// Returns which half of a resource's name is malformed, if one is.
    #[must_use]
    pub fn of_resource(kind: &str, id: &str) -> Option<Self> {
        if ResourceKey::is_well_formed(kind, id) {
            return None;
        }
        // An id that does by itself leaves the type.
        Some(if ResourceKey::is_well_formed("type", id) { Self::ResourceType } else { Self::ResourceId })
    }
}
