//! Organizations, and the seats in them.

mod seats;

use sea_orm::sea_query::SimpleExpr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::encoding::{metadata_column, organization};
use super::entity::organizations;
use super::{OrgReads, Reads, Tx};
use crate::changelog::{self, Change};
use crate::domain::catalog::named_by;
use crate::domain::error::Error;
use crate::domain::fact::{OrganizationFact, Scope};
use crate::domain::organization::Organization;
use crate::domain::revision::Position;

impl OrgReads<'_> {
    /// Finds an organization.
    pub async fn organization(&self) -> Result<Option<Organization>, Error> {
        organizations::Entity::find_by_id(self.organization.0).one(&self.db).await?.map(organization).transpose()
    }

    /// Reads how far the log of an organization has come.
    pub async fn position(&self) -> Result<Option<Position>, Error> {
        Ok(changelog::head(&self.db, Scope::Organization(self.organization)).await?)
    }
}

impl Reads<'_> {
    /// Finds the organization of a product that has a slug.
    pub async fn organization_by_slug(&self, product: &str, slug: &str) -> Result<Option<Organization>, Error> {
        self.organization_called(product, organizations::Column::Slug.eq(slug)).await
    }

    /// Finds the organization that its product calls by an id of its own.
    pub async fn organization_by_external_id(&self, product: &str, id: &str) -> Result<Option<Organization>, Error> {
        self.organization_called(product, organizations::Column::ExternalId.eq(id)).await
    }

    /// Finds the organizations of its product that have the slug or the external id of `organization`, itself among them.
    pub async fn organizations_called_like(&self, organization: &Organization) -> Result<Vec<Organization>, Error> {
        let product = named_by(&organization.catalog).0;
        let mut found = Vec::new();
        if let Some(slug) = &organization.slug {
            found.extend(self.organization_by_slug(product, slug).await?);
        }
        if let Some(id) = &organization.external_id {
            found.extend(self.organization_by_external_id(product, id).await?);
        }
        Ok(found)
    }

    async fn organization_called(&self, product: &str, is_called: SimpleExpr) -> Result<Option<Organization>, Error> {
        let of_product = organizations::Entity::find().filter(organizations::Column::Product.eq(product));
        of_product.filter(is_called).one(&self.db).await?.map(organization).transpose()
    }
}

impl Tx {
    /// Writes the catalog that the locked organization follows as it is in `organization`, and with it the product that it
    /// belongs to.
    ///
    /// # Errors
    /// - [`ConcurrentUpdate`](crate::domain::error::Reason::ConcurrentUpdate) if another organization of that product has
    ///   just taken its slug or its external id.
    pub async fn organization_catalog_update(&mut self, organization: &Organization) -> Result<(), Error> {
        let row = organizations::ActiveModel {
            id: Set(organization.id.0),
            catalog: Set(organization.catalog.to_string()),
            product: Set(named_by(&organization.catalog).0.to_owned()),
            ..Default::default()
        };
        organizations::Entity::update(row).exec(&self.db).await?;
        let fact = OrganizationFact::Organization { state: organization.state, catalog: organization.catalog.clone() };
        self.change(Change::of(fact));
        Ok(())
    }

    /// Makes the organization whose log is locked.
    pub async fn organization_insert(&mut self, organization: &Organization) -> Result<(), Error> {
        let row = organizations::ActiveModel {
            id: Set(organization.id.0),
            display_name: Set(organization.display_name.clone()),
            catalog: Set(organization.catalog.to_string()),
            product: Set(named_by(&organization.catalog).0.to_owned()),
            state: Set(organization.state.word().to_owned()),
            created_at: Set(organization.created_at.as_micros()),
            slug: Set(organization.slug.clone()),
            external_id: Set(organization.external_id.clone()),
            metadata: Set(metadata_column(&organization.metadata)?),
        };
        organizations::Entity::insert(row).exec_without_returning(&self.db).await?;
        let fact = OrganizationFact::Organization { state: organization.state, catalog: organization.catalog.clone() };
        self.change(Change::of(fact));
        Ok(())
    }

    /// Writes how the locked organization is called, and what the product keeps with it.
    ///
    /// # Errors
    /// - [`ConcurrentUpdate`](crate::domain::error::Reason::ConcurrentUpdate) if another organization has just taken the
    ///   slug or the external id.
    pub async fn organization_update(&mut self, organization: &Organization) -> Result<(), Error> {
        let row = organizations::ActiveModel {
            id: Set(organization.id.0),
            display_name: Set(organization.display_name.clone()),
            slug: Set(organization.slug.clone()),
            external_id: Set(organization.external_id.clone()),
            metadata: Set(metadata_column(&organization.metadata)?),
            ..Default::default()
        };
        organizations::Entity::update(row).exec(&self.db).await?;
        let fact = OrganizationFact::Organization { state: organization.state, catalog: organization.catalog.clone() };
        self.change(Change::of(fact));
        Ok(())
    }
}
