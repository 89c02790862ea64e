//! `ServiceAccountService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{api_key, instant, service_account, token};
use crate::domain::error::Error;
use crate::domain::id::{OrganizationId, ServiceAccountId};
use crate::proto::service_account_service_server::ServiceAccountService;
use crate::proto::{
    CreateApiKeyRequest, CreateApiKeyResponse, CreateServiceAccountRequest, CreateServiceAccountResponse,
};
use crate::service::{CreateApiKey, CreateServiceAccount};

/// Serves service accounts.
pub(super) struct ServiceAccounts(pub Edge);

#[tonic::async_trait]
impl ServiceAccountService for ServiceAccounts {
    async fn create_service_account(
        &self,
        request: Request<CreateServiceAccountRequest>,
    ) -> Result<Response<CreateServiceAccountResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.create(&call, message).await)
    }

    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.create_key(&call, &message).await)
    }
}

impl ServiceAccounts {
    async fn create(
        &self,
        call: &Call,
        message: CreateServiceAccountRequest,
    ) -> Result<CreateServiceAccountResponse, Error> {
        let context = call.mutation(&message, &message.request_id, message.validate_only)?;
        let request = CreateServiceAccount {
            organization: OrganizationId::parse("organization_id", &message.organization_id)?,
            display_name: message.display_name,
        };
        let created = self.0.services.create_service_account(&context, request).await?;
        Ok(CreateServiceAccountResponse {
            service_account: Some(service_account(created.value)),
            revision: token(created.token),
        })
    }

    async fn create_key(&self, call: &Call, message: &CreateApiKeyRequest) -> Result<CreateApiKeyResponse, Error> {
        let context = call.mutation(message, &message.request_id, message.validate_only)?;
        let request = CreateApiKey {
            organization: OrganizationId::parse("organization_id", &message.organization_id)?,
            service_account: ServiceAccountId::parse("service_account_id", &message.service_account_id)?,
            expires_at: message.expire_time.as_ref().map(|at| instant("expire_time", at)).transpose()?,
        };
        let (issued, secret) = self.0.services.create_api_key(&context, request).await?;
        Ok(CreateApiKeyResponse {
            api_key: Some(api_key(&issued.value.key)),
            secret_withheld: secret.is_none(),
            secret: secret.map(|secret| secret.text().to_owned()).unwrap_or_default(),
            revision: token(issued.token),
        })
    }
}
