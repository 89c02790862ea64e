//! `RoleService`; what it says of grants stands in `grant`.

mod grant;

use crate::domain::error::{Error, Reason};
use crate::domain::fields::all;
use crate::domain::id::OrganizationId;
use crate::proto;
use crate::proto::role_service_server::RoleService;
use crate::service::{
    ChangeGrants, CreateRole, DeleteRole, GetRole, ListRoles, Read, RoleDetail, RolePosition, SummarizeGrants,
    UpdateRole, UpdatedRole, Written,
};
use crate::transport::convert::{changes, grant, new_role, role, role_mask, token};
use crate::transport::handle::{Decode, handlers};
use crate::transport::incoming::{Incoming, ServerState};
use crate::transport::page::page_size;

/// Serves roles and grants.
pub(super) struct Roles(pub ServerState);

handlers! {
    RoleService for Roles {
        list_roles(ListRolesRequest) -> ListRolesResponse: by list;
        get_role(GetRoleRequest) -> GetRoleResponse: query GetRole;
        create_role(CreateRoleRequest) -> CreateRoleResponse: mutation CreateRole;
        update_role(UpdateRoleRequest) -> UpdateRoleResponse: mutation UpdateRole;
        delete_role(DeleteRoleRequest) -> DeleteRoleResponse: by delete;
        change_grants(ChangeGrantsRequest) -> ChangeGrantsResponse: mutation ChangeGrants;
        change_installation_grants(ChangeInstallationGrantsRequest) -> ChangeInstallationGrantsResponse:
            by change_installation_grants;
        list_grants(ListGrantsRequest) -> ListGrantsResponse: by list_grants;
        summarize_grants(SummarizeGrantsRequest) -> SummarizeGrantsResponse: query SummarizeGrants;
    }
}

impl Decode<proto::GetRoleRequest> for GetRole {
    fn decode(message: proto::GetRoleRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { name: message.name })
    }
}

impl From<Read<RoleDetail>> for proto::GetRoleResponse {
    fn from(found: Read<RoleDetail>) -> Self {
        Self { role: Some(role(found.value)), revision: token(Some(found.token)) }
    }
}

impl Decode<proto::CreateRoleRequest> for CreateRole {
    fn decode(message: proto::CreateRoleRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { role: new_role(required(message.role.as_ref())?)? })
    }
}

impl From<Written<RoleDetail>> for proto::CreateRoleResponse {
    fn from(created: Written<RoleDetail>) -> Self {
        Self { role: Some(role(created.value)), revision: token(created.token) }
    }
}

impl Decode<proto::UpdateRoleRequest> for UpdateRole {
    fn decode(message: proto::UpdateRoleRequest, _server: &ServerState) -> Result<Self, Error> {
        let role = required(message.role.as_ref())?;
        Ok(Self {
            name: role.name.as_str().into(),
            changes: changes(role, role_mask(message.update_mask.as_ref())?)?,
            etag: role.etag.clone(),
        })
    }
}

impl From<Written<UpdatedRole>> for proto::UpdateRoleResponse {
    fn from(updated: Written<UpdatedRole>) -> Self {
        Self {
            role: Some(role(updated.value.role)),
            revision: token(updated.token),
            invitation_ids: updated.value.links.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Roles {
    async fn list(&self, call: &Incoming, message: proto::ListRolesRequest) -> Result<proto::ListRolesResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let query = format!("roles of {organization}");
        // There are few, and a caller who names no size takes them all.
        let named = (message.page_size != 0).then_some(message.page_size);
        let (size, after) =
            all((named.map(page_size).transpose(), self.0.page_key::<RolePosition>(&query, &message.page_token)))?;

        let listed = self.0.services.query(&call.reading(), organization, &ListRoles { size, after }).await?;
        let (roles, next) = (listed.value.roles, listed.value.next);
        let page = self.0.page(&query, roles, next, |role| Ok(role.position()), role)?;
        Ok(proto::ListRolesResponse {
            roles: page.items,
            revision: token(Some(listed.token)),
            next_page_token: page.next_page_token,
        })
    }

    async fn delete(
        &self,
        call: &Incoming,
        message: proto::DeleteRoleRequest,
    ) -> Result<proto::DeleteRoleResponse, Error> {
        let context = call.mutation(&message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let request = DeleteRole {
            name: message.name.into(),
            move_holders_to: (!message.move_holders_to.is_empty()).then(|| message.move_holders_to.into()),
            etag: message.etag,
        };
        let deleted = self.0.services.delete_role(&context, organization, request).await?;
        Ok(proto::DeleteRoleResponse {
            granted: deleted.value.changed.granted.into_iter().map(grant).collect(),
            revoked: deleted.value.changed.revoked.into_iter().map(grant).collect(),
            moved_invitation_ids: deleted.value.links.iter().map(ToString::to_string).collect(),
            revision: token(deleted.token),
        })
    }
}

fn required(role: Option<&proto::Role>) -> Result<&proto::Role, Error> {
    role.ok_or_else(|| Error::invalid("role", Reason::FieldRequired, "is required"))
}
