//! Organizations: made by operators, with their founder invited; shown to whoever is in them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::see;
use super::text::required_name;
use super::{Context, Read, Services, Written};
use crate::auth::{Secret, SecretKind};
use crate::domain::assignment::plan_founder;
use crate::domain::catalog::{Catalog, RoleId, presets};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fact::{GrantSource, InvitationState, MemberState, OrganizationState};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::invitation::Invitation;
use crate::domain::member::Member;
use crate::domain::organization::Organization;
use crate::domain::place::{Principal, Subject};
use crate::mail::Mail;
use crate::store::{Lock, Tx};

/// Asks for a new organization.
#[derive(Clone, Debug)]
pub struct CreateOrganization {
    /// For people.
    pub display_name: String,
    /// The name of a preset.
    pub preset: String,
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

/// All that a new organization needs, prepared before the lock.
#[derive(Clone)]
struct Founding {
    catalog: Arc<Catalog>,
    organization: OrganizationId,
    display_name: String,
    email: Email,
    token_hash: [u8; 32],
    mail: Vec<u8>,
    operator: Subject,
    lifetime: Duration,
}

impl Services {
    /// Makes an organization that follows a preset, and invites its founder by e-mail (X17).
    ///
    /// # Errors
    /// - [`Reason::OperatorRequired`].
    /// - [`Reason::PresetUnknown`], [`Reason::EmailMalformed`], [`Reason::FieldRequired`], [`Reason::TextMalformed`].
    pub async fn create_organization(
        self: &Arc<Self>,
        context: &Context,
        request: CreateOrganization,
    ) -> Result<Written<Founded>, Error> {
        let founding = self.prepare_founding(context.subject()?, &request)?;
        let lock = Lock::NewOrganization(founding.organization);
        let mut written = self.write(context, lock, move |tx| found(tx, founding.clone())).await?;
        if written.is_replay {
            // What was locked is not what was made then.
            written.token = Some(self.token_before_reading(written.value.organization.id).await?);
        }
        Ok(written)
    }

    fn prepare_founding(&self, operator: Subject, request: &CreateOrganization) -> Result<Founding, Error> {
        let mut violations = Violations::default();
        let display_name = violations.take(required_name("display_name", &request.display_name))?;
        let email = violations.take(Email::parse("founder_email", &request.founder_email))?;
        let catalog = presets::preset(&request.preset);
        if catalog.is_none() {
            violations.add("preset", Reason::PresetUnknown, "is not a preset of this installation");
        }
        violations.finish()?;
        let (Some(display_name), Some(email), Some(catalog)) = (display_name, email, catalog) else {
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
        Ok(Founding {
            catalog,
            organization: self.world.id(),
            display_name,
            email,
            token_hash: secret.hash(),
            mail: mail.seal(&self.sealer, &self.world),
            operator,
            lifetime,
        })
    }

    /// Shows an organization.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for whoever is not in it, nor holds anything above it.
    pub async fn organization(&self, context: &Context, id: OrganizationId) -> Result<Read<Organization>, Error> {
        let token = self.token_before_reading(id).await?;
        let reads = self.store.reads();
        let actor = reads.actor(id, context.subject()?, &[]).await?;
        see(&actor, id, None, self.world.now())?;
        let organization = reads.organization(id).await?;
        Ok(Read { value: organization.ok_or_else(|| Error::not_found("organization", id))?, token })
    }
}

async fn found(mut tx: Tx, founding: Founding) -> Result<(Tx, Founded), Error> {
    let operator_role = &founding.catalog.role(RoleId::OPERATOR).name;
    if !tx.reads().holds_at_installation(founding.operator, operator_role).await? {
        return Err(Error::new(Reason::OperatorRequired, "only operators make organizations"));
    }

    let now = tx.now();
    let organization = Organization {
        id: founding.organization,
        display_name: founding.display_name,
        catalog: Arc::clone(founding.catalog.name()),
        state: OrganizationState::Active,
        created_at: now,
    };
    tx.organization_insert(&organization).await?;

    let membership: MembershipId = tx.id();
    let principal = Principal::Membership(membership);
    let plan = plan_founder(&founding.catalog, principal)?;
    let mut founder = Member {
        id: membership,
        user: None,
        email: founding.email.text().to_owned(),
        display_name: String::new(),
        state: MemberState::Pending,
        roles: Vec::new(),
        created_at: now,
    };
    tx.membership_insert(&founder, &founding.email).await?;
    for (principal, assignment) in &plan.granted {
        let grant = assignment.to_grant(tx.id(), *principal, GrantSource::Invitation);
        tx.grant_insert(&grant).await?;
        tx.counters().count(&founding.catalog, &grant, founder.state, 1);
    }

    let invitation = Invitation {
        id: tx.id(),
        organization: organization.id,
        membership,
        email: founding.email.text().to_owned(),
        sponsor: founding.operator,
        state: InvitationState::Open,
        expires_at: now.plus(founding.lifetime),
        created_at: now,
    };
    tx.invitation_insert(&invitation, &founding.email, &founding.token_hash).await?;
    tx.mail_insert(tx.id(), founding.mail).await?;
    founder.roles = plan.role_names();
    Ok((tx, Founded { organization, invitation, founder }))
}
