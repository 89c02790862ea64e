//! Creating an invitation: to a mailbox, with a membership that is there from then on; or by a link, which brings one at each
//! acceptance.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{give, places};
use crate::auth::{Secret, SecretKind, SecretLink};
use crate::domain::access::{Actor, plan_joining};
use crate::domain::catalog::{InvitationKind, InvitationPolicy, Notice};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{Grant, InvitationState};
use crate::domain::fields::all;
use crate::domain::grant::assignment::Assignment;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::invitation::{Invitation, Offered, must_be_open_here};
use crate::domain::member::{Member, must_be_free};
use crate::domain::place::{Principal, Subject};
use crate::domain::text;
use crate::domain::time::{Timestamp, must_last};
use crate::mail::Mail;
use crate::service::mailing::Mailing;
use crate::service::seats::SeatsBefore;
use crate::service::{Authorize, Call, Context, Mutation, Services, Written};
use crate::store::Tx;

/// Shortest time that an invitation can be open.
const LIFETIME_MIN: Duration = Duration::from_mins(1);

/// Invites an address: a PENDING membership with its grants, and a mail with the link (CE-08, CE-09). Or creates a link for
/// its bearers (CM-20).
///
/// # Errors
/// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::NotFound`].
/// - [`Reason::MemberExists`], [`Reason::InvitationPending`]; [`Reason::RateLimited`] past a limit of mails.
/// - [`Reason::InvitationKindUnavailable`], [`Reason::EmailMalformed`], [`Reason::RoleUnknown`],
///   [`Reason::RoleNotAssignable`], [`Reason::OutOfRange`], [`Reason::FieldRequired`].
/// - [`Reason::RoleCardinality`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`], [`Reason::SeatsExhausted`].
#[derive(Debug)]
pub struct CreateInvitation {
    /// To a mailbox or by a link; what the policy is for if it does not say.
    pub kind: Option<InvitationKind>,
    /// Where it goes; empty for a link.
    pub email: String,
    /// How the user is called, as a first proposal; empty for a link.
    pub display_name: String,
    /// What the member will hold, or everybody who comes by the link.
    pub assignments: Vec<Assignment>,
    /// How long it can be accepted; the policy's default if it does not say.
    pub lifetime: Option<Duration>,
}

/// A new invitation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Invited {
    /// As created; its token went out by mail, or stands in the link.
    pub invitation: Invitation,
    /// PENDING; nobody yet for a link.
    pub member: Option<Member>,
    /// What the member holds from the acceptance on.
    pub grants: Vec<Grant>,
    /// The link, where it is one, returned this once: not on a replay, nor on a dry run.
    #[serde(skip)]
    pub link: Option<SecretLink>,
}

/// An invitation with all that was prepared for it before the lock.
struct PreparedInvitation {
    request: CreateInvitation,
    to: To,
    token_hash: [u8; 32],
}

/// To whom.
enum To {
    /// Who reads this mailbox.
    Mailbox { email: Email, display_name: String, mailing: Box<Mailing> },
    /// The bearers of the link.
    Bearers(SecretLink),
}

impl Authorize for CreateInvitation {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(&places(&self.assignments)).await?;
        call.may(&actor, None, "")?;
        Ok(actor)
    }
}

impl Authorize for PreparedInvitation {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        self.request.authorize(call).await
    }
}

impl Services {
    /// Creates an invitation.
    ///
    /// # Errors
    /// As [`CreateInvitation`].
    pub async fn create_invitation(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: CreateInvitation,
    ) -> Result<Written<Invited>, Error> {
        let authorized = self.authorize(context, organization, &request).await?;
        let prepared = self.prepare_invitation(&authorized.actor, request).await?;
        self.commit_in(context, &authorized, prepared).await
    }

    async fn prepare_invitation(&self, actor: &Actor, request: CreateInvitation) -> Result<PreparedInvitation, Error> {
        let policy = actor.catalog.invitation();
        let kind = request.kind.unwrap_or_else(|| default_kind(policy));
        let lifetime =
            request.lifetime.map(|lifetime| must_last("lifetime", lifetime, &(LIFETIME_MIN..=policy.longest)));
        let email = match kind {
            InvitationKind::Email => Email::parse("email", &request.email).map(Some),
            InvitationKind::Link => must_be_nobodys(&request).map(|()| None),
        };
        let ((), email, display_name, _) = all((
            must_be_open_here(policy, kind, &request.assignments, ""),
            email,
            text::name("display_name", &request.display_name),
            lifetime.transpose(),
        ))?;

        let secret = Secret::new(&self.env, SecretKind::Invitation);
        let to = match email {
            None => To::Bearers(self.settings.invitation_link(&secret)),
            Some(email) => {
                let expires_at = self.env.now().plus(request.lifetime.unwrap_or(policy.lifetime));
                let mail = self.invitation_mail(actor, &email, &secret, expires_at).await?;
                let mailing = Box::new(self.mailing(actor.subject, actor.organization, &email, mail));
                To::Mailbox { email, display_name, mailing }
            }
        };
        Ok(PreparedInvitation { request, to, token_hash: secret.hash() })
    }

    /// Writes the mail with the link.
    async fn invitation_mail(
        &self,
        actor: &Actor,
        email: &Email,
        secret: &Secret,
        expires_at: Timestamp,
    ) -> Result<Mail, Error> {
        let reads = self.store.reads();
        let inviter = match actor.subject {
            Subject::User(user) => Some((reads.user_email(user).await?, reads.user_display_name(user).await?)),
            Subject::ServiceAccount(_) => None,
        };
        let (tell, invited_by) = inviter.unwrap_or_default();
        let organization = reads.of(actor.organization).organization().await?;
        Ok(Mail::Invitation {
            to: email.text().to_owned(),
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            invited_by: invited_by.filter(|name| !name.is_empty()),
            link: self.settings.invitation_link(secret).text().to_owned(),
            expires_at,
            tell: tell.filter(|_| actor.catalog.invitation().notice == Notice::Inviter),
        })
    }
}

/// Picks the kind for who does not: a mailbox where the policy knows it.
fn default_kind(policy: &InvitationPolicy) -> InvitationKind {
    if policy.kinds.contains(&InvitationKind::Email) { InvitationKind::Email } else { InvitationKind::Link }
}

/// Ensures that a link names nobody: its bearers come with an address and a name of their own.
fn must_be_nobodys(request: &CreateInvitation) -> Result<(), Error> {
    let mut violations = Violations::default();
    for (field, text) in [("email", &request.email), ("display_name", &request.display_name)] {
        if !text.is_empty() {
            violations.add(field, Reason::OutOfRange, "must be empty: a link goes to nobody in particular");
        }
    }
    violations.finish()
}

impl Mutation for PreparedInvitation {
    type Output = Invited;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Invited, Error> {
        let (assignments, now) = (&self.request.assignments, tx.now());
        // Once more: the catalog may be another by now.
        let policy = actor.catalog.invitation();
        let kind = if matches!(self.to, To::Bearers(_)) { InvitationKind::Link } else { InvitationKind::Email };
        must_be_open_here(policy, kind, assignments, "")?;
        if let Some(lifetime) = self.request.lifetime {
            must_last("lifetime", lifetime, &(LIFETIME_MIN..=policy.longest))?;
        }

        // Who comes by a link is a member who is not there yet; what they may get is evaluated as if they were.
        let membership: MembershipId = tx.id();
        let plan = plan_joining(&actor, Principal::Membership(membership), assignments, "")?;
        let expires_at = now.plus(self.request.lifetime.unwrap_or(policy.lifetime));
        let (offered, member, grants, link) = match &self.to {
            To::Bearers(link) => {
                let link = (!tx.is_dry()).then(|| link.clone());
                (Offered::Link { assignments: assignments.clone() }, None, Vec::new(), link)
            }
            To::Mailbox { email, display_name, mailing } => {
                let seats = SeatsBefore::of_members(tx, &actor.catalog, &[], &places(assignments)).await?;
                let found = tx.reads().membership_by_email(email).await?;
                must_be_free(found.as_ref(), &tx.reads().invited_among(found.as_slice()).await?)?;
                mailing.as_ref().clone().put(tx, expires_at).await?;
                let mut member = Member::pending(membership, email, display_name.clone(), now);
                tx.membership_insert(&member, email).await?;
                let grants = give(tx, &actor, &plan, member.state).await?;
                seats.must_suffice(tx, &actor.catalog).await?;
                member.roles = plan.role_names();
                (Offered::Mailbox { membership, email: member.email.clone() }, Some(member), grants, None)
            }
        };

        let invitation = Invitation {
            id: tx.id(),
            organization: actor.organization,
            offered,
            sponsor: actor.subject,
            is_founding: false,
            state: InvitationState::Open,
            expires_at,
            created_at: now,
        };
        tx.invitation_insert(&invitation, &self.token_hash).await?;
        Ok(Invited { invitation, member, grants, link })
    }
}
