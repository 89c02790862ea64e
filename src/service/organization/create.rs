//! Creating an organization that follows a catalog, with its founder invited by e-mail (X17).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::{Secret, SecretKind};
use crate::domain::access::{Actor, may_give};
use crate::domain::catalog::{Catalog, PermissionId};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{GrantSource, InvitationState, OrganizationState};
use crate::domain::fields::all;
use crate::domain::grant::assignment::plan_founder;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::member::Member;
use crate::domain::metadata::Metadata;
use crate::domain::organization::Organization;
use crate::domain::place::Principal;
use crate::domain::text::required_name;
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
/// - [`Reason::FieldRequired`], [`Reason::TextMalformed`], [`Reason::EmailMalformed`]; [`Reason::RateLimited`] past a limit
///   of mails.
#[derive(Clone, Debug)]
pub struct CreateOrganization {
    /// For people.
    pub display_name: String,
    /// The name of a preset, or of an operator's catalog.
    pub catalog: String,
    /// Of an operator's catalog; `None` for the newest.
    pub catalog_version: Option<u32>,
    /// Where the founder's invitation goes.
    pub founder_email: String,
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

/// A catalog that is there, with its key, and a caller who may create an organization under it.
type Creator = (Arc<str>, Arc<Catalog>, Actor);

/// An organization that is created, with all that was prepared for it before the lock.
struct PreparedOrganization {
    id: OrganizationId,
    catalog_key: Arc<str>,
    catalog: Arc<Catalog>,
    display_name: String,
    founder_email: Email,
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
        let id = self.env.id();
        let authorized = self.authorize_above(context, Lock::NewOrganization(id), &request).await?;
        // What is wrong with the fields is returned at once, with a catalog that is not there.
        let (display_name, founder_email, creator) = all((
            required_name("display_name", &request.display_name),
            Email::parse("founder_email", &request.founder_email),
            authorized.actor.clone().ok_or_else(unknown_catalog),
        ))?;
        let authorized = authorized.map(|_| creator.2.clone());
        let prepared = self.prepare_organization(id, display_name, founder_email, creator);
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
        display_name: String,
        founder_email: Email,
        (catalog_key, catalog, actor): Creator,
    ) -> PreparedOrganization {
        let secret = Secret::new(&self.env, SecretKind::Invitation);
        let mail = Mail::Invitation {
            to: founder_email.text().to_owned(),
            organization: display_name.clone(),
            invited_by: None,
            link: self.settings.invitation_link(&secret).text().to_owned(),
            expires_at: self.env.now().plus(catalog.invitation().lifetime),
            tell: None,
        };
        let mailing = self.mailing(actor.subject, id, &founder_email, mail);
        let token_hash = secret.hash();
        PreparedOrganization { id, catalog_key, catalog, display_name, founder_email, token_hash, mailing }
    }
}

impl AuthorizeAbove for CreateOrganization {
    /// `None` for an operator where the catalog is not there.
    type Actor = Option<Creator>;

    async fn authorize(&self, call: &Call<'_, Reads<'_>>) -> Result<Option<Creator>, Error> {
        let subject = call.context.subject()?;
        let Some((catalog_key, catalog)) = call.reads.catalog_named(&self.catalog, self.catalog_version).await? else {
            must_be_operator(call.reads, subject).await?;
            return Ok(None);
        };
        let actor = may_create(call, &catalog).await?;
        Ok(Some((catalog_key, catalog, actor)))
    }
}

impl AuthorizeAbove for PreparedOrganization {
    type Actor = Actor;

    async fn authorize(&self, call: &Call<'_, Reads<'_>>) -> Result<Actor, Error> {
        may_create(call, &self.catalog).await
    }
}

impl Transaction for PreparedOrganization {
    type Output = CreatedOrganization;

    fn lock(&self) -> Lock {
        Lock::NewOrganization(self.id)
    }

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<CreatedOrganization, Error> {
        let (catalog, email) = (&self.catalog, &self.founder_email);
        let (now, membership): (_, MembershipId) = (tx.now(), tx.id());
        let plan = plan_founder(catalog, Principal::Membership(membership))?;
        let expires_at = now.plus(catalog.invitation().lifetime);
        self.mailing.clone().put(tx, expires_at).await?;
        let organization = Organization {
            id: self.id,
            display_name: self.display_name.clone(),
            catalog: Arc::clone(&self.catalog_key),
            state: OrganizationState::Active,
            created_at: now,
            slug: None,
            external_id: None,
            metadata: Metadata::default(),
        };
        tx.organization_insert(&organization).await?;

        let mut founder = Member::pending(membership, email, String::new(), now);
        tx.membership_insert(&founder, email).await?;
        for (principal, assignment) in &plan.granted {
            let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Invitation);
            tx.grant_insert(&grant).await?;
            tx.counters().count(catalog, &grant, founder.state, 1);
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

/// Returns the caller, who may create an organization of the product, and give its founder what the catalog says.
async fn may_create(call: &Call<'_, Reads<'_>>, catalog: &Arc<Catalog>) -> Result<Actor, Error> {
    let actor = call.reads.actor_above(call.context.subject()?, catalog, call.now).await?;
    actor.must_hold(PermissionId::ORGANIZATION_CREATE, None)?;
    let founder = Principal::Membership(MembershipId(Uuid::nil()));
    for (founder, given) in &plan_founder(catalog, founder)?.granted {
        may_give(&actor.at(None), &given.held, *founder, call.now)?;
    }
    Ok(actor)
}

fn unknown_catalog() -> Error {
    Error::invalid("catalog", Reason::CatalogUnknown, "names no preset and no catalog of this installation")
}
