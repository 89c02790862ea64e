//! A request for each field, in order but for the one id that is spoiled.

use guildhall::proto::bulk_members_request::{Act, Selection};
use guildhall::proto::look_up_member_request::Name;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::subject::Kind;
use guildhall::proto::{self, CheckItem};
use tonic::Status;

use crate::harness::messages::{
    above, acknowledge, add_contact, browse, change, change_above, change_members, check, create_api_key, create_group,
    create_member, create_members, create_organization, create_role, create_service_account, custom_role, delete,
    delete_account, delete_group, delete_role, disable, disable_account, disable_members, enable, enable_account,
    enable_members, explain, get_account, get_group, get_member, get_organization, get_resource, get_role, get_seats,
    grant, group, invite, item, leave, list_accounts, list_contacts, list_grants, list_group_members, list_groups,
    list_keys, list_members, list_permissions, list_recipients, list_removals, list_resources, list_roles,
    list_subjects, look_up_group, look_up_member, matrix, membership, move_under, new_member, notify, preview_removal,
    principal, put_catalog, register, register_all, remove, remove_contact, rename, rename_group, revoke_key,
    rotate_key, service_account, set_catalog, set_owner, set_seats, share, summarize, transfer, unshare, update_member,
    update_role,
};
use crate::harness::{Caller, Organization, TestApp, project, role};
use crate::refusals::NOBODY;

/// Fills the field that is asked for with `bad`, and every other with what is good.
pub struct Spoiler<'a> {
    pub field: &'a str,
    pub bad: &'a str,
}

impl Spoiler<'_> {
    fn give(&self, field: &str, good: &str) -> String {
        if field == self.field { self.bad.to_owned() } else { good.to_owned() }
    }
}

/// Sends a request with one id spoiled. The request is in order but for that.
#[expect(clippy::too_many_lines, reason = "a table: an arm for each request")]
pub async fn send(app: &TestApp, organization: &Organization, spoiler: &Spoiler<'_>) -> Result<(), Status> {
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
            let account = give("service_account_id", NOBODY);
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
            let bad = give("requests.membership_id", NOBODY);
            let request = disable_members(&organization_id, &[&membership_id, &bad]);
            owner.batch_disable_members(proto::BatchDisableMembersRequest { request_id, ..request }).await.map(drop)
        }
        "BatchEnableMembersRequest" => {
            let bad = give("requests.membership_id", NOBODY);
            let request = enable_members(&organization_id, &[&membership_id, &bad]);
            owner.batch_enable_members(proto::BatchEnableMembersRequest { request_id, ..request }).await.map(drop)
        }
        "BulkMembersRequest" => {
            let bad = give("listed.members.membership_id", NOBODY);
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
    let group = give("group_id", NOBODY);
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
            let request = change_members(&id, &group, &[NOBODY], &[]);
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
    let (account, key) = (give("service_account_id", NOBODY), give("api_key_id", NOBODY));
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
    let member = give("membership_id", NOBODY);
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
            let request = remove_contact(&id, project("alpha"), &give("contact_id", NOBODY));
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
            let request = transfer(&id, "owner", &give("to_membership_id", NOBODY));
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
                _ => Subject::UserId(give("deltas.user_id", NOBODY)),
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
