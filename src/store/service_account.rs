//! Service accounts and their API keys. Keys are kept as SHA-256 hashes and found by them.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::entity::{api_keys, service_accounts};
use super::{Reads, Tx};
use crate::changelog::Change;
use crate::domain::error::Error;
use crate::domain::fact::Fact;
use crate::domain::id::{ApiKeyId, OrganizationId, ServiceAccountId};
use crate::domain::service_account::{ApiKey, ServiceAccount};
use crate::domain::time::Timestamp;

const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";

/// Whose a key is, and whether it is still good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyOwner {
    /// The key.
    pub key: ApiKeyId,
    /// Whose it is.
    pub service_account: ServiceAccountId,
    /// The organization of the account; none for those of the installation.
    pub organization: Option<OrganizationId>,
    /// Whether the account is enabled.
    pub is_enabled: bool,
    /// From then on the key is refused.
    pub expires_at: Option<Timestamp>,
    /// Whether the key was taken back.
    pub is_revoked: bool,
}

impl Reads<'_> {
    /// Finds a service account of an organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn service_account(
        &self,
        organization: OrganizationId,
        id: ServiceAccountId,
    ) -> Result<Option<ServiceAccount>, Error> {
        let row = service_accounts::Entity::find_by_id(id.0)
            .filter(service_accounts::Column::OrganizationId.eq(organization.0))
            .one(&self.db)
            .await?;
        Ok(row.map(|row| ServiceAccount {
            id: row.id.into(),
            organization: row.organization_id.map(OrganizationId),
            display_name: row.display_name,
            is_enabled: row.state == ENABLED,
            created_at: Timestamp::from_micros(row.created_at),
        }))
    }

    /// Finds whose the key with this hash is.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn key_owner(&self, secret_hash: &[u8; 32]) -> Result<Option<KeyOwner>, Error> {
        let key = api_keys::Entity::find()
            .filter(api_keys::Column::SecretHash.eq(secret_hash.to_vec()))
            .one(&self.db)
            .await?;
        let Some(key) = key else { return Ok(None) };
        let account = service_accounts::Entity::find_by_id(key.service_account_id).one(&self.db).await?;
        Ok(account.map(|account| KeyOwner {
            key: key.id.into(),
            service_account: account.id.into(),
            organization: account.organization_id.map(OrganizationId),
            is_enabled: account.state == ENABLED,
            expires_at: key.expires_at.map(Timestamp::from_micros),
            is_revoked: key.revoked_at.is_some(),
        }))
    }
}

impl Tx {
    /// Makes a service account: of the locked organization, or of the installation.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn service_account_insert(&mut self, account: &ServiceAccount) -> Result<(), Error> {
        let row = service_accounts::ActiveModel {
            id: Set(account.id.0),
            organization_id: Set(account.organization.map(|id| id.0)),
            display_name: Set(account.display_name.clone()),
            state: Set(if account.is_enabled { ENABLED } else { DISABLED }.to_owned()),
            created_at: Set(account.created_at.as_micros()),
        };
        service_accounts::Entity::insert(row).exec_without_returning(&self.db).await?;
        let fact = Fact::ServiceAccount { id: account.id, is_enabled: account.is_enabled };
        self.change_of_account(account.organization, fact);
        Ok(())
    }

    /// Makes an API key of a service account.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn api_key_insert(
        &mut self,
        organization: Option<OrganizationId>,
        key: &ApiKey,
        secret_hash: &[u8; 32],
    ) -> Result<(), Error> {
        let row = api_keys::ActiveModel {
            id: Set(key.id.0),
            service_account_id: Set(key.service_account.0),
            secret_hash: Set(secret_hash.to_vec()),
            created_at: Set(key.created_at.as_micros()),
            expires_at: Set(key.expires_at.map(Timestamp::as_micros)),
            revoked_at: Set(None),
        };
        api_keys::Entity::insert(row).exec_without_returning(&self.db).await?;
        let fact = Fact::ApiKey { id: key.id, service_account: key.service_account, is_revoked: false };
        self.change_of_account(organization, fact);
        Ok(())
    }

    fn change_of_account(&mut self, organization: Option<OrganizationId>, fact: Fact) {
        match organization {
            Some(_) => self.change(Change::of(fact)),
            None => self.change_installation(fact),
        }
    }
}
