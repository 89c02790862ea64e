//! Invitations: when one can be accepted.

use super::error::{Error, Reason};
use super::fact::InvitationState;
use super::id::{InvitationId, MembershipId, OrganizationId};
use super::place::Subject;
use super::time::Timestamp;

/// An offer of a membership.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Invitation {
    /// Made by the server.
    pub id: InvitationId,
    /// Whose place is offered.
    pub organization: OrganizationId,
    /// The PENDING membership that it offers.
    pub membership: MembershipId,
    /// Where it was sent, as written.
    pub email: String,
    /// Who last made or changed it, and answers for what it brings.
    pub sponsor: Subject,
    /// Where it stands.
    pub state: InvitationState,
    /// It can be accepted strictly before this instant.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
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
