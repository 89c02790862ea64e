//! `RoleService`.

use tonic::{Request, Response, Status};

use super::call::{Call, Edge};
use super::convert::{changes, grant, new_role, role, role_mask, token};
use super::page::page_size;
use crate::domain::catalog::{Role, RoleId};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::id::OrganizationId;
use crate::proto;
use crate::proto::role_service_server::RoleService;
use crate::proto::{
    ChangeGrantsRequest, ChangeGrantsResponse, ChangeInstallationGrantsRequest, ChangeInstallationGrantsResponse,
    CreateRoleRequest, CreateRoleResponse, DeleteRoleRequest, DeleteRoleResponse, GetRoleRequest, GetRoleResponse,
    ListGrantsRequest, ListGrantsResponse, ListRolesRequest, ListRolesResponse, SummarizeGrantsRequest,
    SummarizeGrantsResponse, UpdateRoleRequest, UpdateRoleResponse,
};
use crate::service::{self, DeleteRole, UpdateRole, WrittenRole};

/// As many roles as a page may have, which is more than there are.
const ROLES_MAX: u32 = 1_000;

/// Serves roles and grants.
pub(super) struct Roles(pub Edge);

#[tonic::async_trait]
impl RoleService for Roles {
    async fn list_grants(&self, request: Request<ListGrantsRequest>) -> Result<Response<ListGrantsResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.list_grants_of(&call, &message).await)
    }

    async fn summarize_grants(
        &self,
        request: Request<SummarizeGrantsRequest>,
    ) -> Result<Response<SummarizeGrantsResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.summarize_grants_of(&call, &message).await)
    }

    async fn change_installation_grants(
        &self,
        request: Request<ChangeInstallationGrantsRequest>,
    ) -> Result<Response<ChangeInstallationGrantsResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.change_installation_grants_of(&call, &message).await)
    }

    async fn list_roles(&self, request: Request<ListRolesRequest>) -> Result<Response<ListRolesResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.list(&call, &message).await)
    }

    async fn get_role(&self, request: Request<GetRoleRequest>) -> Result<Response<GetRoleResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.get(&call, &message).await)
    }

    async fn create_role(&self, request: Request<CreateRoleRequest>) -> Result<Response<CreateRoleResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.create(&call, &message).await)
    }

    async fn update_role(&self, request: Request<UpdateRoleRequest>) -> Result<Response<UpdateRoleResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.update(&call, &message).await)
    }

    async fn delete_role(&self, request: Request<DeleteRoleRequest>) -> Result<Response<DeleteRoleResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.delete(&call, message).await)
    }

    async fn change_grants(
        &self,
        request: Request<ChangeGrantsRequest>,
    ) -> Result<Response<ChangeGrantsResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.change_grants_of(&call, &message).await)
    }
}

impl Roles {
    async fn list(&self, call: &Call, message: &ListRolesRequest) -> Result<ListRolesResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let query = format!("roles of {organization}");
        let mut violations = Violations::default();
        // There are few, and whoever does not say takes them all.
        let size =
            if message.page_size == 0 { Some(ROLES_MAX) } else { violations.take(page_size(message.page_size))? };
        let after = violations.take(self.0.page_key::<(bool, String)>(&query, &message.page_token))?;
        violations.finish()?;
        let (Some(size), Some(after)) = (size, after) else {
            return Err(Error::internal("a field without a value or a violation"));
        };

        let found = self.0.services.roles(&call.reading(), organization).await?;
        let key = |role: &Role| (role.is_custom, role.name.to_string());
        let mut roles = listed(&found.value);
        roles.retain(|role| after.as_ref().is_none_or(|after| key(role) > *after));
        let has_more = roles.len() > size as usize;
        roles.truncate(size as usize);
        let next = roles.last().filter(|_| has_more).map(|role| key(role));
        let paged = self.0.page(&query, roles, next, |it| Ok(key(it)), |it| shown(&found.value, it))?;
        Ok(ListRolesResponse {
            roles: paged.items,
            revision: token(Some(found.token)),
            next_page_token: paged.next_page_token,
        })
    }

    async fn get(&self, call: &Call, message: &GetRoleRequest) -> Result<GetRoleResponse, Error> {
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let found = self.0.services.roles(&call.reading(), organization).await?;
        let role = listed(&found.value).into_iter().find(|role| *role.name == *message.name);
        let role = role.ok_or_else(|| Error::not_found("role", &message.name))?;
        Ok(GetRoleResponse { role: Some(shown(&found.value, role)), revision: token(Some(found.token)) })
    }

    async fn create(&self, call: &Call, message: &CreateRoleRequest) -> Result<CreateRoleResponse, Error> {
        let context = call.mutation(message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let role = new_role(required(message.role.as_ref())?)?;
        let written = self.0.services.create_role(&context, organization, role).await?;
        Ok(CreateRoleResponse { role: Some(as_written(written.value)), revision: token(written.token) })
    }

    async fn update(&self, call: &Call, message: &UpdateRoleRequest) -> Result<UpdateRoleResponse, Error> {
        let context = call.mutation(message)?;
        let organization = OrganizationId::parse("organization_id", &message.organization_id)?;
        let role = required(message.role.as_ref())?;
        let request = UpdateRole {
            organization,
            name: role.name.as_str().into(),
            changes: changes(role, role_mask(message.update_mask.as_ref())?)?,
            etag: role.etag.clone(),
        };
        let written = self.0.services.update_role(&context, request).await?;
        let role = as_written(written.value.role);
        let invitation_ids = written.value.links.iter().map(ToString::to_string).collect();
        Ok(UpdateRoleResponse { role: Some(role), revision: token(written.token), invitation_ids })
    }

    async fn delete(&self, call: &Call, message: DeleteRoleRequest) -> Result<DeleteRoleResponse, Error> {
        let context = call.mutation(&message)?;
        let request = DeleteRole {
            organization: OrganizationId::parse("organization_id", &message.organization_id)?,
            name: message.name.into(),
            move_holders_to: (!message.move_holders_to.is_empty()).then(|| message.move_holders_to.into()),
            etag: message.etag,
        };
        let written = self.0.services.delete_role(&context, request).await?;
        Ok(DeleteRoleResponse {
            granted: written.value.changed.granted.into_iter().map(grant).collect(),
            revoked: written.value.changed.revoked.into_iter().map(grant).collect(),
            moved_invitation_ids: written.value.links.iter().map(ToString::to_string).collect(),
            revision: token(written.token),
        })
    }
}

fn as_written(written: WrittenRole) -> proto::Role {
    role(written.view, Some(&written.tagged))
}

fn required(role: Option<&proto::Role>) -> Result<&proto::Role, Error> {
    role.ok_or_else(|| Error::invalid("role", Reason::FieldRequired, "is required"))
}

/// Returns the roles of the catalog, but for the built-in one, and those of the organization, each by name.
fn listed(roles: &service::Roles) -> Vec<&Role> {
    let named = roles.catalog.roles().filter(|(id, _)| *id != RoleId::OPERATOR);
    let mut listed: Vec<&Role> = named.map(|(_, role)| role).collect();
    listed.sort_by(|one, other| (one.is_custom, &one.name).cmp(&(other.is_custom, &other.name)));
    listed
}

fn shown(roles: &service::Roles, it: &Role) -> proto::Role {
    role(roles.catalog.view(it), roles.custom.iter().find(|(custom, _)| it.is_custom && custom.name == it.name))
}
