//! Accepting an invitation to a mailbox: the membership that it offered becomes the user's.

use super::Accepted;
use super::accept::{PREFIX, Token, as_unsponsored, must_be_new_here};
use crate::domain::access::{Actor, may_give};
use crate::domain::catalog::InvitationKind;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, InvitationState, MemberState};
use crate::domain::grant::assignment::Assignment;
use crate::domain::grant::cardinality;
use crate::domain::id::UserId;
use crate::domain::invitation::{Invitation, Offered, must_be_open_here};
use crate::domain::place::{Principal, resources_among};
use crate::service::seats::SeatsBefore;
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Accepts an invitation to a mailbox.
pub(super) struct AcceptMailed {
    pub token: Token,
    pub joiner: Joiner,
    pub display_name: String,
}

/// Who accepts, prepared before the lock.
pub(super) enum Joiner {
    /// A user new to the installation.
    New { user: UserId, password_hash: String },
    /// A user with an account (CM-22).
    Known(UserId),
}

impl Authorize for AcceptMailed {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        self.token.authorize(call).await
    }
}

impl Mutation for AcceptMailed {
    type Output = Accepted;

    async fn apply(&self, tx: &mut Tx, sponsor: Actor) -> Result<Accepted, Error> {
        let (mut invitation, now) = (self.token.invitation(tx).await?, tx.now());
        let Offered::Mailbox { membership, .. } = invitation.offered else {
            return Err(Error::internal("an invitation is of another kind than it was"));
        };
        let member = tx.reads().membership(membership, now).await?;
        let mut member = member.ok_or_else(|| Error::internal("an invitation without its membership"))?;
        let email = Email::parse("email", &member.email)?;
        let grants = tx.reads().grants_of(&[Principal::Membership(member.id)], now).await?.live;
        let places = resources_among(grants.iter().map(|grant| &grant.place));
        let sponsor = tx.reads().widened(sponsor, &places).await?;
        must_be_givable(&sponsor, &invitation, &grants)?;

        let (Joiner::Known(user) | Joiner::New { user, .. }) = &self.joiner;
        let user = *user;
        must_be_new_here(tx, user).await?;
        if !self.display_name.is_empty() {
            member.display_name.clone_from(&self.display_name);
        }
        if let Joiner::New { password_hash, .. } = &self.joiner {
            if tx.above().user_by_email(&email).await?.is_some() {
                return Err(Error::new(Reason::SignInRequired, "the address has an account by now: sign in first"));
            }
            tx.user_insert(user, &member.display_name, &email, password_hash).await?;
            member.is_made_here = true;
        }
        let seats = SeatsBefore::of_members(tx, &sponsor.catalog, &[member.id], &places).await?;
        member.user = Some(user);
        member.state = MemberState::Active;
        tx.membership_update(&member, "accepted").await?;
        invitation.state = InvitationState::Accepted;
        tx.invitation_update(&invitation).await?;

        let before = tx.counters().clone();
        tx.counters().move_state(&sponsor.catalog, &grants, MemberState::Pending, MemberState::Active);
        cardinality::judge(&sponsor.catalog, &before, tx.counters())?;
        seats.must_suffice(tx, &sponsor.catalog).await?;
        Ok(Accepted { organization: sponsor.organization, member })
    }
}

/// Ensures that what the invitation brings could be given anew: under the catalog as it is, by its sponsor, at a place that is
/// still there for them. What a founder brings, any operator may give.
fn must_be_givable(sponsor: &Actor, invitation: &Invitation, grants: &[Grant]) -> Result<(), Error> {
    let brought: Vec<&Grant> = grants.iter().filter(|grant| grant.source == GrantSource::Invitation).collect();
    let assignment = |grant: &&Grant| {
        let Grant { place, held, expires_at, .. } = *grant;
        Assignment { place: place.clone(), held: held.clone(), expires_at: *expires_at }
    };
    let assignments: Vec<Assignment> = brought.iter().map(assignment).collect();
    if !invitation.is_founding {
        must_be_open_here(sponsor.catalog.invitation(), InvitationKind::Email, &assignments, PREFIX)?;
    }
    for (index, (grant, assignment)) in brought.iter().zip(&assignments).enumerate() {
        let Grant { principal, place, held, .. } = grant;
        sponsor.must_see(place.resource()).map_err(as_unsponsored)?;
        let field = format!("{PREFIX}assignments[{index}]");
        assignment.must_be_grantable(&sponsor.catalog, *principal, &field, sponsor.now)?;
        may_give(&sponsor.at(place.resource()), held, *principal, sponsor.now).map_err(as_unsponsored)?;
    }
    Ok(())
}
