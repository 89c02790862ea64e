//! When members were last active (AX-11).

use std::time::Duration;

use guildhall::proto::{self, Member};

use crate::harness::messages::{
    check, create_member, disable, get_member, get_organization, item, list_members, new_member, project, register,
    role,
};
use crate::harness::{Caller, TestApp};
use crate::on_both;

/// Noon by the clock of the tests, in seconds.
const NOON: i64 = 1_795_348_800;

/// Writes what was noted, and reads when somebody was last active: seconds after noon, by the clock.
async fn last_active(app: &TestApp, call: &Caller, organization: &str, membership: &str) -> Option<i64> {
    app.app.services().write_activity().await.unwrap();
    let found = call.get_member(get_member(organization, membership)).await.unwrap().member.unwrap();
    found.last_active_time.map(|at| {
        assert_eq!(at.nanos, 0);
        at.seconds - NOON
    })
}

on_both! {
    async fn a_sign_in_and_a_call_that_names_the_organization_are_activity_to_the_minute(app) {
        let organization = app.found().await;
        let (operator, id) = (app.operator(), organization.id.as_str());
        let bob = app.invite_and_join(id, &organization.owner.call, "bob@example.test", vec![role("user")]).await;
        let last = async || last_active(&app, &operator, id, &bob.membership_id).await;
        assert_eq!(last().await, Some(0), "signed in");

        app.clock.advance(Duration::from_secs(119));
        assert_eq!(last().await, Some(0), "nothing was done");
        bob.call.get_organization(get_organization(id)).await.unwrap();
        assert_eq!(last().await, Some(60));
        app.clock.advance(Duration::from_mins(1));
        bob.call.check(check(id, item(&bob.user_id, "project.view", Some(project("alpha"))))).await.unwrap();
        assert_eq!(last().await, Some(120), "a question of one's own");
        app.clock.advance(Duration::from_mins(1));
        let mut stream = bob.call.stream().await.unwrap();
        stream.check(id, vec![item(&bob.user_id, "project.view", Some(project("alpha")))]).await;
        assert_eq!(last().await, Some(180), "on a stream, too");
        app.clock.advance(Duration::from_mins(1));
        bob.call.list_members(list_members(id)).await.unwrap_err();
        assert_eq!(last().await, Some(240), "what was refused was called all the same");
        app.clock.advance(Duration::from_mins(1));
        app.sign_in("bob@example.test", "").await;
        assert_eq!(last().await, Some(300));
    }

    async fn what_others_ask_and_do_about_a_person_is_not_their_activity(app) {
        let organization = app.found().await;
        let (operator, id) = (app.operator(), organization.id.as_str());
        let bob = app.invite_and_join(id, &organization.owner.call, "bob@example.test", vec![role("user")]).await;
        let backend = app.backend(&organization).await;
        app.clock.advance(Duration::from_mins(2));

        assert!(!backend.allows(id, &bob.user_id, "project.view", None).await);
        organization.owner.call.register_resource(register(id, project("alpha"))).await.unwrap();
        organization.owner.call.get_member(get_member(id, &bob.membership_id)).await.unwrap();
        assert_eq!(last_active(&app, &operator, id, &bob.membership_id).await, Some(0));
        let owner = &organization.owner.membership_id;
        assert_eq!(last_active(&app, &operator, id, owner).await, Some(120));
    }

    async fn what_is_done_in_one_organization_is_told_in_no_other(app) {
        let (one, two) = (app.found_as("One", "ada@example.test").await, app.found_as("Two", "max@example.test").await);
        let (operator, ada) = (app.operator(), &one.owner);
        two.owner.call.create_invitation(crate::harness::messages::invite(&two.id, &ada.email, vec![])).await.unwrap();
        let token = app.token_mailed_by("Two", &ada.email).await;
        let accept = crate::harness::messages::accept(&token, "");
        let there = ada.call.accept_invitation(accept).await.unwrap().member.unwrap().id;
        let before = last_active(&app, &operator, &two.id, &there).await;

        app.clock.advance(Duration::from_mins(5));
        ada.call.get_organization(get_organization(&one.id)).await.unwrap();
        assert_eq!(last_active(&app, &operator, &one.id, &ada.membership_id).await, Some(300));
        assert_eq!(last_active(&app, &operator, &two.id, &there).await, before);
    }

    async fn who_is_pending_or_shut_out_is_active_nowhere(app) {
        let organization = app.found().await;
        let (owner, operator, id) = (&organization.owner.call, app.operator(), organization.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;
        let new = owner.create_member(create_member(id, new_member("new@example.test", vec![]))).await.unwrap();
        owner.disable_member(disable(id, &bob.membership_id)).await.unwrap();
        app.app.services().write_activity().await.unwrap();
        app.clock.advance(Duration::from_mins(5));

        bob.call.get_organization(get_organization(id)).await.unwrap_err();
        app.sign_in("bob@example.test", "").await;
        assert_ne!(last_active(&app, &operator, id, &bob.membership_id).await, Some(300));
        assert_eq!(last_active(&app, &operator, id, &new.member.unwrap().id).await, None);
    }

    async fn activity_makes_no_revision_and_survives_a_restart(app) {
        let organization = app.found().await;
        let (operator, id) = (app.operator(), organization.id.clone());
        let read = async |call: &Caller| {
            let answer = call.get_member(get_member(&id, &organization.owner.membership_id)).await.unwrap();
            let Member { etag, last_active_time, .. } = answer.member.unwrap();
            (answer.revision, etag, last_active_time.map(|at| at.seconds - NOON))
        };
        app.app.services().write_activity().await.unwrap();
        let (revision, etag, at) = read(&operator).await;
        assert_eq!(at, Some(0));
        app.clock.advance(Duration::from_mins(3));
        organization.owner.call.get_organization(get_organization(&id)).await.unwrap();

        let app = app.restart().await;
        assert_eq!(read(&app.operator()).await, (revision, etag, Some(180)), "written when the server stopped");
    }

    async fn the_list_is_ordered_by_activity(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        app.clock.advance(Duration::from_mins(1));
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("user")]).await;
        owner.create_member(create_member(id, new_member("new@example.test", vec![]))).await.unwrap();
        app.clock.advance(Duration::from_mins(1));
        app.sign_in(&bob.email, "").await;
        app.app.services().write_activity().await.unwrap();

        let emails = async |order_by: &str, filter: &str| -> Vec<String> {
            let request = proto::ListMembersRequest {
                order_by: order_by.into(),
                filter: filter.into(),
                ..list_members(id)
            };
            let page = app.operator().list_members(request).await.unwrap();
            page.members.into_iter().map(|member| member.email).collect()
        };
        let ada = organization.owner.email.as_str();
        assert_eq!(emails("last_active_time desc", "").await, [bob.email.as_str(), ada, "new@example.test"]);
        assert_eq!(emails("last_active_time", "").await, ["new@example.test", ada, bob.email.as_str()]);
        let since = "last_active_time >= \"2026-11-22T12:02:00Z\"";
        assert_eq!(emails("", since).await, [bob.email.as_str()]);
    }
}
