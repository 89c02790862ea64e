//! Messages, with what the tests leave out left out.

use guildhall::proto::{self, assignment, grant_delta, grant_matrix, principal, subject, summarize_grants_request};

pub fn project(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "project".into(), id: id.into() }
}

/// A role at the organization.
pub fn role(name: &str) -> proto::Assignment {
    proto::Assignment { held: Some(assignment::Held::Role(name.into())), ..Default::default() }
}

/// A role at a resource.
pub fn at(resource: proto::ResourceRef, name: &str) -> proto::Assignment {
    proto::Assignment { resource: Some(resource), held: Some(assignment::Held::Role(name.into())), expire_time: None }
}

/// A place on a resource's list.
pub fn as_member(resource: proto::ResourceRef) -> proto::Assignment {
    let held = Some(assignment::Held::AsMember(proto::AsMember {}));
    proto::Assignment { resource: Some(resource), held, expire_time: None }
}

pub fn membership(id: &str) -> principal::Kind {
    principal::Kind::MembershipId(id.into())
}

pub fn service_account(id: &str) -> principal::Kind {
    principal::Kind::ServiceAccountId(id.into())
}

pub fn group(id: &str) -> principal::Kind {
    principal::Kind::GroupId(id.into())
}

pub fn everyone() -> principal::Kind {
    principal::Kind::Everyone(proto::Everyone {})
}

pub fn grant(to: principal::Kind, assignment: proto::Assignment) -> proto::GrantDelta {
    let principal = Some(proto::Principal { kind: Some(to) });
    proto::GrantDelta { principal, act: Some(grant_delta::Act::Grant(assignment)) }
}

pub fn revoke(from: principal::Kind, assignment: proto::Assignment) -> proto::GrantDelta {
    let principal = Some(proto::Principal { kind: Some(from) });
    proto::GrantDelta { principal, act: Some(grant_delta::Act::Revoke(assignment)) }
}

pub fn change(organization: &str, deltas: Vec<proto::GrantDelta>) -> proto::ChangeGrantsRequest {
    proto::ChangeGrantsRequest { organization_id: organization.into(), deltas, ..Default::default() }
}

/// One thing given to several at several places; at the organization if there are none.
pub fn matrix(
    principals: Vec<principal::Kind>,
    resources: Vec<proto::ResourceRef>,
    act: grant_matrix::Act,
) -> proto::GrantMatrix {
    proto::GrantMatrix { principals: principals.into_iter().map(principal).collect(), resources, act: Some(act) }
}

pub fn change_by_matrix(organization: &str, matrices: Vec<proto::GrantMatrix>) -> proto::ChangeGrantsRequest {
    proto::ChangeGrantsRequest { matrices, ..change(organization, Vec::new()) }
}

pub fn principal(kind: principal::Kind) -> proto::Principal {
    proto::Principal { kind: Some(kind) }
}

/// Every grant of an organization; of one principal, if one is named.
pub fn list_grants(organization: &str, of: Option<principal::Kind>) -> proto::ListGrantsRequest {
    proto::ListGrantsRequest {
        organization_id: organization.into(),
        principal: of.map(principal),
        ..Default::default()
    }
}

/// Who of some is on which list?
pub fn summarize(
    organization: &str,
    principals: Vec<principal::Kind>,
    resources: Vec<proto::ResourceRef>,
) -> proto::SummarizeGrantsRequest {
    proto::SummarizeGrantsRequest {
        organization_id: organization.into(),
        principals: principals.into_iter().map(principal).collect(),
        resources,
        held: Some(summarize_grants_request::Held::AsMember(proto::AsMember {})),
    }
}

pub fn create_organization(name: &str, founder_email: &str) -> proto::CreateOrganizationRequest {
    create_organization_under("disaster-recovery", name, founder_email)
}

/// An organization that follows a catalog.
pub fn create_organization_under(catalog: &str, name: &str, founder_email: &str) -> proto::CreateOrganizationRequest {
    proto::CreateOrganizationRequest {
        display_name: name.into(),
        catalog: catalog.into(),
        founder_email: founder_email.into(),
        ..Default::default()
    }
}

pub fn put_catalog(yaml: &str) -> proto::PutCatalogRequest {
    proto::PutCatalogRequest { yaml: yaml.into(), ..Default::default() }
}

/// The newest version of a catalog.
pub fn get_catalog(name: &str) -> proto::GetCatalogRequest {
    proto::GetCatalogRequest { name: name.into(), version: 0 }
}

/// The newest version of a catalog, for an organization.
pub fn set_catalog(organization: &str, name: &str) -> proto::SetOrganizationCatalogRequest {
    proto::SetOrganizationCatalogRequest {
        organization_id: organization.into(),
        name: name.into(),
        ..Default::default()
    }
}

/// A role that memberships hold at the organization, with these permissions and the reach ANY.
pub fn custom_role(name: &str, permissions: &[&str]) -> proto::Role {
    proto::Role {
        name: name.into(),
        at: vec!["organization".into()],
        permissions: permissions.iter().map(|permission| reaching(permission, proto::Reach::Any)).collect(),
        ..Default::default()
    }
}

/// A permission of a role.
pub fn reaching(permission: &str, reach: proto::Reach) -> proto::RolePermission {
    proto::RolePermission { permission: permission.into(), reaches: vec![reach.into()] }
}

pub fn list_roles(organization: &str) -> proto::ListRolesRequest {
    proto::ListRolesRequest { organization_id: organization.into(), ..Default::default() }
}

pub fn get_role(organization: &str, name: &str) -> proto::GetRoleRequest {
    proto::GetRoleRequest { organization_id: organization.into(), name: name.into() }
}

pub fn create_role(organization: &str, role: proto::Role) -> proto::CreateRoleRequest {
    proto::CreateRoleRequest { organization_id: organization.into(), role: Some(role), ..Default::default() }
}

/// What a role says that is set in `role`.
pub fn update_role(organization: &str, role: proto::Role) -> proto::UpdateRoleRequest {
    proto::UpdateRoleRequest { organization_id: organization.into(), role: Some(role), ..Default::default() }
}

pub fn delete_role(organization: &str, name: &str) -> proto::DeleteRoleRequest {
    proto::DeleteRoleRequest { organization_id: organization.into(), name: name.into(), ..Default::default() }
}

pub fn get_organization(organization: &str) -> proto::GetOrganizationRequest {
    proto::GetOrganizationRequest { organization_id: organization.into() }
}

pub fn invite(organization: &str, email: &str, assignments: Vec<proto::Assignment>) -> proto::CreateInvitationRequest {
    proto::CreateInvitationRequest {
        organization_id: organization.into(),
        email: email.into(),
        assignments,
        ..Default::default()
    }
}

/// A link for whoever holds it.
pub fn invite_by_link(organization: &str, assignments: Vec<proto::Assignment>) -> proto::CreateInvitationRequest {
    let kind = proto::InvitationKind::Link.into();
    proto::CreateInvitationRequest { kind, ..invite(organization, "", assignments) }
}

pub fn look_up(token: &str) -> proto::LookUpInvitationRequest {
    proto::LookUpInvitationRequest { token: token.into() }
}

pub fn accept(token: &str, password: &str) -> proto::AcceptInvitationRequest {
    proto::AcceptInvitationRequest { token: token.into(), password: password.into(), display_name: String::new() }
}

pub fn sign_in(email: &str, password: &str) -> proto::SignInRequest {
    proto::SignInRequest { email: email.into(), password: password.into(), ..Default::default() }
}

pub fn create_service_account(organization: &str, name: &str) -> proto::CreateServiceAccountRequest {
    proto::CreateServiceAccountRequest {
        organization_id: organization.into(),
        display_name: name.into(),
        ..Default::default()
    }
}

pub fn create_api_key(organization: &str, account: &str) -> proto::CreateApiKeyRequest {
    proto::CreateApiKeyRequest {
        organization_id: organization.into(),
        service_account_id: account.into(),
        ..Default::default()
    }
}

pub fn register(organization: &str, resource: proto::ResourceRef) -> proto::RegisterResourceRequest {
    proto::RegisterResourceRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        ..Default::default()
    }
}

pub fn get_resource(organization: &str, resource: proto::ResourceRef) -> proto::GetResourceRequest {
    proto::GetResourceRequest { organization_id: organization.into(), resource: Some(resource) }
}

pub fn list_members(organization: &str) -> proto::ListMembersRequest {
    proto::ListMembersRequest { organization_id: organization.into(), ..Default::default() }
}

pub fn get_member(organization: &str, membership: &str) -> proto::GetMemberRequest {
    proto::GetMemberRequest { organization_id: organization.into(), membership_id: membership.into() }
}

pub fn look_up_member(organization: &str, name: proto::look_up_member_request::Name) -> proto::LookUpMemberRequest {
    proto::LookUpMemberRequest { organization_id: organization.into(), name: Some(name) }
}

/// Somebody with an address, and no more.
pub fn new_member(email: &str, assignments: Vec<proto::Assignment>) -> proto::NewMember {
    proto::NewMember { email: email.into(), assignments, ..Default::default() }
}

pub fn create_member(organization: &str, member: proto::NewMember) -> proto::CreateMemberRequest {
    proto::CreateMemberRequest { organization_id: organization.into(), member: Some(member), ..Default::default() }
}

pub fn create_members(organization: &str, requests: Vec<proto::NewMember>) -> proto::BatchCreateMembersRequest {
    proto::BatchCreateMembersRequest { organization_id: organization.into(), requests, ..Default::default() }
}

pub fn update_member(organization: &str, membership: &str) -> proto::UpdateMemberRequest {
    proto::UpdateMemberRequest {
        organization_id: organization.into(),
        membership_id: membership.into(),
        ..Default::default()
    }
}

pub fn disable_members(organization: &str, memberships: &[&str]) -> proto::BatchDisableMembersRequest {
    let requests = memberships.iter().map(|&id| proto::MemberRef { membership_id: id.into() }).collect();
    proto::BatchDisableMembersRequest { organization_id: organization.into(), requests, ..Default::default() }
}

pub fn enable_members(organization: &str, memberships: &[&str]) -> proto::BatchEnableMembersRequest {
    let requests = memberships.iter().map(|&id| proto::MemberRef { membership_id: id.into() }).collect();
    proto::BatchEnableMembersRequest { organization_id: organization.into(), requests, ..Default::default() }
}

pub fn disable(organization: &str, membership: &str) -> proto::DisableMemberRequest {
    proto::DisableMemberRequest {
        organization_id: organization.into(),
        membership_id: membership.into(),
        ..Default::default()
    }
}

pub fn enable(organization: &str, membership: &str) -> proto::EnableMemberRequest {
    proto::EnableMemberRequest {
        organization_id: organization.into(),
        membership_id: membership.into(),
        ..Default::default()
    }
}

pub fn preview_removal(organization: &str, membership: &str) -> proto::PreviewRemovalRequest {
    proto::PreviewRemovalRequest { organization_id: organization.into(), membership_id: membership.into() }
}

/// Nothing is said of what they own.
pub fn remove(organization: &str, membership: &str) -> proto::RemoveMemberRequest {
    proto::RemoveMemberRequest {
        organization_id: organization.into(),
        membership_id: membership.into(),
        ..Default::default()
    }
}

/// Nothing is said of what they own.
pub fn leave(organization: &str) -> proto::LeaveOrganizationRequest {
    proto::LeaveOrganizationRequest { organization_id: organization.into(), ..Default::default() }
}

pub fn list_removals(organization: &str) -> proto::ListRemovalsRequest {
    proto::ListRemovalsRequest { organization_id: organization.into(), ..Default::default() }
}

pub fn acknowledge(organization: &str, membership: &str, listener: &str) -> proto::AcknowledgeRemovalRequest {
    proto::AcknowledgeRemovalRequest {
        organization_id: organization.into(),
        membership_id: membership.into(),
        listener: listener.into(),
        ..Default::default()
    }
}

/// From the caller, or from whoever holds it.
pub fn transfer(organization: &str, role: &str, to: &str) -> proto::TransferRoleRequest {
    proto::TransferRoleRequest {
        organization_id: organization.into(),
        role: role.into(),
        to_membership_id: to.into(),
        ..Default::default()
    }
}

/// How many seats: of the organization, or on a list.
pub fn get_seats(organization: &str, resource: Option<proto::ResourceRef>) -> proto::GetSeatsRequest {
    proto::GetSeatsRequest { organization_id: organization.into(), resource }
}

pub fn set_seats(
    organization: &str,
    resource: Option<proto::ResourceRef>,
    limit: Option<u32>,
) -> proto::SetSeatLimitRequest {
    proto::SetSeatLimitRequest { organization_id: organization.into(), resource, limit, ..Default::default() }
}

/// A role above organizations: at the installation, or at a product.
pub fn above(user: &str, product: &str, role: &str) -> proto::InstallationGrantDelta {
    proto::InstallationGrantDelta {
        subject: Some(proto::installation_grant_delta::Subject::UserId(user.into())),
        product: product.into(),
        role: role.into(),
        revoke: false,
    }
}

pub fn change_above(deltas: Vec<proto::InstallationGrantDelta>) -> proto::ChangeInstallationGrantsRequest {
    proto::ChangeInstallationGrantsRequest { deltas, ..Default::default() }
}

pub fn create_group(organization: &str, name: &str) -> proto::CreateGroupRequest {
    proto::CreateGroupRequest { organization_id: organization.into(), display_name: name.into(), ..Default::default() }
}

pub fn get_group(organization: &str, group: &str) -> proto::GetGroupRequest {
    proto::GetGroupRequest { organization_id: organization.into(), group_id: group.into() }
}

pub fn look_up_group(organization: &str, external_id: &str) -> proto::LookUpGroupRequest {
    proto::LookUpGroupRequest { organization_id: organization.into(), external_id: external_id.into() }
}

pub fn list_groups(organization: &str) -> proto::ListGroupsRequest {
    proto::ListGroupsRequest { organization_id: organization.into(), ..Default::default() }
}

pub fn rename_group(organization: &str, group: &str, name: &str) -> proto::UpdateGroupRequest {
    proto::UpdateGroupRequest {
        organization_id: organization.into(),
        group_id: group.into(),
        display_name: name.into(),
        ..Default::default()
    }
}

pub fn delete_group(organization: &str, group: &str) -> proto::DeleteGroupRequest {
    proto::DeleteGroupRequest { organization_id: organization.into(), group_id: group.into(), ..Default::default() }
}

/// Brings members into a group and takes others out.
pub fn change_members(
    organization: &str,
    group: &str,
    add: &[&str],
    remove: &[&str],
) -> proto::ChangeGroupMembersRequest {
    let texts = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
    proto::ChangeGroupMembersRequest {
        organization_id: organization.into(),
        group_id: group.into(),
        add_membership_ids: texts(add),
        remove_membership_ids: texts(remove),
        ..Default::default()
    }
}

pub fn list_group_members(organization: &str, group: &str) -> proto::ListGroupMembersRequest {
    proto::ListGroupMembersRequest {
        organization_id: organization.into(),
        group_id: group.into(),
        ..Default::default()
    }
}

/// May this user do this, on a resource or on the organization?
pub fn item(user: &str, permission: &str, resource: Option<proto::ResourceRef>) -> proto::CheckItem {
    item_about(self::user(user), permission, resource)
}

pub fn user(id: &str) -> proto::Subject {
    proto::Subject { kind: Some(subject::Kind::UserId(id.into())) }
}

pub fn account(id: &str) -> proto::Subject {
    proto::Subject { kind: Some(subject::Kind::ServiceAccountId(id.into())) }
}

/// Whoever bears an access token.
pub fn bearer(token: &str) -> proto::Subject {
    proto::Subject { kind: Some(subject::Kind::AccessToken(token.into())) }
}

/// May they do this, on a resource or on the organization?
pub fn item_about(subject: proto::Subject, permission: &str, resource: Option<proto::ResourceRef>) -> proto::CheckItem {
    proto::CheckItem { subject: Some(subject), permission: permission.into(), resource }
}

/// What may they do, taking in everything committed before?
pub fn list_permissions(
    organization: &str,
    subject: proto::Subject,
    resource: Option<proto::ResourceRef>,
) -> proto::ListPermissionsRequest {
    let organization_id = organization.into();
    proto::ListPermissionsRequest { organization_id, subject: Some(subject), resource, consistency: Some(fresh()) }
}

/// On which projects may they do this? Two to a page, taking in everything committed before.
pub fn list_resources(organization: &str, subject: proto::Subject, permission: &str) -> proto::ListResourcesRequest {
    proto::ListResourcesRequest {
        organization_id: organization.into(),
        subject: Some(subject),
        permission: permission.into(),
        resource_type: "project".into(),
        page_size: 2,
        page_token: String::new(),
        consistency: Some(fresh()),
    }
}

/// Who may do this? Two to a page, taking in everything committed before.
pub fn list_subjects(
    organization: &str,
    permission: &str,
    resource: Option<proto::ResourceRef>,
) -> proto::ListSubjectsRequest {
    proto::ListSubjectsRequest {
        organization_id: organization.into(),
        permission: permission.into(),
        resource,
        page_size: 2,
        page_token: String::new(),
        consistency: Some(fresh()),
    }
}

/// Takes in everything committed before the call.
pub fn fresh() -> proto::Consistency {
    proto::Consistency { requirement: Some(proto::consistency::Requirement::Fresh(true)) }
}

/// Takes in what a revision names.
pub fn at_least(revision: &str) -> proto::Consistency {
    proto::Consistency { requirement: Some(proto::consistency::Requirement::AtLeast(revision.into())) }
}

/// Why is it answered as it is?
pub fn explain(organization: &str, item: proto::CheckItem) -> proto::ExplainCheckRequest {
    proto::ExplainCheckRequest { organization_id: organization.into(), item: Some(item) }
}

/// A check that takes in everything committed before it.
pub fn check(organization: &str, item: proto::CheckItem) -> proto::CheckRequest {
    proto::CheckRequest { organization_id: organization.into(), item: Some(item), consistency: Some(fresh()) }
}

/// Returns a resource another name.
pub fn rename(organization: &str, resource: proto::ResourceRef, name: &str) -> proto::UpdateResourceRequest {
    proto::UpdateResourceRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        display_name: name.into(),
        ..Default::default()
    }
}

pub fn move_under(
    organization: &str,
    resource: proto::ResourceRef,
    parent: Option<proto::ResourceRef>,
) -> proto::MoveResourceRequest {
    proto::MoveResourceRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        parent,
        ..Default::default()
    }
}

pub fn set_owner(
    organization: &str,
    resource: proto::ResourceRef,
    owner: Option<principal::Kind>,
) -> proto::SetResourceOwnerRequest {
    proto::SetResourceOwnerRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        owner: owner.map(principal),
        ..Default::default()
    }
}

pub fn delete(organization: &str, resource: proto::ResourceRef) -> proto::DeleteResourceRequest {
    proto::DeleteResourceRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        ..Default::default()
    }
}

/// Puts principals on the list of a resource.
pub fn share(
    organization: &str,
    resource: proto::ResourceRef,
    with: Vec<principal::Kind>,
) -> proto::ShareResourceRequest {
    proto::ShareResourceRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        principals: with.into_iter().map(principal).collect(),
        ..Default::default()
    }
}

/// Takes principals from the list of a resource.
pub fn unshare(
    organization: &str,
    resource: proto::ResourceRef,
    with: Vec<principal::Kind>,
) -> proto::UnshareResourceRequest {
    proto::UnshareResourceRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        principals: with.into_iter().map(principal).collect(),
        ..Default::default()
    }
}

pub fn disable_account(organization: &str, account: &str) -> proto::DisableServiceAccountRequest {
    proto::DisableServiceAccountRequest {
        organization_id: organization.into(),
        service_account_id: account.into(),
        ..Default::default()
    }
}

pub fn enable_account(organization: &str, account: &str) -> proto::EnableServiceAccountRequest {
    proto::EnableServiceAccountRequest {
        organization_id: organization.into(),
        service_account_id: account.into(),
        ..Default::default()
    }
}

pub fn delete_account(organization: &str, account: &str) -> proto::DeleteServiceAccountRequest {
    proto::DeleteServiceAccountRequest {
        organization_id: organization.into(),
        service_account_id: account.into(),
        ..Default::default()
    }
}

pub fn get_account(organization: &str, account: &str) -> proto::GetServiceAccountRequest {
    proto::GetServiceAccountRequest { organization_id: organization.into(), service_account_id: account.into() }
}

pub fn list_keys(organization: &str, account: &str) -> proto::ListApiKeysRequest {
    proto::ListApiKeysRequest {
        organization_id: organization.into(),
        service_account_id: account.into(),
        ..Default::default()
    }
}

pub fn list_accounts(organization: &str) -> proto::ListServiceAccountsRequest {
    proto::ListServiceAccountsRequest { organization_id: organization.into(), ..Default::default() }
}

pub fn revoke_key(organization: &str, account: &str, key: &str) -> proto::RevokeApiKeyRequest {
    proto::RevokeApiKeyRequest {
        organization_id: organization.into(),
        service_account_id: account.into(),
        api_key_id: key.into(),
        ..Default::default()
    }
}

pub fn rotate_key(organization: &str, account: &str, key: &str) -> proto::RotateApiKeyRequest {
    proto::RotateApiKeyRequest {
        organization_id: organization.into(),
        service_account_id: account.into(),
        api_key_id: key.into(),
        ..Default::default()
    }
}

pub fn add_contact(organization: &str, resource: proto::ResourceRef, email: &str) -> proto::AddContactRequest {
    proto::AddContactRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        email: email.into(),
        ..Default::default()
    }
}

pub fn remove_contact(organization: &str, resource: proto::ResourceRef, contact: &str) -> proto::RemoveContactRequest {
    proto::RemoveContactRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        contact_id: contact.into(),
        ..Default::default()
    }
}

pub fn list_contacts(organization: &str, resource: proto::ResourceRef) -> proto::ListContactsRequest {
    proto::ListContactsRequest { organization_id: organization.into(), resource: Some(resource), ..Default::default() }
}

pub fn list_recipients(organization: &str, resource: proto::ResourceRef) -> proto::ListRecipientsRequest {
    proto::ListRecipientsRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        ..Default::default()
    }
}

pub fn notify(organization: &str, resource: proto::ResourceRef, subject: &str) -> proto::NotifyResourceRequest {
    proto::NotifyResourceRequest {
        organization_id: organization.into(),
        resource: Some(resource),
        subject: subject.into(),
        text: "Something happened.".into(),
        ..Default::default()
    }
}

pub fn unsubscribe(token: &str) -> proto::UnsubscribeRequest {
    proto::UnsubscribeRequest { token: token.into(), undo: false }
}

/// Registers these under a parent, in one message.
pub fn register_all(
    organization: &str,
    resources: impl IntoIterator<Item = (proto::ResourceRef, Option<proto::ResourceRef>)>,
) -> proto::RegisterResourcesRequest {
    let new = |(resource, parent)| proto::NewResource { resource: Some(resource), parent, ..Default::default() };
    proto::RegisterResourcesRequest {
        organization_id: organization.into(),
        resources: resources.into_iter().map(new).collect(),
        ..Default::default()
    }
}

pub fn browse(organization: &str) -> proto::BrowseResourcesRequest {
    proto::BrowseResourcesRequest { organization_id: organization.into(), ..Default::default() }
}
