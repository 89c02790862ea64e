//! Invitations: offered, looked up, accepted.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::see;
use super::{Context, Services, Written, text};
use crate::auth::{Secret, SecretKind, hash_of, kind_of};
use crate::domain::access::{Actor, may_give};
use crate::domain::assignment::{Assignment, Plan, plan_member};
use crate::domain::cardinality;
use crate::domain::catalog::{Catalog, InvitationKind, Notice, presets};
use crate::domain::email::Email;
use crate::domain::error::{Error, Kind, Reason, Violations};
use crate::domain::fact::{Grant, GrantSource, InvitationState, MemberState};
use crate::domain::id::{MembershipId, OrganizationId, UserId};
use crate::domain::invitation::Invitation;
use crate::domain::member::Member;
use crate::domain::password;
use crate::domain::place::{Place, Principal, ResourceKey, Subject};
use crate::domain::time::Timestamp;
use crate::mail::Mail;
use crate::store::{Lock, Reads, Tx};

/// Shortest time that an invitation can be open.
const LIFETIME_MIN: Duration = Duration::from_mins(1);

/// Asks for an invitation.
#[derive(Clone, Debug)]
pub struct CreateInvitation {
    /// To which organization.
    pub organization: OrganizationId,
    /// Where it goes.
    pub email: String,
    /// How the person is called, as a first proposal.
    pub display_name: String,
    /// What the member will hold.
    pub assignments: Vec<Assignment>,
    /// How long it can be accepted; the policy's default if it does not say.
    pub lifetime: Option<Duration>,
}

/// A new invitation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invited {
    /// As made; its token went out by mail.
    pub invitation: Invitation,
    /// PENDING.
    pub member: Member,
    /// What the member holds from the acceptance on.
    pub grants: Vec<Grant>,
}

/// What a token offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The organization's name.
    pub organization: String,
    /// Where the invitation was sent.
    pub email: String,
    /// It can be accepted strictly before this instant.
    pub expires_at: Timestamp,
    /// Whether the address has an account already.
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

/// All that an invitation needs, prepared before the lock.
#[derive(Clone)]
struct Inviting {
    organization: OrganizationId,
    email: Email,
    display_name: String,
    assignments: Vec<Assignment>,
    lifetime: Option<Duration>,
    token_hash: [u8; 32],
    mail: Vec<u8>,
}

/// Who accepts, prepared before the lock.
#[derive(Clone)]
enum Joiner {
    /// A person new to the installation.
    New { user: UserId, password_hash: String },
    /// A person with an account (CM-22).
    Known(UserId),
}

impl Services {
    /// Invites an address: a PENDING membership with its grants, and a mail with the link (CE-08, CE-09).
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::NotFound`].
    /// - [`Reason::MemberExists`], [`Reason::InvitationPending`].
    /// - [`Reason::EmailMalformed`], [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`], [`Reason::OutOfRange`].
    /// - [`Reason::RoleCardinality`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`].
    pub async fn create_invitation(
        self: &Arc<Self>,
        context: &Context,
        request: CreateInvitation,
    ) -> Result<Written<Invited>, Error> {
        let organization = request.organization;
        let reads = self.store.reads();
        let actor = reads.actor(organization, context.subject()?, &places(&request.assignments)).await?;
        context.authorize(&actor, organization, None, "", self.world.now())?;
        let inviting = self.prepare_inviting(context, &actor, &reads, request).await?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| invite(tx, call.clone(), inviting.clone()))
            .await
    }

    async fn prepare_inviting(
        &self,
        context: &Context,
        actor: &Actor,
        reads: &Reads<'_>,
        request: CreateInvitation,
    ) -> Result<Inviting, Error> {
        let policy = actor.catalog.invitation();
        let mut violations = Violations::default();
        let email = violations.take(Email::parse("email", &request.email))?;
        let display_name = violations.take(text::name("display_name", &request.display_name))?;
        if request.lifetime.is_some_and(|lifetime| lifetime < LIFETIME_MIN || lifetime > policy.longest) {
            let message = format!("must be from 60 s to {} s", policy.longest.as_secs());
            violations.add("lifetime", Reason::OutOfRange, message);
        }
        if !policy.kinds.contains(&InvitationKind::Email) {
            violations.add("email", Reason::OutOfRange, "invitations to an address are not open here");
        }
        if policy.role_required && request.assignments.is_empty() {
            violations.add("assignments", Reason::FieldRequired, "must name a role");
        }
        violations.finish()?;
        let (Some(email), Some(display_name)) = (email, display_name) else {
            return Err(Error::internal("a field without a value or a violation"));
        };

        let inviter = match context.subject()? {
            Subject::User(user) => Some((reads.user_email(user).await?, reads.user_display_name(user).await?)),
            Subject::ServiceAccount(_) => None,
        };
        let (tell, invited_by) = inviter.unwrap_or_default();
        let organization = reads.organization(request.organization).await?;
        let secret = Secret::new(&self.world, SecretKind::Invitation);
        let mail = Mail::Invitation {
            to: email.text().to_owned(),
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            invited_by: invited_by.filter(|name| !name.is_empty()),
            link: self.settings.invitation_link(&secret),
            expires_at: self.world.now().plus(request.lifetime.unwrap_or(policy.lifetime)),
            tell: tell.filter(|_| policy.notice == Notice::Inviter),
        };
        Ok(Inviting {
            organization: request.organization,
            email,
            display_name,
            assignments: request.assignments,
            lifetime: request.lifetime,
            token_hash: secret.hash(),
            mail: mail.seal(&self.sealer, &self.world),
        })
    }

    /// Shows what a token offers. Looking never consumes.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for a token that nobody made.
    /// - [`Reason::InvitationExpired`], [`Reason::InvitationAccepted`], [`Reason::InvitationRevoked`].
    pub async fn look_up_invitation(&self, token: &str) -> Result<Offer, Error> {
        let reads = self.store.reads();
        let invitation = invitation_by_token(&reads, token).await?;
        invitation.must_be_open(self.world.now())?;
        let organization = reads.organization(invitation.organization).await?;
        let email = Email::parse("email", &invitation.email)?;
        Ok(Offer {
            organization: organization.map(|organization| organization.display_name).unwrap_or_default(),
            sign_in_required: reads.user_by_email(&email).await?.is_some(),
            email: invitation.email,
            expires_at: invitation.expires_at,
        })
    }

    /// Accepts an invitation: with a password for a new account (CE-12), or as the account that the address has (CM-22).
    ///
    /// Nobody is signed in by it (CE-16). A refusal consumes nothing.
    ///
    /// # Errors
    /// - As [`Services::look_up_invitation`]; [`Reason::SignInRequired`], [`Reason::EmailMismatch`].
    /// - [`Reason::PasswordTooShort`], [`Reason::PasswordTooSimple`], [`Reason::PasswordTooLong`].
    /// - [`Reason::InvitationUnsponsored`], [`Reason::RoleCardinality`], [`Reason::MemberExists`].
    pub async fn accept_invitation(
        self: &Arc<Self>,
        context: &Context,
        request: AcceptInvitation,
    ) -> Result<Written<Accepted>, Error> {
        let reads = self.store.reads();
        let invitation = invitation_by_token(&reads, &request.token).await?;
        invitation.must_be_open(self.world.now())?;
        let display_name = text::name("display_name", &request.display_name)?;
        let joiner = self.prepare_joiner(context, &reads, &invitation, &request.password).await?;

        let lock = Lock::Organization(invitation.organization);
        let token = request.token;
        self.write(context, lock, move |tx| accept(tx, token.clone(), joiner.clone(), display_name.clone())).await
    }

    /// Finds out who accepts. The address decides: who has proven it must be signed in, who is new brings a password.
    async fn prepare_joiner(
        &self,
        context: &Context,
        reads: &Reads<'_>,
        invitation: &Invitation,
        password: &str,
    ) -> Result<Joiner, Error> {
        let email = Email::parse("email", &invitation.email)?;
        let caller = match context.caller.as_ref().map(|caller| caller.subject) {
            Some(Subject::User(user)) => Some(user),
            Some(Subject::ServiceAccount(_)) | None => None,
        };
        match (reads.user_by_email(&email).await?, caller) {
            (Some(user), Some(caller)) if user == caller => Ok(Joiner::Known(user)),
            (_, Some(_)) => {
                Err(Error::new(Reason::EmailMismatch, "the invitation was sent to an address that is not the caller's"))
            }
            (Some(_), None) => Err(Error::new(Reason::SignInRequired, "the address has an account: sign in first")),
            (None, None) => {
                let organization = reads.organization(invitation.organization).await?;
                let catalog = organization.and_then(|it| presets::preset(&it.catalog));
                let catalog = catalog.ok_or_else(|| Error::internal("an organization without a catalog"))?;
                password::judge("password", password, catalog.password())?;
                Ok(Joiner::New { user: self.world.id(), password_hash: self.passwords.hash(password).await? })
            }
        }
    }
}

async fn invite(mut tx: Tx, context: Context, inviting: Inviting) -> Result<(Tx, Invited), Error> {
    let (organization, now) = (inviting.organization, tx.now());
    let subject = context.subject()?;
    let actor = tx.reads().actor(organization, subject, &places(&inviting.assignments)).await?;
    context.authorize(&actor, organization, None, "", now)?;

    let membership: MembershipId = tx.id();
    let principal = Principal::Membership(membership);
    let plan = plan_invitation(&actor, organization, principal, &inviting.assignments, now)?;
    must_be_free(&tx, organization, &inviting.email).await?;

    let mut member = Member {
        id: membership,
        user: None,
        email: inviting.email.text().to_owned(),
        display_name: inviting.display_name,
        state: MemberState::Pending,
        roles: Vec::new(),
        created_at: now,
    };
    tx.membership_insert(&member, &inviting.email).await?;
    let before = tx.counters().clone();
    let mut grants = Vec::new();
    for (principal, assignment) in &plan.granted {
        let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Invitation);
        tx.grant_insert(&grant).await?;
        tx.counters().count(&actor.catalog, &grant, member.state, 1);
        grants.push(grant);
    }
    cardinality::judge(&actor.catalog, &before, tx.counters())?;

    let invitation = Invitation {
        id: tx.id(),
        organization,
        membership,
        email: inviting.email.text().to_owned(),
        sponsor: subject,
        state: InvitationState::Open,
        expires_at: now.plus(inviting.lifetime.unwrap_or(actor.catalog.invitation().lifetime)),
        created_at: now,
    };
    tx.invitation_insert(&invitation, &inviting.email, &inviting.token_hash).await?;
    tx.mail_insert(tx.id(), inviting.mail).await?;
    member.roles = plan.role_names();
    Ok((tx, Invited { invitation, member, grants }))
}

/// Plans what the invited will hold, under the ceiling over the whole result.
fn plan_invitation(
    actor: &Actor,
    organization: OrganizationId,
    principal: Principal,
    assignments: &[Assignment],
    now: Timestamp,
) -> Result<Plan, Error> {
    let mut violations = Violations::default();
    for (index, assignment) in assignments.iter().enumerate() {
        if let Place::Resource(key) = &assignment.place {
            see(actor, organization, Some(key), now)?;
        }
        let field = format!("assignments[{index}]");
        violations.take(assignment.must_be_assignable(&actor.catalog, principal, &field))?;
    }
    violations.finish()?;

    for assignment in assignments {
        may_give(&actor.at(assignment.place.resource()), &assignment.held, principal, now)?;
    }
    let plan = plan_member(&actor.catalog, principal, assignments)?;
    for (principal, assignment) in &plan.granted {
        may_give(&actor.at(assignment.place.resource()), &assignment.held, *principal, now)?;
    }
    Ok(plan)
}

/// Asks that nobody is here under this address, and nobody is invited with it.
async fn must_be_free(tx: &Tx, organization: OrganizationId, email: &Email) -> Result<(), Error> {
    match tx.reads().membership_by_email(organization, email).await? {
        None => Ok(()),
        Some(member) if member.state == MemberState::Pending => {
            Err(Error::new(Reason::InvitationPending, "the address is invited already").about("member", member.id))
        }
        Some(member) => {
            Err(Error::new(Reason::MemberExists, "the address is a member already").about("member", member.id))
        }
    }
}

async fn accept(mut tx: Tx, token: String, joiner: Joiner, display_name: String) -> Result<(Tx, Accepted), Error> {
    let now = tx.now();
    let mut invitation = invitation_by_token(&tx.reads(), &token).await?;
    invitation.must_be_open(now)?;
    let organization = invitation.organization;
    let email = Email::parse("email", &invitation.email)?;
    let member = tx.reads().membership(organization, invitation.membership).await?;
    let mut member = member.ok_or_else(|| Error::internal("an invitation without its membership"))?;
    let grants = tx.reads().grants_of(organization, &[Principal::Membership(member.id)]).await?;
    let catalog = must_be_sponsored(&tx, &invitation, &grants).await?;

    let (Joiner::Known(user) | Joiner::New { user, .. }) = &joiner;
    let user = *user;
    if tx.reads().membership_by_user(organization, user).await?.is_some() {
        return Err(Error::new(Reason::MemberExists, "the caller is a member already").about("member", member.id));
    }
    if !display_name.is_empty() {
        member.display_name = display_name;
    }
    if let Joiner::New { password_hash, .. } = &joiner {
        if tx.reads().user_by_email(&email).await?.is_some() {
            return Err(Error::new(Reason::SignInRequired, "the address has an account by now: sign in first"));
        }
        tx.user_insert(user, &member.display_name, &email, password_hash).await?;
    }
    member.user = Some(user);
    member.state = MemberState::Active;
    tx.membership_update(&member, "accepted").await?;
    invitation.state = InvitationState::Accepted;
    tx.invitation_update(&invitation).await?;

    let before = tx.counters().clone();
    tx.counters().move_state(&catalog, &grants, MemberState::Pending, MemberState::Active);
    cardinality::judge(&catalog, &before, tx.counters())?;
    Ok((tx, Accepted { organization, member }))
}

/// Asks that who invited may still give everything that the invitation brings; what a founder brings, any operator may.
async fn must_be_sponsored(tx: &Tx, invitation: &Invitation, grants: &[Grant]) -> Result<Arc<Catalog>, Error> {
    let places: Vec<ResourceKey> = grants.iter().filter_map(|grant| grant.place.resource().cloned()).collect();
    let sponsor = tx.reads().actor(invitation.organization, invitation.sponsor, &places).await?;
    if !sponsor.organization_is_active {
        return Err(Error::new(Reason::OrganizationState, "the organization is not active"));
    }
    for grant in grants {
        let judged = may_give(&sponsor.at(grant.place.resource()), &grant.held, grant.principal, tx.now());
        match judged {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::PermissionDenied => {
                let message = "who invited may no longer give what the invitation brings";
                return Err(Error::new(Reason::InvitationUnsponsored, message));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sponsor.catalog)
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
