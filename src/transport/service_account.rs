//! `ServiceAccountService`.

use super::convert::{api_key, instant, service_account, token};
use super::handle::{Decode, handlers};
use super::incoming::{Incoming, ServerState};
use super::page::page_size;
use crate::domain::error::Error;
use crate::domain::fields::all;
use crate::domain::id::{ApiKeyId, OrganizationId, ServiceAccountId};
use crate::domain::service_account::{ApiKey, ServiceAccount};
use crate::domain::text::required_name;
use crate::domain::time::Timestamp;
use crate::proto;
use crate::proto::service_account_service_server::ServiceAccountService;
use crate::service::{
    CreateApiKey, CreateServiceAccount, DeleteServiceAccount, DisableServiceAccount, EnableServiceAccount,
    GetServiceAccount, IssuedKey, ListApiKeys, ListServiceAccounts, Read, RevokeApiKey, Written,
};

/// Serves service accounts.
pub(super) struct ServiceAccounts(pub ServerState);

handlers! {
    ServiceAccountService for ServiceAccounts {
        create_service_account(CreateServiceAccountRequest) -> CreateServiceAccountResponse: mutation CreateServiceAccount;
        get_service_account(GetServiceAccountRequest) -> GetServiceAccountResponse: query GetServiceAccount;
        list_service_accounts(ListServiceAccountsRequest) -> ListServiceAccountsResponse: by list;
        disable_service_account(DisableServiceAccountRequest) -> DisableServiceAccountResponse:
            mutation DisableServiceAccount;
        enable_service_account(EnableServiceAccountRequest) -> EnableServiceAccountResponse: mutation EnableServiceAccount;
        delete_service_account(DeleteServiceAccountRequest) -> DeleteServiceAccountResponse: mutation DeleteServiceAccount;
        create_api_key(CreateApiKeyRequest) -> CreateApiKeyResponse: mutation CreateApiKey;
        list_api_keys(ListApiKeysRequest) -> ListApiKeysResponse: by list_keys;
        revoke_api_key(RevokeApiKeyRequest) -> RevokeApiKeyResponse: mutation RevokeApiKey;
        rotate_api_key(RotateApiKeyRequest) -> RotateApiKeyResponse: mutation CreateApiKey;
    }
}

impl Decode<proto::CreateServiceAccountRequest> for CreateServiceAccount {
    fn decode(message: proto::CreateServiceAccountRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { display_name: required_name("display_name", &message.display_name)? })
    }
}

impl From<Written<ServiceAccount>> for proto::CreateServiceAccountResponse {
    fn from(created: Written<ServiceAccount>) -> Self {
        Self { service_account: Some(service_account(created.value)), revision: token(created.token) }
    }
}

impl Decode<proto::GetServiceAccountRequest> for GetServiceAccount {
    fn decode(message: proto::GetServiceAccountRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { id: account_id(&message.service_account_id)? })
    }
}

impl From<Read<ServiceAccount>> for proto::GetServiceAccountResponse {
    fn from(found: Read<ServiceAccount>) -> Self {
        Self { service_account: Some(service_account(found.value)), revision: token(Some(found.token)) }
    }
}

impl Decode<proto::DisableServiceAccountRequest> for DisableServiceAccount {
    fn decode(message: proto::DisableServiceAccountRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { id: account_id(&message.service_account_id)? })
    }
}

impl From<Written<ServiceAccount>> for proto::DisableServiceAccountResponse {
    fn from(disabled: Written<ServiceAccount>) -> Self {
        Self { service_account: Some(service_account(disabled.value)), revision: token(disabled.token) }
    }
}

impl Decode<proto::EnableServiceAccountRequest> for EnableServiceAccount {
    fn decode(message: proto::EnableServiceAccountRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { id: account_id(&message.service_account_id)? })
    }
}

impl From<Written<ServiceAccount>> for proto::EnableServiceAccountResponse {
    fn from(enabled: Written<ServiceAccount>) -> Self {
        Self { service_account: Some(service_account(enabled.value)), revision: token(enabled.token) }
    }
}

impl Decode<proto::DeleteServiceAccountRequest> for DeleteServiceAccount {
    fn decode(message: proto::DeleteServiceAccountRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { id: account_id(&message.service_account_id)? })
    }
}

impl From<Written<ServiceAccount>> for proto::DeleteServiceAccountResponse {
    fn from(deleted: Written<ServiceAccount>) -> Self {
        Self { service_account: Some(service_account(deleted.value)), revision: token(deleted.token) }
    }
}

impl Decode<proto::CreateApiKeyRequest> for CreateApiKey {
    fn decode(message: proto::CreateApiKeyRequest, server: &ServerState) -> Result<Self, Error> {
        let (service_account, expires_at) =
            all((account_id(&message.service_account_id), expiry(message.expire_time.as_ref())))?;
        Ok(Self { service_account, expires_at, replaces: None, env: server.env.clone() })
    }
}

impl From<Written<IssuedKey>> for proto::CreateApiKeyResponse {
    fn from(issued: Written<IssuedKey>) -> Self {
        let IssuedKey { key, secret } = issued.value;
        Self {
            api_key: Some(api_key(&key)),
            secret_withheld: secret.is_none(),
            secret: secret.map(|secret| secret.text().to_owned()).unwrap_or_default(),
            revision: token(issued.token),
        }
    }
}

impl Decode<proto::RotateApiKeyRequest> for CreateApiKey {
    fn decode(message: proto::RotateApiKeyRequest, server: &ServerState) -> Result<Self, Error> {
        let (service_account, replaces, expires_at) = all((
            account_id(&message.service_account_id),
            ApiKeyId::parse("api_key_id", &message.api_key_id),
            expiry(message.expire_time.as_ref()),
        ))?;
        Ok(Self { service_account, expires_at, replaces: Some(replaces), env: server.env.clone() })
    }
}

impl From<Written<IssuedKey>> for proto::RotateApiKeyResponse {
    fn from(issued: Written<IssuedKey>) -> Self {
        let IssuedKey { key, secret } = issued.value;
        Self {
            api_key: Some(api_key(&key)),
            secret_withheld: secret.is_none(),
            secret: secret.map(|secret| secret.text().to_owned()).unwrap_or_default(),
            revision: token(issued.token),
        }
    }
}

impl Decode<proto::RevokeApiKeyRequest> for RevokeApiKey {
    fn decode(message: proto::RevokeApiKeyRequest, _server: &ServerState) -> Result<Self, Error> {
        let (service_account, key) =
            all((account_id(&message.service_account_id), ApiKeyId::parse("api_key_id", &message.api_key_id)))?;
        Ok(Self { service_account, key })
    }
}

impl From<Written<ApiKey>> for proto::RevokeApiKeyResponse {
    fn from(revoked: Written<ApiKey>) -> Self {
        Self { api_key: Some(api_key(&revoked.value)), revision: token(revoked.token) }
    }
}

impl ServiceAccounts {
    async fn list(
        &self,
        call: &Incoming,
        message: proto::ListServiceAccountsRequest,
    ) -> Result<proto::ListServiceAccountsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let query = format!("service accounts of {organization}");
        let (size, after) = all((page_size(message.page_size), self.0.page_key(&query, &message.page_token)))?;

        let request = ListServiceAccounts { size, after };
        let listed = self.0.services.list_service_accounts(&call.reading(), organization, request).await?;
        let (accounts, next) = (listed.value.accounts, listed.value.next);
        let page = self.0.page(&query, accounts, next, |account| Ok(account.id), service_account)?;
        Ok(proto::ListServiceAccountsResponse {
            service_accounts: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
        })
    }

    async fn list_keys(
        &self,
        call: &Incoming,
        message: proto::ListApiKeysRequest,
    ) -> Result<proto::ListApiKeysResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let service_account = account_id(&message.service_account_id)?;
        let query = format!("keys of {service_account} in {organization}");
        let (size, after) = all((page_size(message.page_size), self.0.page_key(&query, &message.page_token)))?;

        let request = ListApiKeys { service_account, size, after };
        let listed = self.0.services.query(&call.reading(), organization, &request).await?;
        let (keys, next) = (listed.value.keys, listed.value.next);
        let page = self.0.page(&query, keys, next, |key| Ok(key.id), |key| api_key(&key))?;
        Ok(proto::ListApiKeysResponse {
            api_keys: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
        })
    }
}

fn account_id(text: &str) -> Result<ServiceAccountId, Error> {
    ServiceAccountId::parse("service_account_id", text)
}

fn expiry(at: Option<&prost_types::Timestamp>) -> Result<Option<Timestamp>, Error> {
    at.map(|at| instant("expire_time", at)).transpose()
}
