//! `MembershipService`.

use tonic::{Request, Response, Status};

use super::bulk::{self, Chunks};
use super::call::{Call, Edge};
use super::convert::{Mask, assignment, grant, member_to, metadata, token};
use super::{removal, roster};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::Member;
use crate::proto;
use crate::proto::membership_service_server::MembershipService;
use crate::proto::{
    AcknowledgeRemovalRequest, AcknowledgeRemovalResponse, BatchCreateMembersRequest, BatchCreateMembersResponse,
    BatchDisableMembersRequest, BatchDisableMembersResponse, BatchEnableMembersRequest, BatchEnableMembersResponse,
    BulkMembersRequest, CreateMemberRequest, CreateMemberResponse, DisableMemberRequest, DisableMemberResponse,
    EnableMemberRequest, EnableMemberResponse, GetMemberRequest, GetMemberResponse, LeaveOrganizationRequest,
    LeaveOrganizationResponse, ListMembersRequest, ListMembersResponse, ListMyMembershipsRequest,
    ListMyMembershipsResponse, ListRemovalsRequest, ListRemovalsResponse, LookUpMemberRequest, LookUpMemberResponse,
    PreviewRemovalRequest, PreviewRemovalResponse, RemoveMemberRequest, RemoveMemberResponse, UpdateMemberRequest,
    UpdateMemberResponse, WatchRemovalsRequest,
};
use crate::service::{ChangedMembers, NewMember, UpdateMember};

/// Serves memberships.
pub(super) struct Memberships(pub Edge);

#[tonic::async_trait]
impl MembershipService for Memberships {
    type WatchRemovalsStream = removal::Watching;

    async fn preview_removal(
        &self,
        request: Request<PreviewRemovalRequest>,
    ) -> Result<Response<PreviewRemovalResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(removal::preview(&self.0, &call, &message).await)
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(removal::remove(&self.0, &call, message).await)
    }

    async fn leave_organization(
        &self,
        request: Request<LeaveOrganizationRequest>,
    ) -> Result<Response<LeaveOrganizationResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(removal::leave(&self.0, &call, message).await)
    }

    async fn list_removals(
        &self,
        request: Request<ListRemovalsRequest>,
    ) -> Result<Response<ListRemovalsResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(removal::list(&self.0, &call, &message).await)
    }

    async fn watch_removals(
        &self,
        request: Request<WatchRemovalsRequest>,
    ) -> Result<Response<Self::WatchRemovalsStream>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(removal::watch(&self.0, &call, &message).await)
    }

    async fn acknowledge_removal(
        &self,
        request: Request<AcknowledgeRemovalRequest>,
    ) -> Result<Response<AcknowledgeRemovalResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(removal::acknowledge(&self.0, &call, message).await)
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(roster::list(&self.0, &call, message).await)
    }

    async fn get_member(&self, request: Request<GetMemberRequest>) -> Result<Response<GetMemberResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(roster::get(&self.0, &call, &message).await)
    }

    async fn look_up_member(
        &self,
        request: Request<LookUpMemberRequest>,
    ) -> Result<Response<LookUpMemberResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(roster::look_up(&self.0, &call, message).await)
    }

    async fn list_my_memberships(
        &self,
        request: Request<ListMyMembershipsRequest>,
    ) -> Result<Response<ListMyMembershipsResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(roster::mine(&self.0, &call, &message).await)
    }

    async fn create_member(
        &self,
        request: Request<CreateMemberRequest>,
    ) -> Result<Response<CreateMemberResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.create(&call, message).await)
    }

    async fn batch_create_members(
        &self,
        request: Request<BatchCreateMembersRequest>,
    ) -> Result<Response<BatchCreateMembersResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.batch_create(&call, message).await)
    }

    async fn update_member(
        &self,
        request: Request<UpdateMemberRequest>,
    ) -> Result<Response<UpdateMemberResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.update(&call, message).await)
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

    async fn batch_disable_members(
        &self,
        request: Request<BatchDisableMembersRequest>,
    ) -> Result<Response<BatchDisableMembersResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.batch_disable(&call, &message).await)
    }

    async fn batch_enable_members(
        &self,
        request: Request<BatchEnableMembersRequest>,
    ) -> Result<Response<BatchEnableMembersResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.batch_enable(&call, &message).await)
    }

    type BulkMembersStream = Chunks;

    async fn bulk_members(&self, request: Request<BulkMembersRequest>) -> Result<Response<Chunks>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(bulk::bulk(&self.0, &call, message).await)
    }
}

impl Memberships {
    async fn create(&self, call: &Call, message: CreateMemberRequest) -> Result<CreateMemberResponse, Error> {
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let Some(new) = message.member else {
            return Err(Error::invalid("member", Reason::FieldRequired, "is required"));
        };
        let new = new_member("member", new)?;
        let written = self.0.services.create_member(&context, organization, new).await?;
        let created = written.value;
        Ok(CreateMemberResponse {
            member: created.members.into_iter().next().map(|member| member_to(member, created.shows_private)),
            grants: created.grants.into_iter().map(grant).collect(),
            revision: token(written.token),
        })
    }

    async fn batch_create(
        &self,
        call: &Call,
        message: BatchCreateMembersRequest,
    ) -> Result<BatchCreateMembersResponse, Error> {
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let (mut violations, mut new) = (Violations::default(), Vec::new());
        for (index, member) in message.requests.into_iter().enumerate() {
            new.extend(violations.take(new_member(&format!("requests[{index}]"), member))?);
        }
        violations.finish()?;
        let written = self.0.services.create_members(&context, organization, new).await?;
        Ok(BatchCreateMembersResponse {
            members: written.value.members.into_iter().map(|it| member_to(it, written.value.shows_private)).collect(),
            revision: token(written.token),
        })
    }

    async fn update(&self, call: &Call, message: UpdateMemberRequest) -> Result<UpdateMemberResponse, Error> {
        let context = call.mutation(&message)?;
        let (organization, id) = ids(&message.organization_id, &message.membership_id)?;
        let mask = Mask::parse(message.update_mask.as_ref(), &["display_name", "external_id", "metadata"])?;
        let takes_name = mask.takes("display_name", !message.display_name.is_empty());
        let takes_external_id = mask.takes("external_id", !message.external_id.is_empty());
        let takes_metadata = mask.takes("metadata", message.metadata.is_some());
        let request = UpdateMember {
            organization,
            id,
            display_name: takes_name.then_some(message.display_name),
            external_id: takes_external_id.then_some(message.external_id),
            metadata: takes_metadata.then(|| metadata("metadata", message.metadata)).transpose()?,
            etag: message.etag,
        };
        let written = self.0.services.update_member(&context, request).await?;
        Ok(UpdateMemberResponse { member: first(written.value), revision: token(written.token) })
    }

    async fn disable(&self, call: &Call, message: &DisableMemberRequest) -> Result<DisableMemberResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, id) = ids(&message.organization_id, &message.membership_id)?;
        let written = self.0.services.disable_members(&context, organization, vec![id]).await?;
        Ok(DisableMemberResponse { member: first(written.value), revision: token(written.token) })
    }

    async fn enable(&self, call: &Call, message: &EnableMemberRequest) -> Result<EnableMemberResponse, Error> {
        let context = call.mutation(message)?;
        let (organization, id) = ids(&message.organization_id, &message.membership_id)?;
        let written = self.0.services.enable_members(&context, organization, vec![id]).await?;
        Ok(EnableMemberResponse { member: first(written.value), revision: token(written.token) })
    }

    async fn batch_disable(
        &self,
        call: &Call,
        message: &BatchDisableMembersRequest,
    ) -> Result<BatchDisableMembersResponse, Error> {
        let context = call.mutation(message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let ids = batch(&message.requests)?;
        let written = self.0.services.disable_members(&context, organization, ids).await?;
        Ok(BatchDisableMembersResponse { members: every(written.value).collect(), revision: token(written.token) })
    }

    async fn batch_enable(
        &self,
        call: &Call,
        message: &BatchEnableMembersRequest,
    ) -> Result<BatchEnableMembersResponse, Error> {
        let context = call.mutation(message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let ids = batch(&message.requests)?;
        let written = self.0.services.enable_members(&context, organization, ids).await?;
        Ok(BatchEnableMembersResponse { members: every(written.value).collect(), revision: token(written.token) })
    }
}

fn every(changed: ChangedMembers) -> impl Iterator<Item = proto::Member> {
    let shows_private = changed.shows_private;
    changed.members.into_iter().map(move |member: Member| member_to(member, shows_private))
}

fn first(changed: ChangedMembers) -> Option<proto::Member> {
    every(changed).next()
}

fn new_member(field: &str, member: proto::NewMember) -> Result<NewMember, Error> {
    let (mut violations, mut assignments) = (Violations::default(), Vec::new());
    for (index, it) in member.assignments.iter().enumerate() {
        assignments.extend(violations.take(assignment(&format!("{field}.assignments[{index}]"), it))?);
    }
    let metadata = violations.take(metadata(&format!("{field}.metadata"), member.metadata))?;
    violations.finish()?;
    Ok(NewMember {
        email: member.email,
        display_name: member.display_name,
        external_id: member.external_id,
        metadata: metadata.unwrap_or_default(),
        assignments,
    })
}

fn batch(requests: &[proto::MemberRef]) -> Result<Vec<MembershipId>, Error> {
    let (mut violations, mut ids) = (Violations::default(), Vec::new());
    for (index, request) in requests.iter().enumerate() {
        let field = format!("requests[{index}].membership_id");
        ids.extend(violations.take(MembershipId::parse(&field, &request.membership_id))?);
    }
    violations.finish()?;
    Ok(ids)
}

fn ids(organization: &str, membership: &str) -> Result<(OrganizationId, MembershipId), Error> {
    Ok((OrganizationId::parse("organization_id", organization)?, MembershipId::parse("membership_id", membership)?))
}
