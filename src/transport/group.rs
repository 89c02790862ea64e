//! `GroupService`.

use std::collections::HashSet;

use super::convert::{Mask, group, group_member, metadata, optional_id, read_each, token};
use super::handle::{Decode, handlers};
use super::incoming::{Incoming, ServerState};
use super::page::page_size;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fields::all;
use crate::domain::group::GroupFields;
use crate::domain::id::{GroupId, MembershipId, OrganizationId};
use crate::domain::metadata::external_id;
use crate::domain::text::required_name;
use crate::proto;
use crate::proto::group_service_server::GroupService;
use crate::service::{
    ChangeGroupMembers, ChangedGroupMembers, CreateGroup, DeleteGroup, DeletedGroup, GetGroup, GroupName, GroupView,
    ListGroupMembers, ListGroups, Read, UpdateGroup, Written,
};

/// Most members that are added and removed by one call.
const MEMBERS_MAX: usize = 100;
/// What an update writes.
const FIELDS: &[&str] = &["display_name", "external_id", "metadata"];

/// Serves groups.
pub(super) struct Groups(pub ServerState);

handlers! {
    GroupService for Groups {
        create_group(CreateGroupRequest) -> CreateGroupResponse: mutation CreateGroup;
        get_group(GetGroupRequest) -> GetGroupResponse: query GetGroup;
        look_up_group(LookUpGroupRequest) -> LookUpGroupResponse: query GetGroup;
        list_groups(ListGroupsRequest) -> ListGroupsResponse: by list;
        update_group(UpdateGroupRequest) -> UpdateGroupResponse: mutation UpdateGroup;
        delete_group(DeleteGroupRequest) -> DeleteGroupResponse: mutation DeleteGroup;
        change_group_members(ChangeGroupMembersRequest) -> ChangeGroupMembersResponse: mutation ChangeGroupMembers;
        list_group_members(ListGroupMembersRequest) -> ListGroupMembersResponse: by list_members;
    }
}

impl Decode<proto::CreateGroupRequest> for CreateGroup {
    fn decode(message: proto::CreateGroupRequest, _server: &ServerState) -> Result<Self, Error> {
        let (display_name, external_id, metadata) = all((
            required_name("display_name", &message.display_name),
            external_id("external_id", &message.external_id),
            metadata("metadata", message.metadata),
        ))?;
        let fields =
            GroupFields { display_name: Some(display_name), external_id: Some(external_id), metadata: Some(metadata) };
        Ok(Self { fields })
    }
}

impl From<Written<GroupView>> for proto::CreateGroupResponse {
    fn from(created: Written<GroupView>) -> Self {
        Self { group: Some(group(created.value)), revision: token(created.token) }
    }
}

impl Decode<proto::GetGroupRequest> for GetGroup {
    fn decode(message: proto::GetGroupRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { name: GroupName::Id(GroupId::parse("group_id", &message.group_id)?) })
    }
}

impl From<Read<GroupView>> for proto::GetGroupResponse {
    fn from(found: Read<GroupView>) -> Self {
        Self { group: Some(group(found.value)), revision: token(Some(found.token)) }
    }
}

impl Decode<proto::LookUpGroupRequest> for GetGroup {
    fn decode(message: proto::LookUpGroupRequest, _server: &ServerState) -> Result<Self, Error> {
        let name = external_id("external_id", &message.external_id)?;
        let name = name.ok_or_else(|| Error::invalid("external_id", Reason::FieldRequired, "is required"))?;
        Ok(Self { name: GroupName::External(name) })
    }
}

impl From<Read<GroupView>> for proto::LookUpGroupResponse {
    fn from(found: Read<GroupView>) -> Self {
        Self { group: Some(group(found.value)), revision: token(Some(found.token)) }
    }
}

impl Decode<proto::UpdateGroupRequest> for UpdateGroup {
    fn decode(message: proto::UpdateGroupRequest, _server: &ServerState) -> Result<Self, Error> {
        let id = GroupId::parse("group_id", &message.group_id)?;
        let mask = Mask::parse(message.update_mask.as_ref(), FIELDS)?;
        let takes_name = mask.takes("display_name", !message.display_name.is_empty());
        let takes_external_id = mask.takes("external_id", !message.external_id.is_empty());
        let takes_metadata = mask.takes("metadata", message.metadata.is_some());
        let (display_name, external_id, metadata) = all((
            takes_name.then(|| required_name("display_name", &message.display_name)).transpose(),
            takes_external_id.then(|| external_id("external_id", &message.external_id)).transpose(),
            takes_metadata.then(|| metadata("metadata", message.metadata)).transpose(),
        ))?;
        Ok(Self { id, fields: GroupFields { display_name, external_id, metadata }, etag: message.etag })
    }
}

impl From<Written<GroupView>> for proto::UpdateGroupResponse {
    fn from(changed: Written<GroupView>) -> Self {
        Self { group: Some(group(changed.value)), revision: token(changed.token) }
    }
}

impl Decode<proto::DeleteGroupRequest> for DeleteGroup {
    fn decode(message: proto::DeleteGroupRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { id: GroupId::parse("group_id", &message.group_id)?, etag: message.etag })
    }
}

impl From<Written<DeletedGroup>> for proto::DeleteGroupResponse {
    fn from(deleted: Written<DeletedGroup>) -> Self {
        Self {
            removed_members: count(deleted.value.members),
            revoked_grants: count(deleted.value.grants),
            revision: token(deleted.token),
        }
    }
}

impl Decode<proto::ChangeGroupMembersRequest> for ChangeGroupMembers {
    fn decode(message: proto::ChangeGroupMembersRequest, _server: &ServerState) -> Result<Self, Error> {
        let group = GroupId::parse("group_id", &message.group_id)?;
        let (add, remove) = members(&message.add_membership_ids, &message.remove_membership_ids)?;
        Ok(Self { group, add, remove })
    }
}

impl From<Written<ChangedGroupMembers>> for proto::ChangeGroupMembersResponse {
    fn from(changed: Written<ChangedGroupMembers>) -> Self {
        let texts = |members: Vec<MembershipId>| members.iter().map(ToString::to_string).collect();
        Self {
            added_membership_ids: texts(changed.value.added),
            removed_membership_ids: texts(changed.value.removed),
            revision: token(changed.token),
        }
    }
}

impl Groups {
    async fn list(
        &self,
        call: &Incoming,
        message: proto::ListGroupsRequest,
    ) -> Result<proto::ListGroupsResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let query = format!("groups of {:?} in {organization}", message.membership_id);
        let (member, size, after) = all((
            optional_id("membership_id", &message.membership_id, MembershipId::parse),
            page_size(message.page_size),
            self.0.page_key(&query, &message.page_token),
        ))?;

        let listed = self.0.services.query(&call.reading(), organization, &ListGroups { member, size, after }).await?;
        let (groups, next) = (listed.value.groups, listed.value.next);
        let page = self.0.page(&query, groups, next, |view| Ok(view.group.name_key()), group)?;
        Ok(proto::ListGroupsResponse {
            groups: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
        })
    }

    async fn list_members(
        &self,
        call: &Incoming,
        message: proto::ListGroupMembersRequest,
    ) -> Result<proto::ListGroupMembersResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let group = GroupId::parse("group_id", &message.group_id)?;
        let query = format!("members of group {group} in {organization}");
        let (size, after) = all((page_size(message.page_size), self.0.page_key(&query, &message.page_token)))?;

        let listed =
            self.0.services.query(&call.reading(), organization, &ListGroupMembers { group, size, after }).await?;
        let (members, next) = (listed.value.members, listed.value.next);
        let page = self.0.page(&query, members, next, |member| Ok(member.membership), group_member)?;
        Ok(proto::ListGroupMembersResponse {
            members: page.items,
            next_page_token: page.next_page_token,
            revision: token(Some(listed.token)),
        })
    }
}

/// Reads who is added and who is removed: from 1 to 100 together, each named once.
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
