//! A pair of snapshots to answer from, and how fresh it must be.

use std::sync::Arc;
use std::time::Duration;

use super::index::OrganizationIndex;
use super::installation::InstallationIndex;
use super::question::{Answer, Item, Question};
use crate::domain::id::OrganizationId;
use crate::domain::place::Subject;
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
        self.answer_however_old(question).unless_stale(self.is_stale)
    }

    /// Answers a question whether or not the pair is fresh enough to allow.
    pub(super) fn answer_however_old(&self, question: &Question) -> Answer {
        self.organization.answer(&self.installation, question, self.now)
    }

    /// Answers one item: a bad one by what is wrong with it.
    #[must_use]
    pub fn answer_item(&self, item: &Item) -> Answer {
        match item {
            Ok(question) => self.answer(question),
            Err(denial) => Answer::Denied(*denial),
        }
    }

    /// Says whether the organization exists in the eyes of a subject.
    #[must_use]
    pub fn is_seen_by(&self, subject: Subject) -> bool {
        self.organization.is_seen_by(&self.installation, subject, self.now)
    }

    /// Gives the wall-clock time at which the view answers.
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
