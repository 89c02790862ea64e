//! Organizations.

use sea_orm::{ActiveValue::Set, EntityTrait};

use super::encoding::state;
use super::entity::organizations;
use super::{Reads, Tx};
use crate::changelog::{self, Change};
use crate::domain::error::Error;
use crate::domain::fact::{Fact, OrganizationState, Scope};
use crate::domain::id::OrganizationId;
use crate::domain::organization::Organization;
use crate::domain::revision::Position;
use crate::domain::time::Timestamp;

impl Reads<'_> {
    /// Finds an organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, Error> {
        let row = organizations::Entity::find_by_id(id.0).one(&self.db).await?;
        row.map(|row| {
            Ok(Organization {
                id: row.id.into(),
                display_name: row.display_name,
                catalog: row.catalog.into(),
                state: state(OrganizationState::from_word, &row.state)?,
                created_at: Timestamp::from_micros(row.created_at),
            })
        })
        .transpose()
    }

    /// Reads how far the log of an organization has come.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn position(&self, id: OrganizationId) -> Result<Option<Position>, Error> {
        Ok(changelog::head(&self.db, Scope::Organization(id)).await?)
    }
}

impl Tx {
    /// Makes the organization whose log is locked.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn organization_insert(&mut self, organization: &Organization) -> Result<(), Error> {
        let row = organizations::ActiveModel {
            id: Set(organization.id.0),
            display_name: Set(organization.display_name.clone()),
            catalog: Set(organization.catalog.to_string()),
            state: Set(organization.state.word().to_owned()),
            created_at: Set(organization.created_at.as_micros()),
        };
        organizations::Entity::insert(row).exec_without_returning(&self.db).await?;
        let fact = Fact::Organization { state: organization.state, catalog: organization.catalog.clone() };
        self.change(Change::of(fact));
        Ok(())
    }
}
