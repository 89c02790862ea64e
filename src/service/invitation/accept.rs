//! Accepting: the one membership that a mailbox was offered, or a new one by a link.

use std::sync::Arc;

use super::{AcceptInvitation, Accepted, give, invitation_by_token, places};
use crate::auth::{Counted, Sealer, hash_of};
use crate::domain::access::{Actor, decide, may_give, plan_joining};
use crate::domain::assignment::Assignment;
use crate::domain::cardinality;
use crate::domain::catalog::{InvitationKind, PermissionId};
use crate::domain::email::Email;
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::{Grant, GrantSource, InvitationState, MemberState, UserState};
use crate::domain::id::{MembershipId, UserId};
use crate::domain::invitation::{Invitation, Offered, must_be_open_here};
use crate::domain::member::{Member, must_be_free};
use crate::domain::password;
use crate::domain::place::{Principal, ResourceKey, Subject};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::service::mark::marks_of;
use crate::service::seats::SeatsBefore;
use crate::service::throttle::{Tried, Try};
use crate::service::{Context, Services, Written};
use crate::store::{Lock, Reads, Tx};

/// How the paths of violations begin: what is wrong stands in the invitation, not in the request.
const PREFIX: &str = "invitation.";

/// Who accepts, prepared before the lock.
#[derive(Clone)]
enum Joiner {
    /// A person new to the installation.
    New { user: UserId, password_hash: String },
    /// A person with an account (CM-22).
    Known(UserId),
}

impl Services {
    /// Accepts an invitation. To a mailbox: with a password for a new account (CE-12), or as the account that the address
    /// has (CM-22). By a link: as whoever is signed in (CM-20).
    ///
    /// Nobody is signed in by it (CE-16). A refusal consumes nothing. What it brings is evaluated as if it was given anew, by its
    /// sponsor, under the catalog that the organization follows now; what others gave to the membership since was evaluated
    /// when they gave it.
    ///
    /// # Errors
    /// - As [`Services::look_up_invitation`]; [`Reason::SignInRequired`], [`Reason::EmailMismatch`].
    /// - [`Reason::PasswordTooShort`], [`Reason::PasswordTooSimple`], [`Reason::PasswordTooLong`].
    /// - [`Reason::PasswordsBusy`]; [`Reason::RateLimited`] after too many refusals of this token.
    /// - [`Reason::InvitationUnsponsored`], [`Reason::RoleCardinality`], [`Reason::MemberExists`],
    ///   [`Reason::InvitationPending`], [`Reason::MemberRemoved`].
    /// - What [`Services::create_invitation`] refuses because of the catalog: [`Reason::InvitationKindUnavailable`],
    ///   [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`].
    pub async fn accept_invitation(
        self: &Arc<Self>,
        context: &Context,
        request: AcceptInvitation,
    ) -> Result<Written<Accepted>, Error> {
        let reads = self.store.reads();
        let invitation = invitation_by_token(&reads, &request.token).await?;
        invitation.must_be_open(self.world.now())?;
        let display_name = text::name("display_name", &request.display_name)?;
        let (joiner, tried) = self.prepare_joiner(context, &reads, &invitation, &request).await?;

        let lock = Lock::Organization(invitation.organization);
        let (token, sealer) = (request.token, self.sealer.clone());
        let accepted = self
            .write(context, lock, move |tx| {
                accept(tx, sealer.clone(), token.clone(), joiner.clone(), display_name.clone())
            })
            .await;
        if let Some(tried) = tried {
            tried.ended_as(&accepted);
        }
        accepted
    }

    /// Finds out who accepts. The address decides: who has proven it must be signed in, who is new brings a password. A
    /// link has no address, and takes whoever is signed in.
    async fn prepare_joiner(
        &self,
        context: &Context,
        reads: &Reads<'_>,
        invitation: &Invitation,
        request: &AcceptInvitation,
    ) -> Result<(Joiner, Option<Try>), Error> {
        let caller = match context.caller.as_ref().map(|caller| caller.subject) {
            Some(Subject::User(user)) => Some(user),
            Some(Subject::ServiceAccount(_)) | None => None,
        };
        let Offered::Mailbox { email, .. } = &invitation.offered else {
            let refusal = || Error::new(Reason::SignInRequired, "a link is accepted by who is signed in");
            return Ok((caller.map(Joiner::Known).ok_or_else(refusal)?, None));
        };
        match (reads.user_by_email(&Email::parse("email", email)?).await?, caller) {
            (Some(user), Some(caller)) if user == caller => Ok((Joiner::Known(user), None)),
            (_, Some(_)) => {
                Err(Error::new(Reason::EmailMismatch, "the invitation was sent to an address that is not the caller's"))
            }
            (Some(_), None) => {
                // The account may have been made by this very invitation, after that was read.
                invitation_by_token(reads, &request.token).await?.must_be_open(self.world.now())?;
                Err(Error::new(Reason::SignInRequired, "the address has an account: sign in first"))
            }
            (None, None) => {
                let organization = reads.of(invitation.organization).organization().await?;
                let organization = organization.ok_or_else(|| Error::internal("an invitation to nowhere"))?;
                let catalog = reads.catalog(&organization.catalog).await?;
                password::judge("password", &request.password, catalog.password())?;
                // Whoever holds a token can have passwords hashed by it, so each counts.
                let turn = self.passwords.turn().await?;
                let key = self.sealer.fingerprint(Counted::Invitation, &[&hash_of(&request.token)]);
                let tried = self.try_once(&[Tried::Bearer(key)]).await?;
                let password_hash = turn.hash(&request.password).await?;
                Ok((Joiner::New { user: self.world.id(), password_hash }, Some(tried)))
            }
        }
    }
}

async fn accept(
    tx: Tx,
    sealer: Sealer,
    token: String,
    joiner: Joiner,
    display_name: String,
) -> Result<(Tx, Accepted), Error> {
    let invitation = invitation_by_token(&tx.above(), &token).await?;
    invitation.must_be_open(tx.now())?;
    match (&invitation.offered, &joiner) {
        (Offered::Mailbox { membership, .. }, _) => {
            let membership = *membership;
            accept_mailed(tx, invitation, membership, joiner, display_name).await
        }
        (Offered::Link { .. }, Joiner::Known(user)) => accept_link(tx, &sealer, invitation, *user, display_name).await,
        (Offered::Link { .. }, Joiner::New { .. }) => Err(Error::internal("a link makes no accounts")),
    }
}

/// Binds the person to the membership that was offered.
async fn accept_mailed(
    mut tx: Tx,
    mut invitation: Invitation,
    membership: MembershipId,
    joiner: Joiner,
    display_name: String,
) -> Result<(Tx, Accepted), Error> {
    let (organization, now) = (invitation.organization, tx.now());
    let member = tx.reads().membership(membership, now).await?;
    let mut member = member.ok_or_else(|| Error::internal("an invitation without its membership"))?;
    let email = Email::parse("email", &member.email)?;
    let grants = tx.reads().grants_of(&[Principal::Membership(member.id)], now).await?.live;
    let places: Vec<ResourceKey> = grants.iter().filter_map(|grant| grant.place.resource().cloned()).collect();
    let sponsor = sponsor(&tx, &invitation, &places).await?;
    let brought: Vec<&Grant> = grants.iter().filter(|grant| grant.source == GrantSource::Invitation).collect();
    must_be_givable(&sponsor, &invitation, &brought, now)?;

    let (Joiner::Known(user) | Joiner::New { user, .. }) = &joiner;
    let user = *user;
    must_be_new_here(&tx, user).await?;
    if !display_name.is_empty() {
        member.display_name = display_name;
    }
    if let Joiner::New { password_hash, .. } = &joiner {
        if tx.above().user_by_email(&email).await?.is_some() {
            return Err(Error::new(Reason::SignInRequired, "the address has an account by now: sign in first"));
        }
        tx.user_insert(user, &member.display_name, &email, password_hash).await?;
        member.is_made_here = true;
    }
    let seats = SeatsBefore::of_members(&tx, &sponsor.catalog, &[member.id], &places).await?;
    member.user = Some(user);
    member.state = MemberState::Active;
    tx.membership_update(&member, "accepted").await?;
    invitation.state = InvitationState::Accepted;
    tx.invitation_update(&invitation).await?;

    let before = tx.counters().clone();
    tx.counters().move_state(&sponsor.catalog, &grants, MemberState::Pending, MemberState::Active);
    cardinality::judge(&sponsor.catalog, &before, tx.counters())?;
    seats.must_suffice(&tx, &sponsor.catalog).await?;
    Ok((tx, Accepted { organization, member }))
}

/// Makes a membership for who came by a link, under the address that they have proven. The link stays open for others.
async fn accept_link(
    mut tx: Tx,
    sealer: &Sealer,
    invitation: Invitation,
    user: UserId,
    display_name: String,
) -> Result<(Tx, Accepted), Error> {
    let Invitation { organization, offered: Offered::Link { assignments: offered }, .. } = &invitation else {
        return Err(Error::internal("a link that offers no assignments"));
    };
    let (organization, now) = (*organization, tx.now());
    let assignments: Vec<Assignment> = invitation.brought(now).cloned().collect();
    let sponsor = sponsor(&tx, &invitation, &places(&assignments)).await?;
    must_be_the_same(&tx, &invitation, &places(&assignments)).await?;
    must_be_open_here(sponsor.catalog.invitation(), InvitationKind::Link, offered, PREFIX)?;
    let membership: MembershipId = tx.id();
    let principal = Principal::Membership(membership);
    let planned = plan_joining(&sponsor, principal, &assignments, PREFIX);
    let plan = planned.map_err(as_unsponsored)?;

    must_be_new_here(&tx, user).await?;
    must_not_be_barred(&tx, sealer, &invitation, user).await?;
    let email = tx.above().user_email(user).await?;
    let email = Email::parse("email", &email.ok_or_else(|| Error::internal("a user without an address"))?)?;
    let found = tx.reads().membership_by_email(&email).await?;
    must_be_free(found.as_ref(), &tx.above().invited_among(found.as_slice()).await?)?;
    let display_name = if display_name.is_empty() {
        tx.above().user_display_name(user).await?.unwrap_or_default()
    } else {
        display_name
    };
    let mut member = Member::pending(membership, &email, display_name, tx.now());
    (member.user, member.state) = (Some(user), MemberState::Active);
    let seats = SeatsBefore::of_members(&tx, &sponsor.catalog, &[], &places(&assignments)).await?;
    tx.membership_insert(&member, &email).await?;
    give(&mut tx, &sponsor, &plan, member.state).await?;
    seats.must_suffice(&tx, &sponsor.catalog).await?;
    member.roles = plan.role_names();
    Ok((tx, Accepted { organization, member }))
}

/// Asks that a person with an account is still there, and has no place here yet. From then on nobody ends the account.
async fn must_be_new_here(tx: &Tx, user: UserId) -> Result<(), Error> {
    tx.user_lock(user).await?;
    if tx.above().user_state(user).await?.is_some_and(|state| state != UserState::Active) {
        return Err(Error::new(Reason::UserDisabled, "the account is no more, or shut out"));
    }
    match tx.reads().membership_by_user(user).await? {
        Some(member) => {
            Err(Error::new(Reason::MemberExists, "the caller is a member already").about("member", member.id))
        }
        None => Ok(()),
    }
}

/// Gathers who answers for an invitation before the places that it names; they must still be one who invites, in an
/// organization that is ACTIVE.
async fn sponsor(tx: &Tx, invitation: &Invitation, places: &[ResourceKey]) -> Result<Actor, Error> {
    let sponsor = tx.reads().anybody(invitation.sponsor, places, tx.now()).await?;
    if !sponsor.organization_is_active {
        return Err(Error::new(Reason::OrganizationState, "the organization is not active"));
    }
    if !decide(&sponsor.at(None), PermissionId::MEMBER_INVITE, tx.now()).is_allowed() {
        return Err(unsponsored());
    }
    Ok(sponsor)
}

/// Ensures that the places of a link are those that it was made for: what was deleted took what was offered there with it,
/// whatever has its name by now.
async fn must_be_the_same(tx: &Tx, link: &Invitation, places: &[ResourceKey]) -> Result<(), Error> {
    let found = tx.reads().resources_named(places).await?;
    if found.iter().any(|resource| resource.created_at > link.created_at) { Err(unsponsored()) } else { Ok(()) }
}

/// Ensures that what an invitation to a mailbox brings could be given anew: under the catalog as it is, by who invited, at a
/// place that is still there for them. What a founder brings, any operator may give.
fn must_be_givable(sponsor: &Actor, invitation: &Invitation, brought: &[&Grant], now: Timestamp) -> Result<(), Error> {
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
        assignment.must_be_grantable(&sponsor.catalog, *principal, &field, now)?;
        may_give(&sponsor.at(place.resource()), held, *principal, now).map_err(as_unsponsored)?;
    }
    Ok(())
}

/// Ensures that nobody comes back by a link that was made before they were removed: neither the same user nor, since a managed
/// account goes with its membership, another one with the same address.
async fn must_not_be_barred(tx: &Tx, sealer: &Sealer, link: &Invitation, user: UserId) -> Result<(), Error> {
    let emails = tx.above().user_emails(user).await?;
    let marks = marks_of(sealer, link.organization, Some(user), &emails)?;
    if tx.above().is_barred_from_link(link, &marks).await? {
        let message = "who was removed from the organization does not come back by a link that was made before";
        return Err(Error::new(Reason::MemberRemoved, message));
    }
    Ok(())
}

/// Whoever accepts is not told what the sponsor lacks, nor where.
fn as_unsponsored(error: Error) -> Error {
    if matches!(error.kind(), Kind::PermissionDenied | Kind::NotFound) { unsponsored() } else { error }
}

fn unsponsored() -> Error {
    Error::new(Reason::InvitationUnsponsored, "who invited may no longer give what the invitation brings")
}
