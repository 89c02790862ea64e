//! Accepting by a link: a membership for the user who bears it. The link stays open for others.

use super::accept::{PREFIX, Token, as_unsponsored, must_be_new_here, unsponsored};
use super::{Accepted, give, places};
use crate::auth::Sealer;
use crate::domain::access::{Actor, plan_joining};
use crate::domain::catalog::InvitationKind;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::MemberState;
use crate::domain::grant::assignment::Assignment;
use crate::domain::id::{MembershipId, UserId};
use crate::domain::invitation::{Invitation, Offered, must_be_open_here};
use crate::domain::member::{Member, must_be_free};
use crate::domain::place::{Principal, ResourceKey};
use crate::service::mark::marks_of;
use crate::service::seats::SeatsBefore;
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Accepts by a link, under the address that the user has proven.
pub(super) struct AcceptLink {
    pub token: Token,
    pub user: UserId,
    pub display_name: String,
    /// Recognises who was removed.
    pub sealer: Sealer,
}

impl Authorize for AcceptLink {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        self.token.authorize(call).await
    }
}

impl Mutation for AcceptLink {
    type Output = Accepted;

    async fn apply(&self, tx: &mut Tx, sponsor: Actor) -> Result<Accepted, Error> {
        let (link, user, now) = (self.token.invitation(tx).await?, self.user, tx.now());
        let Offered::Link { assignments: offered } = &link.offered else {
            return Err(Error::internal("an invitation is of another kind than it was"));
        };
        let assignments: Vec<Assignment> = link.brought(now).cloned().collect();
        let places = places(&assignments);
        let sponsor = tx.reads().widened(sponsor, &places).await?;
        must_be_the_same(tx, &link, &places).await?;
        must_be_open_here(sponsor.catalog.invitation(), InvitationKind::Link, offered, PREFIX)?;
        let membership: MembershipId = tx.id();
        let plan = plan_joining(&sponsor, Principal::Membership(membership), &assignments, PREFIX);
        let plan = plan.map_err(as_unsponsored)?;

        must_be_new_here(tx, user).await?;
        self.must_not_be_barred(tx, &link).await?;
        let email = tx.above().user_email(user).await?;
        let email = Email::parse("email", &email.ok_or_else(|| Error::internal("a user without an address"))?)?;
        let found = tx.reads().membership_by_email(&email).await?;
        must_be_free(found.as_ref(), &tx.reads().invited_among(found.as_slice()).await?)?;
        let display_name = match self.display_name.as_str() {
            "" => tx.above().user_display_name(user).await?.unwrap_or_default(),
            name => name.to_owned(),
        };
        let mut member = Member::pending(membership, &email, display_name, now);
        (member.user, member.state) = (Some(user), MemberState::Active);
        let seats = SeatsBefore::of_members(tx, &sponsor.catalog, &[], &places).await?;
        tx.membership_insert(&member, &email).await?;
        give(tx, &sponsor, &plan, member.state).await?;
        seats.must_suffice(tx, &sponsor.catalog).await?;
        member.roles = plan.role_names();
        Ok(Accepted { organization: sponsor.organization, member })
    }
}

impl AcceptLink {
    /// Ensures that nobody comes back by a link that was created before they were removed: neither the same user nor, since a
    /// managed account goes with its membership, another one with the same address.
    async fn must_not_be_barred(&self, tx: &Tx, link: &Invitation) -> Result<(), Error> {
        let emails = tx.above().user_emails(self.user).await?;
        let marks = marks_of(&self.sealer, link.organization, Some(self.user), &emails)?;
        if tx.reads().is_barred_from_link(link, &marks).await? {
            let message = "who was removed from the organization does not come back by a link that was made before";
            return Err(Error::new(Reason::MemberRemoved, message));
        }
        Ok(())
    }
}

/// Ensures that the places of a link are those that it was created for: what was deleted took what was offered there with it,
/// whatever has its name by now.
async fn must_be_the_same(tx: &Tx, link: &Invitation, places: &[ResourceKey]) -> Result<(), Error> {
    let found = tx.reads().resources_named(places).await?;
    if found.iter().any(|resource| resource.created_at > link.created_at) { Err(unsponsored()) } else { Ok(()) }
}
