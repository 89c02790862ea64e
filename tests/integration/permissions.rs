//! The permission matrix: every RPC, called as every kind of caller, against the table in `docs/permissions.md`.
//!
//! The next RPC needs a row there, and its request in [`Scene::prepare`].

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{self, subject};
use guildhall::rpc::Rpc;
use tonic::{Code, Status};

use crate::harness::messages::{
    accept, change, check, create_api_key, create_organization, create_service_account, disable, enable, explain,
    get_organization, get_resource, grant, invite, item, list_members, look_up, membership, register, sign_in,
};
use crate::harness::{Caller, Organization, PASSWORD, TestApp, as_member, project, role};
use crate::on_both;

const DOCUMENT: &str = include_str!("../../docs/permissions.md");

/// The kinds of caller, as the columns of the table are called.
const CALLERS: [&str; 10] =
    ["nobody", "owner", "admin", "assigned", "user", "backend", "operator", "outsider", "pending", "disabled"];

/// The project that everything about projects is asked of.
const PROJECT: &str = "alpha";

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
        Self { app, organization, callers, machine, made: AtomicU32::new(0) }
    }

    /// Gives a name that nobody and nothing has.
    fn fresh(&self) -> String {
        format!("fresh-{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes the targets of a call, and gives a call that succeeds for whoever may.
    async fn prepare(&self, row: &Row, who: Someone) -> Call {
        let id = self.organization.id.clone();
        let Someone { call: by, email, subject } = who;
        match (row.rpc, row.case) {
            (Rpc::CreateOrganization, "") => {
                let message = create_organization("Another", &format!("{}@example.test", self.fresh()));
                Box::pin(async move { by.create_organization(message).await.map(drop) })
            }
            (Rpc::GetOrganization, "") => {
                Box::pin(async move { by.get_organization(get_organization(&id)).await.map(drop) })
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
            (Rpc::GetResource, "") => {
                Box::pin(async move { by.get_resource(get_resource(&id, project(PROJECT))).await.map(drop) })
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
            (Rpc::ListMembers, "") => Box::pin(async move { by.list_members(list_members(&id)).await.map(drop) }),
            (Rpc::DisableMember, "") => {
                let member = self.active().await;
                Box::pin(async move { by.disable_member(disable(&id, &member)).await.map(drop) })
            }
            (Rpc::EnableMember, "") => {
                let member = self.active().await;
                self.organization.owner.call.disable_member(disable(&id, &member)).await.unwrap();
                Box::pin(async move { by.enable_member(enable(&id, &member)).await.map(drop) })
            }
            _ => self.ask(row, by, subject),
        }
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
