//! Who has lost what allowed a call is not given its answer again.
//!
//! A request id that was used before is answered before the caller is authorized under the lock, so all depends on
//! their being authorized before it. Every mutation is called here, twice while its caller may call it, and once more
//! when they may not: as an operator, who is one no more, and as a member, whose role is taken away or who is disabled.
//! Mutations that this is not true of are listed with the reason, and only they.

use guildhall::proto;
use guildhall::rpc::{Required, Rpc};
use prost_reflect::DynamicMessage;
use tonic::Status;

use crate::faults::acts::{Act, Stage, table};
use crate::faults::trial::{Answer, make};
use crate::harness::messages::{
    above, change, change_above, create_role, custom_role, disable, grant, membership, revoke,
};
use crate::harness::recorder::Recorded;
use crate::harness::{Caller, Person, TestApp, messages_of, reason, role};
use crate::on_both;

/// Mutations that are answered again whatever their caller has lost since, and why.
type LeftOut = &'static [(Rpc, &'static str)];

const LEAVING: (Rpc, &str) = (Rpc::LeaveOrganization, "who has left has lost all by the call itself");
const DELETING: (Rpc, &str) =
    (Rpc::DeleteResource, "what allowed it may have been held at the resource, which is gone by the call itself");
/// Operators need not be left out of deleting: who is none any more does not see the organization.
const OF_OPERATORS: LeftOut = &[LEAVING];
const OF_MEMBERS: LeftOut = &[LEAVING, DELETING];

/// What members are given beside the strongest role of the preset, which does not have all permissions.
const BESIDE: &str = "beside";

/// A call that was done.
struct Done {
    call: Recorded,
    /// The answer to it, which is stored.
    answer: String,
}

/// Calls every mutation in question as `caller` says, has the callers lose what allowed it, and calls again.
async fn compare(
    stage: &Stage<'_>,
    (mutations, left_out): (&[Rpc], LeftOut),
    caller: impl Fn(&Recorded) -> Caller,
    lose: impl AsyncFnOnce(),
) {
    let (mut made, mut wrong) = (Vec::new(), Vec::new());
    for act in Act::all().into_iter().filter(|act| mutations.contains(&act.rpc)) {
        let mut call = stage.prepare(act).await;
        // Calls of the operator's are made by another, who can lose something; those of others are theirs alone.
        if call.credential.as_deref() == Some(stage.scene.app.operator_key()) {
            call.credential = caller(&call).credential;
        }
        match call_and_repeat(stage.scene.app, call).await {
            Ok(done) => made.push(done),
            Err(why) => wrong.push((act.rpc, why)),
        }
    }
    lose().await;
    for done in &made {
        if let Err(why) = replay(stage, done).await {
            wrong.push((done.call.rpc, why));
        }
    }
    let unmade = mutations.iter().filter(|rpc| !made.iter().any(|done| done.call.rpc == **rpc));
    wrong.extend(unmade.map(|rpc| (*rpc, "was not called, or not done".to_owned())));

    let is_left_out = |rpc: Rpc| left_out.iter().any(|(it, _)| *it == rpc);
    let unexpected: Vec<_> = wrong.iter().filter(|(rpc, _)| !is_left_out(*rpc)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    for (rpc, why) in left_out {
        assert!(wrong.iter().any(|(it, _)| it == rpc), "{rpc:?} need not be left out, though it is said that {why}");
    }
}

/// Makes a call twice, and ensures that the second is answered with what is stored.
async fn call_and_repeat(app: &TestApp, call: Recorded) -> Result<Done, String> {
    let first = make(app, &call).await;
    let Answer::Done(answer) = &first else { return Err(format!("is not done: {first:?}")) };
    match make(app, &call).await {
        Answer::Done(again) if again == *answer => Ok(Done { call, answer: format!("{answer:?}") }),
        other => Err(format!("is answered by {first:?} and then by {other:?}")),
    }
}

/// Makes a call again that its caller may not make any more, and ensures that it is refused as it would be under a new
/// request id.
async fn replay(stage: &Stage<'_>, done: &Done) -> Result<(), String> {
    let anew = match make(stage.scene.app, &stage.named(done.call.clone())).await {
        Answer::Refused(status) => told(&status),
        other => return Err(format!("is still allowed: {other:?}")),
    };
    match make(stage.scene.app, &done.call).await {
        Answer::Refused(status) if told(&status) == anew => Ok(()),
        other => Err(format!("gave {}; now {other:?}, where another request id is refused with {anew}", done.answer)),
    }
}

/// Returns what a refusal says, but for the id of its call.
fn told(status: &Status) -> String {
    format!("{:?} {}: {}", status.code(), reason(status), status.message())
}

fn mutations() -> Vec<Rpc> {
    Rpc::ALL.iter().copied().filter(|rpc| !rpc.is_read()).collect()
}

/// Returns the organization that a call names.
fn organization_of(call: &Recorded) -> String {
    let message = DynamicMessage::decode(messages_of(call.rpc).0, call.messages[0].as_slice()).expect("a message");
    let id = message.get_field_by_name("organization_id").expect("a mutation of an organization names it");
    id.as_str().expect("an id").to_owned()
}

/// Everything that a member holds here.
fn held() -> [proto::Assignment; 2] {
    [role("workspace-admin"), role(BESIDE)]
}

/// Lets somebody in who may do everything that any member of the organization may.
async fn insider(app: &TestApp, organization: &str, email: &str) -> Person {
    let operator = app.operator();
    let beside = custom_role(BESIDE, &["member.create", "removal.acknowledge"]);
    operator.create_role(create_role(organization, beside)).await.expect("a role");
    let [first, rest @ ..] = held();
    let person = app.invite_and_join(organization, &operator, email, vec![first]).await;
    let deltas = rest.map(|it| grant(membership(&person.membership_id), it)).to_vec();
    operator.change_grants(change(organization, deltas)).await.expect("the rest");
    person
}

on_both! {
    async fn an_operator_who_is_one_no_more_is_not_given_what_was_answered_before(app) {
        let table = table();
        let stage = Stage::of(&app, &table).await;
        let other = app.somebody("other@example.test").await;
        let appointed = above(&other.user_id, "", "operator");
        app.operator().change_installation_grants(change_above(vec![appointed.clone()])).await.expect("an operator");

        compare(&stage, (&mutations(), OF_OPERATORS), |_| other.call.clone(), async || {
            let dismissed = proto::InstallationGrantDelta { revoke: true, ..appointed };
            app.operator().change_installation_grants(change_above(vec![dismissed])).await.expect("one less");
        })
        .await;
    }

    async fn a_member_who_may_no_more_is_not_given_what_was_answered_before(app) {
        let table = table();
        let stage = Stage::of(&app, &table).await;
        let here = stage.scene.tenant.id.as_str();
        let awaited = stage.awaited.id.as_str();
        let account = &stage.account;
        let insiders = [
            (here, insider(&app, here, "here@example.test").await),
            (awaited, insider(&app, awaited, "awaited@example.test").await),
        ];
        let is_for_members = |rpc: &Rpc| {
            // Who names no organization makes one, which is for operators.
            let names_one = messages_of(*rpc).0.get_field_by_name("organization_id").is_some();
            names_one && rpc.required() != Required::Operator
        };
        let of_members: Vec<Rpc> = mutations().into_iter().filter(is_for_members).collect();
        let caller = |call: &Recorded| {
            let id = organization_of(call);
            let found = insiders.iter().find(|(organization, _)| *organization == id);
            found.map_or(&account.owner, |(_, person)| person).call.clone()
        };

        compare(&stage, (&of_members, OF_MEMBERS), caller, async || {
            for (id, person) in &insiders {
                let deltas = held().map(|it| revoke(membership(&person.membership_id), it)).to_vec();
                app.operator().change_grants(change(id, deltas)).await.expect("a member without a role");
            }
            // A member who transfers a role has lost it by that, and may ask as long as they are a member.
            let owner = &account.owner.membership_id;
            app.operator().disable_member(disable(&account.id, owner)).await.expect("a member to disable");
        })
        .await;
    }
}
