//! Memberships: people's places in an organization, and what may be done to them when.

pub mod list;
pub mod removal;

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::email::Email;
use super::error::{Error, Reason};
use super::fact::MemberState;
use super::id::{MembershipId, UserId};
use super::metadata::Metadata;
use super::organization::Organization;
use super::place::ResourceKey;
use super::time::Timestamp;
use list::Position;

/// One person's place in one organization.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
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
    /// The product's own id of it, unique in the organization.
    #[serde(default)]
    pub external_id: Option<String>,
    /// What the product keeps with it.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether the user behind it was made by joining here.
    #[serde(default)]
    pub is_made_here: bool,
}

impl Member {
    /// Makes a PENDING membership that nobody has joined yet.
    #[must_use]
    pub fn pending(id: MembershipId, email: &Email, display_name: String, created_at: Timestamp) -> Self {
        Self {
            id,
            user: None,
            email: email.text().to_owned(),
            display_name,
            state: MemberState::Pending,
            roles: Vec::new(),
            created_at,
            external_id: None,
            metadata: Metadata::default(),
            is_made_here: false,
        }
    }

    /// Returns what its etag depends on: all but the roles, which no edit writes.
    #[must_use]
    pub fn tagged(&self) -> Self {
        Self { roles: Vec::new(), ..self.clone() }
    }

    /// Ensures that the membership is in `state`, so that it can be what `act` names.
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

/// Ensures that nobody is in the organization under an address: `found` is who holds it there, and `invited` says who
/// of such was invited to it.
///
/// # Errors
/// - [`Reason::InvitationPending`] for an address whose membership is PENDING and was invited, [`Reason::MemberExists`]
///   for any other.
pub fn must_be_free<S: BuildHasher>(found: Option<&Member>, invited: &HashSet<MembershipId, S>) -> Result<(), Error> {
    match found {
        None => Ok(()),
        Some(member) if member.state == MemberState::Pending && invited.contains(&member.id) => {
            Err(Error::new(Reason::InvitationPending, "the address is invited already").about("member", member.id))
        }
        Some(member) => {
            Err(Error::new(Reason::MemberExists, "the address is a member already").about("member", member.id))
        }
    }
}

/// Whose a member's identity is (X13).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Management {
    /// The organization's: its invitation made the user, who is in no other.
    Managed,
    /// Their own: the organization decides about the membership and not about the person.
    Guest,
}

/// A member as the list of members shows them.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    /// The membership.
    pub member: Member,
    /// Whose identity it is; of a PENDING member it is not known.
    pub management: Option<Management>,
    /// The last sign-in, or call that named the organization, to the minute (AX-11).
    pub last_active_at: Option<Timestamp>,
    /// The first of the resources that list the member, or at which they hold a role, as far as the reader sees them.
    pub places: Vec<ResourceKey>,
    /// How many there are of these.
    pub place_count: u32,
    /// The resource types all of whose resources the member sees, by a role held at the organization (CE-27).
    pub all_of: Vec<Arc<str>>,
    /// Where a page begins that follows the member.
    pub position: Position,
}

/// One organization that a person belongs to, or is offered to.
#[derive(Clone, PartialEq, Debug)]
pub struct Belonging {
    pub organization: Organization,
    /// Their place in it, with its roles.
    pub member: Member,
}
