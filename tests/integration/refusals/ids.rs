//! Ids that are none: every field that takes one refuses what is malformed, and names itself.

use std::collections::BTreeSet;

use guildhall::proto::bulk_members_request::{Act, Selection};
use guildhall::proto::look_up_member_request::Name;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::subject::Kind;
use guildhall::proto::{self, CheckItem};
use tonic::{Code, Status};

use super::{assert_violates, revision_of};
use crate::harness::messages::{
    above, acknowledge, add_contact, browse, change, change_above, change_members, check, create_api_key, create_group,
    create_member, create_members, create_organization, create_organization_under, create_role, create_service_account,
    custom_role, delete, delete_account, delete_group, delete_role, disable, disable_account, disable_members, enable,
    enable_account, enable_members, explain, get_account, get_catalog, get_group, get_member, get_organization,
    get_resource, get_role, get_seats, grant, group, invite, item, leave, list_accounts, list_contacts, list_grants,
    list_group_members, list_groups, list_keys, list_members, list_permissions, list_recipients, list_removals,
    list_resources, list_roles, list_subjects, look_up_group, look_up_member, matrix, membership, move_under,
    new_member, notify, preview_removal, principal, put_catalog, register, register_all, remove, remove_contact,
    rename, rename_group, revoke_key, rotate_key, service_account, set_catalog, set_owner, set_seats, share, sign_in,
    summarize, transfer, unshare, update_member, update_role,
};
use crate::harness::{Caller, Organization, TestApp, as_member, assert_refused, project, reason, role};
use crate::on_both;
use crate::surface::fields_of_requests;

/// Texts that are no UUID in its canonical form.
const NO_UUIDS: &[&str] = &[
    "",
    "x",
    "018f4e9a7b3c7def8a120123456789ab",
    "{018f4e9a-7b3c-7def-8a12-0123456789ab}",
    "urn:uuid:018f4e9a-7b3c-7def-8a12-0123456789ab",
    "018f4e9a-7b3c-7def-8a12-0123456789abc",
    "018f4e9a-7b3c-7def-8a12-0123456789a",
    "018f4e9a-7b3c-7def-8a12-0123456789ag",
    " 18f4e9a-7b3c-7def-8a12-0123456789ab",
    "018f4e9a-7b3c-7def-8a12-0123456789\u{e4}",
    "018f4e9a-7b3c-7def-8a12-0123456789a\n",
    "00000000-0000-0000-0000-00000000000\u{0}",
];

/// Fields of an item, which is answered by itself: see `checks` and `streams`.
const ANSWERED_BY_THEMSELVES: &[&str] = &[
    "BatchCheckRequest.items.subject.service_account_id",
    "BatchCheckRequest.items.subject.user_id",
    "CheckRequest.item.subject.service_account_id",
    "CheckRequest.item.subject.user_id",
    "ExplainCheckRequest.item.subject.service_account_id",
    "ExplainCheckRequest.item.subject.user_id",
    "RegisterResourcesRequest.resources.owner.group_id",
    "RegisterResourcesRequest.resources.owner.membership_id",
    "RegisterResourcesRequest.resources.owner.service_account_id",
    "StreamChecksRequest.check.items.subject.service_account_id",
    "StreamChecksRequest.check.items.subject.user_id",
    "StreamChecksRequest.subscribe.subscriptions.item.subject.service_account_id",
    "StreamChecksRequest.subscribe.subscriptions.item.subject.user_id",
];

/// Every other field that takes a UUID: its path in the contract, and in the violation.
const FIELDS: &[(&str, &str)] = &[
    ("AcknowledgeRemovalRequest.membership_id", "membership_id"),
    ("AcknowledgeRemovalRequest.organization_id", "organization_id"),
    ("AcknowledgeRemovalRequest.request_id", "request_id"),
    ("AddContactRequest.organization_id", "organization_id"),
    ("AddContactRequest.request_id", "request_id"),
    ("BatchCheckRequest.organization_id", "organization_id"),
    ("BatchCreateMembersRequest.organization_id", "organization_id"),
    ("BatchCreateMembersRequest.request_id", "request_id"),
    ("BatchDisableMembersRequest.organization_id", "organization_id"),
    ("BatchDisableMembersRequest.request_id", "request_id"),
    ("BatchDisableMembersRequest.requests.membership_id", "requests[1].membership_id"),
    ("BatchEnableMembersRequest.organization_id", "organization_id"),
    ("BatchEnableMembersRequest.request_id", "request_id"),
    ("BatchEnableMembersRequest.requests.membership_id", "requests[1].membership_id"),
    ("BrowseResourcesRequest.organization_id", "organization_id"),
    ("BulkMembersRequest.listed.members.membership_id", "listed.members[1].membership_id"),
    ("BulkMembersRequest.organization_id", "organization_id"),
    ("BulkMembersRequest.request_id", "request_id"),
    ("ChangeGrantsRequest.deltas.principal.group_id", "deltas[1].principal.group_id"),
    ("ChangeGrantsRequest.deltas.principal.membership_id", "deltas[1].principal.membership_id"),
    ("ChangeGrantsRequest.deltas.principal.service_account_id", "deltas[1].principal.service_account_id"),
    ("ChangeGrantsRequest.matrices.principals.group_id", "matrices[0].principals[0].group_id"),
    ("ChangeGrantsRequest.matrices.principals.membership_id", "matrices[0].principals[0].membership_id"),
    ("ChangeGrantsRequest.matrices.principals.service_account_id", "matrices[0].principals[0].service_account_id"),
    ("ChangeGrantsRequest.organization_id", "organization_id"),
    ("ChangeGrantsRequest.request_id", "request_id"),
    ("ChangeGroupMembersRequest.group_id", "group_id"),
    ("ChangeGroupMembersRequest.organization_id", "organization_id"),
    ("ChangeGroupMembersRequest.request_id", "request_id"),
    ("ChangeInstallationGrantsRequest.deltas.service_account_id", "deltas[0].service_account_id"),
    ("ChangeInstallationGrantsRequest.deltas.user_id", "deltas[0].user_id"),
    ("ChangeInstallationGrantsRequest.request_id", "request_id"),
    ("CheckRequest.organization_id", "organization_id"),
    ("CreateApiKeyRequest.organization_id", "organization_id"),
    ("CreateApiKeyRequest.request_id", "request_id"),
    ("CreateApiKeyRequest.service_account_id", "service_account_id"),
    ("CreateGroupRequest.organization_id", "organization_id"),
    ("CreateGroupRequest.request_id", "request_id"),
    ("CreateInvitationRequest.organization_id", "organization_id"),
    ("CreateInvitationRequest.request_id", "request_id"),
    ("CreateMemberRequest.organization_id", "organization_id"),
    ("CreateMemberRequest.request_id", "request_id"),
    ("CreateOrganizationRequest.request_id", "request_id"),
    ("CreateRoleRequest.organization_id", "organization_id"),
    ("CreateRoleRequest.request_id", "request_id"),
    ("CreateServiceAccountRequest.organization_id", "organization_id"),
    ("CreateServiceAccountRequest.request_id", "request_id"),
    ("DeleteGroupRequest.group_id", "group_id"),
    ("DeleteGroupRequest.organization_id", "organization_id"),
    ("DeleteGroupRequest.request_id", "request_id"),
    ("DeleteResourceRequest.organization_id", "organization_id"),
    ("DeleteResourceRequest.request_id", "request_id"),
    ("DeleteRoleRequest.organization_id", "organization_id"),
    ("DeleteRoleRequest.request_id", "request_id"),
    ("DeleteServiceAccountRequest.organization_id", "organization_id"),
    ("DeleteServiceAccountRequest.request_id", "request_id"),
    ("DeleteServiceAccountRequest.service_account_id", "service_account_id"),
    ("DisableMemberRequest.membership_id", "membership_id"),
    ("DisableMemberRequest.organization_id", "organization_id"),
    ("DisableMemberRequest.request_id", "request_id"),
    ("DisableServiceAccountRequest.organization_id", "organization_id"),
    ("DisableServiceAccountRequest.request_id", "request_id"),
    ("DisableServiceAccountRequest.service_account_id", "service_account_id"),
    ("EnableMemberRequest.membership_id", "membership_id"),
    ("EnableMemberRequest.organization_id", "organization_id"),
    ("EnableMemberRequest.request_id", "request_id"),
    ("EnableServiceAccountRequest.organization_id", "organization_id"),
    ("EnableServiceAccountRequest.request_id", "request_id"),
    ("EnableServiceAccountRequest.service_account_id", "service_account_id"),
    ("ExplainCheckRequest.organization_id", "organization_id"),
    ("GetGroupRequest.group_id", "group_id"),
    ("GetGroupRequest.organization_id", "organization_id"),
    ("GetMemberRequest.membership_id", "membership_id"),
    ("GetMemberRequest.organization_id", "organization_id"),
    ("GetOrganizationRequest.organization_id", "organization_id"),
    ("GetResourceRequest.organization_id", "organization_id"),
    ("GetRoleRequest.organization_id", "organization_id"),
    ("GetSeatsRequest.organization_id", "organization_id"),
    ("GetServiceAccountRequest.organization_id", "organization_id"),
    ("GetServiceAccountRequest.service_account_id", "service_account_id"),
    ("LeaveOrganizationRequest.organization_id", "organization_id"),
    ("LeaveOrganizationRequest.request_id", "request_id"),
    ("ListApiKeysRequest.organization_id", "organization_id"),
    ("ListApiKeysRequest.service_account_id", "service_account_id"),
    ("ListContactsRequest.organization_id", "organization_id"),
    ("ListGrantsRequest.organization_id", "organization_id"),
    ("ListGrantsRequest.principal.group_id", "principal.group_id"),
    ("ListGrantsRequest.principal.membership_id", "principal.membership_id"),
    ("ListGrantsRequest.principal.service_account_id", "principal.service_account_id"),
    ("ListGroupMembersRequest.group_id", "group_id"),
    ("ListGroupMembersRequest.organization_id", "organization_id"),
    ("ListGroupsRequest.membership_id", "membership_id"),
    ("ListGroupsRequest.organization_id", "organization_id"),
    ("ListMembersRequest.organization_id", "organization_id"),
    ("ListPermissionsRequest.organization_id", "organization_id"),
    ("ListPermissionsRequest.subject.service_account_id", "subject.service_account_id"),
    ("ListPermissionsRequest.subject.user_id", "subject.user_id"),
    ("ListRecipientsRequest.organization_id", "organization_id"),
    ("ListRemovalsRequest.organization_id", "organization_id"),
    ("ListResourcesRequest.organization_id", "organization_id"),
    ("ListResourcesRequest.subject.service_account_id", "subject.service_account_id"),
    ("ListResourcesRequest.subject.user_id", "subject.user_id"),
    ("ListRolesRequest.organization_id", "organization_id"),
    ("ListServiceAccountsRequest.organization_id", "organization_id"),
    ("ListSubjectsRequest.organization_id", "organization_id"),
    ("LookUpGroupRequest.organization_id", "organization_id"),
    ("LookUpMemberRequest.organization_id", "organization_id"),
    ("LookUpMemberRequest.user_id", "user_id"),
    ("MoveResourceRequest.organization_id", "organization_id"),
    ("MoveResourceRequest.request_id", "request_id"),
    ("NotifyResourceRequest.organization_id", "organization_id"),
    ("NotifyResourceRequest.request_id", "request_id"),
    ("PreviewRemovalRequest.membership_id", "membership_id"),
    ("PreviewRemovalRequest.organization_id", "organization_id"),
    ("PutCatalogRequest.request_id", "request_id"),
    ("RegisterResourceRequest.organization_id", "organization_id"),
    ("RegisterResourceRequest.owner.group_id", "owner.group_id"),
    ("RegisterResourceRequest.owner.membership_id", "owner.membership_id"),
    ("RegisterResourceRequest.owner.service_account_id", "owner.service_account_id"),
    ("RegisterResourceRequest.request_id", "request_id"),
    ("RegisterResourcesRequest.organization_id", "organization_id"),
    ("RemoveContactRequest.contact_id", "contact_id"),
    ("RemoveContactRequest.organization_id", "organization_id"),
    ("RemoveContactRequest.request_id", "request_id"),
    ("RemoveMemberRequest.membership_id", "membership_id"),
    ("RemoveMemberRequest.organization_id", "organization_id"),
    ("RemoveMemberRequest.request_id", "request_id"),
    ("RevokeApiKeyRequest.api_key_id", "api_key_id"),
    ("RevokeApiKeyRequest.organization_id", "organization_id"),
    ("RevokeApiKeyRequest.request_id", "request_id"),
    ("RevokeApiKeyRequest.service_account_id", "service_account_id"),
    ("RotateApiKeyRequest.api_key_id", "api_key_id"),
    ("RotateApiKeyRequest.organization_id", "organization_id"),
    ("RotateApiKeyRequest.request_id", "request_id"),
    ("RotateApiKeyRequest.service_account_id", "service_account_id"),
    ("SetOrganizationCatalogRequest.organization_id", "organization_id"),
    ("SetOrganizationCatalogRequest.request_id", "request_id"),
    ("SetResourceOwnerRequest.organization_id", "organization_id"),
    ("SetResourceOwnerRequest.owner.group_id", "owner.group_id"),
    ("SetResourceOwnerRequest.owner.membership_id", "owner.membership_id"),
    ("SetResourceOwnerRequest.owner.service_account_id", "owner.service_account_id"),
    ("SetResourceOwnerRequest.request_id", "request_id"),
    ("SetSeatLimitRequest.organization_id", "organization_id"),
    ("SetSeatLimitRequest.request_id", "request_id"),
    ("ShareResourceRequest.organization_id", "organization_id"),
    ("ShareResourceRequest.principals.group_id", "principals[0].group_id"),
    ("ShareResourceRequest.principals.membership_id", "principals[0].membership_id"),
    ("ShareResourceRequest.principals.service_account_id", "principals[0].service_account_id"),
    ("ShareResourceRequest.request_id", "request_id"),
    ("StreamChecksRequest.check.organization_id", "check.organization_id"),
    ("StreamChecksRequest.subscribe.organization_id", "subscribe.organization_id"),
    ("SummarizeGrantsRequest.organization_id", "organization_id"),
    ("SummarizeGrantsRequest.principals.group_id", "principals[0].group_id"),
    ("SummarizeGrantsRequest.principals.membership_id", "principals[0].membership_id"),
    ("SummarizeGrantsRequest.principals.service_account_id", "principals[0].service_account_id"),
    ("TransferRoleRequest.from_membership_id", "from_membership_id"),
    ("TransferRoleRequest.organization_id", "organization_id"),
    ("TransferRoleRequest.request_id", "request_id"),
    ("TransferRoleRequest.to_membership_id", "to_membership_id"),
    ("UnshareResourceRequest.organization_id", "organization_id"),
    ("UnshareResourceRequest.principals.group_id", "principals[0].group_id"),
    ("UnshareResourceRequest.principals.membership_id", "principals[0].membership_id"),
    ("UnshareResourceRequest.principals.service_account_id", "principals[0].service_account_id"),
    ("UnshareResourceRequest.request_id", "request_id"),
    ("UpdateGroupRequest.group_id", "group_id"),
    ("UpdateGroupRequest.organization_id", "organization_id"),
    ("UpdateGroupRequest.request_id", "request_id"),
    ("UpdateMemberRequest.membership_id", "membership_id"),
    ("UpdateMemberRequest.organization_id", "organization_id"),
    ("UpdateMemberRequest.request_id", "request_id"),
    ("UpdateOrganizationRequest.organization_id", "organization_id"),
    ("UpdateOrganizationRequest.request_id", "request_id"),
    ("UpdateResourceRequest.organization_id", "organization_id"),
    ("UpdateResourceRequest.request_id", "request_id"),
    ("UpdateRoleRequest.organization_id", "organization_id"),
    ("UpdateRoleRequest.request_id", "request_id"),
    ("WatchRemovalsRequest.organization_id", "organization_id"),
];

/// Gives `bad` to the field that is asked for, and what is good to every other.
struct Spoiler<'a> {
    field: &'a str,
    bad: &'a str,
}

impl Spoiler<'_> {
    fn give(&self, field: &str, good: &str) -> String {
        if field == self.field { self.bad.to_owned() } else { good.to_owned() }
    }
}

/// Sends a request with one id spoiled. The request is in order but for that.
#[expect(clippy::too_many_lines, reason = "a table: an arm for each request")]
async fn send(app: &TestApp, organization: &Organization, spoiler: &Spoiler<'_>) -> Result<(), Status> {
    let (owner, person) = (&organization.owner.call, &organization.owner);
    let message = spoiler.field.split('.').next().unwrap();
    let give = |field: &str, good: &str| spoiler.give(&format!("{message}.{field}"), good);
    let organization_id = give("organization_id", &organization.id);
    let request_id = give("request_id", "");
    let membership_id = give("membership_id", &person.membership_id);
    let ask = || item(&person.user_id, "project.view", None);
    let subject = || {
        let kind = match spoiler.field.rsplit('.').next() {
            Some("service_account_id") => Kind::ServiceAccountId(give("subject.service_account_id", "")),
            _ => Kind::UserId(give("subject.user_id", &person.user_id)),
        };
        proto::Subject { kind: Some(kind) }
    };
    let principal_of = |field: &str| match spoiler.field.strip_prefix(&format!("{message}.{field}.")) {
        Some("membership_id") => Some(membership(spoiler.bad)),
        Some("group_id") => Some(group(spoiler.bad)),
        Some(_) => Some(service_account(spoiler.bad)),
        None => None,
    };
    let of = |list: &str| {
        let give = |kind: &str| give(&format!("{list}.{kind}"), &person.membership_id);
        match spoiler.field.rsplit('.').next() {
            Some("group_id") => group(&give("group_id")),
            Some("service_account_id") => service_account(&give("service_account_id")),
            _ => membership(&give("membership_id")),
        }
    };
    match message {
        "BatchCheckRequest" => {
            let request = proto::BatchCheckRequest { organization_id, items: vec![ask()], consistency: None };
            owner.batch_check(request).await.map(drop)
        }
        "CheckRequest" => owner.check(check(&organization_id, ask())).await.map(drop),
        "ExplainCheckRequest" => owner.explain_check(explain(&organization_id, ask())).await.map(drop),
        "ChangeGrantsRequest" => {
            let good = grant(membership(&person.membership_id), role("user"));
            let (kind, in_matrix) = (of("deltas.principal"), of("matrices.principals"));
            let matrix = matrix(vec![in_matrix], Vec::new(), proto::grant_matrix::Act::Grant(role("user")));
            let request = change(&organization_id, vec![good, grant(kind, role("user"))]);
            let request = proto::ChangeGrantsRequest { request_id, matrices: vec![matrix], ..request };
            owner.change_grants(request).await.map(drop)
        }
        "CreateApiKeyRequest" => {
            let account = give("service_account_id", super::NOBODY);
            let request = create_api_key(&organization_id, &account);
            owner.create_api_key(proto::CreateApiKeyRequest { request_id, ..request }).await.map(drop)
        }
        "CreateInvitationRequest" => {
            let request = invite(&organization_id, "new@example.test", vec![]);
            owner.create_invitation(proto::CreateInvitationRequest { request_id, ..request }).await.map(drop)
        }
        "CreateOrganizationRequest" => {
            let request = create_organization("New", "new@example.test");
            let request = proto::CreateOrganizationRequest { request_id, ..request };
            app.operator().create_organization(request).await.map(drop)
        }
        "PutCatalogRequest" => {
            let request = proto::PutCatalogRequest { request_id, ..put_catalog("name: new\nversion: 1\n") };
            app.operator().put_catalog(request).await.map(drop)
        }
        "SetOrganizationCatalogRequest" => {
            let request = set_catalog(&organization_id, "disaster-recovery");
            let request = proto::SetOrganizationCatalogRequest { request_id, ..request };
            app.operator().set_organization_catalog(request).await.map(drop)
        }
        "ListRolesRequest" => owner.list_roles(list_roles(&organization_id)).await.map(drop),
        "GetRoleRequest" => owner.get_role(get_role(&organization_id, "user")).await.map(drop),
        "CreateRoleRequest" => {
            let request = create_role(&organization_id, custom_role("new", &[]));
            owner.create_role(proto::CreateRoleRequest { request_id, ..request }).await.map(drop)
        }
        "UpdateRoleRequest" => {
            let request = update_role(&organization_id, custom_role("new", &[]));
            owner.update_role(proto::UpdateRoleRequest { request_id, ..request }).await.map(drop)
        }
        "DeleteRoleRequest" => {
            let request = delete_role(&organization_id, "new");
            owner.delete_role(proto::DeleteRoleRequest { request_id, ..request }).await.map(drop)
        }
        "CreateServiceAccountRequest" => {
            let request = create_service_account(&organization_id, "new");
            owner.create_service_account(proto::CreateServiceAccountRequest { request_id, ..request }).await.map(drop)
        }
        "BatchCreateMembersRequest" => {
            let request = create_members(&organization_id, vec![new_member("new@example.test", vec![])]);
            owner.batch_create_members(proto::BatchCreateMembersRequest { request_id, ..request }).await.map(drop)
        }
        "BatchDisableMembersRequest" => {
            let bad = give("requests.membership_id", super::NOBODY);
            let request = disable_members(&organization_id, &[&membership_id, &bad]);
            owner.batch_disable_members(proto::BatchDisableMembersRequest { request_id, ..request }).await.map(drop)
        }
        "BatchEnableMembersRequest" => {
            let bad = give("requests.membership_id", super::NOBODY);
            let request = enable_members(&organization_id, &[&membership_id, &bad]);
            owner.batch_enable_members(proto::BatchEnableMembersRequest { request_id, ..request }).await.map(drop)
        }
        "BulkMembersRequest" => {
            let bad = give("listed.members.membership_id", super::NOBODY);
            let members = [membership_id, bad].map(|membership_id| proto::MemberRef { membership_id }).into();
            let request = proto::BulkMembersRequest {
                request_id,
                organization_id,
                selection: Some(Selection::Listed(proto::MemberList { members })),
                act: Some(Act::Disable(proto::PlainAct {})),
                ..Default::default()
            };
            owner.bulk(request, 10).await.map(drop)
        }
        "CreateMemberRequest" => {
            let request = create_member(&organization_id, new_member("new@example.test", vec![]));
            owner.create_member(proto::CreateMemberRequest { request_id, ..request }).await.map(drop)
        }
        "GetMemberRequest" => owner.get_member(get_member(&organization_id, &membership_id)).await.map(drop),
        "LookUpMemberRequest" => {
            let name = Name::UserId(give("user_id", &person.user_id));
            owner.look_up_member(look_up_member(&organization_id, name)).await.map(drop)
        }
        "UpdateOrganizationRequest" => {
            let display_name = "New".into();
            let request =
                proto::UpdateOrganizationRequest { request_id, organization_id, display_name, ..Default::default() };
            owner.update_organization(request).await.map(drop)
        }
        "UpdateMemberRequest" => {
            let request = update_member(&organization_id, &membership_id);
            let request = proto::UpdateMemberRequest { request_id, external_id: "new".into(), ..request };
            app.operator().update_member(request).await.map(drop)
        }
        "DisableMemberRequest" => {
            let request = disable(&organization_id, &membership_id);
            owner.disable_member(proto::DisableMemberRequest { request_id, ..request }).await.map(drop)
        }
        "EnableMemberRequest" => {
            let request = enable(&organization_id, &membership_id);
            owner.enable_member(proto::EnableMemberRequest { request_id, ..request }).await.map(drop)
        }
        "GetOrganizationRequest" => owner.get_organization(get_organization(&organization_id)).await.map(drop),
        "GetResourceRequest" => owner.get_resource(get_resource(&organization_id, project("alpha"))).await.map(drop),
        "ListGrantsRequest" => owner.list_grants(list_grants(&organization_id, Some(of("principal")))).await.map(drop),
        "SummarizeGrantsRequest" => {
            let request = summarize(&organization_id, vec![of("principals")], Vec::new());
            owner.summarize_grants(request).await.map(drop)
        }
        "ListMembersRequest" => owner.list_members(list_members(&organization_id)).await.map(drop),
        "ListPermissionsRequest" => {
            let request = list_permissions(&organization_id, subject(), None);
            owner.list_permissions(request).await.map(drop)
        }
        "ListResourcesRequest" => {
            let request = list_resources(&organization_id, subject(), "project.view");
            owner.list_resources(request).await.map(drop)
        }
        "ListSubjectsRequest" => {
            owner.list_subjects(list_subjects(&organization_id, "project.view", None)).await.map(drop)
        }
        message if message.contains("Group") => on_groups(organization, spoiler, message).await,
        "RegisterResourceRequest" => {
            let request = register(&organization_id, project("new"));
            let owned_by = principal_of("owner").map(principal);
            let request = proto::RegisterResourceRequest { request_id, owner: owned_by, ..request };
            owner.register_resource(request).await.map(drop)
        }
        "RegisterResourcesRequest" => {
            owner.register_resources(vec![register_all(&organization_id, [(project("new"), None)])]).await.map(drop)
        }
        "BrowseResourcesRequest" => owner.browse_resources(browse(&organization_id)).await.map(drop),
        "UpdateResourceRequest" => {
            let request = rename(&organization_id, project("alpha"), "New");
            owner.update_resource(proto::UpdateResourceRequest { request_id, ..request }).await.map(drop)
        }
        "MoveResourceRequest" => {
            let request = move_under(&organization_id, project("alpha"), None);
            owner.move_resource(proto::MoveResourceRequest { request_id, ..request }).await.map(drop)
        }
        "SetResourceOwnerRequest" => {
            let request = set_owner(&organization_id, project("alpha"), principal_of("owner"));
            owner.set_resource_owner(proto::SetResourceOwnerRequest { request_id, ..request }).await.map(drop)
        }
        "DeleteResourceRequest" => {
            let request = delete(&organization_id, project("alpha"));
            owner.delete_resource(proto::DeleteResourceRequest { request_id, ..request }).await.map(drop)
        }
        "ShareResourceRequest" => {
            let with = principal_of("principals").unwrap_or_else(|| membership(&person.membership_id));
            let request = share(&organization_id, project("alpha"), vec![with]);
            owner.share_resource(proto::ShareResourceRequest { request_id, ..request }).await.map(drop)
        }
        "UnshareResourceRequest" => {
            let with = principal_of("principals").unwrap_or_else(|| membership(&person.membership_id));
            let request = unshare(&organization_id, project("alpha"), vec![with]);
            owner.unshare_resource(proto::UnshareResourceRequest { request_id, ..request }).await.map(drop)
        }
        message if message.contains("ServiceAccount") || message.contains("ApiKey") => {
            on_accounts(organization, spoiler, message).await
        }
        message if message.contains("Contact") || message.contains("Recipients") || message.contains("Notify") => {
            on_contacts(organization, spoiler, message).await
        }
        "TransferRoleRequest" | "GetSeatsRequest" | "SetSeatLimitRequest" | "ChangeInstallationGrantsRequest" => {
            on_what_operators_do(app, organization, spoiler, message).await
        }
        message if message.contains("Remov") || message.contains("Leave") => {
            on_removals(organization, spoiler, message).await
        }
        "StreamChecksRequest" => on_a_stream(owner, spoiler.field, spoiler.bad, ask()).await,
        unknown => panic!("{unknown} has no row here"),
    }
}

/// Sends a request about groups with one id spoiled.
async fn on_groups(organization: &Organization, spoiler: &Spoiler<'_>, message: &str) -> Result<(), Status> {
    let owner = &organization.owner.call;
    let give = |field: &str, good: &str| spoiler.give(&format!("{message}.{field}"), good);
    let (id, request_id) = (give("organization_id", &organization.id), give("request_id", ""));
    let group = give("group_id", super::NOBODY);
    match message {
        "CreateGroupRequest" => {
            owner.create_group(proto::CreateGroupRequest { request_id, ..create_group(&id, "new") }).await.map(drop)
        }
        "UpdateGroupRequest" => {
            let request = rename_group(&id, &group, "new");
            owner.update_group(proto::UpdateGroupRequest { request_id, ..request }).await.map(drop)
        }
        "DeleteGroupRequest" => {
            owner.delete_group(proto::DeleteGroupRequest { request_id, ..delete_group(&id, &group) }).await.map(drop)
        }
        "ChangeGroupMembersRequest" => {
            let request = change_members(&id, &group, &[super::NOBODY], &[]);
            owner.change_group_members(proto::ChangeGroupMembersRequest { request_id, ..request }).await.map(drop)
        }
        "GetGroupRequest" => owner.get_group(get_group(&id, &group)).await.map(drop),
        "LookUpGroupRequest" => owner.look_up_group(look_up_group(&id, "new")).await.map(drop),
        "ListGroupMembersRequest" => owner.list_group_members(list_group_members(&id, &group)).await.map(drop),
        "ListGroupsRequest" => {
            let membership_id = give("membership_id", "");
            owner.list_groups(proto::ListGroupsRequest { membership_id, ..list_groups(&id) }).await.map(drop)
        }
        unknown => panic!("{unknown} has no row here"),
    }
}

async fn on_accounts(organization: &Organization, spoiler: &Spoiler<'_>, message: &str) -> Result<(), Status> {
    let call = &organization.owner.call;
    let give = |field: &str, good: &str| spoiler.give(&format!("{message}.{field}"), good);
    let (id, request_id) = (give("organization_id", &organization.id), give("request_id", ""));
    let (account, key) = (give("service_account_id", super::NOBODY), give("api_key_id", super::NOBODY));
    match message {
        "GetServiceAccountRequest" => call.get_service_account(get_account(&id, &account)).await.map(drop),
        "ListServiceAccountsRequest" => call.list_service_accounts(list_accounts(&id)).await.map(drop),
        "ListApiKeysRequest" => call.list_api_keys(list_keys(&id, &account)).await.map(drop),
        "DisableServiceAccountRequest" => {
            let request = disable_account(&id, &account);
            let request = proto::DisableServiceAccountRequest { request_id, ..request };
            call.disable_service_account(request).await.map(drop)
        }
        "EnableServiceAccountRequest" => {
            let request = enable_account(&id, &account);
            let request = proto::EnableServiceAccountRequest { request_id, ..request };
            call.enable_service_account(request).await.map(drop)
        }
        "DeleteServiceAccountRequest" => {
            let request = delete_account(&id, &account);
            let request = proto::DeleteServiceAccountRequest { request_id, ..request };
            call.delete_service_account(request).await.map(drop)
        }
        "RevokeApiKeyRequest" => {
            let request = revoke_key(&id, &account, &key);
            call.revoke_api_key(proto::RevokeApiKeyRequest { request_id, ..request }).await.map(drop)
        }
        "RotateApiKeyRequest" => {
            let request = rotate_key(&id, &account, &key);
            call.rotate_api_key(proto::RotateApiKeyRequest { request_id, ..request }).await.map(drop)
        }
        unknown => panic!("{unknown} has no row here"),
    }
}

/// Sends a request about the end of a membership with one id spoiled.
async fn on_removals(organization: &Organization, spoiler: &Spoiler<'_>, message: &str) -> Result<(), Status> {
    let owner = &organization.owner.call;
    let give = |field: &str, good: &str| spoiler.give(&format!("{message}.{field}"), good);
    let (id, request_id) = (give("organization_id", &organization.id), give("request_id", ""));
    let member = give("membership_id", super::NOBODY);
    match message {
        "PreviewRemovalRequest" => owner.preview_removal(preview_removal(&id, &member)).await.map(drop),
        "RemoveMemberRequest" => {
            owner.remove_member(proto::RemoveMemberRequest { request_id, ..remove(&id, &member) }).await.map(drop)
        }
        "LeaveOrganizationRequest" => {
            owner.leave_organization(proto::LeaveOrganizationRequest { request_id, ..leave(&id) }).await.map(drop)
        }
        "ListRemovalsRequest" => owner.list_removals(list_removals(&id)).await.map(drop),
        "WatchRemovalsRequest" => owner.watch_removals(&id, "product").await.map(drop),
        "AcknowledgeRemovalRequest" => {
            let request = acknowledge(&id, &member, "product");
            owner.acknowledge_removal(proto::AcknowledgeRemovalRequest { request_id, ..request }).await.map(drop)
        }
        unknown => panic!("{unknown} has no row here"),
    }
}

async fn on_contacts(organization: &Organization, spoiler: &Spoiler<'_>, message: &str) -> Result<(), Status> {
    let call = &organization.owner.call;
    let give = |field: &str, good: &str| spoiler.give(&format!("{message}.{field}"), good);
    let (id, request_id) = (give("organization_id", &organization.id), give("request_id", ""));
    match message {
        "AddContactRequest" => {
            let request = add_contact(&id, project("alpha"), "new@example.test");
            call.add_contact(proto::AddContactRequest { request_id, ..request }).await.map(drop)
        }
        "RemoveContactRequest" => {
            let request = remove_contact(&id, project("alpha"), &give("contact_id", super::NOBODY));
            call.remove_contact(proto::RemoveContactRequest { request_id, ..request }).await.map(drop)
        }
        "ListContactsRequest" => call.list_contacts(list_contacts(&id, project("alpha"))).await.map(drop),
        "ListRecipientsRequest" => call.list_recipients(list_recipients(&id, project("alpha"))).await.map(drop),
        "NotifyResourceRequest" => {
            let request = notify(&id, project("alpha"), "News");
            call.notify_resource(proto::NotifyResourceRequest { request_id, ..request }).await.map(drop)
        }
        unknown => panic!("{unknown} has no row here"),
    }
}

/// Sends a request about ownership, seats or grants above organizations with one id spoiled.
async fn on_what_operators_do(
    app: &TestApp,
    organization: &Organization,
    spoiler: &Spoiler<'_>,
    message: &str,
) -> Result<(), Status> {
    let operator = app.operator();
    let give = |field: &str, good: &str| spoiler.give(&format!("{message}.{field}"), good);
    let (id, request_id) = (give("organization_id", &organization.id), give("request_id", ""));
    match message {
        "TransferRoleRequest" => {
            let from_membership_id = give("from_membership_id", "");
            let request = transfer(&id, "owner", &give("to_membership_id", super::NOBODY));
            let request = proto::TransferRoleRequest { request_id, from_membership_id, ..request };
            operator.transfer_role(request).await.map(drop)
        }
        "GetSeatsRequest" => operator.get_seats(get_seats(&id, None)).await.map(drop),
        "SetSeatLimitRequest" => {
            let request = proto::SetSeatLimitRequest { request_id, ..set_seats(&id, None, None) };
            operator.set_seat_limit(request).await.map(drop)
        }
        "ChangeInstallationGrantsRequest" => {
            use proto::installation_grant_delta::Subject;
            let subject = match spoiler.field.rsplit('.').next() {
                Some("service_account_id") => Subject::ServiceAccountId(give("deltas.service_account_id", "")),
                _ => Subject::UserId(give("deltas.user_id", super::NOBODY)),
            };
            let delta = proto::InstallationGrantDelta { subject: Some(subject), ..above("", "", "operator") };
            let request = proto::ChangeInstallationGrantsRequest { request_id, ..change_above(vec![delta]) };
            operator.change_installation_grants(request).await.map(drop)
        }
        unknown => panic!("{unknown} has no row here"),
    }
}

async fn on_a_stream(call: &Caller, field: &str, bad: &str, ask: CheckItem) -> Result<(), Status> {
    let mut stream = call.stream().await?;
    let organization_id = bad.to_owned();
    let frame = if field.contains(".check.") {
        Asked::Check(proto::CheckFrame { frame_id: 1, organization_id, items: vec![ask], consistency: None })
    } else {
        let subscriptions = vec![proto::Subscription { subscription_id: 1, item: Some(ask), known_allowed: None }];
        Asked::Subscribe(proto::SubscribeFrame { organization_id, subscriptions, at_least: String::new() })
    };
    stream.send(frame).await;
    stream.receive().await.map(drop)
}

#[test]
fn every_field_that_takes_an_id_has_a_row() {
    let rows: BTreeSet<String> =
        FIELDS.iter().map(|(path, _)| *path).chain(ANSWERED_BY_THEMSELVES.iter().copied()).map(str::to_owned).collect();
    let fields = fields_of_requests().into_iter().filter(|path| path.ends_with("_id") && path != "ids");
    // Names that the product gives.
    let fields = fields.filter(|path| !path.ends_with("external_id"));
    // Numbers that the client counts by itself.
    let fields = fields.filter(|path| !path.ends_with("frame_id") && !path.ends_with("subscription_id"));
    // Chosen by the product.
    let fields = fields.filter(|path| !path.ends_with("external_id"));
    assert_eq!(fields.collect::<BTreeSet<_>>(), rows);
}

on_both! {
    async fn a_malformed_uuid_is_refused_in_every_field(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        owner.register_resource(register(&organization.id, project("alpha"))).await.unwrap();
        let before = revision_of(owner, &organization.id).await;

        for (field, path) in FIELDS {
            for bad in NO_UUIDS {
                // Empty, it is not there: nobody has to name a request, nor a member whose groups alone are listed, nor who
                // loses a role.
                let may_be_left_out = ["request_id", "from_membership_id"].contains(path);
                if !(bad.is_empty() && (may_be_left_out || *field == "ListGroupsRequest.membership_id")) {
                    let answer = send(&app, &organization, &Spoiler { field, bad }).await;
                    let status = answer.expect_err(&format!("{field} takes {bad:?}"));
                    assert_violates::<()>(Err(status), &[(path, "ID_MALFORMED")]);
                }
            }
        }
        assert_eq!(revision_of(owner, &organization.id).await, before);
        assert_eq!(app.mails_so_far("new@example.test"), 0);
    }

    async fn a_resource_is_named_by_1_to_128_bytes_without_control_characters(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let (long, wide) = ("x".repeat(129), "\u{e4}".repeat(65));
        let before = revision_of(owner, &organization.id).await;
        let delta = || grant(membership(&organization.owner.membership_id), role("user"));

        for bad in ["", &long, &wide, "a\nb", "a\r", "\t", "a\u{0}b", "\u{7f}", "\u{85}", "\u{1b}[2J"] {
            let id = |field: &'static str| [(field, "RESOURCE_ID_MALFORMED")];
            let at_it = as_member(project(bad));
            // Left empty, the server makes one.
            if !bad.is_empty() {
                let answer = owner.register_resource(register(&organization.id, project(bad))).await;
                assert_violates(answer, &id("resource.id"));
            }
            let under = proto::RegisterResourceRequest {
                parent: Some(project(bad)),
                ..register(&organization.id, project("x"))
            };
            assert_violates(owner.register_resource(under).await, &id("parent.id"));
            let answer = owner.get_resource(get_resource(&organization.id, project(bad))).await;
            assert_violates(answer, &id("resource.id"));
            let bad_delta = grant(membership(&organization.owner.membership_id), at_it.clone());
            let answer = owner.change_grants(change(&organization.id, vec![delta(), bad_delta])).await;
            assert_violates(answer, &id("deltas[1].grant.resource.id"));
            let answer = owner.create_invitation(invite(&organization.id, "new@example.test", vec![at_it])).await;
            assert_violates(answer, &id("assignments[0].resource.id"));
        }
        for kind in ["", &"x".repeat(65), "proj\nect", "\u{0}"] {
            let reference = proto::ResourceRef { r#type: kind.into(), id: "alpha".into() };
            let answer = owner.register_resource(register(&organization.id, reference)).await;
            assert_violates(answer, &[("resource.type", "RESOURCE_TYPE_MALFORMED")]);
        }
        assert_eq!(revision_of(owner, &organization.id).await, before);

        for good in ["x".repeat(128), "\u{e4}".repeat(64), "a b/c:d'e\"f%20;--".into(), "\u{1f600}\u{202e}".into()] {
            owner.register_resource(register(&organization.id, project(&good))).await.unwrap();
            let found = owner.get_resource(get_resource(&organization.id, project(&good))).await.unwrap();
            assert_eq!(found.resource.unwrap().resource.unwrap().id, good);
        }
    }

    async fn everything_that_is_wrong_is_told_at_once(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let bad = || proto::ResourceRef { r#type: String::new(), id: "\n".into() };

        let request = proto::RegisterResourceRequest { parent: Some(bad()), ..register(&organization.id, bad()) };
        assert_violates(
            owner.register_resource(request).await,
            &[
                ("resource.type", "RESOURCE_TYPE_MALFORMED"),
                ("resource.id", "RESOURCE_ID_MALFORMED"),
                ("parent.type", "RESOURCE_TYPE_MALFORMED"),
                ("parent.id", "RESOURCE_ID_MALFORMED"),
            ],
        );
        let deltas = vec![
            grant(membership("x"), proto::Assignment::default()),
            proto::GrantDelta { principal: None, act: None },
            grant(service_account("y"), as_member(bad())),
        ];
        assert_violates(
            owner.change_grants(change(&organization.id, deltas)).await,
            &[
                ("deltas[0].principal.membership_id", "ID_MALFORMED"),
                ("deltas[0].grant.held", "FIELD_REQUIRED"),
                ("deltas[1].principal", "FIELD_REQUIRED"),
                ("deltas[1].act", "FIELD_REQUIRED"),
                ("deltas[2].principal.service_account_id", "ID_MALFORMED"),
                ("deltas[2].grant.resource.type", "RESOURCE_TYPE_MALFORMED"),
                ("deltas[2].grant.resource.id", "RESOURCE_ID_MALFORMED"),
            ],
        );
        let request = create_organization("\u{0}", "nobody");
        let request = proto::CreateOrganizationRequest { catalog: "no-such".into(), ..request };
        assert_violates(
            app.operator().create_organization(request).await,
            &[("display_name", "TEXT_MALFORMED"), ("founder_email", "EMAIL_MALFORMED"), ("catalog", "CATALOG_UNKNOWN")],
        );
    }

    /// PostgreSQL keeps no zero byte: none may get that far.
    async fn a_zero_byte_is_refused_or_unknown_wherever_a_text_is_taken(app) {
        let organization = app.found().await;
        let (owner, id, nul) = (&organization.owner.call, organization.id.as_str(), "a\u{0}b");
        let before = revision_of(owner, id).await;
        let kind = |id: &str| proto::ResourceRef { r#type: nul.into(), id: id.into() };
        let member = || membership(&organization.owner.membership_id);
        let named =
            proto::CreateInvitationRequest { display_name: nul.into(), ..invite(id, "new@example.test", vec![]) };
        let catalog =
            proto::CreateOrganizationRequest { catalog: nul.into(), ..create_organization("New", "new@example.test") };
        let with_roles = create_organization_under("analytics-workspace", "Roles", "roles@example.test");
        let with_roles = app.operator().create_organization(with_roles).await.unwrap();
        let roles = &with_roles.organization.unwrap().id;
        let described = proto::Role { description: nul.into(), ..custom_role("described", &[]) };
        let page = proto::ListMembersRequest { page_token: nul.into(), ..list_members(id) };

        for (name, answer) in [
            ("page token", owner.list_members(page).await.map(drop)),
            ("role", owner.change_grants(change(id, vec![grant(member(), role(nul))])).await.map(drop)),
            (
                "role invited to",
                owner.create_invitation(invite(id, "new@example.test", vec![role(nul)])).await.map(drop),
            ),
            ("name invited", owner.create_invitation(named).await.map(drop)),
            ("address invited", owner.create_invitation(invite(id, "a\u{0}b@example.test", vec![])).await.map(drop)),
            ("type", owner.register_resource(register(id, kind("x"))).await.map(drop)),
            ("name of a machine", owner.create_service_account(create_service_account(id, nul)).await.map(drop)),
            ("catalog followed", app.operator().create_organization(catalog).await.map(drop)),
            ("catalog switched to", app.operator().set_organization_catalog(set_catalog(id, nul)).await.map(drop)),
            ("catalog put", app.operator().put_catalog(put_catalog("name: a\u{0}b\nversion: 1\n")).await.map(drop)),
            ("catalog shown", app.operator().get_catalog(get_catalog(nul)).await.map(drop)),
            ("role shown", owner.get_role(get_role(id, nul)).await.map(drop)),
            ("role made", app.operator().create_role(create_role(roles, custom_role(nul, &[]))).await.map(drop)),
            ("role described", app.operator().create_role(create_role(roles, described)).await.map(drop)),
            ("role changed", app.operator().update_role(update_role(roles, custom_role(nul, &[]))).await.map(drop)),
            ("role deleted", app.operator().delete_role(delete_role(roles, nul)).await.map(drop)),
            ("invitation", app.accept(nul).await.map(drop)),
            ("address signed in", app.anyone().sign_in(sign_in(nul, nul)).await.map(drop)),
            ("password", app.anyone().sign_in(sign_in("x@example.test", nul)).await.map(drop)),
        ] {
            let status = answer.expect_err(name);
            assert!(!matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable), "{name}: {status:?}");
            assert_ne!(reason(&status), "INTERNAL", "{name}");
        }
        assert_eq!(revision_of(owner, id).await, before);
        assert_refused(
            owner.change_grants(change(id, vec![grant(member(), role("no-such"))])).await,
            Code::InvalidArgument,
            "ROLE_UNKNOWN",
        );
    }
}
