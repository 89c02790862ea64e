//! `OrganizationService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{invitation, member, organization, token};
use crate::domain::error::Error;
use crate::domain::id::OrganizationId;
use crate::proto::organization_service_server::OrganizationService;
use crate::proto::{
    CreateOrganizationRequest, CreateOrganizationResponse, GetOrganizationRequest, GetOrganizationResponse,
};
use crate::service::CreateOrganization;

/// Serves organizations.
pub(super) struct Organizations(pub Edge);

#[tonic::async_trait]
impl OrganizationService for Organizations {
    async fn create_organization(
        &self,
        request: Request<CreateOrganizationRequest>,
    ) -> Result<Response<CreateOrganizationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.create(&call, message).await)
    }

    async fn get_organization(
        &self,
        request: Request<GetOrganizationRequest>,
    ) -> Result<Response<GetOrganizationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.get(&call, &message).await)
    }
}

impl Organizations {
    async fn create(
        &self,
        call: &Call,
        message: CreateOrganizationRequest,
    ) -> Result<CreateOrganizationResponse, Error> {
        let context = call.mutation(&message, &message.request_id, message.validate_only)?;
        let request = CreateOrganization {
            display_name: message.display_name,
            preset: message.preset,
            founder_email: message.founder_email,
        };
        let founded = self.0.services.create_organization(&context, request).await?;
        Ok(CreateOrganizationResponse {
            organization: Some(organization(founded.value.organization)),
            invitation: Some(invitation(founded.value.invitation)),
            founder: Some(member(founded.value.founder)),
            revision: token(founded.token),
        })
    }

    async fn get(&self, call: &Call, message: &GetOrganizationRequest) -> Result<GetOrganizationResponse, Error> {
        let id = OrganizationId::parse("organization_id", &message.organization_id)?;
        let found = self.0.services.organization(&call.reading(), id).await?;
        Ok(GetOrganizationResponse {
            organization: Some(organization(found.value)),
            revision: token(Some(found.token)),
        })
    }
}
