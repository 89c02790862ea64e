//! `MembershipService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{member, token};
use super::page::page_size;
use crate::domain::error::{Error, Violations};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::proto::membership_service_server::MembershipService;
use crate::proto::{
    DisableMemberRequest, DisableMemberResponse, EnableMemberRequest, EnableMemberResponse, ListMembersRequest,
    ListMembersResponse,
};
use crate::service::ListMembers;

/// Serves memberships.
pub(super) struct Memberships(pub Edge);

#[tonic::async_trait]
impl MembershipService for Memberships {
    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.list(&call, &message).await)
    }

    async fn disable_member(
        &self,
        request: Request<DisableMemberRequest>,
    ) -> Result<Response<DisableMemberResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.disable(&call, &message).await)
    }

    async fn enable_member(
        &self,
        request: Request<EnableMemberRequest>,
    ) -> Result<Response<EnableMemberResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.enable(&call, &message).await)
    }
}

impl Memberships {
    async fn list(&self, call: &Call, message: &ListMembersRequest) -> Result<ListMembersResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let query = format!("members of {organization}");
        let mut violations = Violations::default();
        let size = violations.take(page_size(message.page_size))?;
        let after = violations.take(self.0.page_key(&query, &message.page_token))?;
        violations.finish()?;
        let (Some(size), Some(after)) = (size, after) else {
            return Err(Error::internal("a field without a value or a violation"));
        };

        let request = ListMembers { organization, size, after };
        let page = self.0.services.list_members(&call.reading(), request).await?;
        let next = page.value.next.map(|key| self.0.page_token(&query, &key)).transpose()?;
        Ok(ListMembersResponse {
            members: page.value.members.into_iter().map(member).collect(),
            next_page_token: next.unwrap_or_default(),
            revision: token(Some(page.token)),
        })
    }

    async fn disable(&self, call: &Call, message: &DisableMemberRequest) -> Result<DisableMemberResponse, Error> {
        let context = call.mutation(message, &message.request_id, message.validate_only)?;
        let (organization, id) = ids(&message.organization_id, &message.membership_id)?;
        let written = self.0.services.disable_member(&context, organization, id).await?;
        Ok(DisableMemberResponse { member: Some(member(written.value)), revision: token(written.token) })
    }

    async fn enable(&self, call: &Call, message: &EnableMemberRequest) -> Result<EnableMemberResponse, Error> {
        let context = call.mutation(message, &message.request_id, message.validate_only)?;
        let (organization, id) = ids(&message.organization_id, &message.membership_id)?;
        let written = self.0.services.enable_member(&context, organization, id).await?;
        Ok(EnableMemberResponse { member: Some(member(written.value)), revision: token(written.token) })
    }
}

fn ids(organization: &str, membership: &str) -> Result<(OrganizationId, MembershipId), Error> {
    Ok((OrganizationId::parse("organization_id", organization)?, MembershipId::parse("membership_id", membership)?))
}
