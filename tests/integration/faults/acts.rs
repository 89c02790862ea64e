//! Every call that changes something, as often as it is asked for, each time on something that is new.
//!
//! What the permission tables know how to ask is asked as there; what would change nothing the second time, and what
//! nobody of the tables may do, is here. An RPC that is called as no read is must be one or the other.

use std::sync::atomic::{AtomicU32, Ordering};

use guildhall::proto;
use guildhall::proto::remove_member_request::Assets;
use guildhall::rpc::Rpc;
use prost::Message;
use prost_reflect::{DynamicMessage, Value};

use crate::conformance::tenant::{removal, resource};
use crate::harness::messages::{
    accept, acknowledge, add_contact, create_role, custom_role, invite, leave, membership, notify, principal,
    put_catalog, register, register_all, rename, set_owner, set_seats, transfer, unsubscribe, update_member,
    update_role,
};
use crate::harness::recorder::{Recorded, Recorder};
use crate::harness::{Caller, Organization, Person, TestApp, messages_of, role, soak, unsubscribe_token_in};
use crate::permissions::calls;
use crate::permissions::scene::{Scene, Someone};
use crate::permissions::table::{Row, Table, Word};
use crate::permissions::targets::Ask;

/// The preset that has the most, and who may do nearly all under it.
const PRESET: &str = "analytics-workspace";
const OPERATOR: &str = "operator";
/// What RPCs that change nothing begin with.
const READS: [&str; 12] = [
    "BatchCheck",
    "Browse",
    "Check",
    "Diff",
    "Explain",
    "Get",
    "List",
    "LookUp",
    "Preview",
    "Stream",
    "Summarize",
    "Watch",
];
/// More than goes in one slice with whoever owned it.
const OWNED: usize = 60;

/// A call that changes something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Act {
    pub rpc: Rpc,
    way: Way,
}

/// How it is prepared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// As the permission table has it.
    Table,
    /// As it is written here.
    Here,
    /// By an account that the address has already.
    Known,
    /// With more that is owned than goes in one commit.
    Rich,
}

impl Act {
    /// Returns all of them; those alone that `GUILDHALL_ACT` is a part of, if it is set.
    pub fn all() -> Vec<Self> {
        let mut acts = Vec::new();
        for rpc in Rpc::ALL.iter().copied().filter(|rpc| changes(*rpc)) {
            let ways: &[Way] = match rpc {
                Rpc::AcceptInvitation => &[Way::Table, Way::Known],
                // Some thousand messages.
                Rpc::RemoveMember if soak() > 1 => &[Way::Table, Way::Rich],
                Rpc::AcknowledgeRemoval
                | Rpc::LeaveOrganization
                | Rpc::RegisterResources
                | Rpc::SetResourceOwner
                | Rpc::SetSeatLimit
                | Rpc::TransferRole
                | Rpc::Unsubscribe
                | Rpc::UpdateMember
                | Rpc::UpdateResource
                | Rpc::UpdateRole => &[Way::Here],
                _ => &[Way::Table],
            };
            acts.extend(ways.iter().map(|way| Self { rpc, way: *way }));
        }
        let alone = std::env::var("GUILDHALL_ACT").unwrap_or_default();
        acts.retain(|act| alone.is_empty() || format!("{act:?}").contains(&alone));
        acts
    }

    /// Tells in how many commits it is done.
    pub fn commits(self) -> Commits {
        match self.rpc {
            Rpc::RegisterResources => Commits::Several,
            Rpc::RemoveMember | Rpc::LeaveOrganization | Rpc::AcknowledgeRemoval => Commits::OneThenMore,
            _ => Commits::One,
        }
    }
}

/// In how many commits something is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Commits {
    One,
    /// The first is what is answered for; what follows from it is done by and by, by whoever comes along.
    OneThenMore,
    /// Each by itself: whoever is refused does not know how far it has come.
    Several,
}

/// Returns whether an RPC changes something, by its name.
fn changes(rpc: Rpc) -> bool {
    let name = rpc.path().rsplit('/').next().expect("a path");
    !READS.iter().any(|read| name.starts_with(read))
}

/// Where the calls are made: organizations, and everybody who makes them.
pub struct Stage<'a> {
    pub scene: Scene<'a>,
    table: &'a Table,
    recorder: Recorder,
    /// Where a role is handed on.
    pub account: Organization,
    /// Whose product is waited for when somebody goes.
    pub awaited: Organization,
    made: AtomicU32,
}

/// Reads the table of the preset, with the callers that are needed here.
pub fn table() -> Table {
    let mut table = Table::of(PRESET);
    let at = table.columns.iter().position(|(name, _)| *name == OPERATOR).expect("a column");
    table.columns = vec![table.columns.swap_remove(at)];
    for row in &mut table.rows {
        row.words = vec![row.words[at]];
    }
    table
}

impl<'a> Stage<'a> {
    /// Sets the stage by calls of `app`.
    pub async fn of(app: &'a TestApp, table: &'a Table) -> Self {
        let scene = Scene::of(app, table).await;
        let account = app.found_under_by("disaster-recovery", "olga@example.test").await;
        let preset = include_str!("../../../presets/analytics-workspace.yaml");
        let yaml = preset.replace(&format!("name: {PRESET}"), "name: awaited");
        let yaml = format!("{yaml}\nremoval: {{listeners: [product], grace: 7d}}\n");
        app.operator().put_catalog(put_catalog(&yaml)).await.expect("a catalog");
        let awaited = app.found_under_by("awaited", "anna@example.test").await;
        Self { scene, table, recorder: Recorder::start().await, account, awaited, made: AtomicU32::new(0) }
    }

    /// Makes what the call acts on, and gives the call under a request id of its own, if it takes one.
    pub async fn prepare(&self, act: Act) -> Recorded {
        let who = self.scene.caller(OPERATOR);
        let who = Someone { call: self.recorder.instead_of(&who.call), ..who.clone() };
        let ask = Ask { scene: &self.scene, row: self.row(act), who: &who, is_done: true };
        match act.way {
            Way::Table => drop(calls::prepare(&ask).await.await),
            Way::Here => self.ask(&ask).await,
            Way::Known => self.accept_as_known(&ask).await,
            Way::Rich => self.remove_the_rich(&ask).await,
        }
        self.named(self.recorder.taken())
    }

    fn row(&self, act: Act) -> &Row {
        let mut rows = self.table.rows.iter().filter(|row| row.rpc == act.rpc);
        let row = if act.way == Way::Table { rows.find(|row| row.words[0] == Word::Yes) } else { rows.next() };
        row.unwrap_or_else(|| panic!("no call of {:?} here, nor a row of it that the operator may make", act.rpc))
    }

    /// Asks for what the tables do not, or not twice.
    async fn ask(&self, ask: &Ask<'_>) {
        let (by, id, operator) = (&ask.who.call, ask.id(), ask.operator());
        // What comes of it is told by the recorder.
        match ask.row.rpc {
            Rpc::UpdateRole => {
                let view = format!("{}.view", ask.any_kind());
                let name = ask.fresh();
                operator.create_role(create_role(id, custom_role(&name, &[&view]))).await.expect("a role");
                let update = format!("{}.update", ask.any_kind());
                drop(by.update_role(update_role(id, custom_role(&name, &[&view, &update]))).await);
            }
            Rpc::SetResourceOwner => {
                let owner = membership(&ask.active().await);
                let owned = ask.resource_to_spend(&ask.any_kind()).await;
                drop(by.set_resource_owner(set_owner(id, owned, Some(owner))).await);
            }
            Rpc::UpdateMember => {
                let message = update_member(id, &ask.pending().await);
                drop(by.update_member(proto::UpdateMemberRequest { external_id: ask.fresh(), ..message }).await);
            }
            Rpc::UpdateResource => {
                let named = ask.resource_to_spend(&ask.any_kind()).await;
                drop(by.update_resource(rename(id, named, &ask.fresh())).await);
            }
            Rpc::SetSeatLimit => {
                let listed = ask.resource_to_spend("project").await;
                drop(by.set_seat_limit(set_seats(id, Some(listed), Some(10_000))).await);
            }
            Rpc::RegisterResources => {
                let kind = ask.any_kind();
                let one = || register_all(id, [(resource(&kind, &ask.fresh()), None)]);
                drop(by.register_resources(vec![one(), one()]).await);
            }
            Rpc::Unsubscribe => {
                let (told, email) = (ask.resource_to_spend(&ask.any_kind()).await, ask.email());
                operator.add_contact(add_contact(id, told.clone(), &email)).await.expect("a contact");
                operator.notify_resource(notify(id, told, "News")).await.expect("a notification");
                let token = unsubscribe_token_in(&self.scene.app.mail_to(&email).await);
                drop(by.unsubscribe(unsubscribe(&token)).await);
            }
            Rpc::TransferRole => {
                let to = self.join(&ask.email(), &self.account.id, "user").await;
                let message = transfer(&self.account.id, "owner", &to.membership_id);
                let reason = "whoever held it is gone".into();
                drop(by.transfer_role(proto::TransferRoleRequest { reason, ..message }).await);
            }
            Rpc::LeaveOrganization => {
                let leaver = self.guest(ask).await;
                let assets = Some(proto::leave_organization_request::Assets::DeleteAssets(true));
                let message = proto::LeaveOrganizationRequest { assets, ..leave(&self.awaited.id) };
                drop(self.recorder.instead_of(&leaver.call).leave_organization(message).await);
            }
            Rpc::AcknowledgeRemoval => {
                let leaver = self.join(&ask.email(), &self.awaited.id, "default").await;
                let message = removal(&self.awaited.id, &leaver.membership_id, Some(Assets::DeleteAssets(true)));
                operator.remove_member(message).await.expect("a removal");
                drop(by.acknowledge_removal(acknowledge(&self.awaited.id, &leaver.membership_id, "product")).await);
            }
            rpc => panic!("no call of {rpc:?} here"),
        }
    }

    /// Has somebody who has an account accept an invitation.
    async fn accept_as_known(&self, ask: &Ask<'_>) {
        let person = self.join(&ask.email(), &self.awaited.id, "default").await;
        let name = ask.fresh();
        let there = self.scene.app.found_as(&name, &ask.email()).await.id;
        ask.operator().create_invitation(invite(&there, &person.email, vec![])).await.expect("an invitation");
        let token = self.scene.app.token_mailed_by(&name, &person.email).await;
        drop(self.recorder.instead_of(&person.call).accept_invitation(accept(&token, "")).await);
    }

    /// Removes somebody with whom more goes than one commit takes.
    async fn remove_the_rich(&self, ask: &Ask<'_>) {
        let (id, kind, member) = (ask.id(), "asset", ask.pending().await);
        for _ in 0..OWNED {
            let owner = Some(principal(membership(&member)));
            let owned = register(id, resource(kind, &ask.fresh()));
            let owned = proto::RegisterResourceRequest { owner, ..owned };
            ask.operator().register_resource(owned).await.expect("something to own");
        }
        let message = removal(id, &member, Some(Assets::DeleteAssets(true)));
        drop(ask.who.call.remove_member(message).await);
    }

    /// Returns a member who has an account elsewhere: it stays when they go.
    async fn guest(&self, ask: &Ask<'_>) -> Person {
        let app = self.scene.app;
        let person = app.somebody(&ask.email()).await;
        let invited = invite(&self.awaited.id, &person.email, vec![role("default")]);
        ask.operator().create_invitation(invited).await.expect("an invitation");
        let token = app.token_mailed_by("Example", &person.email).await;
        let accepted = person.call.accept_invitation(accept(&token, "")).await.expect("an invitation for them");
        Person { membership_id: accepted.member.expect("it is in the answer").id, ..person }
    }

    async fn join(&self, email: &str, organization: &str, name: &str) -> Person {
        self.scene.app.invite_and_join(organization, &self.scene.app.operator(), email, vec![role(name)]).await
    }

    /// Puts a new request id into a call, and has it be more than a dry run.
    pub fn named(&self, mut call: Recorded) -> Recorded {
        let (input, _) = messages_of(call.rpc);
        let first = call.messages.first_mut().expect("a call has a message");
        let mut message = DynamicMessage::decode(input, first.as_slice()).expect("a message of the contract");
        let id = format!("018f4e9a-0000-7000-8000-{:012x}", self.made.fetch_add(1, Ordering::Relaxed));
        // One that takes none is not done twice.
        let _ = message.try_set_field_by_name("request_id", Value::String(id));
        let _ = message.try_set_field_by_name("validate_only", Value::Bool(false));
        *first = message.encode_to_vec();
        call
    }
}

/// Returns whether a call has a request id, and so may be made again.
pub fn may_be_repeated(call: &Recorded) -> bool {
    messages_of(call.rpc).0.get_field_by_name("request_id").is_some()
}

/// Returns the caller of a call on a server.
pub fn caller_on(app: &TestApp, call: &Recorded) -> Caller {
    Caller::new(app.anyone().channel(), call.credential.clone())
}

#[test]
fn every_rpc_that_is_no_read_is_called() {
    let (acts, table) = (Act::all(), table());
    let is_asked = |act: &Act| {
        act.way != Way::Table || table.rows.iter().any(|row| row.rpc == act.rpc && row.words[0] == Word::Yes)
    };
    let missing: Vec<_> = acts.iter().filter(|act| !is_asked(act)).map(|act| act.rpc).collect();
    assert!(missing.is_empty(), "nothing says how {missing:?} are called: write it into Stage::ask");
    assert!(acts.len() > 45 && acts.len() < Rpc::ALL.len(), "{}", acts.len());
}

/// What takes a request id changes something, and only little else does.
#[test]
fn reads_are_told_from_mutations_by_their_names() {
    for rpc in Rpc::ALL {
        let input = messages_of(*rpc).0;
        let is_named = input.get_field_by_name("request_id").is_some();
        let is_mutation = changes(*rpc);
        assert!(is_mutation || !is_named, "{rpc:?} takes a request id and is called like a read");
        let is_other = [Rpc::AcceptInvitation, Rpc::RegisterResources, Rpc::Unsubscribe, Rpc::SignIn].contains(rpc);
        assert!(!is_mutation || is_named || is_other, "{rpc:?} changes something, and cannot be repeated safely");
    }
}
