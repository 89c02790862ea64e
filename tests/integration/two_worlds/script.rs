//! Every call, with every filter and order, and with much that is wrong.
//!
//! Requests are JSON. A name after `$` is put in by the world: `"$north"` is a place that some actors see, and the step
//! is made about the hidden one first; `$each` makes it about everybody who holds something there; `organization_id` is
//! put in.

use guildhall::rpc::Rpc;

/// One call, and the calls like it.
pub struct Step {
    pub rpc: Rpc,
    pub ask: &'static str,
    /// A field of the answer, and the name by which later steps speak of it.
    pub keep: Option<(&'static str, &'static str)>,
}

/// People who hold something at the hidden place, each in another way.
const HOLDERS: [&str; 4] = ["bob", "cy", "dan", "pia"];

impl Step {
    /// Returns the requests of the step: for each person that it is about, of the hidden place before the one that is
    /// seen. What is kept is of one.
    pub fn texts(&self) -> Vec<String> {
        let people: &[&str] = if self.ask.contains("$each") { &HOLDERS } else { &[""] };
        let places: &[&str] =
            if self.keep.is_none() && self.ask.contains("\"$north\"") { &["$south", "$north"] } else { &["$north"] };
        let about = |person: &&str| self.ask.replace("$each", &format!("${person}"));
        people
            .iter()
            .map(about)
            .flat_map(|text| places.iter().map(move |place| text.replace("$north", place)))
            .collect()
    }
}

const fn ask(rpc: Rpc, ask: &'static str) -> Step {
    Step { rpc, ask, keep: None }
}

const fn keep(rpc: Rpc, ask: &'static str, name: &'static str, field: &'static str) -> Step {
    Step { rpc, ask, keep: Some((name, field)) }
}

pub const SCRIPT: &[Step] = &[
    // Where one is.
    ask(Rpc::GetOrganization, "{}"),
    ask(Rpc::GetOrganization, r#"{"organization_id": "$absent"}"#),
    ask(Rpc::LookUpOrganization, r#"{"slug": "example", "catalog": "msp-monitoring"}"#),
    ask(Rpc::LookUpOrganization, r#"{"external_id": "example", "catalog": "$product"}"#),
    ask(Rpc::UpdateOrganization, r#"{"display_name": "Example", "metadata": {"private": {"a": 1}}}"#),
    ask(Rpc::UpdateOrganization, r#"{"slug": "example"}"#),
    ask(Rpc::ListMyMemberships, "{}"),
    ask(Rpc::GetSeats, "{}"),
    ask(Rpc::GetSeats, r#"{"resource": "$north"}"#),
    ask(Rpc::SetSeatLimit, r#"{"resource": "$north", "limit": 1}"#),
    ask(
        Rpc::CreateOrganization,
        r#"{"display_name": "Mine", "catalog": "msp-monitoring", "founder_email": "x@example.test"}"#,
    ),
    ask(Rpc::PutCatalog, r#"{"yaml": "name: mine"}"#),
    ask(Rpc::GetCatalog, r#"{"name": "msp-monitoring"}"#),
    ask(Rpc::ListCatalogs, "{}"),
    ask(Rpc::DiffCatalogs, r#"{"name": "msp-monitoring"}"#),
    ask(Rpc::SetOrganizationCatalog, r#"{"name": "msp-monitoring"}"#),
    // What there is.
    ask(Rpc::GetResource, r#"{"resource": "$north"}"#),
    ask(Rpc::GetResource, r#"{"resource": {"type": "$kind", "id": "no-such"}}"#),
    ask(Rpc::GetResource, r#"{"resource": {"type": "nothing", "id": "south"}}"#),
    ask(Rpc::BrowseResources, "{}"),
    ask(Rpc::BrowseResources, r#"{"page_size": 1}"#),
    ask(Rpc::BrowseResources, r#"{"top": {}, "page_size": 1}"#),
    ask(Rpc::BrowseResources, r#"{"parent": "$north", "page_size": 1}"#),
    ask(Rpc::BrowseResources, r#"{"resource_type": "$kind", "query": "sou", "page_size": 1}"#),
    ask(Rpc::BrowseResources, r#"{"resource_type": "shed"}"#),
    ask(Rpc::RegisterResource, r#"{"resource": "$north"}"#),
    ask(Rpc::RegisterResource, r#"{"resource": {"type": "$kind", "id": "gone"}}"#),
    ask(Rpc::RegisterResource, r#"{"resource": {"type": "$kind", "id": "never"}}"#),
    ask(Rpc::RegisterResource, r#"{"resource": {"type": "$kind", "id": "cellar"}, "parent": "$north"}"#),
    ask(Rpc::RegisterResource, r#"{"resource": {"type": "$kind"}, "parent": "$north", "display_name": "Below"}"#),
    keep(
        Rpc::RegisterResource,
        r#"{"resource": {"type": "$kind"}, "display_name": "Own"}"#,
        "own",
        "resource.resource.id",
    ),
    ask(
        Rpc::RegisterResources,
        r#"[{"resources": [{"resource": "$north"}, {"resource": {"type": "$kind", "id": "never"}}]}]"#,
    ),
    ask(Rpc::RegisterResources, r#"[{"resources": [{"resource": {"type": "$kind"}, "parent": "$north"}]}]"#),
    ask(Rpc::UpdateResource, r#"{"resource": "$north", "display_name": "Anew"}"#),
    ask(Rpc::UpdateResource, r#"{"resource": "$north", "display_name": "Anew", "etag": "0000000000000000"}"#),
    ask(Rpc::MoveResource, r#"{"resource": {"type": "$kind", "id": "$own"}, "parent": "$north"}"#),
    ask(Rpc::MoveResource, r#"{"resource": "$north", "parent": {"type": "$kind", "id": "$own"}}"#),
    ask(Rpc::MoveResource, r#"{"resource": "$north"}"#),
    // Something hidden may stand below what is moved: deeper, and not, and back.
    ask(
        Rpc::MoveResource,
        r#"{"resource": {"type": "$kind", "id": "porch"}, "parent": {"type": "$kind", "id": "eaves"}}"#,
    ),
    ask(
        Rpc::MoveResource,
        r#"{"resource": {"type": "$kind", "id": "porch"}, "parent": {"type": "$kind", "id": "barn"}}"#,
    ),
    ask(
        Rpc::MoveResource,
        r#"{"resource": {"type": "$kind", "id": "porch"}, "parent": {"type": "$kind", "id": "east"}}"#,
    ),
    ask(
        Rpc::MoveResource,
        r#"{"resource": {"type": "$kind", "id": "east"}, "parent": {"type": "$kind", "id": "eaves"}}"#,
    ),
    ask(Rpc::SetResourceOwner, r#"{"resource": "$north", "owner": {"membership_id": "$each"}}"#),
    ask(Rpc::SetResourceOwner, r#"{"resource": {"type": "$kind", "id": "$own"}, "owner": {"membership_id": "$bob"}}"#),
    ask(Rpc::ShareResource, r#"{"resource": "$north", "principals": [{"membership_id": "$each"}]}"#),
    ask(Rpc::ShareResource, r#"{"resource": "$north", "principals": [{"group_id": "$team"}]}"#),
    ask(Rpc::ShareResource, r#"{"resource": "$north", "principals": [{"membership_id": "$each"}], "role": "$level"}"#),
    ask(Rpc::ShareResource, r#"{"resource": {"type": "$kind", "id": "$own"}, "principals": [{"everyone": {}}]}"#),
    ask(Rpc::UnshareResource, r#"{"resource": "$north", "principals": [{"membership_id": "$each"}]}"#),
    ask(Rpc::AddContact, r#"{"resource": "$north", "email": "carl@example.test"}"#),
    ask(Rpc::ListContacts, r#"{"resource": "$north"}"#),
    ask(Rpc::RemoveContact, r#"{"resource": "$north", "contact_id": "$absent"}"#),
    ask(Rpc::ListRecipients, r#"{"resource": "$north"}"#),
    ask(Rpc::NotifyResource, r#"{"resource": "$north", "subject": "News", "text": "There are some."}"#),
    ask(Rpc::LookUpUnsubscription, r#"{"token": "none"}"#),
    ask(Rpc::Unsubscribe, r#"{"token": "none"}"#),
    // Who is there, by every filter and order.
    ask(Rpc::ListMembers, "{}"),
    ask(Rpc::ListMembers, r#"{"page_size": 2, "order_by": "email asc"}"#),
    ask(Rpc::ListMembers, r#"{"page_size": 2, "order_by": "email desc"}"#),
    ask(Rpc::ListMembers, r#"{"page_size": 2, "order_by": "display_name asc"}"#),
    ask(Rpc::ListMembers, r#"{"page_size": 2, "order_by": "display_name desc"}"#),
    ask(Rpc::ListMembers, r#"{"page_size": 2, "order_by": "last_active_time asc"}"#),
    ask(Rpc::ListMembers, r#"{"page_size": 2, "order_by": "last_active_time desc"}"#),
    ask(Rpc::ListMembers, r#"{"page_size": 2, "order_by": "create_time asc"}"#),
    ask(Rpc::ListMembers, r#"{"page_size": 2, "order_by": "create_time desc"}"#),
    ask(Rpc::ListMembers, r#"{"order_by": "role_count"}"#),
    ask(Rpc::ListMembers, r#"{"query": "b ex"}"#),
    ask(Rpc::ListMembers, r#"{"query": "southern"}"#),
    ask(Rpc::ListMembers, r#"{"filter": "state = ACTIVE"}"#),
    ask(Rpc::ListMembers, r#"{"filter": "state != DISABLED AND managed = true"}"#),
    ask(Rpc::ListMembers, r#"{"filter": "managed = false"}"#),
    ask(Rpc::ListMembers, r#"{"filter": "roles:$level", "page_size": 1}"#),
    ask(Rpc::ListMembers, r#"{"filter": "NOT roles:$level", "page_size": 1}"#),
    ask(Rpc::ListMembers, r#"{"filter": "roles:$more OR roles:$claim"}"#),
    ask(Rpc::ListMembers, r#"{"filter": "roles:watcher"}"#),
    ask(Rpc::ListMembers, r#"{"filter": "-roles:$claim"}"#),
    ask(Rpc::ListMembers, r#"{"filter": "groups:\"$team\""}"#),
    ask(Rpc::ListMembers, r#"{"filter": "last_active_time > \"2026-11-22T11:00:00Z\""}"#),
    ask(Rpc::ListMembers, r#"{"filter": "last_active_time < \"2026-11-22T11:00:00Z\""}"#),
    ask(Rpc::ListMembers, r#"{"filter": "create_time >= \"2026-11-22T12:00:00Z\""}"#),
    ask(Rpc::ListMembers, r#"{"filter": "places:south"}"#),
    ask(Rpc::ListMembers, r#"{"page_token": "none"}"#),
    ask(Rpc::GetMember, r#"{"membership_id": "$each"}"#),
    ask(Rpc::GetMember, r#"{"membership_id": "$me"}"#),
    ask(Rpc::LookUpMember, r#"{"email": "bob@example.test"}"#),
    ask(Rpc::LookUpMember, r#"{"email": "pia@example.test"}"#),
    ask(Rpc::LookUpMember, r#"{"user_id": "$bob_user"}"#),
    ask(Rpc::LookUpMember, r#"{"external_id": "south"}"#),
    // Who holds what.
    ask(Rpc::ListGrants, r#"{"page_size": 1}"#),
    ask(Rpc::ListGrants, r#"{"principal": {"membership_id": "$each"}, "page_size": 1}"#),
    ask(Rpc::ListGrants, r#"{"principal": {"membership_id": "$me"}, "page_size": 1}"#),
    ask(Rpc::ListGrants, r#"{"principal": {"group_id": "$team"}, "page_size": 1}"#),
    ask(Rpc::ListGrants, r#"{"principal": {"service_account_id": "$robot"}, "page_size": 1}"#),
    ask(Rpc::ListGrants, r#"{"principal": {"everyone": {}}}"#),
    ask(Rpc::ListGrants, r#"{"resource": "$north", "page_size": 1}"#),
    ask(Rpc::ListGrants, r#"{"at_organization": true, "page_size": 1}"#),
    ask(
        Rpc::SummarizeGrants,
        r#"{"principals": [{"membership_id": "$each"}], "resources": ["$north"], "role": "$level"}"#,
    ),
    ask(
        Rpc::SummarizeGrants,
        r#"{"principals": [{"membership_id": "$bob"}, {"membership_id": "$cy"}], "role": "$claim"}"#,
    ),
    ask(
        Rpc::SummarizeGrants,
        r#"{"principals": [{"membership_id": "$each"}], "resources": ["$north"], "as_member": {}}"#,
    ),
    ask(
        Rpc::ChangeGrants,
        r#"{"deltas": [{"principal": {"membership_id": "$each"}, "grant": {"resource": "$north", "role": "$level"}}]}"#,
    ),
    ask(
        Rpc::ChangeGrants,
        r#"{"deltas": [{"principal": {"membership_id": "$each"}, "grant": {"resource": "$north", "role": "$more"}}]}"#,
    ),
    ask(
        Rpc::ChangeGrants,
        r#"{"deltas": [{"principal": {"membership_id": "$each"}, "grant": {"resource": "$north", "as_member": {}}}]}"#,
    ),
    ask(
        Rpc::ChangeGrants,
        r#"{"deltas": [{"principal": {"membership_id": "$me"}, "grant": {"resource": "$north", "role": "$more"}}]}"#,
    ),
    ask(
        Rpc::ChangeGrants,
        r#"{"deltas": [{"principal": {"membership_id": "$each"}, "revoke": {"resource": "$north", "role": "$level"}}]}"#,
    ),
    ask(Rpc::ChangeGrants, r#"{"deltas": [{"principal": {"membership_id": "$each"}, "grant": {"role": "$claim"}}]}"#),
    ask(
        Rpc::ChangeGrants,
        r#"{"matrices": [{"principals": [{"membership_id": "$bob"}, {"membership_id": "$cy"}], "resources": ["$north"], "grant": {"role": "$level"}}]}"#,
    ),
    ask(Rpc::ChangeGrants, r#"{"deltas": [{"principal": {"membership_id": "$each"}, "revoke": {"role": "$claim"}}]}"#),
    ask(Rpc::ChangeGrants, r#"{"deltas": [{"principal": {"group_id": "$team"}, "grant": {"role": "$claim"}}]}"#),
    ask(
        Rpc::ChangeGrants,
        r#"{"deltas": [{"principal": {"service_account_id": "$robot"}, "grant": {"role": "$claim"}}]}"#,
    ),
    ask(
        Rpc::ChangeGrants,
        r#"{"deltas": [{"principal": {"membership_id": "$absent"}, "grant": {"role": "nothing"}}]}"#,
    ),
    ask(Rpc::ChangeInstallationGrants, r#"{"deltas": []}"#),
    ask(Rpc::TransferRole, r#"{"role": "title", "to_membership_id": "$bob"}"#),
    ask(Rpc::ListRoles, "{}"),
    ask(Rpc::GetRole, r#"{"name": "watcher"}"#),
    ask(Rpc::GetRole, r#"{"name": "$level"}"#),
    ask(
        Rpc::CreateRole,
        r#"{"role": {"name": "mine", "at": ["organization", "$kind"], "permissions": [{"permission": "member.list", "reaches": ["REACH_ANY"]}]}}"#,
    ),
    ask(Rpc::UpdateRole, r#"{"role": {"name": "watcher", "description": "Watches."}, "update_mask": "description"}"#),
    ask(Rpc::UpdateRole, r#"{"role": {"name": "watcher", "permissions": []}, "update_mask": "permissions"}"#),
    ask(Rpc::UpdateRole, r#"{"role": {"name": "watcher", "at": ["organization"]}, "update_mask": "at"}"#),
    ask(Rpc::DeleteRole, r#"{"name": "watcher"}"#),
    ask(Rpc::DeleteRole, r#"{"name": "watcher", "move_holders_to": "$claim"}"#),
    // Groups and machines.
    ask(Rpc::ListGroups, r#"{"page_size": 1}"#),
    ask(Rpc::ListGroups, r#"{"membership_id": "$bob"}"#),
    ask(Rpc::GetGroup, r#"{"group_id": "$team"}"#),
    ask(Rpc::LookUpGroup, r#"{"external_id": "team"}"#),
    ask(Rpc::ListGroupMembers, r#"{"group_id": "$team", "page_size": 1}"#),
    ask(Rpc::CreateGroup, r#"{"display_name": "South"}"#),
    ask(Rpc::UpdateGroup, r#"{"group_id": "$team", "display_name": "Team of Bob"}"#),
    ask(Rpc::ChangeGroupMembers, r#"{"group_id": "$team", "add_membership_ids": ["$each"]}"#),
    ask(Rpc::ChangeGroupMembers, r#"{"group_id": "$team", "add_membership_ids": ["$me"]}"#),
    ask(Rpc::ChangeGroupMembers, r#"{"group_id": "$team", "remove_membership_ids": ["$cy"]}"#),
    ask(Rpc::DeleteGroup, r#"{"group_id": "$team"}"#),
    ask(Rpc::ListServiceAccounts, r#"{"page_size": 1}"#),
    ask(Rpc::GetServiceAccount, r#"{"service_account_id": "$robot"}"#),
    ask(Rpc::CreateApiKey, r#"{"service_account_id": "$robot"}"#),
    ask(Rpc::ListApiKeys, r#"{"service_account_id": "$robot"}"#),
    ask(Rpc::RotateApiKey, r#"{"service_account_id": "$robot", "api_key_id": "$absent"}"#),
    ask(Rpc::RevokeApiKey, r#"{"service_account_id": "$robot", "api_key_id": "$absent"}"#),
    ask(Rpc::DisableServiceAccount, r#"{"service_account_id": "$robot"}"#),
    ask(Rpc::EnableServiceAccount, r#"{"service_account_id": "$robot"}"#),
    ask(Rpc::DeleteServiceAccount, r#"{"service_account_id": "$robot"}"#),
    keep(Rpc::CreateServiceAccount, r#"{"display_name": "Mine"}"#, "machine", "serviceAccount.id"),
    ask(Rpc::CreateApiKey, r#"{"service_account_id": "$machine"}"#),
    // Who may what.
    ask(
        Rpc::Check,
        r#"{"item": {"subject": {"user_id": "$me_user"}, "permission": "$kind.view", "resource": "$north"}}"#,
    ),
    ask(
        Rpc::Check,
        r#"{"item": {"subject": {"user_id": "$bob_user"}, "permission": "$kind.view", "resource": "$north"}}"#,
    ),
    ask(
        Rpc::BatchCheck,
        r#"{"items": [{"subject": {"user_id": "$me_user"}, "permission": "$kind.update", "resource": "$north"}, {"subject": {"user_id": "$me_user"}, "permission": "$kind.view"}], "consistency": {"fresh": true}}"#,
    ),
    ask(
        Rpc::StreamChecks,
        r#"[{"check": {"frame_id": 1, "organization_id": "$org", "items": [{"subject": {"user_id": "$me_user"}, "permission": "$kind.view", "resource": "$north"}]}}]"#,
    ),
    ask(
        Rpc::ExplainCheck,
        r#"{"item": {"subject": {"user_id": "$me_user"}, "permission": "$kind.view", "resource": "$north"}}"#,
    ),
    ask(
        Rpc::ExplainCheck,
        r#"{"item": {"subject": {"user_id": "$bob_user"}, "permission": "$kind.view", "resource": "$north"}}"#,
    ),
    ask(Rpc::ListPermissions, r#"{"subject": {"user_id": "$me_user"}, "resource": "$north"}"#),
    ask(Rpc::ListPermissions, r#"{"subject": {"user_id": "$me_user"}}"#),
    ask(
        Rpc::ListResources,
        r#"{"subject": {"user_id": "$me_user"}, "permission": "$kind.view", "resource_type": "$kind", "page_size": 1}"#,
    ),
    ask(
        Rpc::ListResources,
        r#"{"subject": {"user_id": "$bob_user"}, "permission": "$kind.view", "resource_type": "$kind", "page_size": 1}"#,
    ),
    ask(Rpc::ListSubjects, r#"{"permission": "$kind.view", "resource": "$north"}"#),
    // Who comes.
    ask(Rpc::SignIn, r#"{"email": "bob@example.test", "password": "wrong"}"#),
    ask(Rpc::CreateMember, r#"{"member": {"email": "bob@example.test"}}"#),
    ask(
        Rpc::CreateMember,
        r#"{"member": {"email": "new@example.test", "assignments": [{"resource": "$north", "role": "$level"}]}}"#,
    ),
    ask(
        Rpc::BatchCreateMembers,
        r#"{"requests": [{"email": "newer@example.test", "assignments": [{"role": "$claim"}]}]}"#,
    ),
    ask(
        Rpc::BatchCreateMembers,
        r#"{"requests": [{"email": "newest@example.test", "assignments": [{"resource": "$north", "as_member": {}}]}]}"#,
    ),
    ask(Rpc::CreateInvitation, r#"{"email": "pia@example.test"}"#),
    ask(
        Rpc::CreateInvitation,
        r#"{"kind": "INVITATION_KIND_LINK", "assignments": [{"resource": "$north", "role": "$level"}]}"#,
    ),
    keep(Rpc::CreateInvitation, r#"{"kind": "INVITATION_KIND_LINK"}"#, "link", "link"),
    ask(Rpc::LookUpInvitation, r#"{"token": "$link"}"#),
    ask(Rpc::AcceptInvitation, r#"{"token": "none"}"#),
    ask(Rpc::UpdateMember, r#"{"membership_id": "$each", "external_id": "of $each", "update_mask": "externalId"}"#),
    ask(Rpc::UpdateMember, r#"{"membership_id": "$bob", "display_name": "Robert", "etag": "0000000000000000"}"#),
    // Who goes.
    ask(Rpc::DisableMember, r#"{"membership_id": "$each"}"#),
    ask(Rpc::EnableMember, r#"{"membership_id": "$each"}"#),
    ask(Rpc::BatchDisableMembers, r#"{"requests": [{"membership_id": "$bob"}]}"#),
    ask(Rpc::BatchEnableMembers, r#"{"requests": [{"membership_id": "$bob"}]}"#),
    ask(Rpc::BulkMembers, r#"{"matching": {"filter": "state = ACTIVE"}, "disable": {}, "validate_only": true}"#),
    ask(Rpc::BulkMembers, r#"{"all": true, "disable": {}, "validate_only": true}"#),
    ask(Rpc::BulkMembers, r#"{"matching": {"query": "_"}, "disable": {}, "validate_only": true}"#),
    ask(Rpc::BulkMembers, r#"{"listed": {"members": [{"membership_id": "$each"}]}, "enable": {}}"#),
    ask(Rpc::BulkMembers, r#"{"listed": {"members": [{"membership_id": "$each"}]}, "disable": {}}"#),
    ask(
        Rpc::BulkMembers,
        r#"{"listed": {"members": [{"membership_id": "$each"}]}, "grant": {"resource": "$north", "role": "$level"}}"#,
    ),
    ask(Rpc::BulkMembers, r#"{"matching": {"query": "b"}, "revoke": {"resource": "$north", "role": "$level"}}"#),
    ask(Rpc::PreviewRemoval, r#"{"membership_id": "$each"}"#),
    ask(Rpc::PreviewRemoval, r#"{"membership_id": "$ada"}"#),
    ask(Rpc::PreviewRemoval, r#"{"membership_id": "$me"}"#),
    ask(Rpc::RemoveMember, r#"{"membership_id": "$each", "delete_assets": true, "validate_only": true}"#),
    ask(Rpc::RemoveMember, r#"{"membership_id": "$each", "transfer_to": "$ada", "validate_only": true}"#),
    ask(Rpc::RemoveMember, r#"{"membership_id": "$each"}"#),
    ask(Rpc::ListRemovals, "{}"),
    ask(Rpc::WatchRemovals, r#"{"listener": "none"}"#),
    ask(Rpc::AcknowledgeRemoval, r#"{"membership_id": "$bob", "listener": "none"}"#),
    ask(Rpc::LeaveOrganization, r#"{"validate_only": true}"#),
    ask(Rpc::DeleteResource, r#"{"resource": {"type": "$kind", "id": "$own"}}"#),
    ask(Rpc::DeleteResource, r#"{"resource": "$north"}"#),
];
