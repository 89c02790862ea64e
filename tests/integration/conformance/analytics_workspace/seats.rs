//! Seats: who takes one, in the workspace and in a project.

use guildhall::proto::ResourceRef;
use tonic::Code;

use super::workspace::{open, project};
use crate::conformance::tenant::Tenant;
use crate::harness::messages::{
    change_members, create_group, create_member, disable, enable, get_seats, grant, group, invite, new_member,
    set_seats,
};
use crate::harness::{Caller, as_member, assert_refused, role};
use crate::on_both;

/// Returns how many may sit, and how many do.
async fn seats(workspace: &Tenant<'_>, by: &Caller, resource: Option<ResourceRef>) -> (Option<u32>, u32) {
    let seats = by.get_seats(get_seats(&workspace.id, resource)).await.unwrap().seats.unwrap();
    (seats.limit, seats.used)
}

on_both! {
    async fn ax_25_a_disabled_person_still_counts_against_the_seats_of_the_workspace(app) {
        let workspace = open(&app).await;
        let (id, admin, operator) = (&workspace.id, &workspace.founder.call, app.operator());
        let eve = workspace.person("eve", vec![role("default")]).await;
        let bob = admin.create_invitation(invite(id, "bob@example.test", vec![])).await.unwrap().member.unwrap();
        let refused = admin.set_seat_limit(set_seats(id, None, Some(9))).await;
        assert_refused(refused, Code::PermissionDenied, "OPERATOR_REQUIRED");
        operator.set_seat_limit(set_seats(id, None, Some(3))).await.unwrap();
        assert_eq!(seats(&workspace, admin, None).await, (Some(3), 3), "the founder, and who is invited as well");

        admin.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        assert_eq!(seats(&workspace, admin, None).await, (Some(3), 3));
        let untouched = app.traces().await;
        let invited = admin.create_invitation(invite(id, "tom@example.test", vec![])).await;
        assert_refused(invited, Code::ResourceExhausted, "SEATS_EXHAUSTED");
        let made = operator.create_member(create_member(id, new_member("tom@example.test", vec![]))).await;
        assert_refused(made, Code::ResourceExhausted, "SEATS_EXHAUSTED");
        assert_eq!(app.traces().await, untouched);
        // Having kept it, they take none by coming back.
        admin.enable_member(enable(id, &eve.membership_id)).await.unwrap();
        app.join(&bob.email).await;
        assert_eq!(seats(&workspace, admin, None).await, (Some(3), 3));

        // A seat is free once somebody has gone.
        admin.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        workspace.remove(admin, &eve, None).await.unwrap();
        assert_eq!(seats(&workspace, admin, None).await, (Some(3), 2));
        admin.create_invitation(invite(id, "tom@example.test", vec![])).await.unwrap();
        let full = admin.create_invitation(invite(id, "mia@example.test", vec![])).await;
        assert_refused(full, Code::ResourceExhausted, "SEATS_EXHAUSTED");
    }

    async fn ax_25_the_seats_of_a_project_are_the_people_on_its_list_directly_or_through_a_group(app) {
        let workspace = open(&app).await;
        let (id, admin, operator) = (&workspace.id, &workspace.founder.call, app.operator());
        let (amy, bob, eve) = (workspace.person("amy", vec![]).await, workspace.person("bob", vec![]).await, workspace.person("eve", vec![]).await);
        let alpha = || Some(project("alpha"));
        let crew = admin.create_group(create_group(id, "Crew")).await.unwrap().group.unwrap().id;
        let members = change_members(id, &crew, &[&amy.membership_id, &bob.membership_id], &[]);
        admin.change_group_members(members).await.unwrap();
        workspace.give(admin, &amy, as_member(project("alpha"))).await.unwrap();
        workspace.change(admin, vec![grant(group(&crew), as_member(project("alpha")))]).await.unwrap();
        operator.set_seat_limit(set_seats(id, alpha(), Some(2))).await.unwrap();
        assert_eq!(seats(&workspace, admin, alpha()).await, (Some(2), 2), "each of them once");

        admin.disable_member(disable(id, &bob.membership_id)).await.unwrap();
        assert_eq!(seats(&workspace, admin, alpha()).await, (Some(2), 2));
        let untouched = app.traces().await;
        let listed = workspace.give(admin, &eve, as_member(project("alpha"))).await;
        assert_refused(listed, Code::ResourceExhausted, "SEATS_EXHAUSTED");
        let joined = admin.change_group_members(change_members(id, &crew, &[&eve.membership_id], &[])).await;
        assert_refused(joined, Code::ResourceExhausted, "SEATS_EXHAUSTED");
        let invited = admin.create_invitation(invite(id, "tom@example.test", vec![as_member(project("alpha"))])).await;
        assert_refused(invited, Code::ResourceExhausted, "SEATS_EXHAUSTED");
        assert_eq!(app.traces().await, untouched);
        workspace.give(admin, &eve, as_member(project("beta"))).await.expect("another project has seats of its own");
        // To be there twice takes one seat, and to come back none.
        admin.enable_member(enable(id, &bob.membership_id)).await.unwrap();
        workspace.give(admin, &bob, as_member(project("alpha"))).await.unwrap();
        assert_eq!(seats(&workspace, admin, alpha()).await, (Some(2), 2));

        // A seat is free once somebody is there by no way.
        let left = change_members(id, &crew, &[], &[&bob.membership_id]);
        admin.change_group_members(left).await.unwrap();
        let still = workspace.give(admin, &eve, as_member(project("alpha"))).await;
        assert_refused(still, Code::ResourceExhausted, "SEATS_EXHAUSTED");
        workspace.take(admin, &bob, as_member(project("alpha"))).await.unwrap();
        workspace.give(admin, &eve, as_member(project("alpha"))).await.unwrap();
        assert_eq!(seats(&workspace, admin, alpha()).await, (Some(2), 2));
    }
}
