//! Service accounts and their API keys.

mod api_key;

use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::encoding::{ACCOUNT_DELETED, ACCOUNT_DISABLED, ACCOUNT_ENABLED, optional_key};
use super::entity::service_accounts;
use super::error::one_row;
use super::place::{HeldAt, by_kind};
use super::{OrgReads, Reads, Tx};
use crate::changelog::Change;
use crate::domain::error::Error;
use crate::domain::fact::{InstallationFact, OrganizationFact};
use crate::domain::id::{OrganizationId, ServiceAccountId};
use crate::domain::place::{Place, ResourceKey};
use crate::domain::service_account::ServiceAccount;
use crate::domain::time::Timestamp;

pub use api_key::KeyOwner;

impl OrgReads<'_> {
    /// Finds a service account of an organization.
    pub async fn service_account(&self, id: ServiceAccountId) -> Result<Option<ServiceAccount>, Error> {
        let row = service_accounts::Entity::find_by_id(id.0)
            .filter(service_accounts::Column::OrganizationId.eq(self.organization.0))
            .filter(service_accounts::Column::State.ne(ACCOUNT_DELETED))
            .one(&self.db)
            .await?;
        Ok(row.map(account))
    }

    /// Reads the service accounts of an organization that are bound to what is at `at`, or to nothing where that is the
    /// organization, in the order in which they were made: at most `size` of them, from after `after` on.
    pub async fn service_account_page(
        &self,
        at: HeldAt<'_>,
        after: Option<ServiceAccountId>,
        size: u64,
    ) -> Result<Vec<ServiceAccount>, Error> {
        let mut query = service_accounts::Entity::find()
            .filter(service_accounts::Column::OrganizationId.eq(self.organization.0))
            .filter(service_accounts::Column::State.ne(ACCOUNT_DELETED))
            .filter(bound_at(at));
        if let Some(after) = after {
            query = query.filter(service_accounts::Column::Id.gt(after.0));
        }
        let query = query.order_by_asc(service_accounts::Column::Id).limit(size);
        Ok(query.all(&self.db).await?.into_iter().map(account).collect())
    }
}

impl Reads<'_> {
    /// Returns whether a service account is one of the installation's own.
    pub async fn installation_service_account(&self, id: ServiceAccountId) -> Result<bool, Error> {
        let row = service_accounts::Entity::find_by_id(id.0)
            .filter(service_accounts::Column::OrganizationId.is_null())
            .one(&self.db)
            .await?;
        Ok(row.is_some())
    }
}

impl Tx {
    /// Makes a service account: of the locked organization, or of the installation.
    pub async fn service_account_insert(&mut self, account: &ServiceAccount) -> Result<(), Error> {
        let row = service_accounts::ActiveModel {
            id: Set(account.id.0),
            organization_id: Set(account.organization.map(|id| id.0)),
            display_name: Set(account.display_name.clone()),
            state: Set(if account.is_enabled { ACCOUNT_ENABLED } else { ACCOUNT_DISABLED }.to_owned()),
            created_at: Set(account.created_at.as_micros()),
            resource_type: Set(account.bound_to.as_ref().map(|key| key.kind.to_string())),
            resource_id: Set(account.bound_to.as_ref().map(|key| key.id.to_string())),
        };
        service_accounts::Entity::insert(row).exec_without_returning(&self.db).await?;
        let (id, is_enabled) = (account.id, account.is_enabled);
        match account.organization {
            Some(_) => self.change(Change::of(OrganizationFact::ServiceAccount { id, is_enabled })),
            None => self.change_installation(InstallationFact::ServiceAccount { id, is_enabled }),
        }
        Ok(())
    }

    /// Writes whether a service account of the locked organization may do anything. The installation's log tells it, too,
    /// of one that can have keys: every server asks that log about the credentials that it remembers.
    pub async fn service_account_update(&mut self, account: &ServiceAccount) -> Result<(), Error> {
        let state = if account.is_enabled { ACCOUNT_ENABLED } else { ACCOUNT_DISABLED }.to_owned();
        let updated = service_accounts::Entity::update_many()
            .set(service_accounts::ActiveModel { state: Set(state), ..Default::default() })
            .filter(service_accounts::Column::Id.eq(account.id.0))
            .filter(service_accounts::Column::OrganizationId.eq(self.organization().0))
            .exec(&self.db)
            .await?;
        one_row(&updated)?;
        self.change(Change::of(OrganizationFact::ServiceAccount { id: account.id, is_enabled: account.is_enabled }));
        if account.bound_to.is_none() {
            self.change_installation(InstallationFact::ServiceAccountDisabled {
                id: account.id,
                is_disabled: !account.is_enabled,
            });
        }
        Ok(())
    }

    /// Ends service accounts of the locked organization. Their rows stay, so that their keys are known for revoked.
    pub async fn service_accounts_delete(&mut self, accounts: &[ServiceAccountId]) -> Result<(), Error> {
        if accounts.is_empty() {
            return Ok(());
        }
        let ended = service_accounts::ActiveModel { state: Set(ACCOUNT_DELETED.to_owned()), ..Default::default() };
        service_accounts::Entity::update_many()
            .set(ended)
            .filter(service_accounts::Column::OrganizationId.eq(self.organization().0))
            .filter(service_accounts::Column::Id.is_in(accounts.iter().map(|id| id.0)))
            .exec(&self.db)
            .await?;
        for id in accounts {
            self.change(Change::of(OrganizationFact::ServiceAccountGone { id: *id }));
        }
        Ok(())
    }
}

/// Returns which accounts are bound to what is at `at`.
fn bound_at(at: HeldAt<'_>) -> Condition {
    let bound_to = |keys: &[ResourceKey]| {
        let mut any = Condition::any();
        for (kind, ids) in by_kind(keys) {
            let there = Condition::all()
                .add(service_accounts::Column::ResourceType.eq(kind))
                .add(service_accounts::Column::ResourceId.is_in(ids));
            any = any.add(there);
        }
        any
    };
    let free = Condition::any().add(service_accounts::Column::ResourceType.is_null());
    match at {
        HeldAt::Anywhere => Condition::all(),
        HeldAt::Place(Place::Resource(key)) => bound_to(std::slice::from_ref(key)),
        HeldAt::Place(_) => free,
        HeldAt::Types(types) => free.add(service_accounts::Column::ResourceType.is_in(types)),
        HeldAt::Resources(keys) => bound_to(keys),
    }
}

/// Reads a row.
fn account(row: service_accounts::Model) -> ServiceAccount {
    ServiceAccount {
        id: row.id.into(),
        organization: row.organization_id.map(OrganizationId),
        display_name: row.display_name,
        is_enabled: row.state == ACCOUNT_ENABLED,
        created_at: Timestamp::from_micros(row.created_at),
        bound_to: optional_key(row.resource_type, row.resource_id),
    }
}
