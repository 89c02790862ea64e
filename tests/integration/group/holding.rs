//! What groups and everyone hold: by the tables that judge writes, and by the index that answers checks.

use guildhall::proto;
use tonic::Code;

use super::{BOARDS, WORKSPACE, dashboard, holder, resources, somebody, team};
use crate::harness::messages::{
    change, change_members, create_group, disable, enable, everyone, get_resource, grant, group, membership, revoke,
};
use crate::harness::{Organization, Person, TestApp, as_member, assert_refused, at, project, role};
use crate::on_both;
use crate::refusals::NOBODY;

/// Asks the tables and the index whether somebody sees a resource; both must say the same.
async fn sees(organization: &Organization, person: &Person, resource: &proto::ResourceRef) -> bool {
    let permission = format!("{}.view", resource.r#type);
    let id = &organization.id;
    let checked = organization.owner.call.allows(id, &person.user_id, &permission, Some(resource.clone())).await;
    match person.call.get_resource(get_resource(id, resource.clone())).await {
        Ok(_) => assert!(checked, "the tables show what the index denies"),
        Err(status) => assert!(!checked, "the index allows what the tables hide: {status:?}"),
    }
    checked
}

async fn give(app: &TestApp, organization: &Organization, delta: proto::GrantDelta) -> proto::ChangeGrantsResponse {
    let _ = app;
    organization.owner.call.change_grants(change(&organization.id, vec![delta])).await.expect("a change")
}

on_both! {
    async fn what_a_group_holds_each_of_its_active_members_holds_while_they_are_in(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let (vic, val) =
            (somebody(&app, &organization, "vic", "viewer").await, somebody(&app, &organization, "val", "viewer").await);
        resources(&organization, &[dashboard("a"), dashboard("b")]).await;
        let sales = team(&organization, "Sales", &[&vic]).await;

        let given = give(&app, &organization, grant(group(&sales), at(dashboard("a"), "dashboard-viewer"))).await;
        assert_eq!(holder(given.granted[0].principal.clone()), format!("group {sales}"));
        assert!(sees(&organization, &vic, &dashboard("a")).await);
        assert!(!sees(&organization, &vic, &dashboard("b")).await);
        assert!(!sees(&organization, &val, &dashboard("a")).await);

        let swap = change_members(id, &sales, &[&val.membership_id], &[&vic.membership_id]);
        owner.change_group_members(swap).await.unwrap();
        assert!(!sees(&organization, &vic, &dashboard("a")).await);
        assert!(sees(&organization, &val, &dashboard("a")).await);

        owner.disable_member(disable(id, &val.membership_id)).await.unwrap();
        assert!(!owner.allows(id, &val.user_id, "dashboard.view", Some(dashboard("a"))).await);
        owner.enable_member(enable(id, &val.membership_id)).await.unwrap();
        assert!(sees(&organization, &val, &dashboard("a")).await);

        give(&app, &organization, revoke(group(&sales), at(dashboard("a"), "dashboard-viewer"))).await;
        assert!(!sees(&organization, &val, &dashboard("a")).await);
    }

    async fn a_group_holds_across_a_restart_what_it_held_before(app) {
        let organization = app.found_under(BOARDS).await;
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        resources(&organization, &[dashboard("a")]).await;
        let sales = team(&organization, "Sales", &[&vic]).await;
        give(&app, &organization, grant(group(&sales), at(dashboard("a"), "dashboard-viewer"))).await;

        let app = app.restart().await;
        let operator = app.operator();
        assert!(operator.allows(&organization.id, &vic.user_id, "dashboard.view", Some(dashboard("a"))).await);
        let out = change_members(&organization.id, &sales, &[], &[&vic.membership_id]);
        operator.change_group_members(out).await.unwrap();
        assert!(!operator.allows(&organization.id, &vic.user_id, "dashboard.view", Some(dashboard("a"))).await);
    }

    async fn everyone_is_all_active_members_and_no_machine(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        let (machine, backend) = app.backend_account(&organization).await;
        resources(&organization, &[dashboard("a")]).await;

        let given = give(&app, &organization, grant(everyone(), at(dashboard("a"), "dashboard-viewer"))).await;
        assert_eq!(holder(given.granted[0].principal.clone()), "everyone");
        assert!(sees(&organization, &vic, &dashboard("a")).await);
        let late = somebody(&app, &organization, "lea", "viewer").await;
        assert!(sees(&organization, &late, &dashboard("a")).await, "who comes later is one of all");
        let hidden = backend.get_resource(get_resource(id, dashboard("a"))).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
        let refused = owner.change_grants(change(id, vec![grant(everyone(), role("viewer"))])).await;
        assert_refused(refused, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");

        // The owner is one of all, and takes it from the many.
        give(&app, &organization, revoke(everyone(), at(dashboard("a"), "dashboard-viewer"))).await;
        assert!(!sees(&organization, &vic, &dashboard("a")).await);
        assert!(!machine.is_empty());
    }

    async fn a_group_on_a_list_brings_its_members_onto_it(app) {
        let organization = app.found_under(WORKSPACE).await;
        let sam = somebody(&app, &organization, "sam", "shared-viewer").await;
        let none = app.invite_and_join(&organization.id, &organization.owner.call, "nil@example.test", vec![]).await;
        resources(&organization, &[project("p"), project("q")]).await;
        let crew = team(&organization, "Crew", &[&sam, &none]).await;

        give(&app, &organization, grant(group(&crew), as_member(project("p")))).await;
        assert!(sees(&organization, &sam, &project("p")).await);
        assert!(!sees(&organization, &sam, &project("q")).await);
        assert!(!sees(&organization, &none, &project("p")).await, "listed, and nothing more");
        give(&app, &organization, grant(everyone(), as_member(project("q")))).await;
        assert!(sees(&organization, &sam, &project("q")).await);
        give(&app, &organization, revoke(group(&crew), as_member(project("p")))).await;
        assert!(!sees(&organization, &sam, &project("p")).await);
    }

    async fn a_role_of_a_set_is_held_by_memberships_alone(app) {
        let organization = app.found_under(BOARDS).await;
        let owner = &organization.owner.call;
        let sales = team(&organization, "Sales", &[]).await;
        for held in ["admin", "analyst", "viewer", "backend"] {
            let refused = owner.change_grants(change(&organization.id, vec![grant(group(&sales), role(held))])).await;
            assert_refused(refused, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        }
    }

    async fn a_catalog_without_groups_has_none(app) {
        let organization = app.found().await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        resources(&organization, &[project("p")]).await;
        let refused = app.operator().create_group(create_group(id, "Sales")).await;
        assert_refused(refused, Code::FailedPrecondition, "FEATURE_OFF");
        let made_up = grant(group(NOBODY), as_member(project("p")));
        let refused = owner.change_grants(change(id, vec![made_up])).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        let refused = owner.change_grants(change(id, vec![grant(everyone(), as_member(project("p")))])).await;
        assert_refused(refused, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
    }

    async fn nobody_takes_from_themselves_and_everybody_from_the_many(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, me) = (&organization.id, &organization.owner);
        resources(&organization, &[dashboard("a")]).await;
        let sales = team(&organization, "Sales", &[me]).await;
        let held = || at(dashboard("a"), "dashboard-viewer");
        give(&app, &organization, grant(membership(&me.membership_id), held())).await;
        give(&app, &organization, grant(group(&sales), held())).await;
        let refused = me.call.change_grants(change(id, vec![revoke(membership(&me.membership_id), held())])).await;
        assert_refused(refused, Code::FailedPrecondition, "SELF_REMOVAL");
        give(&app, &organization, revoke(group(&sales), held())).await;
    }

    async fn a_list_that_is_kept_current_tells_what_a_group_brings_and_takes(app) {
        let organization = app.found_under(BOARDS).await;
        let (id, owner) = (&organization.id, &organization.owner.call);
        let vic = somebody(&app, &organization, "vic", "viewer").await;
        resources(&organization, &[dashboard("a")]).await;
        let sales = team(&organization, "Sales", &[]).await;
        give(&app, &organization, grant(group(&sales), at(dashboard("a"), "dashboard-viewer"))).await;
        let (_, backend) = app.backend_account(&organization).await;
        let mut stream = backend.stream().await.unwrap();
        let item = crate::harness::messages::item(&vic.user_id, "dashboard.view", Some(dashboard("a")));
        stream.subscribe(id, vec![item]).await;
        assert!(!stream.changes().await[&1]);
        owner.change_group_members(change_members(id, &sales, &[&vic.membership_id], &[])).await.unwrap();
        assert!(stream.changes().await[&1]);
        owner.delete_group(crate::harness::messages::delete_group(id, &sales)).await.unwrap();
        assert!(!stream.changes().await[&1]);
    }
}
