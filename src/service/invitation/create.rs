//! Inviting: to a mailbox, with a membership that is there from then on; or by a link, which makes one at each acceptance.

use std::sync::Arc;
use std::time::Duration;

use super::{CreateInvitation, Invited, give, places};
use crate::auth::{Secret, SecretKind};
use crate::domain::access::{Actor, plan_joining};
use crate::domain::assignment::Assignment;
use crate::domain::catalog::{InvitationKind, InvitationPolicy, Notice};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::InvitationState;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::invitation::{Invitation, Offered, must_be_open_here};
use crate::domain::member::{Member, must_be_free};
use crate::domain::place::{Principal, Subject};
use crate::domain::text;
use crate::domain::time::{Timestamp, must_last};
use crate::mail::Mail;
use crate::service::mailing::Mailing;
use crate::service::seats::SeatsBefore;
use crate::service::{Context, Services, Written};
use crate::store::{Lock, Tx};

/// Shortest time that an invitation can be open.
const LIFETIME_MIN: Duration = Duration::from_mins(1);

/// All that an invitation needs, prepared before the lock.
#[derive(Clone)]
struct Inviting {
    organization: OrganizationId,
    to: To,
    assignments: Vec<Assignment>,
    lifetime: Option<Duration>,
    token_hash: [u8; 32],
}

/// To whom.
#[derive(Clone)]
enum To {
    /// Whoever reads this mailbox.
    Mailbox { email: Email, display_name: String, mailing: Box<Mailing> },
    /// Whoever holds the link.
    Holders,
}

impl Services {
    /// Invites an address: a PENDING membership with its grants, and a mail with the link (CE-08, CE-09). Or makes a link
    /// for whoever holds it (CM-20): the second value, told this once; none on a replay or a dry run.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::NotFound`].
    /// - [`Reason::MemberExists`], [`Reason::InvitationPending`]; [`Reason::RateLimited`] past a limit of mails.
    /// - [`Reason::InvitationKindUnavailable`], [`Reason::EmailMalformed`], [`Reason::RoleUnknown`],
    ///   [`Reason::RoleNotAssignable`], [`Reason::OutOfRange`], [`Reason::FieldRequired`].
    /// - [`Reason::RoleCardinality`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`].
    pub async fn create_invitation(
        self: &Arc<Self>,
        context: &Context,
        request: CreateInvitation,
    ) -> Result<(Written<Invited>, Option<String>), Error> {
        let organization = request.organization;
        let places = places(&request.assignments);
        let actor = self.store.reads().of(organization).actor(context.subject()?, &places, self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let secret = Secret::new(&self.world, SecretKind::Invitation);
        let inviting = self.prepare_inviting(context, &actor, request, &secret).await?;
        let link = matches!(inviting.to, To::Holders).then(|| self.settings.invitation_link(&secret));

        let call = context.clone();
        let written = self
            .write(context, Lock::Organization(organization), move |tx| invite(tx, call.clone(), inviting.clone()))
            .await?;
        let is_told = !written.is_replay && !context.validate_only;
        Ok((written, link.filter(|_| is_told)))
    }

    async fn prepare_inviting(
        &self,
        context: &Context,
        actor: &Actor,
        request: CreateInvitation,
        secret: &Secret,
    ) -> Result<Inviting, Error> {
        let policy = actor.catalog.invitation();
        let kind = request.kind.unwrap_or_else(|| default_kind(policy));
        let mut violations = Violations::default();
        violations.take(must_be_open_here(policy, kind, &request.assignments, ""))?;
        let email = match kind {
            InvitationKind::Email => violations.take(Email::parse("email", &request.email))?,
            InvitationKind::Link => {
                must_be_nobodys(&request, &mut violations);
                None
            }
        };
        let display_name = violations.take(text::name("display_name", &request.display_name))?;
        if let Some(lifetime) = request.lifetime {
            violations.take(must_last("lifetime", lifetime, &(LIFETIME_MIN..=policy.longest)))?;
        }
        violations.finish()?;

        let expires_at = self.world.now().plus(request.lifetime.unwrap_or(policy.lifetime));
        let to = match (kind, email, display_name) {
            (InvitationKind::Link, ..) => To::Holders,
            (InvitationKind::Email, Some(email), Some(display_name)) => {
                let organization = request.organization;
                let mail = self.invitation_mail(context, organization, policy, &email, secret, expires_at).await?;
                let mailing = Box::new(self.mailing(context.subject()?, organization, &email, mail));
                To::Mailbox { email, display_name, mailing }
            }
            _ => return Err(Error::internal("a field without a value or a violation")),
        };
        let CreateInvitation { organization, assignments, lifetime, .. } = request;
        Ok(Inviting { organization, to, assignments, lifetime, token_hash: secret.hash() })
    }
}

impl Services {
    /// Writes the mail with the link.
    async fn invitation_mail(
        &self,
        context: &Context,
        organization: OrganizationId,
        policy: &InvitationPolicy,
        email: &Email,
        secret: &Secret,
        expires_at: Timestamp,
    ) -> Result<Mail, Error> {
        let reads = self.store.reads();
        let inviter = match context.subject()? {
            Subject::User(user) => Some((reads.user_email(user).await?, reads.user_display_name(user).await?)),
            Subject::ServiceAccount(_) => None,
        };
        let (tell, invited_by) = inviter.unwrap_or_default();
        let organization = reads.of(organization).organization().await?;
        Ok(Mail::Invitation {
            to: email.text().to_owned(),
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            invited_by: invited_by.filter(|name| !name.is_empty()),
            link: self.settings.invitation_link(secret),
            expires_at,
            tell: tell.filter(|_| policy.notice == Notice::Inviter),
        })
    }
}

/// Picks the kind for who does not: a mailbox where the policy knows it.
fn default_kind(policy: &InvitationPolicy) -> InvitationKind {
    if policy.kinds.contains(&InvitationKind::Email) { InvitationKind::Email } else { InvitationKind::Link }
}

/// Asks that a link names nobody: whoever holds it comes with an address and a name of their own.
fn must_be_nobodys(request: &CreateInvitation, violations: &mut Violations) {
    for (field, text) in [("email", &request.email), ("display_name", &request.display_name)] {
        if !text.is_empty() {
            violations.add(field, Reason::OutOfRange, "must be empty: a link goes to nobody in particular");
        }
    }
}

async fn invite(mut tx: Tx, context: Context, inviting: Inviting) -> Result<(Tx, Invited), Error> {
    let (organization, now) = (inviting.organization, tx.now());
    let subject = context.subject()?;
    let actor = tx.reads().actor(subject, &places(&inviting.assignments), tx.now()).await?;
    context.authorize(&actor, None, "")?;
    // Once more: the catalog may be another by now.
    let policy = actor.catalog.invitation();
    let kind = if matches!(inviting.to, To::Holders) { InvitationKind::Link } else { InvitationKind::Email };
    must_be_open_here(policy, kind, &inviting.assignments, "")?;
    if let Some(lifetime) = inviting.lifetime {
        must_last("lifetime", lifetime, &(LIFETIME_MIN..=policy.longest))?;
    }

    // Whoever comes by a link is a member who is not there yet; what they may get is judged as if they were.
    let membership: MembershipId = tx.id();
    let principal = Principal::Membership(membership);
    let plan = plan_joining(&actor, principal, &inviting.assignments, "")?;
    let expires_at = now.plus(inviting.lifetime.unwrap_or(policy.lifetime));
    let (offered, member, grants) = match inviting.to {
        To::Holders => (Offered::Link { assignments: inviting.assignments }, None, Vec::new()),
        To::Mailbox { email, display_name, mailing } => {
            let places = places(&inviting.assignments);
            let seats = SeatsBefore::of_members(&tx, &actor.catalog, &[], &places).await?;
            let found = tx.reads().membership_by_email(&email).await?;
            must_be_free(found.as_ref(), &tx.above().invited_among(found.as_slice()).await?)?;
            mailing.put(&mut tx, expires_at).await?;
            let mut member = Member::pending(membership, &email, display_name, now);
            tx.membership_insert(&member, &email).await?;
            let grants = give(&mut tx, &actor, &plan, member.state).await?;
            seats.must_suffice(&tx, &actor.catalog).await?;
            member.roles = plan.role_names();
            (Offered::Mailbox { membership, email: member.email.clone() }, Some(member), grants)
        }
    };

    let invitation = Invitation {
        id: tx.id(),
        organization,
        offered,
        sponsor: subject,
        is_founding: false,
        state: InvitationState::Open,
        expires_at,
        created_at: now,
    };
    tx.invitation_insert(&invitation, &inviting.token_hash).await?;
    Ok((tx, Invited { invitation, member, grants }))
}
