//! Resources, and the tree that they stand in.

mod page;
mod subtree;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::encoding::{ACCOUNT_DELETED, optional_key, optional_principal, principal_columns};
use super::entity::{memberships, resource_words, resources, service_accounts};
use super::error::one_row;
use super::place::by_kind;
use super::{OrgReads, Tx};
use crate::changelog::{Change, Detail};
use crate::domain::error::Error;
use crate::domain::fact::{MemberState, OrganizationFact};
use crate::domain::id::ServiceAccountId;
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::resource::Resource;
use crate::domain::time::Timestamp;

use crate::domain::words::words;
pub use page::{BrowseKey, FoundResources};
pub use subtree::Branch;

impl OrgReads<'_> {
    /// Finds a resource of an organization.
    pub async fn resource(&self, key: &ResourceKey) -> Result<Option<Resource>, Error> {
        let found = resources::Entity::find()
            .filter(resources::Column::OrganizationId.eq(self.organization.0))
            .filter(resources::Column::Kind.eq(&*key.kind))
            .filter(resources::Column::Id.eq(&*key.id));
        found.one(&self.db).await?.map(resource).transpose()
    }

    /// Finds out who of `owners` is neither a membership, in whatever state, nor a service account of the organization.
    pub async fn absent_among(&self, owners: &[Principal]) -> Result<Vec<Principal>, Error> {
        let ids = |pick: fn(&Principal) -> Option<uuid::Uuid>| owners.iter().filter_map(pick).collect::<Vec<_>>();
        let mut found: Vec<uuid::Uuid> = Vec::new();
        let members = ids(|owner| if let Principal::Membership(id) = owner { Some(id.0) } else { None });
        if !members.is_empty() {
            let rows = memberships::Entity::find()
                .filter(memberships::Column::OrganizationId.eq(self.organization.0))
                .filter(memberships::Column::State.ne(MemberState::Removing.word()))
                .filter(memberships::Column::Id.is_in(members));
            found.extend(rows.all(&self.db).await?.into_iter().map(|row| row.id));
        }
        let accounts = ids(|owner| if let Principal::ServiceAccount(id) = owner { Some(id.0) } else { None });
        if !accounts.is_empty() {
            let rows = service_accounts::Entity::find()
                .filter(service_accounts::Column::OrganizationId.eq(self.organization.0))
                .filter(service_accounts::Column::State.ne(ACCOUNT_DELETED))
                .filter(service_accounts::Column::Id.is_in(accounts));
            found.extend(rows.all(&self.db).await?.into_iter().map(|row| row.id));
        }
        Ok(owners.iter().filter(|owner| !found.contains(&principal_columns(**owner).1)).copied().collect())
    }
}

impl Tx {
    /// Registers resources in the locked organization, those above before those below them.
    pub async fn resources_insert(&mut self, resources: &[Resource]) -> Result<(), Error> {
        if resources.is_empty() {
            return Ok(());
        }
        let organization = self.organization().0;
        let row = |resource: &Resource| -> Result<resources::ActiveModel, Error> {
            Ok(resources::ActiveModel {
                organization_id: Set(organization),
                kind: Set(resource.key.kind.to_string()),
                id: Set(resource.key.id.to_string()),
                ..written(resource)?
            })
        };
        let rows = resources.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        resources::Entity::insert_many(rows).exec_without_returning(&self.db).await?;
        self.resource_words_insert(resources).await?;
        for resource in resources {
            self.resource_change(resource, "registered");
        }
        Ok(())
    }

    /// Writes a resource as it is in `resource`; `act` says what was done to it.
    pub async fn resource_update(&mut self, resource: &Resource, act: &str) -> Result<(), Error> {
        let updated = resources::Entity::update_many()
            .set(written(resource)?)
            .filter(resources::Column::OrganizationId.eq(self.organization().0))
            .filter(resources::Column::Kind.eq(&*resource.key.kind))
            .filter(resources::Column::Id.eq(&*resource.key.id))
            .exec(&self.db)
            .await?;
        one_row(&updated)?;
        self.resource_change(resource, act);
        Ok(())
    }

    /// Writes that resources are nobody's, since who owned them ends.
    pub async fn resources_disown(&mut self, owned: Vec<Resource>) -> Result<(), Error> {
        let keys: Vec<ResourceKey> = owned.iter().map(|resource| resource.key.clone()).collect();
        for (kind, ids) in by_kind(&keys) {
            for ids in ids.chunks(5_000) {
                let nobody =
                    resources::ActiveModel { owner_kind: Set(None), owner_id: Set(None), ..Default::default() };
                resources::Entity::update_many()
                    .set(nobody)
                    .filter(resources::Column::OrganizationId.eq(self.organization().0))
                    .filter(resources::Column::Kind.eq(kind))
                    .filter(resources::Column::Id.is_in(ids.iter().copied()))
                    .exec(&self.db)
                    .await?;
            }
        }
        for resource in owned {
            self.resource_change(&Resource { owner: None, ..resource }, "lost its owner");
        }
        Ok(())
    }

    /// Writes a resource that has another name, and what it is found by.
    pub async fn resource_rename(&mut self, resource: &Resource) -> Result<(), Error> {
        resource_words::Entity::delete_many()
            .filter(resource_words::Column::OrganizationId.eq(self.organization().0))
            .filter(resource_words::Column::Kind.eq(&*resource.key.kind))
            .filter(resource_words::Column::Id.eq(&*resource.key.id))
            .exec(&self.db)
            .await?;
        self.resource_words_insert(std::slice::from_ref(resource)).await?;
        self.resource_update(resource, "renamed").await
    }

    async fn resource_words_insert(&self, resources: &[Resource]) -> Result<(), Error> {
        let organization = self.organization().0;
        let rows = resources.iter().flat_map(|resource| {
            let row = |word| resource_words::ActiveModel {
                organization_id: Set(organization),
                word: Set(word),
                kind: Set(resource.key.kind.to_string()),
                id: Set(resource.key.id.to_string()),
            };
            words(&resource.display_name).into_iter().map(row)
        });
        // SQLite takes at most 32,766 parameters a statement.
        for chunk in rows.collect::<Vec<_>>().chunks(5_000) {
            resource_words::Entity::insert_many(chunk.to_vec()).exec_without_returning(&self.db).await?;
        }
        Ok(())
    }

    fn resource_change(&mut self, resource: &Resource, act: &str) {
        let fact = OrganizationFact::Resource {
            key: resource.key.clone(),
            parent: resource.parent.clone(),
            owner: resource.owner,
        };
        let fields = serde_json::json!({ "act": act, "display_name": resource.display_name });
        self.change(Change { fact, detail: Some(Detail { subject: None, fields }) });
    }
}

/// Returns the columns that registering and changing a resource write.
fn written(resource: &Resource) -> Result<resources::ActiveModel, Error> {
    let owner = resource.owner.map(principal_columns);
    Ok(resources::ActiveModel {
        parent_type: Set(resource.parent.as_ref().map(|parent| parent.kind.to_string())),
        parent_id: Set(resource.parent.as_ref().map(|parent| parent.id.to_string())),
        owner_kind: Set(owner.map(|(kind, _)| kind.to_owned())),
        owner_id: Set(owner.map(|(_, id)| id)),
        created_at: Set(resource.created_at.as_micros()),
        display_name: Set(resource.display_name.clone()),
        metadata: Set(serde_json::to_string(&resource.metadata).map_err(Error::internal)?),
        service_account_id: Set(resource.service_account.map(|id| id.0)),
        ..Default::default()
    })
}

/// Reads a row.
fn resource(row: resources::Model) -> Result<Resource, Error> {
    Ok(Resource {
        key: ResourceKey { kind: row.kind.into(), id: row.id.into() },
        parent: optional_key(row.parent_type, row.parent_id),
        owner: optional_principal(row.owner_kind, row.owner_id)?,
        created_at: Timestamp::from_micros(row.created_at),
        display_name: row.display_name,
        metadata: serde_json::from_str(&row.metadata).map_err(Error::internal)?,
        service_account: row.service_account_id.map(ServiceAccountId),
    })
}
