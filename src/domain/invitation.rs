//! Invitations: what one offers, to whom, and when it can be accepted.

use super::assignment::Assignment;
use super::catalog::InvitationKind;
use super::error::{Error, Reason};
use super::fact::InvitationState;
use super::id::{InvitationId, MembershipId, OrganizationId};
use super::place::Subject;
use super::time::Timestamp;

/// An offer of membership.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Invitation {
    /// Made by the server.
    pub id: InvitationId,
    /// Whose place is offered.
    pub organization: OrganizationId,
    /// What is offered, and to whom.
    pub offered: Offered,
    /// Who last made or changed it, and answers for what it brings.
    pub sponsor: Subject,
    /// Where it stands.
    pub state: InvitationState,
    /// It can be accepted strictly before this instant.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What an invitation offers, and to whom (X2).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offered {
    /// To one mailbox, and once: a membership that is there and PENDING. What it brings are ordinary grants on that.
    Mailbox {
        /// Which.
        membership: MembershipId,
        /// Where the invitation was sent, as written.
        email: String,
    },
    /// To everybody who holds the link and is signed in: a membership made at each acceptance, with these.
    Link {
        /// What each comes to hold.
        assignments: Vec<Assignment>,
    },
}

impl Offered {
    /// Tells which kind of invitation offers this.
    #[must_use]
    pub fn kind(&self) -> InvitationKind {
        match self {
            Self::Mailbox { .. } => InvitationKind::Email,
            Self::Link { .. } => InvitationKind::Link,
        }
    }
}

impl Invitation {
    /// Asks that the invitation can be accepted `now`.
    ///
    /// # Errors
    /// - [`Reason::InvitationAccepted`] once it was used (CE-10).
    /// - [`Reason::InvitationRevoked`] once it was withdrawn.
    /// - [`Reason::InvitationExpired`] once `now >= expires_at` (CE-10).
    pub fn must_be_open(&self, now: Timestamp) -> Result<(), Error> {
        let refusal = match self.state {
            InvitationState::Accepted => (Reason::InvitationAccepted, "the invitation was used already"),
            InvitationState::Revoked => (Reason::InvitationRevoked, "the invitation was withdrawn"),
            InvitationState::Open if now >= self.expires_at => (Reason::InvitationExpired, "the invitation has lapsed"),
            InvitationState::Open => return Ok(()),
        };
        Err(Error::new(refusal.0, refusal.1).about("invitation", self.id))
    }
}
