//! Showing an organization, and finding it by the product's own names.

use uuid::Uuid;

use crate::domain::access::Actor;
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::domain::organization::Organization;
use crate::service::{Authorize, Call, Context, Query, Read, Services};

/// Shows an organization to a caller who sees it.
///
/// # Errors
/// - [`Reason::NotFound`] for a caller who is not in it, nor holds anything above it.
#[derive(Clone, Copy, Debug)]
pub struct GetOrganization;

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

impl Authorize for GetOrganization {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.visitor(&[]).await
    }
}

impl Query for GetOrganization {
    type Output = OrganizationView;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<OrganizationView, Error> {
        let found = call.reads.organization().await?;
        let organization = found.ok_or_else(|| Error::not_found("organization", actor.organization))?;
        let shows_private = actor.holds(PermissionId::ORGANIZATION_UPDATE, None);
        Ok(OrganizationView { organization, shows_private })
    }
}

impl Services {
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
        // A name that nobody has costs what one of an organization costs that the caller does not see.
        let id = found.map_or(OrganizationId(Uuid::nil()), |organization| organization.id);
        self.query(context, id, &GetOrganization).await.map_err(|error| match error.reason {
            Reason::NotFound => Error::not_found("organization", called),
            _ => error,
        })
    }
}
