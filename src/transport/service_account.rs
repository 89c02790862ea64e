//! `ServiceAccountService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{api_key, instant, service_account, token};
use super::page::page_size;
use crate::domain::error::{Error, Violations};
use crate::domain::id::{ApiKeyId, OrganizationId, ServiceAccountId};
use crate::proto::service_account_service_server::ServiceAccountService;
use crate::proto::{
    CreateApiKeyRequest, CreateApiKeyResponse, CreateServiceAccountRequest, CreateServiceAccountResponse,
    DeleteServiceAccountRequest, DeleteServiceAccountResponse, DisableServiceAccountRequest,
    DisableServiceAccountResponse, EnableServiceAccountRequest, EnableServiceAccountResponse, GetServiceAccountRequest,
    GetServiceAccountResponse, ListApiKeysRequest, ListApiKeysResponse, ListServiceAccountsRequest,
    ListServiceAccountsResponse, RevokeApiKeyRequest, RevokeApiKeyResponse, RotateApiKeyRequest, RotateApiKeyResponse,
};
use crate::service::{CreateApiKey, CreateServiceAccount, ListApiKeys, ListServiceAccounts, RevokeApiKey};

/// Serves service accounts.
pub(super) struct ServiceAccounts(pub Edge);

/// Declares the methods of the trait: each opens the call, hands it to the method of [`ServiceAccounts`] and closes it.
macro_rules! serve {
    ($($name:ident($request:ident) -> $response:ident by $by:ident;)+) => {
        #[tonic::async_trait]
        impl ServiceAccountService for ServiceAccounts {$(
            async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let (call, message) = Call::open(request)?;
                call.close(self.$by(&call, &message).await)
            }
        )+}
    };
}

serve! {
    create_service_account(CreateServiceAccountRequest) -> CreateServiceAccountResponse by create;
    get_service_account(GetServiceAccountRequest) -> GetServiceAccountResponse by get;
    list_service_accounts(ListServiceAccountsRequest) -> ListServiceAccountsResponse by list;
    disable_service_account(DisableServiceAccountRequest) -> DisableServiceAccountResponse by disable;
    enable_service_account(EnableServiceAccountRequest) -> EnableServiceAccountResponse by enable;
    delete_service_account(DeleteServiceAccountRequest) -> DeleteServiceAccountResponse by delete;
    create_api_key(CreateApiKeyRequest) -> CreateApiKeyResponse by create_key;
    list_api_keys(ListApiKeysRequest) -> ListApiKeysResponse by list_keys;
    revoke_api_key(RevokeApiKeyRequest) -> RevokeApiKeyResponse by revoke_key;
    rotate_api_key(RotateApiKeyRequest) -> RotateApiKeyResponse by rotate_key;
}

impl ServiceAccounts {
    async fn create(
        &self,
        call: &Call,
        message: &CreateServiceAccountRequest,
    ) -> Result<CreateServiceAccountResponse, Error> {
        let context = call.mutation(message)?;
        let request = CreateServiceAccount {
            organization: OrganizationId::parse("organization_id", &message.organization_id)?,
            display_name: message.display_name.clone(),
        };
        let created = self.0.services.create_service_account(&context, request).await?;
        Ok(CreateServiceAccountResponse {
            service_account: Some(service_account(created.value)),
            revision: token(created.token),
        })
    }

    async fn get(&self, call: &Call, message: &GetServiceAccountRequest) -> Result<GetServiceAccountResponse, Error> {
        let (organization, id) = ids(&message.organization_id, &message.service_account_id)?;
        let found = self.0.services.service_account(&call.reading(), organization, id).await?;
        Ok(GetServiceAccountResponse {
            service_account: Some(service_account(found.value)),
            revision: token(Some(found.token)),
        })
    }

    async fn list(
        &self,
        call: &Call,
        message: &ListServiceAccountsRequest,
    ) -> Result<ListServiceAccountsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let query = format!("service accounts of {organization}");
        let mut violations = Violations::default();
        let size = violations.take(page_size(message.page_size))?;
        let after = violations.take(self.0.page_key(&query, &message.page_token))?;
        violations.finish()?;
        let (Some(size), Some(after)) = (size, after) else {
            return Err(Error::internal("a field without a value or a violation"));
        };
        let request = ListServiceAccounts { organization, size, after };
        let page = self.0.services.list_service_accounts(&call.reading(), request).await?;
        let (accounts, next) = (page.value.accounts, page.value.next);
        let paged = self.0.page(&query, accounts, next, |account| Ok(account.id), service_account)?;
        Ok(ListServiceAccountsResponse {
            service_accounts: paged.items,
            next_page_token: paged.next_page_token,
            revision: token(Some(page.token)),
        })
    }

    async fn disable(
        &self,
        call: &Call,
        message: &DisableServiceAccountRequest,
    ) -> Result<DisableServiceAccountResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, id) = ids(&message.organization_id, &message.service_account_id)?;
        let done = self.0.services.disable_service_account(&context, organization, id).await?;
        let account = Some(service_account(done.value));
        Ok(DisableServiceAccountResponse { service_account: account, revision: token(done.token) })
    }

    async fn enable(
        &self,
        call: &Call,
        message: &EnableServiceAccountRequest,
    ) -> Result<EnableServiceAccountResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, id) = ids(&message.organization_id, &message.service_account_id)?;
        let done = self.0.services.enable_service_account(&context, organization, id).await?;
        let account = Some(service_account(done.value));
        Ok(EnableServiceAccountResponse { service_account: account, revision: token(done.token) })
    }

    async fn delete(
        &self,
        call: &Call,
        message: &DeleteServiceAccountRequest,
    ) -> Result<DeleteServiceAccountResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, id) = ids(&message.organization_id, &message.service_account_id)?;
        let done = self.0.services.delete_service_account(&context, organization, id).await?;
        let account = Some(service_account(done.value));
        Ok(DeleteServiceAccountResponse { service_account: account, revision: token(done.token) })
    }

    async fn create_key(&self, call: &Call, message: &CreateApiKeyRequest) -> Result<CreateApiKeyResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, service_account) = ids(&message.organization_id, &message.service_account_id)?;
        let expires_at = message.expire_time.as_ref().map(|at| instant("expire_time", at)).transpose()?;
        let request = CreateApiKey { organization, service_account, expires_at, replaces: None };
        let (issued, secret) = self.0.services.create_api_key(&context, request).await?;
        Ok(CreateApiKeyResponse {
            api_key: Some(api_key(&issued.value.key)),
            secret_withheld: secret.is_none(),
            secret: secret.map(|secret| secret.text().to_owned()).unwrap_or_default(),
            revision: token(issued.token),
        })
    }

    async fn list_keys(&self, call: &Call, message: &ListApiKeysRequest) -> Result<ListApiKeysResponse, Error> {
        let (organization, service_account) = ids(&message.organization_id, &message.service_account_id)?;
        let query = format!("keys of {service_account} in {organization}");
        let mut violations = Violations::default();
        let size = violations.take(page_size(message.page_size))?;
        let after = violations.take(self.0.page_key(&query, &message.page_token))?;
        violations.finish()?;
        let (Some(size), Some(after)) = (size, after) else {
            return Err(Error::internal("a field without a value or a violation"));
        };
        let request = ListApiKeys { organization, service_account, size, after };
        let page = self.0.services.list_api_keys(&call.reading(), request).await?;
        let (keys, next) = (page.value.keys, page.value.next);
        let paged = self.0.page(&query, keys, next, |key| Ok(key.id), |key| api_key(&key))?;
        Ok(ListApiKeysResponse {
            api_keys: paged.items,
            next_page_token: paged.next_page_token,
            revision: token(Some(page.token)),
        })
    }

    async fn revoke_key(&self, call: &Call, message: &RevokeApiKeyRequest) -> Result<RevokeApiKeyResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, service_account) = ids(&message.organization_id, &message.service_account_id)?;
        let key = ApiKeyId::parse("api_key_id", &message.api_key_id)?;
        let request = RevokeApiKey { organization, service_account, key };
        let revoked = self.0.services.revoke_api_key(&context, request).await?;
        Ok(RevokeApiKeyResponse { api_key: Some(api_key(&revoked.value)), revision: token(revoked.token) })
    }

    async fn rotate_key(&self, call: &Call, message: &RotateApiKeyRequest) -> Result<RotateApiKeyResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, service_account) = ids(&message.organization_id, &message.service_account_id)?;
        let replaces = Some(ApiKeyId::parse("api_key_id", &message.api_key_id)?);
        let expires_at = message.expire_time.as_ref().map(|at| instant("expire_time", at)).transpose()?;
        let request = CreateApiKey { organization, service_account, expires_at, replaces };
        let (issued, secret) = self.0.services.create_api_key(&context, request).await?;
        Ok(RotateApiKeyResponse {
            api_key: Some(api_key(&issued.value.key)),
            secret_withheld: secret.is_none(),
            secret: secret.map(|secret| secret.text().to_owned()).unwrap_or_default(),
            revision: token(issued.token),
        })
    }
}

fn ids(organization: &str, account: &str) -> Result<(OrganizationId, ServiceAccountId), Error> {
    Ok((
        OrganizationId::parse("organization_id", organization)?,
        ServiceAccountId::parse("service_account_id", account)?,
    ))
}
