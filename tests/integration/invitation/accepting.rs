//! Acceptance: what the invitation brings is evaluated once more, and nothing else.

use guildhall::proto;
use tonic::Code;

use super::{Scene, come, for_an_hour, house};
use crate::check::explanations::execute;
use crate::harness::messages::{accept, custom_role, delete, invite, register, update_role};
use crate::harness::{PASSWORD, TestApp, as_member, assert_refused, at, role};
use crate::on_both;
use crate::refusals::{assert_violates, revision_of};

/// Puts another role in the place of one that is offered or held, past the server: what no RPC lets happen any more.
async fn rename_past_the_server(app: &TestApp, from: &str, to: &str) {
    let links = format!("update invitations set assignments = replace(assignments, '\"{from}\"', '\"{to}\"')");
    execute(app, &links).await;
    let brought = format!("update grants set role = '{to}' where role = '{from}' and source = 'invitation'");
    execute(app, &brought).await;
}

on_both! {
    /// What others gave to somebody who has yet to come was evaluated when they gave it.
    async fn what_others_gave_meanwhile_makes_no_invitation_unacceptable(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let invited = invite(id, "bob@example.test", vec![role("helper")]);
        let member = scene.warden.call.create_invitation(invited).await.unwrap().member.unwrap().id;
        scene.give(&member, role("ruler")).await;
        scene.give(&member, at(house("red"), "ruler")).await;

        let bob = app.join("bob@example.test").await;
        assert_eq!(owner.member(id, &bob.email).await.roles, ["helper", "ruler"]);
        assert!(owner.allows(id, &bob.user_id, "audit.view", None).await);
    }

    async fn what_the_invitation_itself_brings_is_its_sponsors_to_give_still(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        scene.make("guard", &["member.list"]).await;
        let invited = invite(id, "bob@example.test", vec![role("guard")]);
        let member = scene.warden.call.create_invitation(invited).await.unwrap().member.unwrap().id;
        scene.give(&member, role("ruler")).await;
        let token = app.token_mailed_to("bob@example.test").await;
        owner.update_role(update_role(id, custom_role("guard", &["audit.view"]))).await.unwrap();
        assert_refused(app.accept(&token).await, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
        owner.update_role(update_role(id, custom_role("guard", &["member.list"]))).await.unwrap();
        app.accept(&token).await.expect("hers to give again");
    }

    async fn what_was_offered_at_a_resource_goes_with_it_whatever_has_its_name_later(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let (_, link) = scene.link(vec![as_member(house("red"))]).await;
        owner.delete_resource(delete(id, house("red"))).await.unwrap();
        let bob = app.somebody("bob@example.test").await;
        let accepted = bob.call.accept_invitation(accept(&link, "")).await;
        assert_refused(accepted, Code::FailedPrecondition, "INVITATION_UNSPONSORED");

        app.clock.tick();
        owner.register_resource(register(id, house("red"))).await.unwrap();
        let accepted = bob.call.accept_invitation(accept(&link, "")).await;
        assert_refused(accepted, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
    }

    async fn a_role_that_is_no_more_is_refused_as_giving_it_anew_would_be_and_nothing_is_consumed(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let (_, link) = scene.link(vec![as_member(house("red")), role("helper")]).await;
        owner.create_invitation(invite(id, "max@example.test", vec![role("helper")])).await.unwrap();
        let mailed = app.token_mailed_to("max@example.test").await;
        let bob = app.somebody("bob@example.test").await;
        let by_link = async || bob.call.accept_invitation(accept(&link, "")).await;
        for (instead, reason) in [("ghost", "ROLE_UNKNOWN"), ("keeper", "ROLE_NOT_ASSIGNABLE")] {
            rename_past_the_server(&app, "helper", instead).await;
            let before = (revision_of(owner, id).await, app.traces().await);
            assert_violates(by_link().await, &[("invitation.assignments[1]", reason)]);
            assert_violates(app.accept(&mailed).await, &[("invitation.assignments[0]", reason)]);
            assert_eq!((revision_of(owner, id).await, app.traces().await), before);
            rename_past_the_server(&app, instead, "helper").await;
        }
        rename_past_the_server(&app, "helper", "title").await;
        assert_refused(by_link().await, Code::FailedPrecondition, "ROLE_TRANSFER_ONLY");
        rename_past_the_server(&app, "title", "helper").await;
        by_link().await.expect("the link is open still");
        app.accept(&mailed).await.expect("and so is the invitation");
    }

    async fn a_role_that_has_expired_is_neither_brought_nor_reported(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let offered = || vec![for_an_hour(&app, role("helper")), at(house("red"), "helper")];
        let (_, link) = scene.link(offered()).await;
        owner.create_invitation(invite(id, "max@example.test", offered())).await.unwrap();
        let mailed = app.token_mailed_to("max@example.test").await;
        let bob = app.somebody("bob@example.test").await;
        app.clock.advance(std::time::Duration::from_hours(1));
        let bob = app.sign_in(&bob.email, "").await;
        let untouched = app.traces().await.rows["grants"];

        assert_eq!(come(&bob, &link).await.unwrap().roles, [""; 0]);
        assert_eq!(app.traces().await.rows["grants"], untouched + 1, "of two that were offered");
        let accepted = app.anyone().accept_invitation(accept(&mailed, PASSWORD)).await.unwrap();
        assert_eq!(accepted.member.unwrap().roles, [""; 0]);
        let mine = bob.call.list_my_memberships(proto::ListMyMembershipsRequest::default()).await.unwrap();
        assert!(mine.memberships.iter().all(|it| !it.roles.contains(&"helper".to_owned())), "{mine:?}");
    }
}
