//! Invitations: created, looked up, accepted. To a mailbox, which works once, or by a link for its bearers (X2).

mod accept;
mod create;
mod link;
mod mailed;

pub use accept::{AcceptInvitation, Accepted};
pub use create::{CreateInvitation, Invited};

use super::Services;
use crate::auth::{Presented, SecretKind};
use crate::domain::access::Actor;
use crate::domain::catalog::InvitationKind;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, MemberState};
use crate::domain::grant::assignment::{Assignment, Plan};
use crate::domain::grant::cardinality;
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;
use crate::store::{Reads, Tx};

/// What a token offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The organization's name.
    pub organization: String,
    /// To a mailbox or by a link.
    pub kind: InvitationKind,
    /// Where the invitation was sent, if anywhere.
    pub email: Option<String>,
    /// It can be accepted strictly before this instant.
    pub expires_at: Timestamp,
    /// Whether whoever accepts must be signed in: the address has an account already, or it is a link.
    pub sign_in_required: bool,
}

impl Services {
    /// Shows what a token offers. Looking never consumes.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for a token that nobody made.
    /// - [`Reason::InvitationExpired`], [`Reason::InvitationAccepted`], [`Reason::InvitationRevoked`].
    pub async fn look_up_invitation(&self, token: &Presented) -> Result<Offer, Error> {
        let reads = self.store.reads();
        let invitation = invitation_by_token(reads, &token_hash(token)?).await?;
        invitation.must_be_open(self.env.now())?;
        let organization = reads.of(invitation.organization).organization().await?;
        let kind = invitation.offered.kind();
        let (email, sign_in_required) = match invitation.offered {
            Offered::Mailbox { email, .. } => {
                let has_account = reads.user_by_email(&Email::parse("email", &email)?).await?.is_some();
                (Some(email), has_account)
            }
            Offered::Link { .. } => (None, true),
        };
        Ok(Offer {
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            kind,
            email,
            expires_at: invitation.expires_at,
            sign_in_required,
        })
    }
}

/// Gives a new membership in `state` everything that is planned for it.
async fn give(tx: &mut Tx, actor: &Actor, plan: &Plan, state: MemberState) -> Result<Vec<Grant>, Error> {
    let before = tx.counters().clone();
    let mut grants = Vec::new();
    for (principal, assignment) in &plan.granted {
        let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Invitation);
        tx.grant_insert(&grant).await?;
        tx.counters().count(&actor.catalog, &grant, state, 1);
        grants.push(grant);
    }
    cardinality::judge(&actor.catalog, &before, tx.counters())?;
    Ok(grants)
}

/// Returns the hash of a token that a caller presents; what is no such token is answered like one that nobody made.
fn token_hash(token: &Presented) -> Result<[u8; 32], Error> {
    token.hash_of_kind(SecretKind::Invitation).ok_or_else(unknown)
}

/// Finds the invitation of a token.
async fn invitation_by_token(reads: Reads<'_>, hash: &[u8; 32]) -> Result<Invitation, Error> {
    reads.invitation_by_token(hash).await?.ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::new(Reason::NotFound, "no such invitation")
}

fn places(assignments: &[Assignment]) -> Vec<ResourceKey> {
    assignments.iter().filter_map(|assignment| assignment.place.resource().cloned()).collect()
}
