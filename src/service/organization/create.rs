//! Creating an organization that follows a catalog, with its founder invited by e-mail (X17).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth::{Secret, SecretKind};
use crate::domain::access::{Actor, may_give};
use crate::domain::assignment::{Plan, plan_founder};
use crate::domain::catalog::{Catalog, PermissionId};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{GrantSource, InvitationState, OrganizationState};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::member::Member;
use crate::domain::metadata::Metadata;
use crate::domain::organization::Organization;
use crate::domain::place::Principal;
use crate::mail::Mail;
use crate::service::call::must_be_operator;
use crate::service::mailing::Mailing;
use crate::service::mutation::{AuthorizeAbove, Transaction};
use crate::service::{Call, Context, Services, Written};
use crate::store::{Lock, Reads, Tx};

/// Creates an organization.
///
/// # Errors
/// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`]; [`Reason::CatalogUnknown`], for an operator, and
///   [`Reason::OperatorRequired`], for others, where the catalog is not there.
/// - [`Reason::RateLimited`] past a limit of mails.
#[derive(Clone, Debug)]
pub struct CreateOrganization {
    /// For people.
    pub display_name: String,
    /// The name of a preset, or of an operator's catalog.
    pub catalog: String,
    /// Of an operator's catalog; `None` for the newest.
    pub catalog_version: Option<u32>,
    /// Where the founder's invitation goes.
    pub founder_email: Email,
}

/// A new organization and its founder's invitation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatedOrganization {
    /// As created.
    pub organization: Organization,
    /// The founder's; its token went out by mail.
    pub invitation: Invitation,
    /// PENDING.
    pub founder: Member,
}

/// A caller who may create an organization under a catalog.
#[derive(Clone, Debug)]
pub struct Creator {
    actor: Actor,
    catalog_key: Arc<str>,
    catalog: Arc<Catalog>,
}

/// An organization that is created, with all that was prepared for it before the lock.
struct PreparedOrganization {
    request: CreateOrganization,
    id: OrganizationId,
    token_hash: [u8; 32],
    mailing: Mailing,
}

impl Services {
    /// Creates an organization.
    ///
    /// # Errors
    /// As [`CreateOrganization`].
    pub async fn create_organization(
        self: &Arc<Self>,
        context: &Context,
        request: CreateOrganization,
    ) -> Result<Written<CreatedOrganization>, Error> {
        let id = self.world.id();
        let authorized = self.authorize_above(context, Lock::NewOrganization(id), &request).await?;
        let prepared = self.prepare_organization(id, request, &authorized.actor);
        let mut created = self.commit(context, &authorized, prepared).await?;
        if created.is_replay {
            // What was locked is not what was created then. The answer stands, with or without a revision.
            created.token = self.token_before_reading(created.value.organization.id).await.ok();
        }
        Ok(created)
    }

    fn prepare_organization(
        &self,
        id: OrganizationId,
        request: CreateOrganization,
        creator: &Creator,
    ) -> PreparedOrganization {
        let secret = Secret::new(&self.world, SecretKind::Invitation);
        let mail = Mail::Invitation {
            to: request.founder_email.text().to_owned(),
            organization: request.display_name.clone(),
            invited_by: None,
            link: self.settings.invitation_link(&secret),
            expires_at: self.world.now().plus(creator.catalog.invitation().lifetime),
            tell: None,
        };
        let mailing = self.mailing(creator.actor.subject, id, &request.founder_email, mail);
        // The version that the mail was written for, whatever becomes the newest meanwhile. A preset has one alone.
        let request = CreateOrganization { catalog_version: Some(creator.catalog.version()), ..request };
        PreparedOrganization { request, id, token_hash: secret.hash(), mailing }
    }
}

impl AuthorizeAbove for CreateOrganization {
    type Actor = Creator;

    async fn authorize(&self, call: &Call<'_, Reads<'_>>) -> Result<Creator, Error> {
        let subject = call.context.subject()?;
        let Some((catalog_key, catalog)) = call.reads.catalog_named(&self.catalog, self.catalog_version).await? else {
            must_be_operator(call.reads, subject).await?;
            let message = "names no preset and no catalog of this installation";
            return Err(Error::invalid("catalog", Reason::CatalogUnknown, message));
        };
        let actor = call.reads.actor_above(subject, &catalog, call.now).await?;
        let founder = Principal::Membership(MembershipId(uuid::Uuid::nil()));
        may_create(&actor, &plan_founder(&catalog, founder)?)?;
        Ok(Creator { actor, catalog_key, catalog })
    }
}

impl AuthorizeAbove for PreparedOrganization {
    type Actor = Creator;

    async fn authorize(&self, call: &Call<'_, Reads<'_>>) -> Result<Creator, Error> {
        self.request.authorize(call).await
    }
}

impl Transaction for PreparedOrganization {
    type Output = CreatedOrganization;

    fn lock(&self) -> Lock {
        Lock::NewOrganization(self.id)
    }

    async fn apply(&self, tx: &mut Tx, creator: Creator) -> Result<CreatedOrganization, Error> {
        let Creator { actor, catalog_key, catalog } = creator;
        let (now, membership): (_, MembershipId) = (tx.now(), tx.id());
        let plan = plan_founder(&catalog, Principal::Membership(membership))?;
        let expires_at = now.plus(catalog.invitation().lifetime);
        self.mailing.clone().put(tx, expires_at).await?;
        let organization = Organization {
            id: self.id,
            display_name: self.request.display_name.clone(),
            catalog: catalog_key,
            state: OrganizationState::Active,
            created_at: now,
            slug: None,
            external_id: None,
            metadata: Metadata::default(),
        };
        tx.organization_insert(&organization).await?;

        let email = &self.request.founder_email;
        let mut founder = Member::pending(membership, email, String::new(), now);
        tx.membership_insert(&founder, email).await?;
        for (principal, assignment) in &plan.granted {
            let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Invitation);
            tx.grant_insert(&grant).await?;
            tx.counters().count(&catalog, &grant, founder.state, 1);
        }

        let invitation = Invitation {
            id: tx.id(),
            organization: organization.id,
            offered: Offered::Mailbox { membership, email: email.text().to_owned() },
            sponsor: actor.subject,
            is_founding: true,
            state: InvitationState::Open,
            expires_at,
            created_at: now,
        };
        tx.invitation_insert(&invitation, &self.token_hash).await?;
        founder.roles = plan.role_names();
        Ok(CreatedOrganization { organization, invitation, founder })
    }
}

/// Ensures that the actor may create an organization of the product, and give its founder what `plan` says.
fn may_create(actor: &Actor, plan: &Plan) -> Result<(), Error> {
    actor.must_hold(PermissionId::ORGANIZATION_CREATE, None)?;
    let there = actor.at(None);
    plan.granted.iter().try_for_each(|(founder, given)| may_give(&there, &given.held, *founder, actor.now))
}
