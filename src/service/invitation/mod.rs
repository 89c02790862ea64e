//! Invitations: offered, looked up, accepted. To a mailbox, which works once, or by a link for whoever holds it (X2).

mod accept;
mod create;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Services;
use crate::auth::{SecretKind, hash_of, kind_of};
use crate::domain::access::Actor;
use crate::domain::assignment::{Assignment, Plan};
use crate::domain::cardinality;
use crate::domain::catalog::InvitationKind;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, MemberState};
use crate::domain::id::OrganizationId;
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::member::Member;
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;
use crate::store::{Reads, Tx};

/// Asks for an invitation.
#[derive(Clone, Debug)]
pub struct CreateInvitation {
    /// To which organization.
    pub organization: OrganizationId,
    /// To a mailbox or by a link; what the policy is for if it does not say.
    pub kind: Option<InvitationKind>,
    /// Where it goes; empty for a link.
    pub email: String,
    /// How the person is called, as a first proposal; empty for a link.
    pub display_name: String,
    /// What the member will hold, or everybody who comes by the link.
    pub assignments: Vec<Assignment>,
    /// How long it can be accepted; the policy's default if it does not say.
    pub lifetime: Option<Duration>,
}

/// A new invitation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invited {
    /// As made; its token went out by mail, or stands in the link.
    pub invitation: Invitation,
    /// PENDING; nobody yet for a link.
    pub member: Option<Member>,
    /// What the member holds from the acceptance on.
    pub grants: Vec<Grant>,
}

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

/// Accepts an invitation.
#[derive(Clone)]
pub struct AcceptInvitation {
    /// As it stands in the link.
    pub token: String,
    /// The password of the new account.
    pub password: String,
    /// How the person is called; as the inviter proposed if empty.
    pub display_name: String,
}

impl std::fmt::Debug for AcceptInvitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AcceptInvitation(…)")
    }
}

/// The membership that an acceptance brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// The organization joined.
    pub organization: OrganizationId,
    /// ACTIVE.
    pub member: Member,
}

impl Services {
    /// Shows what a token offers. Looking never consumes.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for a token that nobody made.
    /// - [`Reason::InvitationExpired`], [`Reason::InvitationAccepted`], [`Reason::InvitationRevoked`].
    pub async fn look_up_invitation(&self, token: &str) -> Result<Offer, Error> {
        let reads = self.store.reads();
        let invitation = invitation_by_token(&reads, token).await?;
        invitation.must_be_open(self.world.now())?;
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

/// Finds the invitation of a token; one that nobody made and one that is no token are answered alike.
async fn invitation_by_token(reads: &Reads<'_>, token: &str) -> Result<Invitation, Error> {
    let unknown = || Error::new(Reason::NotFound, "no such invitation");
    if kind_of(token) != Some(SecretKind::Invitation) {
        return Err(unknown());
    }
    reads.invitation_by_token(&hash_of(token)).await?.ok_or_else(unknown)
}

fn places(assignments: &[Assignment]) -> Vec<ResourceKey> {
    assignments.iter().filter_map(|assignment| assignment.place.resource().cloned()).collect()
}
