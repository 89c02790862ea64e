//! `RoleService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{delta, grant, token};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::OrganizationId;
use crate::proto::role_service_server::RoleService;
use crate::proto::{ChangeGrantsRequest, ChangeGrantsResponse};
use crate::service::ChangeGrants;

/// Most deltas in one batch.
const DELTAS_MAX: usize = 100;

/// Serves grants.
pub(super) struct Roles(pub Edge);

#[tonic::async_trait]
impl RoleService for Roles {
    async fn change_grants(
        &self,
        request: Request<ChangeGrantsRequest>,
    ) -> Result<Response<ChangeGrantsResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.change(&call, &message).await)
    }
}

impl Roles {
    async fn change(&self, call: &Call, message: &ChangeGrantsRequest) -> Result<ChangeGrantsResponse, Error> {
        let context = call.mutation(message, &message.request_id, message.validate_only)?;
        let changed = self.0.services.change_grants(&context, decode(message)?).await?;
        Ok(ChangeGrantsResponse {
            granted: changed.value.granted.into_iter().map(grant).collect(),
            revoked: changed.value.revoked.into_iter().map(grant).collect(),
            revision: token(changed.token),
        })
    }
}

fn decode(message: &ChangeGrantsRequest) -> Result<ChangeGrants, Error> {
    let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
    let mut violations = Violations::default();
    if message.deltas.is_empty() || message.deltas.len() > DELTAS_MAX {
        violations.add("deltas", Reason::OutOfRange, format!("must be from 1 to {DELTAS_MAX}"));
    }
    let mut deltas = Vec::new();
    for (index, it) in message.deltas.iter().take(DELTAS_MAX).enumerate() {
        deltas.extend(violations.take(delta(&format!("deltas[{index}]"), it))?);
    }
    violations.finish()?;
    Ok(ChangeGrants { organization, deltas })
}
