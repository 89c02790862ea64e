//! Accepting an invitation: who accepts is found out before the lock, and what they get is given under it, by `mailed` and
//! `link`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::link::AcceptLink;
use super::mailed::{AcceptMailed, Joiner};
use super::{invitation_by_token, token_hash};
use crate::auth::{Counted, Presented};
use crate::domain::access::Actor;
use crate::domain::catalog::PermissionId;
use crate::domain::email::Email;
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::UserState;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::member::Member;
use crate::domain::place::Subject;
use crate::domain::{password, text};
use crate::service::throttle::Tried;
use crate::service::{Authorize, Call, Context, Services, Written};
use crate::store::Tx;

/// How the paths of violations begin: what is wrong stands in the invitation, not in the request.
pub(super) const PREFIX: &str = "invitation.";

/// Accepts an invitation.
#[derive(Clone, Debug)]
pub struct AcceptInvitation {
    /// As it stands in the link.
    pub token: Presented,
    /// The password of the new account.
    pub password: Presented,
    /// What the user is called; as the inviter proposed if empty.
    pub display_name: String,
}

/// The membership that an acceptance brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// The organization joined.
    pub organization: OrganizationId,
    /// ACTIVE.
    pub member: Member,
}

/// An invitation that is open, by its token: who bears it may accept, for as long as its sponsor may invite.
pub(super) struct Token {
    hash: [u8; 32],
}

impl Services {
    /// Accepts an invitation. To a mailbox: with a password for a new account (CE-12), or as the account that the address
    /// has (CM-22). By a link: as the user who is signed in (CM-20).
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
        let token = Token { hash: token_hash(&request.token)? };
        let invitation = invitation_by_token(self.store.reads(), &token.hash).await?;
        invitation.must_be_open(self.env.now())?;
        let display_name = text::name("display_name", &request.display_name)?;
        let Offered::Mailbox { email, .. } = &invitation.offered else {
            let refusal = || Error::new(Reason::SignInRequired, "a link is accepted by a user who is signed in");
            let user = user_of(context).ok_or_else(refusal)?;
            let authorized = self.authorize(context, invitation.organization, &token).await?;
            let accept = AcceptLink { token, user, display_name, sealer: self.sealer.clone() };
            return self.commit_in(context, &authorized, accept).await;
        };
        match self.account_of(context, email, &token).await? {
            Some(user) => {
                let authorized = self.authorize(context, invitation.organization, &token).await?;
                let accept = AcceptMailed { token, joiner: Joiner::Known(user), display_name };
                self.commit_in(context, &authorized, accept).await
            }
            None => self.accept_as_new(context, invitation.organization, token, &request.password, display_name).await,
        }
    }

    /// Finds out who accepts. The address decides: the user who has proven it must be signed in; nobody if it has no account.
    async fn account_of(&self, context: &Context, email: &str, token: &Token) -> Result<Option<UserId>, Error> {
        let reads = self.store.reads();
        match (reads.user_by_email(&Email::parse("email", email)?).await?, user_of(context)) {
            (Some(user), Some(caller)) if user == caller => Ok(Some(user)),
            (_, Some(_)) => {
                Err(Error::new(Reason::EmailMismatch, "the invitation was sent to an address that is not the caller's"))
            }
            (Some(_), None) => {
                // The account may have been created by this very invitation, after that was read.
                invitation_by_token(reads, &token.hash).await?.must_be_open(self.env.now())?;
                Err(Error::new(Reason::SignInRequired, "the address has an account: sign in first"))
            }
            (None, None) => Ok(None),
        }
    }

    /// Accepts with a new account. Who holds a token can have passwords hashed by it, so each try counts; and none is hashed
    /// for an invitation whose sponsor may no longer invite.
    async fn accept_as_new(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        token: Token,
        password: &Presented,
        display_name: String,
    ) -> Result<Written<Accepted>, Error> {
        let reads = self.store.reads();
        let found = reads.of(organization).organization().await?;
        let found = found.ok_or_else(|| Error::internal("an invitation to nowhere"))?;
        password::judge("password", password.text(), reads.catalog(&found.catalog).await?.password())?;
        let turn = self.passwords.turn().await?;
        let key = self.sealer.fingerprint(Counted::Invitation, &[&token.hash]);
        let tried = self.try_once(&[Tried::Bearer(key)]).await?;
        let accept = async {
            let authorized = self.authorize(context, organization, &token).await?;
            let joiner = Joiner::New { user: self.env.id(), password_hash: turn.hash(password.text()).await? };
            self.commit_in(context, &authorized, AcceptMailed { token, joiner, display_name }).await
        };
        let accepted = accept.await;
        tried.ended_as(&accepted);
        accepted
    }
}

/// Returns the user who calls; nobody for a service account, and without a credential.
fn user_of(context: &Context) -> Option<UserId> {
    match context.caller.as_ref().map(|caller| caller.subject) {
        Some(Subject::User(user)) => Some(user),
        Some(Subject::ServiceAccount(_)) | None => None,
    }
}

impl Token {
    /// Reads the invitation, which must be open.
    pub async fn invitation(&self, tx: &Tx) -> Result<Invitation, Error> {
        let invitation = invitation_by_token(tx.above(), &self.hash).await?;
        invitation.must_be_open(tx.now())?;
        Ok(invitation)
    }
}

impl Authorize for Token {
    /// Returns the sponsor, who answers for what the invitation brings: they must still be one who invites, in an organization
    /// that is ACTIVE.
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let invitation = invitation_by_token(call.reads.above(), &self.hash).await?;
        invitation.must_be_open(call.now)?;
        let sponsor = call.reads.anybody(invitation.sponsor, &[], call.now).await?;
        if !sponsor.organization_is_active {
            return Err(Error::new(Reason::OrganizationState, "the organization is not active"));
        }
        if !sponsor.holds(PermissionId::MEMBER_INVITE, None) {
            return Err(unsponsored());
        }
        Ok(sponsor)
    }
}

/// Ensures that a user with an account is still there, and has no place here yet. From then on nobody ends the account.
pub(super) async fn must_be_new_here(tx: &Tx, user: UserId) -> Result<(), Error> {
    tx.user_lock(user).await?;
    if tx.above().user_state(user).await?.is_some_and(|state| state != UserState::Active) {
        return Err(Error::new(Reason::UserDisabled, "the account is deleted or disabled"));
    }
    match tx.reads().membership_by_user(user).await? {
        Some(member) => {
            Err(Error::new(Reason::MemberExists, "the caller is a member already").about("member", member.id))
        }
        None => Ok(()),
    }
}

/// Returns the refusal for the caller, who does not learn what the sponsor lacks, nor where.
pub(super) fn as_unsponsored(error: Error) -> Error {
    if matches!(error.kind(), Kind::PermissionDenied | Kind::NotFound) { unsponsored() } else { error }
}

pub(super) fn unsponsored() -> Error {
    Error::new(Reason::InvitationUnsponsored, "who invited may no longer give what the invitation brings")
}
