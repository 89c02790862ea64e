//! A pair of snapshots to answer from, and how fresh it must be.

use std::sync::Arc;
use std::time::Duration;

use super::index::{OrganizationIndex, Page, PermissionHeld, Seen, SubjectKey, Viewer};
use super::installation::InstallationIndex;
use super::question::{Answer, Asked, Denial, Question, Whom};
use crate::domain::catalog::{PermissionId, TypeId};
use crate::domain::id::OrganizationId;
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::revision::Token;
use crate::domain::time::Timestamp;

/// How fresh an answer must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requirement {
    /// At most this old; `None`: the hard bound.
    MaxAge(Option<Duration>),
    /// Takes in what the token names.
    AtLeast(Token),
    /// Takes in everything committed before the call.
    Fresh,
}

/// A pair of snapshots to answer from.
#[derive(Clone, Debug)]
pub struct View {
    /// The organization.
    pub organization: Arc<OrganizationIndex>,
    /// The installation.
    pub installation: Arc<InstallationIndex>,
    /// How long ago both were proven current, at the most.
    pub age: Duration,
    /// Whether that is too old to allow anything.
    pub is_stale: bool,
    pub(super) now: Timestamp,
    pub(super) epoch: u32,
    pub(super) id: OrganizationId,
}

impl View {
    /// Answers a question at this pair of snapshots.
    #[must_use]
    pub fn answer(&self, question: &Question) -> Answer {
        self.organization.answer(&self.installation, question, self.now).unless_stale(self.is_stale)
    }

    /// Answers a question as it was asked.
    #[must_use]
    pub fn answer_asked(&self, asked: &Asked<'_>) -> Answer {
        self.organization.answer_asked(&self.installation, asked, self.now).unless_stale(self.is_stale)
    }

    /// Answers questions in order: a bad one by what is wrong with it.
    pub fn answer_all<'a>(&self, asked: impl Iterator<Item = Result<Asked<'a>, Denial>>, mut tell: impl FnMut(Answer)) {
        let is_stale = self.is_stale;
        let tell = |answer: Answer| tell(answer.unless_stale(is_stale));
        self.organization.answer_all(&self.installation, asked, self.now, tell);
    }

    /// Answers whether a subject may be told about others, however old the pair is: staleness is told in the answers
    /// themselves.
    #[must_use]
    pub fn right_to_check(&self, subject: Subject) -> Answer {
        self.organization.held_here(&self.installation, subject, PermissionId::ACCESS_CHECK, self.now)
    }

    /// Returns what a subject may do on a target, in the order of the catalog.
    #[must_use]
    pub fn permissions(&self, whom: Whom, target: Option<&ResourceKey>) -> Vec<PermissionHeld> {
        self.organization.permissions(&self.installation, whom, target, self.now)
    }

    /// Returns the ids of the resources of one type on which a subject has a permission, as `viewer` may know of them:
    /// so many after an id.
    #[must_use]
    pub fn resources(
        &self,
        whom: Whom,
        permission: PermissionId,
        kind: TypeId,
        viewer: Viewer,
        page: (Option<&str>, usize),
    ) -> Page<Arc<str>, Arc<str>> {
        self.organization.resources(&self.installation, whom, permission, kind, viewer, page, self.now)
    }

    /// Returns what a subject sees of each type.
    #[must_use]
    pub fn seen(&self, subject: Subject) -> Seen {
        self.organization.seen(&self.installation, subject, self.now)
    }

    /// Returns who has a permission on a target: so many after a subject.
    #[must_use]
    pub fn subjects(
        &self,
        permission: PermissionId,
        target: Option<&ResourceKey>,
        page: (Option<SubjectKey>, usize),
    ) -> Page<Subject, SubjectKey> {
        self.organization.subjects(&self.installation, permission, target, page, self.now)
    }

    /// Returns whether the organization exists in the eyes of a subject.
    #[must_use]
    pub fn is_seen_by(&self, subject: Subject) -> bool {
        self.organization.is_seen_by(&self.installation, subject, self.now)
    }

    /// Returns the wall-clock time at which the view answers.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Names the pair of revisions.
    #[must_use]
    pub fn token(&self) -> Token {
        Token {
            epoch: self.epoch,
            organization: self.id,
            position: self.organization.position(),
            installation: self.installation.position(),
        }
    }
}
