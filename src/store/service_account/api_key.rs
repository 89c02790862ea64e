//! API keys of service accounts, kept as SHA-256 hashes and found by them.

use std::collections::HashSet;

use sea_orm::sea_query::{Query, SimpleExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Select, Statement, Value,
};
use uuid::Uuid;

use crate::changelog::Change;
use crate::domain::error::Error;
use crate::domain::fact::{InstallationFact, OrganizationFact};
use crate::domain::id::{ApiKeyId, OrganizationId, ServiceAccountId};
use crate::domain::service_account::ApiKey;
use crate::domain::time::Timestamp;
use crate::store::encoding::ACCOUNT_ENABLED;
use crate::store::entity::{api_keys, service_accounts};
use crate::store::log::polling::{HERE, must_be_primary};
use crate::store::{OrgReads, Reads, Tx};

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

impl OrgReads<'_> {
    /// Reads the API keys of a service account of an organization in the order in which they were made, revoked ones too, at
    /// most `size` of them, from after `after` on.
    pub async fn api_key_page(
        &self,
        account: ServiceAccountId,
        after: Option<ApiKeyId>,
        size: u32,
    ) -> Result<Vec<ApiKey>, Error> {
        let mut query = self.api_keys_of(account);
        if let Some(after) = after {
            query = query.filter(api_keys::Column::Id.gt(after.0));
        }
        let query = query.order_by_asc(api_keys::Column::Id).limit(u64::from(size));
        Ok(query.all(&self.db).await?.iter().map(api_key).collect())
    }

    /// Finds an API key of a service account of an organization.
    pub async fn api_key(&self, account: ServiceAccountId, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
        let row = self.api_keys_of(account).filter(api_keys::Column::Id.eq(id.0));
        Ok(row.one(&self.db).await?.as_ref().map(api_key))
    }

    /// Selects the API keys of a service account of the organization.
    fn api_keys_of(&self, account: ServiceAccountId) -> Select<api_keys::Entity> {
        api_keys::Entity::find()
            .filter(api_keys::Column::ServiceAccountId.eq(account.0))
            .filter(is_of_an_account_of(self.organization))
    }
}

impl Reads<'_> {
    /// Reads which of some API keys there are, good or not.
    ///
    /// # Errors
    /// - [`DatabaseUnavailable`](crate::domain::error::Reason::DatabaseUnavailable) from a standby: it may not have them yet.
    pub async fn api_keys_there(&self, ids: &[ApiKeyId]) -> Result<HashSet<ApiKeyId>, Error> {
        let is_postgres = self.db.get_database_backend() == DbBackend::Postgres;
        let here = if is_postgres { HERE } else { "0 as is_standby" };
        let places: Vec<String> = (1..=ids.len()).map(|number| format!("${number}")).collect();
        // At least one row: a standby says that it is one even if it has none of them.
        let sql = format!(
            "select {here}, k.id from (select 1) as one left join api_keys k on k.id in ({})",
            places.join(", ")
        );
        let values = ids.iter().map(|id| Value::from(id.0));
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let mut there = HashSet::new();
        for row in self.db.query_all_raw(statement).await? {
            if is_postgres {
                must_be_primary(&row)?;
            }
            there.extend(row.try_get::<Option<Uuid>>("", "id")?.map(ApiKeyId::from));
        }
        Ok(there)
    }

    /// Finds whose the key with this hash is.
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
            is_enabled: account.state == ACCOUNT_ENABLED,
            expires_at: key.expires_at.map(Timestamp::from_micros),
            is_revoked: key.revoked_at.is_some(),
        }))
    }
}

impl Tx {
    /// Takes API keys of the locked organization's accounts back. The installation's log tells it, too: every server asks
    /// that one about the credentials that it remembers.
    pub async fn api_keys_revoke(&mut self, keys: &[ApiKey]) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let revoked = api_keys::ActiveModel { revoked_at: Set(Some(self.now().as_micros())), ..Default::default() };
        api_keys::Entity::update_many()
            .set(revoked)
            .filter(api_keys::Column::Id.is_in(keys.iter().map(|key| key.id.0)))
            .filter(is_of_an_account_of(self.organization()))
            .exec(&self.db)
            .await?;
        for key in keys {
            let (id, service_account, is_revoked) = (key.id, key.service_account, true);
            self.change(Change::of(OrganizationFact::ApiKey { id, service_account, is_revoked }));
            self.change_installation(InstallationFact::ApiKey { id, service_account, is_revoked });
        }
        Ok(())
    }

    /// Makes an API key of a service account of the locked organization.
    pub async fn api_key_insert(&mut self, key: &ApiKey, secret_hash: &[u8; 32]) -> Result<(), Error> {
        self.api_key_row_insert(key, secret_hash).await?;
        let (id, service_account) = (key.id, key.service_account);
        self.change(Change::of(OrganizationFact::ApiKey { id, service_account, is_revoked: false }));
        Ok(())
    }

    /// Makes an API key of a service account of the installation.
    pub async fn installation_api_key_insert(&mut self, key: &ApiKey, secret_hash: &[u8; 32]) -> Result<(), Error> {
        self.api_key_row_insert(key, secret_hash).await?;
        let (id, service_account) = (key.id, key.service_account);
        self.change_installation(InstallationFact::ApiKey { id, service_account, is_revoked: false });
        Ok(())
    }

    async fn api_key_row_insert(&self, key: &ApiKey, secret_hash: &[u8; 32]) -> Result<(), Error> {
        let row = api_keys::ActiveModel {
            id: Set(key.id.0),
            service_account_id: Set(key.service_account.0),
            secret_hash: Set(secret_hash.to_vec()),
            created_at: Set(key.created_at.as_micros()),
            expires_at: Set(key.expires_at.map(Timestamp::as_micros)),
            revoked_at: Set(None),
        };
        api_keys::Entity::insert(row).exec_without_returning(&self.db).await?;
        Ok(())
    }
}

/// Picks the API keys of an organization's accounts: their rows do not name it.
fn is_of_an_account_of(organization: OrganizationId) -> SimpleExpr {
    let accounts = Query::select()
        .column(service_accounts::Column::Id)
        .from(service_accounts::Entity)
        .and_where(service_accounts::Column::OrganizationId.eq(organization.0))
        .to_owned();
    api_keys::Column::ServiceAccountId.in_subquery(accounts)
}

/// Reads a row.
fn api_key(row: &api_keys::Model) -> ApiKey {
    ApiKey {
        id: row.id.into(),
        service_account: row.service_account_id.into(),
        created_at: Timestamp::from_micros(row.created_at),
        expires_at: row.expires_at.map(Timestamp::from_micros),
        revoked_at: row.revoked_at.map(Timestamp::from_micros),
    }
}
