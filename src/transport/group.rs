//! `GroupService`.

use std::collections::HashSet;

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{Mask, group, group_member, metadata, read_each, token};
use super::page::page_size;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::{GroupId, MembershipId, OrganizationId};
use crate::proto;
use crate::proto::group_service_server::GroupService;
use crate::service::{
    ChangeGroupMembers, CreateGroup, DeleteGroup, GroupName, ListGroupMembers, ListGroups, UpdateGroup,
};

/// Most members that come in and go out by one call.
const MEMBERS_MAX: usize = 100;
/// What an update writes.
const FIELDS: &[&str] = &["display_name", "external_id", "metadata"];

/// Serves groups.
pub(super) struct Groups(pub Edge);

/// Declares the handlers: each decodes, calls and encodes in the method of [`Groups`] that is named beside it.
macro_rules! handlers {
    ($($rpc:ident => $serve:ident($request:ident) -> $response:ident;)+) => {
        #[tonic::async_trait]
        impl GroupService for Groups {$(
            async fn $rpc(
                &self,
                request: Request<proto::$request>,
            ) -> Result<Response<proto::$response>, Status> {
                let (call, message) = Call::open(request)?;
                call.close(self.$serve(&call, message).await)
            }
        )+}
    };
}

handlers! {
    create_group => create(CreateGroupRequest) -> CreateGroupResponse;
    get_group => get(GetGroupRequest) -> GetGroupResponse;
    look_up_group => look_up(LookUpGroupRequest) -> LookUpGroupResponse;
    list_groups => list(ListGroupsRequest) -> ListGroupsResponse;
    update_group => update(UpdateGroupRequest) -> UpdateGroupResponse;
    delete_group => delete(DeleteGroupRequest) -> DeleteGroupResponse;
    change_group_members => change_members(ChangeGroupMembersRequest) -> ChangeGroupMembersResponse;
    list_group_members => list_members(ListGroupMembersRequest) -> ListGroupMembersResponse;
}

impl Groups {
    async fn create(
        &self,
        call: &Call,
        message: proto::CreateGroupRequest,
    ) -> Result<proto::CreateGroupResponse, Error> {
        let context = call.mutation(&message, &message.request_id, message.validate_only)?;
        let request = CreateGroup {
            organization: OrganizationId::parse("organization_id", &message.organization_id)?,
            display_name: message.display_name,
            external_id: message.external_id,
            metadata: metadata("metadata", message.metadata)?,
        };
        let made = self.0.services.create_group(&context, request).await?;
        Ok(proto::CreateGroupResponse { group: Some(group(made.value)), revision: token(made.token) })
    }

    async fn get(&self, call: &Call, message: proto::GetGroupRequest) -> Result<proto::GetGroupResponse, Error> {
        let (organization, id) = ids(&message.organization_id, &message.group_id)?;
        let found = self.0.services.group(&call.reading(), organization, &GroupName::Id(id)).await?;
        Ok(proto::GetGroupResponse { group: Some(group(found.value)), revision: token(Some(found.token)) })
    }

    async fn look_up(
        &self,
        call: &Call,
        message: proto::LookUpGroupRequest,
    ) -> Result<proto::LookUpGroupResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let name = GroupName::External(message.external_id);
        let found = self.0.services.group(&call.reading(), organization, &name).await?;
        Ok(proto::LookUpGroupResponse { group: Some(group(found.value)), revision: token(Some(found.token)) })
    }

    async fn list(&self, call: &Call, message: proto::ListGroupsRequest) -> Result<proto::ListGroupsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let mut violations = Violations::default();
        let member = match message.membership_id.as_str() {
            "" => Some(None),
            id => violations.take(MembershipId::parse("membership_id", id))?.map(Some),
        };
        let query = format!("groups of {:?} in {organization}", member.flatten());
        let size = violations.take(page_size(message.page_size))?;
        let after = violations.take(self.0.page_key(&query, &message.page_token))?;
        violations.finish()?;
        let (Some(member), Some(size), Some(after)) = (member, size, after) else { return Err(unread()) };

        let request = ListGroups { organization, member, size, after };
        let page = self.0.services.list_groups(&call.reading(), &request).await?;
        let (groups, next) = (page.value.groups, page.value.next);
        let paged = self.0.page(&query, groups, next, |shown| Ok(shown.group.name_key()), group)?;
        Ok(proto::ListGroupsResponse {
            groups: paged.items,
            next_page_token: paged.next_page_token,
            revision: token(Some(page.token)),
        })
    }

    async fn update(
        &self,
        call: &Call,
        message: proto::UpdateGroupRequest,
    ) -> Result<proto::UpdateGroupResponse, Error> {
        let context = call.mutation(&message, &message.request_id, message.validate_only)?;
        let (organization, id) = ids(&message.organization_id, &message.group_id)?;
        let mask = Mask::parse(message.update_mask.as_ref(), FIELDS)?;
        let takes_name = mask.takes("display_name", !message.display_name.is_empty());
        let takes_external_id = mask.takes("external_id", !message.external_id.is_empty());
        let takes_metadata = mask.takes("metadata", message.metadata.is_some());
        let request = UpdateGroup {
            organization,
            id,
            display_name: takes_name.then_some(message.display_name),
            external_id: takes_external_id.then_some(message.external_id),
            metadata: takes_metadata.then(|| metadata("metadata", message.metadata)).transpose()?,
            etag: message.etag,
        };
        let changed = self.0.services.update_group(&context, request).await?;
        Ok(proto::UpdateGroupResponse { group: Some(group(changed.value)), revision: token(changed.token) })
    }

    async fn delete(
        &self,
        call: &Call,
        message: proto::DeleteGroupRequest,
    ) -> Result<proto::DeleteGroupResponse, Error> {
        let context = call.mutation(&message, &message.request_id, message.validate_only)?;
        let (organization, id) = ids(&message.organization_id, &message.group_id)?;
        let request = DeleteGroup { organization, id, etag: message.etag };
        let gone = self.0.services.delete_group(&context, request).await?;
        Ok(proto::DeleteGroupResponse {
            removed_members: count(gone.value.members),
            revoked_grants: count(gone.value.grants),
            revision: token(gone.token),
        })
    }

    async fn change_members(
        &self,
        call: &Call,
        message: proto::ChangeGroupMembersRequest,
    ) -> Result<proto::ChangeGroupMembersResponse, Error> {
        let context = call.mutation(&message, &message.request_id, message.validate_only)?;
        let (organization, group) = ids(&message.organization_id, &message.group_id)?;
        let (add, remove) = members(&message.add_membership_ids, &message.remove_membership_ids)?;
        let request = ChangeGroupMembers { organization, group, add, remove };
        let changed = self.0.services.change_group_members(&context, request).await?;
        let texts = |members: Vec<MembershipId>| members.iter().map(ToString::to_string).collect();
        Ok(proto::ChangeGroupMembersResponse {
            added_membership_ids: texts(changed.value.added),
            removed_membership_ids: texts(changed.value.removed),
            revision: token(changed.token),
        })
    }

    async fn list_members(
        &self,
        call: &Call,
        message: proto::ListGroupMembersRequest,
    ) -> Result<proto::ListGroupMembersResponse, Error> {
        let (organization, group) = ids(&message.organization_id, &message.group_id)?;
        let query = format!("members of group {group} in {organization}");
        let mut violations = Violations::default();
        let size = violations.take(page_size(message.page_size))?;
        let after = violations.take(self.0.page_key(&query, &message.page_token))?;
        violations.finish()?;
        let (Some(size), Some(after)) = (size, after) else { return Err(unread()) };

        let request = ListGroupMembers { organization, group, size, after };
        let page = self.0.services.list_group_members(&call.reading(), request).await?;
        let (members, next) = (page.value.members, page.value.next);
        let paged = self.0.page(&query, members, next, |member| Ok(member.membership), group_member)?;
        Ok(proto::ListGroupMembersResponse {
            members: paged.items,
            next_page_token: paged.next_page_token,
            revision: token(Some(page.token)),
        })
    }
}

fn ids(organization: &str, group: &str) -> Result<(OrganizationId, GroupId), Error> {
    Ok((OrganizationId::parse("organization_id", organization)?, GroupId::parse("group_id", group)?))
}

/// Reads who comes in and who goes out: from 1 to 100 together, each named once.
fn members(add: &[String], remove: &[String]) -> Result<(Vec<MembershipId>, Vec<MembershipId>), Error> {
    if !(1..=MEMBERS_MAX).contains(&(add.len() + remove.len())) {
        let message = format!("must be from 1 to {MEMBERS_MAX} with those of remove_membership_ids");
        return Err(Error::invalid("add_membership_ids", Reason::OutOfRange, message));
    }
    let mut violations = Violations::default();
    let parse = |field: &str, id: &String| MembershipId::parse(field, id);
    let add = read_each("add_membership_ids", add, &mut violations, parse)?;
    let remove = read_each("remove_membership_ids", remove, &mut violations, parse)?;
    let mut seen = HashSet::new();
    for (field, ids) in [("add_membership_ids", &add), ("remove_membership_ids", &remove)] {
        if let Some(index) = ids.iter().position(|id| !seen.insert(*id)) {
            violations.add(format!("{field}[{index}]"), Reason::OutOfRange, "is named twice");
        }
    }
    violations.finish()?;
    Ok((add, remove))
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn unread() -> Error {
    Error::internal("a field without a value or a violation")
}
