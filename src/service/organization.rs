//! Organizations: made by operators and by who may at the product, with their founder invited; shown to whoever is in them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::call::must_be_operator;
use super::mailing::Mailing;
use super::{Context, Read, Services, Written, etag};
use crate::auth::{Secret, SecretKind};
use crate::domain::access::{Actor, decide, may_give};
use crate::domain::assignment::{Plan, plan_founder};
use crate::domain::catalog::{Catalog, PermissionId};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{GrantSource, InvitationState, OrganizationState};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::member::Member;
use crate::domain::metadata::{Metadata, external_id};
use crate::domain::organization::{Organization, slug};
use crate::domain::place::{Principal, Subject};
use crate::domain::text::required_name;
use crate::domain::time::Timestamp;
use crate::mail::Mail;
use crate::store::{Lock, Tx};

/// Asks for a new organization.
#[derive(Clone, Debug)]
pub struct CreateOrganization {
    /// For people.
    pub display_name: String,
    /// The name of a preset, or of an operator's catalog.
    pub catalog: String,
    /// Of an operator's catalog; the newest if none is named.
    pub catalog_version: Option<u32>,
    /// Where the founder's invitation goes.
    pub founder_email: String,
}

/// A new organization and its founder's invitation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Founded {
    /// As made.
    pub organization: Organization,
    /// The founder's; its token went out by mail.
    pub invitation: Invitation,
    /// PENDING.
    pub founder: Member,
}

/// An organization as the caller may see it.
#[derive(Clone, Debug)]
pub struct OrganizationView {
    /// The organization.
    pub organization: Organization,
    /// Whether the caller may see the private part of its metadata.
    pub shows_private: bool,
}

/// How an organization of a product is looked up.
#[derive(Clone, Debug)]
pub enum OrganizationName {
    /// By its name for addresses.
    Slug(String),
    /// By the product's own id.
    ExternalId(String),
}

/// Edits an organization; what is nothing stays.
#[derive(Clone, Debug)]
pub struct UpdateOrganization {
    /// Which.
    pub id: OrganizationId,
    /// For people.
    pub display_name: Option<String>,
    /// A name for addresses; empty for none.
    pub slug: Option<String>,
    /// The product's own id; empty for none.
    pub external_id: Option<String>,
    /// What the product keeps with it.
    pub metadata: Option<Metadata>,
    /// As it was told before; whatever it is if empty.
    pub etag: String,
}

/// All that a new organization needs, prepared before the lock.
#[derive(Clone)]
struct Founding {
    catalog_key: Arc<str>,
    catalog: Arc<Catalog>,
    organization: OrganizationId,
    display_name: String,
    email: Email,
    token_hash: [u8; 32],
    mailing: Mailing,
    founded_by: Subject,
    lifetime: Duration,
}

impl Services {
    /// Makes an organization that follows a catalog, and invites its founder by e-mail (X17).
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`]; [`Reason::OperatorRequired`] for a catalog that is not there.
    /// - [`Reason::RateLimited`] past a limit of mails.
    /// - [`Reason::CatalogUnknown`], [`Reason::EmailMalformed`], [`Reason::FieldRequired`], [`Reason::TextMalformed`].
    pub async fn create_organization(
        self: &Arc<Self>,
        context: &Context,
        request: CreateOrganization,
    ) -> Result<Written<Founded>, Error> {
        let founding = self.prepare_founding(context.subject()?, &request).await?;
        let lock = Lock::NewOrganization(founding.organization);
        let mut written = self.write(context, lock, move |tx| found(tx, founding.clone())).await?;
        if written.is_replay {
            // What was locked is not what was made then. The answer stands, with or without a revision.
            written.token = self.token_before_reading(written.value.organization.id).await.ok();
        }
        Ok(written)
    }

    async fn prepare_founding(&self, founded_by: Subject, request: &CreateOrganization) -> Result<Founding, Error> {
        let reads = self.store.reads();
        let catalog = reads.catalog_named(&request.catalog, request.catalog_version).await?;
        match &catalog {
            Some((_, catalog)) => {
                let actor = reads.actor_above(founded_by, catalog, self.world.now()).await?;
                may_found(&actor, &plan_founder(catalog, Principal::Membership(self.world.id()))?, self.world.now())?;
            }
            None => must_be_operator(reads, founded_by).await?,
        }
        let mut violations = Violations::default();
        let display_name = violations.take(required_name("display_name", &request.display_name))?;
        let email = violations.take(Email::parse("founder_email", &request.founder_email))?;
        if catalog.is_none() {
            violations.add("catalog", Reason::CatalogUnknown, "names no preset and no catalog of this installation");
        }
        violations.finish()?;
        let (Some(display_name), Some(email), Some((catalog_key, catalog))) = (display_name, email, catalog) else {
            return Err(Error::internal("a field without a value or a violation"));
        };

        let secret = Secret::new(&self.world, SecretKind::Invitation);
        let lifetime = catalog.invitation().lifetime;
        let mail = Mail::Invitation {
            to: email.text().to_owned(),
            organization: display_name.clone(),
            invited_by: None,
            link: self.settings.invitation_link(&secret),
            expires_at: self.world.now().plus(lifetime),
            tell: None,
        };
        let organization = self.world.id();
        let mailing = self.mailing(founded_by, organization, &email, mail);
        Ok(Founding {
            catalog_key,
            catalog,
            organization,
            display_name,
            email,
            token_hash: secret.hash(),
            mailing,
            founded_by,
            lifetime,
        })
    }

    /// Shows an organization.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for whoever is not in it, nor holds anything above it.
    pub async fn organization(&self, context: &Context, id: OrganizationId) -> Result<Read<OrganizationView>, Error> {
        let (token, now) = (self.token_before_reading(id).await?, self.world.now());
        let reads = self.store.reads();
        let actor = reads.of(id).actor(context.subject()?, &[], self.world.now()).await?;
        actor.must_see(None)?;
        context.note(id, now);
        let organization = reads.of(id).organization().await?.ok_or_else(|| Error::not_found("organization", id))?;
        let shows_private = decide(&actor.at(None), PermissionId::ORGANIZATION_UPDATE, now).is_allowed();
        Ok(Read { value: OrganizationView { organization, shows_private }, token })
    }

    /// Finds an organization of a product, which is named as its catalog, by another name than its id.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], the same if none is called so and if the caller does not see it.
    pub async fn look_up_organization(
        &self,
        context: &Context,
        product: &str,
        name: &OrganizationName,
    ) -> Result<Read<OrganizationView>, Error> {
        let reads = self.store.reads();
        let (found, called) = match name {
            OrganizationName::Slug(slug) => (reads.organization_by_slug(product, slug).await?, slug),
            OrganizationName::ExternalId(id) => (reads.organization_by_external_id(product, id).await?, id),
        };
        let unknown = || Error::not_found("organization", called);
        // A name that nobody has costs what one of an organization costs that the caller does not see.
        let id = found.map_or(OrganizationId(Uuid::nil()), |organization| organization.id);
        self.organization(context, id)
            .await
            .map_err(|error| if error.reason == Reason::NotFound { unknown() } else { error })
    }

    /// Edits an organization. The names by which the product finds it are for who may make organizations of the product.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FieldReserved`], [`Reason::EtagMismatch`],
    ///   [`Reason::NameTaken`].
    /// - [`Reason::FieldRequired`], [`Reason::TextMalformed`], [`Reason::MetadataMalformed`].
    pub async fn update_organization(
        self: &Arc<Self>,
        context: &Context,
        mut request: UpdateOrganization,
    ) -> Result<Written<Organization>, Error> {
        let actor = self.store.reads().of(request.id).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let mut violations = Violations::default();
        if let Some(name) = request.display_name.take() {
            request.display_name = violations.take(required_name("display_name", &name))?;
        }
        violations.take(slug("slug", request.slug.as_deref().unwrap_or_default()))?;
        violations.take(external_id("external_id", request.external_id.as_deref().unwrap_or_default()))?;
        if let Some(metadata) = &request.metadata {
            violations.take(metadata.must_fit("metadata"))?;
        }
        violations.finish()?;

        let call = context.clone();
        self.write(context, Lock::Organization(request.id), move |tx| edit(tx, call.clone(), request.clone())).await
    }
}

async fn edit(mut tx: Tx, context: Context, request: UpdateOrganization) -> Result<(Tx, Organization), Error> {
    let id = request.id;
    let actor = tx.reads().actor(context.subject()?, &[], tx.now()).await?;
    context.authorize(&actor, None, "")?;
    let before = tx.reads().organization().await?.ok_or_else(|| Error::not_found("organization", id))?;
    etag::must_match(&request.etag, &before)?;
    let mut organization = before.clone();

    if let Some(display_name) = request.display_name {
        organization.display_name = display_name;
    }
    if let Some(text) = request.slug {
        organization.slug = slug("slug", &text)?;
    }
    if let Some(text) = request.external_id {
        organization.external_id = external_id("external_id", &text)?;
    }
    if !may_name(&tx, &before, context.subject()?).await? {
        before.must_keep_names(&organization)?;
    }
    organization.names_must_be_free(&tx.above().organizations_called_like(&organization).await?)?;
    if let Some(metadata) = request.metadata {
        organization.metadata = metadata;
    }
    if organization != before {
        tx.organization_update(&organization).await?;
    }
    Ok((tx, organization))
}

/// Returns whether a subject may choose the names by which a product finds its organizations: who may make them there.
async fn may_name(tx: &Tx, organization: &Organization, subject: Subject) -> Result<bool, Error> {
    // Without the organization's own roles, none of which is held above it.
    let catalog = tx.above().catalog(&organization.catalog).await?;
    let above = tx.above().actor_above(subject, &catalog, tx.now()).await?;
    Ok(decide(&above.at(None), PermissionId::ORGANIZATION_CREATE, tx.now()).is_allowed())
}

/// Asks that the actor may make an organization of the product, and give its founder what `plan` says.
fn may_found(actor: &Actor, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    actor.must_hold(PermissionId::ORGANIZATION_CREATE, None)?;
    let there = actor.at(None);
    plan.granted.iter().try_for_each(|(founder, given)| may_give(&there, &given.held, *founder, now))
}

async fn found(mut tx: Tx, founding: Founding) -> Result<(Tx, Founded), Error> {
    let (now, membership): (_, MembershipId) = (tx.now(), tx.id());
    let principal = Principal::Membership(membership);
    let plan = plan_founder(&founding.catalog, principal)?;
    let actor = tx.above().actor_above(founding.founded_by, &founding.catalog, tx.now()).await?;
    may_found(&actor, &plan, now)?;
    let expires_at = now.plus(founding.lifetime);
    founding.mailing.put(&mut tx, expires_at).await?;
    let organization = Organization {
        id: founding.organization,
        display_name: founding.display_name,
        catalog: founding.catalog_key,
        state: OrganizationState::Active,
        created_at: now,
        slug: None,
        external_id: None,
        metadata: Metadata::default(),
    };
    tx.organization_insert(&organization).await?;

    let mut founder = Member::pending(membership, &founding.email, String::new(), now);
    tx.membership_insert(&founder, &founding.email).await?;
    for (principal, assignment) in &plan.granted {
        let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Invitation);
        tx.grant_insert(&grant).await?;
        tx.counters().count(&founding.catalog, &grant, founder.state, 1);
    }

    let invitation = Invitation {
        id: tx.id(),
        organization: organization.id,
        offered: Offered::Mailbox { membership, email: founding.email.text().to_owned() },
        sponsor: founding.founded_by,
        is_founding: true,
        state: InvitationState::Open,
        expires_at,
        created_at: now,
    };
    tx.invitation_insert(&invitation, &founding.token_hash).await?;
    founder.roles = plan.role_names();
    Ok((tx, Founded { organization, invitation, founder }))
}
