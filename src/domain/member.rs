//! Memberships: people's places in an organization, and what may be done to them when.

use super::error::{Error, Reason};
use super::fact::MemberState;
use super::id::{MembershipId, UserId};
use super::time::Timestamp;

/// One person's place in one organization.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Member {
    /// Made by the server.
    pub id: MembershipId,
    /// Who; nobody while PENDING.
    pub user: Option<UserId>,
    /// The address it was joined with, as written.
    pub email: String,
    /// How the person is called; may be empty.
    pub display_name: String,
    /// Where it stands.
    pub state: MemberState,
    /// Names of the roles held directly at the organization, in alphabetical order.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Member {
    /// Asks that the membership is in `state`, so that it can be what `act` names.
    ///
    /// # Errors
    /// - [`Reason::MemberState`].
    pub fn must_be(&self, state: MemberState, act: &str) -> Result<(), Error> {
        if self.state == state {
            return Ok(());
        }
        let message = format!("only a member who is {} can be {act}", state.word());
        Err(Error::new(Reason::MemberState, message).about("member", self.id))
    }
}
