//! Changing how an organization is called, and what the product keeps with it.

use crate::domain::access::Actor;
use crate::domain::catalog::PermissionId;
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::metadata::Metadata;
use crate::domain::organization::Organization;
use crate::service::etag::must_match;
use crate::service::{Authorize, Mutation};
use crate::store::Tx;

/// Changes an organization. The names by which the product finds it are for callers who may create organizations of the
/// product.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FieldReserved`], [`Reason::EtagMismatch`],
///   [`Reason::NameTaken`].
#[derive(Debug)]
pub struct UpdateOrganization {
    /// What it is to be.
    pub fields: OrganizationFields,
    /// How it must look; empty asks nothing.
    pub etag: String,
}

/// What a request writes of an organization; what is `None` stays as it is.
#[derive(Debug)]
pub struct OrganizationFields {
    /// For people.
    pub display_name: Option<String>,
    /// A name for addresses, or that it has none.
    pub slug: Option<Option<String>>,
    /// The product's own id, or that it has none.
    pub external_id: Option<Option<String>>,
    /// What the product keeps with it.
    pub metadata: Option<Metadata>,
}

impl OrganizationFields {
    fn written_on(&self, mut organization: Organization) -> Organization {
        if let Some(display_name) = &self.display_name {
            organization.display_name.clone_from(display_name);
        }
        if let Some(slug) = &self.slug {
            organization.slug.clone_from(slug);
        }
        if let Some(external_id) = &self.external_id {
            organization.external_id.clone_from(external_id);
        }
        if let Some(metadata) = &self.metadata {
            organization.metadata.clone_from(metadata);
        }
        organization
    }
}

impl Authorize for UpdateOrganization {}

impl Mutation for UpdateOrganization {
    type Output = Organization;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Organization, Error> {
        let before = tx.reads().organization().await?;
        let before = before.ok_or_else(|| Error::not_found("organization", actor.organization))?;
        must_match(&self.etag, &before)?;
        let organization = self.fields.written_on(before.clone());
        if !may_name(tx, &before, &actor).await? {
            before.must_keep_names(&organization)?;
        }
        organization.names_must_be_free(&tx.above().organizations_called_like(&organization).await?)?;
        if organization != before {
            tx.organization_update(&organization).await?;
        }
        Ok(organization)
    }
}

/// Returns whether the actor may choose the names by which a product finds its organizations: who may create them there.
async fn may_name(tx: &Tx, organization: &Organization, actor: &Actor) -> Result<bool, Error> {
    // Without the organization's own roles, none of which is held above it.
    let catalog = tx.above().catalog(&organization.catalog).await?;
    let above = tx.above().actor_above(actor.subject, &catalog, tx.now()).await?;
    Ok(above.holds(PermissionId::ORGANIZATION_CREATE, None))
}
