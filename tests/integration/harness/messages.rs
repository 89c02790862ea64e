//! Messages, with what the tests leave out left out.

use guildhall::proto::{self, assignment, grant_delta, principal, subject};

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

pub fn create_organization(name: &str, founder_email: &str) -> proto::CreateOrganizationRequest {
    proto::CreateOrganizationRequest {
        display_name: name.into(),
        preset: "disaster-recovery".into(),
        founder_email: founder_email.into(),
        ..Default::default()
    }
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

pub fn look_up(token: &str) -> proto::LookUpInvitationRequest {
    proto::LookUpInvitationRequest { token: token.into() }
}

pub fn accept(token: &str, password: &str) -> proto::AcceptInvitationRequest {
    proto::AcceptInvitationRequest { token: token.into(), password: password.into(), display_name: String::new() }
}

pub fn sign_in(email: &str, password: &str) -> proto::SignInRequest {
    proto::SignInRequest { email: email.into(), password: password.into() }
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
