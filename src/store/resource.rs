//! Resources.

use sea_orm::{ActiveValue::Set, EntityTrait};

use super::encoding::{optional_key, optional_principal, principal_columns};
use super::entity::resources;
use super::{Reads, Tx};
use crate::changelog::Change;
use crate::domain::error::Error;
use crate::domain::fact::Fact;
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;
use crate::domain::resource::Resource;
use crate::domain::time::Timestamp;

impl Reads<'_> {
    /// Finds a resource of an organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn resource(&self, organization: OrganizationId, key: &ResourceKey) -> Result<Option<Resource>, Error> {
        let id = (organization.0, key.kind.to_string(), key.id.to_string());
        resources::Entity::find_by_id(id).one(&self.db).await?.map(resource).transpose()
    }
}

impl Tx {
    /// Registers a resource in the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn resource_insert(&mut self, resource: &Resource) -> Result<(), Error> {
        let owner = resource.owner.map(principal_columns);
        let row = resources::ActiveModel {
            organization_id: Set(self.organization().0),
            kind: Set(resource.key.kind.to_string()),
            id: Set(resource.key.id.to_string()),
            parent_type: Set(resource.parent.as_ref().map(|parent| parent.kind.to_string())),
            parent_id: Set(resource.parent.as_ref().map(|parent| parent.id.to_string())),
            owner_kind: Set(owner.map(|(kind, _)| kind.to_owned())),
            owner_id: Set(owner.map(|(_, id)| id)),
            created_at: Set(resource.created_at.as_micros()),
        };
        resources::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.change(Change::of(Fact::Resource {
            key: resource.key.clone(),
            parent: resource.parent.clone(),
            owner: resource.owner,
        }));
        Ok(())
    }
}

/// Reads a row.
pub(super) fn resource(row: resources::Model) -> Result<Resource, Error> {
    Ok(Resource {
        key: ResourceKey { kind: row.kind.into(), id: row.id.into() },
        parent: optional_key(row.parent_type, row.parent_id),
        owner: optional_principal(row.owner_kind, row.owner_id)?,
        created_at: Timestamp::from_micros(row.created_at),
    })
}
