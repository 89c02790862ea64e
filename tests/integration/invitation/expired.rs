//! What has expired is held nowhere: neither where somebody is acted on, nor where a role is, nor in what is answered.

use std::time::Duration;

use guildhall::proto;
use guildhall::proto::bulk_members_request::{Act, Selection};
use tonic::Code;

use super::{Scene, for_an_hour, house};
use crate::harness::messages::{
    change, change_by_matrix, change_members, create_api_key, create_group, create_service_account, custom_role,
    delete_account, delete_group, delete_role, disable, disable_account, disable_members, enable, enable_account,
    explain, grant, group, item, list_grants, matrix, membership, register, remove, revoke, service_account,
    update_role,
};
use crate::harness::{TestApp, as_member, assert_refused, at, role};
use crate::on_both;
use crate::refusals::revision_of;

const HOUR: Duration = Duration::from_hours(1);

fn bulk(organization: &str, member: &str, act: Act) -> proto::BulkMembersRequest {
    let members = vec![proto::MemberRef { membership_id: member.into() }];
    proto::BulkMembersRequest {
        organization_id: organization.into(),
        selection: Some(Selection::Listed(proto::MemberList { members })),
        act: Some(act),
        ..Default::default()
    }
}

/// Signs the warden in again: tokens do not last an hour.
async fn warden(app: &TestApp) -> crate::harness::Caller {
    app.sign_in("wim@example.test", "").await.call
}

on_both! {
    /// Each is refused while somebody holds what is not the warden's to take or to give, and done when they hold it no more.
    async fn who_held_something_once_is_acted_on_as_who_never_did(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let mut bobs = Vec::new();
        for name in ["bob", "ben", "bea"] {
            let bob = app.invite_and_join(id, owner, &format!("{name}@example.test"), vec![]).await;
            scene.give(&bob.membership_id, for_an_hour(&app, role("ruler"))).await;
            scene.give(&bob.membership_id, for_an_hour(&app, at(house("red"), "ruler"))).await;
            bobs.push(bob.membership_id);
        }
        let (bob, ben, bea) = (&bobs[0], &bobs[1], &bobs[2]);
        let wim = &scene.warden.call;
        for refused in [
            wim.disable_member(disable(id, bob)).await.map(drop),
            wim.batch_disable_members(disable_members(id, &[bob, ben])).await.map(drop),
            wim.remove_member(remove(id, bob)).await.map(drop),
        ] {
            assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        }
        let answer = wim.bulk(bulk(id, bea, Act::Disable(proto::PlainAct {})), 1).await.unwrap();
        assert_eq!(answer[0].results[0].reason, "ROLE_NOT_TAKEABLE");
        owner.disable_member(disable(id, bea)).await.unwrap();
        assert_refused(wim.enable_member(enable(id, bea)).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        owner.enable_member(enable(id, bea)).await.unwrap();

        app.clock.advance(HOUR);
        let wim = &warden(&app).await;
        let out = wim.disable_member(disable(id, bob)).await.expect("they hold nothing");
        assert_eq!(out.member.unwrap().roles, [""; 0]);
        wim.enable_member(enable(id, bob)).await.expect("nothing is given by it");
        let out = wim.batch_disable_members(disable_members(id, &[ben])).await.unwrap();
        assert_eq!(out.members[0].roles, [""; 0]);
        for act in [Act::Disable(proto::PlainAct {}), Act::Enable(proto::PlainAct {})] {
            let answer = wim.bulk(bulk(id, bea, act), 1).await.unwrap();
            assert!(answer[0].results[0].changed, "{answer:?}");
        }
        let rows = app.traces().await.rows["grants"];
        wim.remove_member(remove(id, bob)).await.expect("nothing is taken by it");
        assert_eq!(app.traces().await.rows["grants"], rows - 2, "what has expired goes with the membership");
    }

    async fn a_machine_that_held_something_once_is_acted_on_as_one_that_never_did(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let made = owner.create_service_account(create_service_account(id, "job")).await.unwrap();
        let job = made.service_account.unwrap().id;
        let deltas = vec![grant(service_account(&job), for_an_hour(&app, role("ruler")))];
        owner.change_grants(change(id, deltas)).await.unwrap();
        let wim = &scene.warden.call;
        let key = wim.create_api_key(create_api_key(id, &job)).await;
        assert_refused(key, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let out = wim.disable_service_account(disable_account(id, &job)).await;
        assert_refused(out, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");

        app.clock.advance(HOUR);
        let wim = &warden(&app).await;
        wim.create_api_key(create_api_key(id, &job)).await.expect("a key to nothing");
        wim.disable_service_account(disable_account(id, &job)).await.unwrap();
        wim.enable_service_account(enable_account(id, &job)).await.unwrap();
        wim.delete_service_account(delete_account(id, &job)).await.unwrap();
    }

    async fn a_group_that_held_something_once_is_acted_on_as_one_that_never_did(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let team = owner.create_group(create_group(id, "Team")).await.unwrap().group.unwrap().id;
        let deltas = vec![grant(group(&team), for_an_hour(&app, role("ruler")))];
        owner.change_grants(change(id, deltas)).await.unwrap();
        owner.change_group_members(change_members(id, &team, &[&bob.membership_id], &[])).await.unwrap();
        let out = scene.warden.call.disable_member(disable(id, &bob.membership_id)).await;
        assert_refused(out, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");

        app.clock.advance(HOUR);
        let wim = &warden(&app).await;
        wim.disable_member(disable(id, &bob.membership_id)).await.unwrap();
        wim.enable_member(enable(id, &bob.membership_id)).await.unwrap();
        let gone = wim.delete_group(delete_group(id, &team)).await.unwrap();
        assert_eq!((gone.removed_members, gone.revoked_grants), (1, 0));
    }

    async fn a_role_that_was_held_once_is_deleted_and_changed_as_one_that_never_was(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        for name in ["guard", "scout"] {
            scene.make(name, &["house.view"]).await;
            scene.give(&bob.membership_id, for_an_hour(&app, role(name))).await;
        }
        let elsewhere = || proto::Role { at: vec!["house".into()], ..custom_role("scout", &["house.view"]) };
        assert_refused(owner.delete_role(delete_role(id, "guard")).await, Code::FailedPrecondition, "ROLE_IN_USE");
        assert_refused(owner.update_role(update_role(id, elsewhere())).await, Code::FailedPrecondition, "ROLE_IN_USE");

        app.clock.advance(HOUR);
        let owner = app.sign_in("ada@example.test", "").await.call;
        owner.update_role(update_role(id, elsewhere())).await.expect("nobody holds it");
        let deleted = owner.delete_role(delete_role(id, "guard")).await.expect("nobody holds it");
        assert_eq!((deleted.granted.len(), deleted.revoked.len()), (0, 0));

        // Its name, and its number in the index, are used again; what is in memory is built anew.
        owner.create_role(crate::harness::messages::create_role(id, custom_role("guard", &["audit.view"]))).await.unwrap();
        assert!(!owner.allows(id, &bob.user_id, "audit.view", None).await);
        let app = app.restart().await;
        let owner = app.sign_in("ada@example.test", "").await.call;
        assert!(!owner.allows(id, &bob.user_id, "audit.view", None).await);
        let deltas = vec![grant(membership(&bob.membership_id), role("guard"))];
        owner.change_grants(change(id, deltas)).await.unwrap();
        assert!(owner.allows(id, &bob.user_id, "audit.view", None).await);
    }

    /// Nothing is taken by it, so nothing is asked and nothing told.
    async fn giving_anew_and_taking_what_has_expired_takes_nothing(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let to = || membership(&bob.membership_id);
        for held in [role("helper"), at(house("red"), "helper"), as_member(house("red"))] {
            scene.give(&bob.membership_id, for_an_hour(&app, held)).await;
        }
        app.clock.advance(HOUR);
        let owner = app.sign_in(&scene.organization.owner.email, "").await.call;
        let rows = app.traces().await.rows["grants"];
        let taken = owner.change_grants(change(id, vec![revoke(to(), role("helper"))])).await.unwrap();
        assert_eq!((taken.granted.len(), taken.revoked.len()), (0, 0));
        let deltas = vec![grant(to(), role("helper")), grant(to(), for_an_hour(&app, as_member(house("red"))))];
        let given = owner.change_grants(change(id, deltas)).await.unwrap();
        assert_eq!((given.granted.len(), given.revoked.len()), (2, 0));
        assert_eq!(app.traces().await.rows["grants"], rows, "each in the place of one that had expired");
        assert!(owner.allows(id, &bob.user_id, "house.view", Some(house("red"))).await);
        let held = owner.list_grants(list_grants(id, Some(to()))).await.unwrap().grants;
        let by_id = |mut grants: Vec<proto::Grant>| {
            grants.sort_by(|one, other| one.id.cmp(&other.id));
            grants
        };
        assert_eq!(by_id(held), by_id(given.granted));
    }

    /// A day later, by slices, each grant with its fact; until then an explanation names it.
    async fn what_has_expired_is_swept(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("helper")]).await;
        scene.give(&bob.membership_id, for_an_hour(&app, as_member(house("red")))).await;
        let mut houses = Vec::new();
        for number in 0..12 {
            owner.register_resource(register(id, house(&format!("h{number}")))).await.unwrap();
            houses.push(house(&format!("h{number}")));
        }
        let mut members = vec![];
        for number in 0..100 {
            let email = format!("p{number}@example.test");
            let request = crate::harness::messages::create_member(id, crate::harness::messages::new_member(&email, vec![]));
            members.push(owner.create_member(request).await.unwrap().member.unwrap().id);
        }
        let listed = proto::Assignment { resource: None, ..for_an_hour(&app, as_member(house("red"))) };
        for some in [&houses[..10], &houses[10..]] {
            let act = proto::grant_matrix::Act::Grant(listed.clone());
            let all = matrix(members.iter().map(|id| membership(id)).collect(), some.to_vec(), act);
            owner.change_grants(change_by_matrix(id, vec![all])).await.unwrap();
        }
        let before = app.traces().await.rows;
        let services = app.app.services();
        app.clock.advance(Duration::from_hours(24));
        services.sweep_grants().await.unwrap();
        assert_eq!(app.traces().await.rows["grants"], before["grants"], "for a day they can be explained");
        let owner = app.sign_in(&scene.organization.owner.email, "").await.call;
        let view = || item(&bob.user_id, "house.view", Some(house("red")));
        let explained = owner.explain_check(explain(id, view())).await.unwrap().explanation.unwrap();
        assert!(explained.missing.iter().any(|it| it.kind() == proto::MissingKind::GrantExpired), "{explained:?}");

        app.clock.advance(HOUR);
        services.sweep_grants().await.unwrap();
        let after = app.traces().await.rows;
        assert_eq!(after["grants"], before["grants"] - 1_201);
        assert_eq!(after["commits"], before["commits"] + 2, "a thousand a commit");
        let owner = app.sign_in(&scene.organization.owner.email, "").await.call;
        assert!(!owner.allows(id, &bob.user_id, "house.view", Some(house("red"))).await);
        scene_gives(&owner, id, &bob.membership_id).await;
        assert!(owner.allows(id, &bob.user_id, "house.view", Some(house("red"))).await);
        let (settled, revision) = (app.traces().await.rows, revision_of(&owner, id).await);
        services.sweep_grants().await.unwrap();
        assert_eq!((app.traces().await.rows, revision_of(&owner, id).await), (settled, revision), "nothing is left");
    }
}

async fn scene_gives(owner: &crate::harness::Caller, id: &str, member: &str) {
    let deltas = vec![grant(membership(member), as_member(house("red")))];
    owner.change_grants(change(id, deltas)).await.expect("a grant");
}
