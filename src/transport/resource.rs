//! `ResourceService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{optional_key, required_key, resource, token};
use crate::domain::error::{Error, Violations};
use crate::domain::id::OrganizationId;
use crate::proto::resource_service_server::ResourceService;
use crate::proto::{GetResourceRequest, GetResourceResponse, RegisterResourceRequest, RegisterResourceResponse};
use crate::service::RegisterResource;

/// Serves resources.
pub(super) struct Resources(pub Edge);

#[tonic::async_trait]
impl ResourceService for Resources {
    async fn register_resource(
        &self,
        request: Request<RegisterResourceRequest>,
    ) -> Result<Response<RegisterResourceResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.register(&call, &message).await)
    }

    async fn get_resource(
        &self,
        request: Request<GetResourceRequest>,
    ) -> Result<Response<GetResourceResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.get(&call, &message).await)
    }
}

impl Resources {
    async fn register(
        &self,
        call: &Call,
        message: &RegisterResourceRequest,
    ) -> Result<RegisterResourceResponse, Error> {
        let context = call.mutation(message, &message.request_id, message.validate_only)?;
        let registered = self.0.services.register_resource(&context, decode(message)?).await?;
        Ok(RegisterResourceResponse { resource: Some(resource(&registered.value)), revision: token(registered.token) })
    }

    async fn get(&self, call: &Call, message: &GetResourceRequest) -> Result<GetResourceResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let key = required_key("resource", message.resource.as_ref())?;
        let found = self.0.services.resource(&call.reading(), organization, &key).await?;
        Ok(GetResourceResponse { resource: Some(resource(&found.value)), revision: token(Some(found.token)) })
    }
}

fn decode(message: &RegisterResourceRequest) -> Result<RegisterResource, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let mut violations = Violations::default();
    let key = violations.take(required_key("resource", message.resource.as_ref()))?;
    let parent = violations.take(optional_key("parent", message.parent.as_ref()))?;
    violations.finish()?;
    match (key, parent) {
        (Some(key), Some(parent)) => Ok(RegisterResource { organization, key, parent }),
        _ => Err(Error::internal("a field without a value or a violation")),
    }
}
