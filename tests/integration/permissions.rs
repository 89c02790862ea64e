//! The permission matrix: every RPC, called as every kind of caller, against the table in `docs/permissions.md`.
//!
//! The next RPC needs a row there, and its request in [`Scene::prepare`].

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use guildhall::proto::bulk_members_request::{Act, Selection};
use guildhall::proto::look_up_member_request::Name;
use guildhall::proto::look_up_organization_request;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{self, subject};
use guildhall::rpc::Rpc;
use tonic::{Code, Status};

use crate::harness::messages::{
    above, accept, acknowledge, add_contact, browse, change, change_above, change_members, check, create_api_key,
    create_group, create_member, create_members, create_organization, create_organization_under, create_role,
    create_service_account, custom_role, delete, delete_account, delete_group, delete_role, disable, disable_account,
    disable_members, enable, enable_account, enable_members, explain, get_account, get_catalog, get_group, get_member,
    get_organization, get_resource, get_role, get_seats, grant, invite, invite_by_link, item, leave, list_accounts,
    list_contacts, list_grants, list_group_members, list_groups, list_keys, list_members, list_recipients,
    list_removals, list_roles, look_up, look_up_group, look_up_member, membership, move_under, new_member, notify,
    preview_removal, put_catalog, register, register_all, remove, remove_contact, rename, rename_group, revoke_key,
    rotate_key, set_catalog, set_owner, set_seats, share, sign_in, summarize, transfer, unshare, unsubscribe,
    update_member, update_role,
};
use crate::harness::{
    Caller, Organization, PASSWORD, TestApp, as_member, project, role, token_in, unsubscribe_token_in,
};
use crate::on_both;

const DOCUMENT: &str = include_str!("../../docs/permissions.md");

/// The kinds of caller, as the columns of the table are called.
const CALLERS: [&str; 10] =
    ["nobody", "owner", "admin", "assigned", "user", "backend", "operator", "outsider", "pending", "disabled"];

/// The project that everything about projects is asked of.
const PROJECT: &str = "alpha";

/// The catalog that the organization follows.
const PRESET: &str = "disaster-recovery";

/// Gives a catalog that says what the preset says, under another name.
fn copy_of_the_preset(name: &str) -> String {
    let text = include_str!("../../presets/disaster-recovery.yaml");
    text.replace(&format!("name: {PRESET}"), &format!("name: {name}"))
}

/// A row of the table.
struct Row {
    rpc: Rpc,
    case: &'static str,
    /// For each of [`CALLERS`].
    codes: Vec<Code>,
}

/// Reads the table; says what is wrong with it.
fn rows() -> Vec<Row> {
    let (_, table) = DOCUMENT.split_once("<!-- permissions -->\n").expect("the table begins");
    let (table, _) = table.split_once("<!-- /permissions -->").expect("the table ends");
    let mut lines = table.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    assert_eq!(lines.next().expect("a head")[2..], CALLERS);
    let rows: Vec<Row> = lines.skip(1).map(|cells| row(&cells)).collect();
    let distinct: BTreeSet<_> = rows.iter().map(|row| (row.rpc.path(), row.case)).collect();
    assert_eq!(distinct.len(), rows.len(), "two rows about the same");
    rows
}

fn row(cells: &[&'static str]) -> Row {
    let name = cells[0];
    let rpc = Rpc::ALL.iter().find(|rpc| rpc.path().ends_with(&format!("/{name}")));
    let rpc = *rpc.unwrap_or_else(|| panic!("a row for {name:?}, which is no RPC"));
    let codes: Vec<Code> = cells[2..].iter().map(|cell| code(cell)).collect();
    assert_eq!(codes.len(), CALLERS.len(), "cells of {name}");
    Row { rpc, case: cells[1], codes }
}

fn code(word: &str) -> Code {
    match word {
        "OK" => Code::Ok,
        "UNAUTHENTICATED" => Code::Unauthenticated,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "NOT_FOUND" => Code::NotFound,
        "FAILED_PRECONDITION" => Code::FailedPrecondition,
        _ => panic!("{word:?} is no code of the table"),
    }
}

/// A call that is ready to be made.
type Call = Pin<Box<dyn Future<Output = Result<(), Status>>>>;

/// Who calls.
#[derive(Clone)]
struct Someone {
    call: Caller,
    /// Where an invitation reaches them; people only.
    email: Option<String>,
    /// Whom they ask about when they ask about themselves.
    subject: Option<subject::Kind>,
}

/// An organization with every kind of caller.
struct Scene<'a> {
    app: &'a TestApp,
    organization: Organization,
    /// In the order of [`CALLERS`].
    callers: Vec<Someone>,
    /// A service account that holds `backend`.
    machine: String,
    /// The membership of who is assigned to the project.
    assigned: String,
    made: AtomicU32,
}

impl<'a> Scene<'a> {
    async fn of(app: &'a TestApp) -> Self {
        let organization = app.found().await;
        let (id, owner) = (organization.id.clone(), organization.owner.clone());
        owner.call.register_resource(register(&id, project(PROJECT))).await.unwrap();
        let (machine, backend) = app.backend_account(&organization).await;

        let user_with = |assignments| app.invite_and_join(&id, &owner.call, assignments, vec![role("user")]);
        let admin = app.invite_and_join(&id, &owner.call, "max@example.test", vec![role("admin")]).await;
        let (assigned, user) = (user_with("ash@example.test").await, user_with("uma@example.test").await);
        let listed = vec![grant(membership(&assigned.membership_id), as_member(project(PROJECT)))];
        owner.call.change_grants(change(&id, listed)).await.unwrap();
        let outsider = app.found_as("Outside", "oz@example.test").await.owner;
        let pending = app.found_as("Pending", "pia@example.test").await.owner;
        owner.call.create_invitation(invite(&id, &pending.email, vec![role("admin")])).await.unwrap();
        let disabled = app.invite_and_join(&id, &owner.call, "dan@example.test", vec![role("admin")]).await;
        owner.call.disable_member(disable(&id, &disabled.membership_id)).await.unwrap();

        let someone = |name| {
            let person = match name {
                "nobody" => return Someone { call: app.anyone(), email: None, subject: None },
                // Its own id is told nowhere.
                "operator" => return Someone { call: app.operator(), email: None, subject: None },
                "backend" => {
                    let subject = Some(subject::Kind::ServiceAccountId(machine.clone()));
                    return Someone { call: backend.clone(), email: None, subject };
                }
                "owner" => &owner,
                "admin" => &admin,
                "assigned" => &assigned,
                "user" => &user,
                "outsider" => &outsider,
                "pending" => &pending,
                "disabled" => &disabled,
                _ => panic!("no caller {name:?}"),
            };
            let subject = Some(subject::Kind::UserId(person.user_id.clone()));
            Someone { call: person.call.clone(), email: Some(person.email.clone()), subject }
        };
        let callers = CALLERS.map(someone).to_vec();
        Self { app, organization, callers, machine, assigned: assigned.membership_id, made: AtomicU32::new(0) }
    }

    /// Gives a name that nobody and nothing has.
    fn fresh(&self) -> String {
        format!("fresh-{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes the targets of a call, and gives a call that succeeds for whoever may.
    #[expect(clippy::too_many_lines, reason = "a table: an arm for each RPC")]
    async fn prepare(&self, row: &Row, who: Someone) -> Call {
        let id = self.organization.id.clone();
        let Someone { call: by, email, subject } = who;
        match (row.rpc, row.case) {
            (Rpc::CreateOrganization, "") => {
                let message = create_organization("Another", &format!("{}@example.test", self.fresh()));
                Box::pin(async move { by.create_organization(message).await.map(drop) })
            }
            (Rpc::PutCatalog, "") => {
                let message = put_catalog(&copy_of_the_preset(&self.fresh()));
                Box::pin(async move { by.put_catalog(message).await.map(drop) })
            }
            (Rpc::GetCatalog, "") => Box::pin(async move { by.get_catalog(get_catalog(PRESET)).await.map(drop) }),
            (Rpc::ListCatalogs, "") => {
                Box::pin(async move { by.list_catalogs(proto::ListCatalogsRequest::default()).await.map(drop) })
            }
            (Rpc::DiffCatalogs, "") => {
                let message = proto::DiffCatalogsRequest { name: PRESET.into(), ..Default::default() };
                Box::pin(async move { by.diff_catalogs(message).await.map(drop) })
            }
            (Rpc::SetOrganizationCatalog, "") => {
                let name = self.fresh();
                self.app.operator().put_catalog(put_catalog(&copy_of_the_preset(&name))).await.unwrap();
                let message = set_catalog(&id, &name);
                Box::pin(async move { by.set_organization_catalog(message).await.map(drop) })
            }
            (Rpc::GetOrganization, "") => {
                Box::pin(async move { by.get_organization(get_organization(&id)).await.map(drop) })
            }
            (Rpc::LookUpOrganization, "") => {
                let slug = Some("example".to_owned());
                let named = proto::UpdateOrganizationRequest {
                    organization_id: id,
                    slug: slug.clone().unwrap(),
                    ..Default::default()
                };
                self.organization.owner.call.update_organization(named).await.unwrap();
                let name = slug.map(look_up_organization_request::Name::Slug);
                let message = proto::LookUpOrganizationRequest { name };
                Box::pin(async move { by.look_up_organization(message).await.map(drop) })
            }
            (Rpc::UpdateOrganization, "") => {
                let message = proto::UpdateOrganizationRequest {
                    organization_id: id,
                    display_name: self.fresh(),
                    ..Default::default()
                };
                Box::pin(async move { by.update_organization(message).await.map(drop) })
            }
            (Rpc::CreateInvitation, "") => {
                let message = invite(&id, &format!("{}@example.test", self.fresh()), vec![role("user")]);
                Box::pin(async move { by.create_invitation(message).await.map(drop) })
            }
            (Rpc::LookUpInvitation, "") => {
                let (_, token) = self.pending().await;
                Box::pin(async move { by.look_up_invitation(look_up(&token)).await.map(drop) })
            }
            (Rpc::AcceptInvitation, "to an address without an account") => {
                let (_, token) = self.pending().await;
                Box::pin(async move { by.accept_invitation(accept(&token, PASSWORD)).await.map(drop) })
            }
            (Rpc::AcceptInvitation, "to the caller's address, elsewhere") => {
                let token = self.invited_elsewhere(email.as_deref().unwrap_or(&self.organization.owner.email)).await;
                Box::pin(async move { by.accept_invitation(accept(&token, "")).await.map(drop) })
            }
            (Rpc::AcceptInvitation, "by a link, elsewhere") => {
                let token = self.linked_elsewhere().await;
                Box::pin(async move { by.accept_invitation(accept(&token, "")).await.map(drop) })
            }
            (Rpc::SignIn, "") => {
                let message = sign_in(&self.organization.owner.email, PASSWORD);
                Box::pin(async move { by.sign_in(message).await.map(drop) })
            }
            (Rpc::CreateServiceAccount, "") => {
                let message = create_service_account(&id, &self.fresh());
                Box::pin(async move { by.create_service_account(message).await.map(drop) })
            }
            (Rpc::CreateApiKey, "") => {
                let message = create_api_key(&id, &self.machine);
                Box::pin(async move { by.create_api_key(message).await.map(drop) })
            }
            (Rpc::RegisterResource, "at the organization") => {
                let message = register(&id, project(&self.fresh()));
                Box::pin(async move { by.register_resource(message).await.map(drop) })
            }
            (Rpc::RegisterResource, "under the project") => {
                let message = register(&id, project(&self.fresh()));
                let message = proto::RegisterResourceRequest { parent: Some(project(PROJECT)), ..message };
                Box::pin(async move { by.register_resource(message).await.map(drop) })
            }
            (Rpc::RegisterResources, "") => {
                let message = register_all(&id, [(project(&self.fresh()), None)]);
                Box::pin(async move { by.register_resources(vec![message]).await.map(drop) })
            }
            (Rpc::BrowseResources, "") => Box::pin(async move { by.browse_resources(browse(&id)).await.map(drop) }),
            (Rpc::GetResource, "") => {
                Box::pin(async move { by.get_resource(get_resource(&id, project(PROJECT))).await.map(drop) })
            }
            (
                Rpc::UpdateResource
                | Rpc::MoveResource
                | Rpc::SetResourceOwner
                | Rpc::DeleteResource
                | Rpc::ShareResource
                | Rpc::UnshareResource,
                "",
            ) => self.change_resource(row.rpc, by).await,
            (
                Rpc::AddContact
                | Rpc::RemoveContact
                | Rpc::ListContacts
                | Rpc::LookUpUnsubscription
                | Rpc::Unsubscribe
                | Rpc::ListRecipients
                | Rpc::NotifyResource,
                "",
            ) => self.tell(row.rpc, by).await,
            (
                Rpc::GetServiceAccount
                | Rpc::ListServiceAccounts
                | Rpc::DisableServiceAccount
                | Rpc::EnableServiceAccount
                | Rpc::DeleteServiceAccount
                | Rpc::ListApiKeys
                | Rpc::RevokeApiKey
                | Rpc::RotateApiKey,
                "",
            ) => self.change_account(row.rpc, by).await,
            (Rpc::ListRoles, "") => Box::pin(async move { by.list_roles(list_roles(&id)).await.map(drop) }),
            (Rpc::GetRole, "") => Box::pin(async move { by.get_role(get_role(&id, "user")).await.map(drop) }),
            (Rpc::CreateRole, "") => {
                let message = create_role(&id, custom_role(&self.fresh(), &["project.view"]));
                Box::pin(async move { by.create_role(message).await.map(drop) })
            }
            (Rpc::UpdateRole, "") => {
                let message = update_role(&id, custom_role(&self.fresh(), &["project.view"]));
                Box::pin(async move { by.update_role(message).await.map(drop) })
            }
            (Rpc::DeleteRole, "") => {
                let message = delete_role(&id, &self.fresh());
                Box::pin(async move { by.delete_role(message).await.map(drop) })
            }
            (Rpc::ChangeGrants, "a role") => {
                let (member, _) = self.pending().await;
                let message = change(&id, vec![grant(membership(&member), role("admin"))]);
                Box::pin(async move { by.change_grants(message).await.map(drop) })
            }
            (Rpc::ChangeGrants, "the project's list") => {
                let (member, _) = self.pending().await;
                let message = change(&id, vec![grant(membership(&member), as_member(project(PROJECT)))]);
                Box::pin(async move { by.change_grants(message).await.map(drop) })
            }
            (Rpc::ListGrants, "of others") => {
                Box::pin(async move { by.list_grants(list_grants(&id, None)).await.map(drop) })
            }
            (Rpc::SummarizeGrants, "at the organization") => {
                let held = Some(proto::summarize_grants_request::Held::Role("user".into()));
                let of = vec![membership(&self.organization.owner.membership_id)];
                let message = proto::SummarizeGrantsRequest { held, ..summarize(&id, of, Vec::new()) };
                Box::pin(async move { by.summarize_grants(message).await.map(drop) })
            }
            (Rpc::SummarizeGrants, "at the project") => {
                let of = vec![membership(&self.organization.owner.membership_id)];
                let message = summarize(&id, of, vec![project(PROJECT)]);
                Box::pin(async move { by.summarize_grants(message).await.map(drop) })
            }
            (Rpc::ListMembers, "") => Box::pin(async move { by.list_members(list_members(&id)).await.map(drop) }),
            (Rpc::GetMember, "") => {
                let member = self.active().await;
                Box::pin(async move { by.get_member(get_member(&id, &member)).await.map(drop) })
            }
            (Rpc::LookUpMember, "") => {
                let name = Name::Email(self.organization.owner.email.clone());
                Box::pin(async move { by.look_up_member(look_up_member(&id, name)).await.map(drop) })
            }
            (Rpc::ListMyMemberships, "") => {
                let message = proto::ListMyMembershipsRequest::default();
                Box::pin(async move { by.list_my_memberships(message).await.map(drop) })
            }
            (Rpc::CreateMember, "") => {
                let message = create_member(&id, new_member(&format!("{}@example.test", self.fresh()), vec![]));
                Box::pin(async move { by.create_member(message).await.map(drop) })
            }
            (Rpc::BatchCreateMembers, "") => {
                let message = create_members(&id, vec![new_member(&format!("{}@example.test", self.fresh()), vec![])]);
                Box::pin(async move { by.batch_create_members(message).await.map(drop) })
            }
            (Rpc::UpdateMember, "") => {
                let message = update_member(&id, &self.active().await);
                let message = proto::UpdateMemberRequest { external_id: self.fresh(), ..message };
                Box::pin(async move { by.update_member(message).await.map(drop) })
            }
            (Rpc::BatchDisableMembers, "") => {
                let member = self.active().await;
                Box::pin(async move { by.batch_disable_members(disable_members(&id, &[&member])).await.map(drop) })
            }
            (Rpc::BatchEnableMembers, "") => {
                let member = self.active().await;
                self.organization.owner.call.disable_member(disable(&id, &member)).await.unwrap();
                Box::pin(async move { by.batch_enable_members(enable_members(&id, &[&member])).await.map(drop) })
            }
            (Rpc::BulkMembers, "") => {
                let members = vec![proto::MemberRef { membership_id: self.active().await }];
                let message = proto::BulkMembersRequest {
                    organization_id: id,
                    selection: Some(Selection::Listed(proto::MemberList { members })),
                    act: Some(Act::Disable(proto::PlainAct {})),
                    ..Default::default()
                };
                Box::pin(async move { by.bulk(message, 10).await.map(drop) })
            }
            (Rpc::DisableMember, "") => {
                let member = self.active().await;
                Box::pin(async move { by.disable_member(disable(&id, &member)).await.map(drop) })
            }
            (Rpc::EnableMember, "") => {
                let member = self.active().await;
                self.organization.owner.call.disable_member(disable(&id, &member)).await.unwrap();
                Box::pin(async move { by.enable_member(enable(&id, &member)).await.map(drop) })
            }
            (
                Rpc::PreviewRemoval
                | Rpc::RemoveMember
                | Rpc::LeaveOrganization
                | Rpc::ListRemovals
                | Rpc::WatchRemovals
                | Rpc::AcknowledgeRemoval,
                "",
            ) => self.remove(row.rpc, by).await,
            (Rpc::TransferRole, "") => {
                // The ownership stays where the other rows look for it.
                let message = transfer(&id, "owner", &self.active().await);
                let reason = "the owner is gone".into();
                let message = proto::TransferRoleRequest { validate_only: true, reason, ..message };
                Box::pin(async move { by.transfer_role(message).await.map(drop) })
            }
            (Rpc::GetSeats, "") => Box::pin(async move { by.get_seats(get_seats(&id, None)).await.map(drop) }),
            (Rpc::SetSeatLimit, "") => {
                Box::pin(async move { by.set_seat_limit(set_seats(&id, None, Some(5))).await.map(drop) })
            }
            (Rpc::ChangeInstallationGrants, "") => {
                let user = self.app.accept(&self.pending().await.1).await.unwrap().member.unwrap().user_id;
                let message = change_above(vec![above(&user, "", "operator")]);
                Box::pin(async move { by.change_installation_grants(message).await.map(drop) })
            }
            _ => self.ask_of_groups(row, by).unwrap_or_else(|by| self.ask(row, by, subject)),
        }
    }

    /// Gives a call about a service account of its own, with a key.
    async fn change_account(&self, rpc: Rpc, by: Caller) -> Call {
        let (id, owner) = (self.organization.id.clone(), &self.organization.owner.call);
        let made = owner.create_service_account(create_service_account(&id, &self.fresh())).await.unwrap();
        let account = made.service_account.unwrap().id;
        let key = owner.create_api_key(create_api_key(&id, &account)).await.unwrap().api_key.unwrap().id;
        match rpc {
            Rpc::GetServiceAccount => {
                Box::pin(async move { by.get_service_account(get_account(&id, &account)).await.map(drop) })
            }
            Rpc::ListServiceAccounts => {
                Box::pin(async move { by.list_service_accounts(list_accounts(&id)).await.map(drop) })
            }
            Rpc::DisableServiceAccount => {
                Box::pin(async move { by.disable_service_account(disable_account(&id, &account)).await.map(drop) })
            }
            Rpc::EnableServiceAccount => {
                owner.disable_service_account(disable_account(&id, &account)).await.unwrap();
                Box::pin(async move { by.enable_service_account(enable_account(&id, &account)).await.map(drop) })
            }
            Rpc::DeleteServiceAccount => {
                Box::pin(async move { by.delete_service_account(delete_account(&id, &account)).await.map(drop) })
            }
            Rpc::ListApiKeys => Box::pin(async move { by.list_api_keys(list_keys(&id, &account)).await.map(drop) }),
            Rpc::RevokeApiKey => {
                Box::pin(async move { by.revoke_api_key(revoke_key(&id, &account, &key)).await.map(drop) })
            }
            Rpc::RotateApiKey => {
                Box::pin(async move { by.rotate_api_key(rotate_key(&id, &account, &key)).await.map(drop) })
            }
            other => panic!("{} is about no service account", other.path()),
        }
    }

    /// Gives a call about who is told of the project.
    async fn tell(&self, rpc: Rpc, by: Caller) -> Call {
        let (id, owner) = (self.organization.id.clone(), &self.organization.owner.call);
        let email = format!("{}@example.test", self.fresh());
        match rpc {
            Rpc::AddContact => {
                let target = project(&self.fresh());
                owner.register_resource(register(&id, target.clone())).await.unwrap();
                let assigned = vec![membership(&self.assigned)];
                owner.share_resource(share(&id, target.clone(), assigned)).await.unwrap();
                Box::pin(async move { by.add_contact(add_contact(&id, target, &email)).await.map(drop) })
            }
            Rpc::RemoveContact => {
                let added = owner.add_contact(add_contact(&id, project(PROJECT), &email)).await.unwrap();
                let message = remove_contact(&id, project(PROJECT), &added.contact.unwrap().id);
                Box::pin(async move { by.remove_contact(message).await.map(drop) })
            }
            Rpc::ListContacts => {
                Box::pin(async move { by.list_contacts(list_contacts(&id, project(PROJECT))).await.map(drop) })
            }
            Rpc::ListRecipients => {
                Box::pin(async move { by.list_recipients(list_recipients(&id, project(PROJECT))).await.map(drop) })
            }
            Rpc::NotifyResource => {
                Box::pin(async move { by.notify_resource(notify(&id, project(PROJECT), "News")).await.map(drop) })
            }
            Rpc::LookUpUnsubscription | Rpc::Unsubscribe => {
                let target = project(&self.fresh());
                owner.register_resource(register(&id, target.clone())).await.unwrap();
                owner.add_contact(add_contact(&id, target.clone(), &email)).await.unwrap();
                self.app.operator().notify_resource(notify(&id, target, "News")).await.unwrap();
                let token = unsubscribe_token_in(&self.app.mail_to(&email).await);
                if rpc == Rpc::Unsubscribe {
                    return Box::pin(async move { by.unsubscribe(unsubscribe(&token)).await.map(drop) });
                }
                let message = proto::LookUpUnsubscriptionRequest { token };
                Box::pin(async move { by.look_up_unsubscription(message).await.map(drop) })
            }
            other => panic!("{} tells nobody of anything", other.path()),
        }
    }

    /// Gives a call that changes a project of its own, which those who are assigned to the other are assigned to.
    async fn change_resource(&self, rpc: Rpc, by: Caller) -> Call {
        let (id, target, owner) = (self.organization.id.clone(), project(&self.fresh()), &self.organization.owner.call);
        owner.register_resource(register(&id, target.clone())).await.unwrap();
        let assigned = vec![membership(&self.assigned)];
        owner.share_resource(share(&id, target.clone(), assigned)).await.unwrap();
        match rpc {
            Rpc::UpdateResource => {
                Box::pin(async move { by.update_resource(rename(&id, target, "New")).await.map(drop) })
            }
            Rpc::MoveResource => {
                let message = move_under(&id, target, Some(project(PROJECT)));
                Box::pin(async move { by.move_resource(message).await.map(drop) })
            }
            Rpc::SetResourceOwner => {
                Box::pin(async move { by.set_resource_owner(set_owner(&id, target, None)).await.map(drop) })
            }
            Rpc::DeleteResource => Box::pin(async move { by.delete_resource(delete(&id, target)).await.map(drop) }),
            Rpc::ShareResource => {
                let (member, _) = self.pending().await;
                let message = share(&id, target, vec![membership(&member)]);
                Box::pin(async move { by.share_resource(message).await.map(drop) })
            }
            Rpc::UnshareResource => {
                let (member, _) = self.pending().await;
                owner.share_resource(share(&id, target.clone(), vec![membership(&member)])).await.unwrap();
                let message = unshare(&id, target, vec![membership(&member)]);
                Box::pin(async move { by.unshare_resource(message).await.map(drop) })
            }
            other => panic!("{} changes no resource", other.path()),
        }
    }

    /// Gives a call about the end of a membership.
    async fn remove(&self, rpc: Rpc, by: Caller) -> Call {
        let (id, member) = (self.organization.id.clone(), self.active().await);
        match rpc {
            Rpc::PreviewRemoval => {
                Box::pin(async move { by.preview_removal(preview_removal(&id, &member)).await.map(drop) })
            }
            Rpc::RemoveMember => Box::pin(async move { by.remove_member(remove(&id, &member)).await.map(drop) }),
            Rpc::LeaveOrganization => {
                // Who calls stays for the other rows.
                let message = proto::LeaveOrganizationRequest { validate_only: true, ..leave(&id) };
                Box::pin(async move { by.leave_organization(message).await.map(drop) })
            }
            Rpc::ListRemovals => Box::pin(async move { by.list_removals(list_removals(&id)).await.map(drop) }),
            Rpc::WatchRemovals => Box::pin(async move { by.watch_removals(&id, "product").await.map(drop) }),
            Rpc::AcknowledgeRemoval => {
                let message = acknowledge(&id, &member, "product");
                Box::pin(async move { by.acknowledge_removal(message).await.map(drop) })
            }
            other => panic!("{} ends no membership", other.path()),
        }
    }

    /// Gives a call about groups, of which the organization has none; the caller back if the row is about others.
    fn ask_of_groups(&self, row: &Row, by: Caller) -> Result<Call, Caller> {
        let (id, group) = (self.organization.id.clone(), self.organization.owner.membership_id.clone());
        let call: Call = match row.rpc {
            Rpc::CreateGroup => {
                let message = create_group(&id, &self.fresh());
                Box::pin(async move { by.create_group(message).await.map(drop) })
            }
            Rpc::GetGroup => Box::pin(async move { by.get_group(get_group(&id, &group)).await.map(drop) }),
            Rpc::LookUpGroup => Box::pin(async move { by.look_up_group(look_up_group(&id, "x")).await.map(drop) }),
            Rpc::ListGroups => Box::pin(async move { by.list_groups(list_groups(&id)).await.map(drop) }),
            Rpc::UpdateGroup => {
                Box::pin(async move { by.update_group(rename_group(&id, &group, "x")).await.map(drop) })
            }
            Rpc::DeleteGroup => Box::pin(async move { by.delete_group(delete_group(&id, &group)).await.map(drop) }),
            Rpc::ChangeGroupMembers => {
                let message = change_members(&id, &group, &[&group], &[]);
                Box::pin(async move { by.change_group_members(message).await.map(drop) })
            }
            Rpc::ListGroupMembers => {
                Box::pin(async move { by.list_group_members(list_group_members(&id, &group)).await.map(drop) })
            }
            _ => return Err(by),
        };
        Ok(call)
    }

    /// Gives a call that asks what somebody may do.
    fn ask(&self, row: &Row, by: Caller, subject: Option<subject::Kind>) -> Call {
        let id = self.organization.id.clone();
        match (row.rpc, row.case) {
            (Rpc::Check, case) => {
                let item = self.item(case, subject);
                Box::pin(async move { by.check(check(&id, item)).await.map(drop) })
            }
            (Rpc::BatchCheck, case) => {
                let items = vec![self.item(case, subject)];
                let message = proto::BatchCheckRequest { organization_id: id, items, consistency: None };
                Box::pin(async move { by.batch_check(message).await.map(drop) })
            }
            (Rpc::ExplainCheck, case) => {
                let item = self.item(case, subject);
                Box::pin(async move { by.explain_check(explain(&id, item)).await.map(drop) })
            }
            (Rpc::ListPermissions, case) => {
                let proto::CheckItem { subject, resource, .. } = self.item(case, subject);
                let message =
                    proto::ListPermissionsRequest { organization_id: id, subject, resource, consistency: None };
                Box::pin(async move { by.list_permissions(message).await.map(drop) })
            }
            (Rpc::ListResources, case) => {
                let proto::CheckItem { subject, permission, .. } = self.item(case, subject);
                let resource_type = project(PROJECT).r#type;
                let message = proto::ListResourcesRequest {
                    organization_id: id,
                    subject,
                    permission,
                    resource_type,
                    ..Default::default()
                };
                Box::pin(async move { by.list_resources(message).await.map(drop) })
            }
            (Rpc::ListSubjects, "") => {
                let permission = "project.view".into();
                let message = proto::ListSubjectsRequest { organization_id: id, permission, ..Default::default() };
                Box::pin(async move { by.list_subjects(message).await.map(drop) })
            }
            (Rpc::StreamChecks, case) => {
                let items = vec![self.item(case, subject)];
                let frame = proto::CheckFrame { frame_id: 1, organization_id: id, items, consistency: None };
                Box::pin(check_by_stream(by, frame))
            }
            (rpc, case) => panic!("no request for {}, {case:?}", rpc.path()),
        }
    }

    /// Asks about the caller, or about the owner: an admin for the owner's own question.
    fn item(&self, case: &str, oneself: Option<subject::Kind>) -> proto::CheckItem {
        let owner = subject::Kind::UserId(self.organization.owner.user_id.clone());
        let kind = match (case, oneself) {
            ("about oneself", Some(oneself)) => oneself,
            ("about another", Some(oneself)) if oneself == owner => self.callers[2].subject.clone().unwrap(),
            ("about oneself" | "about another", _) => owner,
            (case, _) => panic!("no check {case:?}"),
        };
        let item = item("", "project.view", Some(project(PROJECT)));
        proto::CheckItem { subject: Some(proto::Subject { kind: Some(kind) }), ..item }
    }

    /// Invites somebody new; gives the membership and the token.
    async fn pending(&self) -> (String, String) {
        let email = format!("{}@example.test", self.fresh());
        let message = invite(&self.organization.id, &email, vec![role("user")]);
        let invited = self.organization.owner.call.create_invitation(message).await.unwrap();
        (invited.member.unwrap().id, self.app.token_mailed_to(&email).await)
    }

    /// Gives the membership of somebody new who has joined.
    async fn active(&self) -> String {
        let (member, token) = self.pending().await;
        self.app.accept(&token).await.unwrap();
        member
    }

    /// Invites an address to an organization of its own; gives the token.
    async fn invited_elsewhere(&self, email: &str) -> String {
        let name = self.fresh();
        self.app.operator().create_organization(create_organization(&name, email)).await.unwrap();
        self.app.token_mailed_by(&name, email).await
    }

    /// Makes a link to an organization of its own; gives the token.
    async fn linked_elsewhere(&self) -> String {
        let (name, operator) = (self.fresh(), self.app.operator());
        let message = create_organization_under("msp-monitoring", &name, &format!("{name}@example.test"));
        let id = operator.create_organization(message).await.unwrap().organization.unwrap().id;
        token_in(&operator.create_invitation(invite_by_link(&id, vec![])).await.unwrap().link)
    }
}

/// Asks one frame of checks; a frame that is refused gives the code that its reason has elsewhere.
async fn check_by_stream(by: Caller, frame: proto::CheckFrame) -> Result<(), Status> {
    let mut stream = by.stream().await?;
    stream.send(Asked::Check(frame)).await;
    match stream.receive().await? {
        Some(Told::Decisions(frame)) => match frame.error.as_str() {
            "" => Ok(()),
            "NOT_FOUND" => Err(Status::not_found(frame.error)),
            "PERMISSION_MISSING" => Err(Status::permission_denied(frame.error)),
            _ => Err(Status::unknown(frame.error)),
        },
        other => panic!("expected decisions, got {other:?}"),
    }
}

/// Makes calls and notes those whose code is not what the table says.
async fn make(calls: Vec<(&Row, usize, Call)>, wrong: &mut String) {
    for (row, caller, call) in calls {
        let (expected, result) = (row.codes[caller], call.await);
        let found = result.as_ref().err().map_or(Code::Ok, Status::code);
        if found != expected {
            let (path, case, name) = (row.rpc.path(), row.case, CALLERS[caller]);
            writeln!(wrong, "{path} ({case}) as {name}: expected {expected:?}, got {result:?}").unwrap();
        }
    }
}

#[test]
fn every_rpc_has_a_row_and_every_row_an_rpc() {
    let rows = rows();
    let missing: Vec<_> =
        Rpc::ALL.iter().filter(|rpc| rows.iter().all(|row| row.rpc != **rpc)).map(|rpc| rpc.path()).collect();
    assert!(missing.is_empty(), "docs/permissions.md has no row for {missing:?}");
}

on_both! {
    async fn every_caller_gets_what_the_table_says_and_a_refused_call_leaves_nothing(app) {
        let (rows, scene) = (rows(), Scene::of(&app).await);
        let (mut refused, mut allowed) = (Vec::new(), Vec::new());
        for row in &rows {
            for (caller, who) in scene.callers.iter().enumerate() {
                let call = scene.prepare(row, who.clone()).await;
                let calls = if row.codes[caller] == Code::Ok { &mut allowed } else { &mut refused };
                calls.push((row, caller, call));
            }
        }

        let mut wrong = String::new();
        let untouched = app.traces().await;
        make(refused, &mut wrong).await;
        assert_eq!(app.traces().await, untouched, "{wrong}");
        make(allowed, &mut wrong).await;
        assert!(wrong.is_empty(), "\n{wrong}");
    }
}
