//! The list of people, and what each role may do about the organization.

use guildhall::proto;
use guildhall::proto::MemberState::{Active, Disabled, Pending};
use tonic::{Code, Status};

use super::cast::Cast;
use crate::conformance::tenant::{assert_all_done, assert_all_refused};
use crate::harness::messages::{
    change, create_api_key, create_service_account, disable, enable, grant, invite, list_members, membership, revoke,
    service_account,
};
use crate::harness::{Caller, Person, assert_refused, role};
use crate::on_both;

/// What an admin may do at the organization: everything.
const ADMIN: [&str; 34] = [
    "access.check",
    "access.preview",
    "admin_settings.update",
    "audit.view",
    "dashboard.create",
    "dashboard.delete",
    "dashboard.notify",
    "dashboard.set_owner",
    "dashboard.share",
    "dashboard.update",
    "dashboard.view",
    "domain.request",
    "group.list",
    "group.manage",
    "member.assign",
    "member.create",
    "member.disable",
    "member.invite",
    "member.list",
    "member.remove",
    "member.reset_factor",
    "member.update",
    "organization.update",
    "organization.view",
    "organization_settings.update",
    "policy.update",
    "provider.manage",
    "report.create",
    "report.delete",
    "report.set_owner",
    "report.share",
    "report.update",
    "report.view",
    "service_account.manage",
];
/// What an analyst may do at the organization.
const ANALYST: [&str; 7] = [
    "dashboard.create",
    "group.list",
    "member.list",
    "organization.update",
    "organization.view",
    "organization_settings.update",
    "report.create",
];

/// Tries all there is to managing people and machines, on `member`. Gives what came of each.
async fn manage(by: &Caller, id: &str, member: &Person, email: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let give = |name| change(id, vec![grant(membership(&member.membership_id), role(name))]);
    vec![
        ("invite", by.create_invitation(invite(id, email, vec![role("viewer")])).await.map(drop)),
        ("make an admin", by.change_grants(give("admin")).await.map(drop)),
        ("make an analyst", by.change_grants(give("analyst")).await.map(drop)),
        ("make a viewer", by.change_grants(give("viewer")).await.map(drop)),
        ("disable", by.disable_member(disable(id, &member.membership_id)).await.map(drop)),
        ("enable", by.enable_member(enable(id, &member.membership_id)).await.map(drop)),
        ("machine", by.create_service_account(create_service_account(id, "x")).await.map(drop)),
    ]
}

on_both! {
    async fn cv_01_the_list_shows_all_people_of_the_organization(app) {
        let cast = Cast::open(&app).await;
        let (id, admin) = (&cast.tenant.id, &cast.tenant.founder.call);
        // Whatever their state: working, invited, shut out. Nobody of another organization.
        admin.create_invitation(invite(id, "eve@example.test", vec![role("viewer")])).await.unwrap();
        admin.disable_member(disable(id, &cast.viewer.membership_id)).await.unwrap();
        app.somebody("zoe@example.test").await;
        let expected = [("ada@example.test", Active), ("ann@example.test", Active), ("eve@example.test", Pending), ("vic@example.test", Disabled)];
        for by in [admin, &cast.analyst.call] {
            let listed = by.members(id).await;
            let listed: Vec<_> = listed.iter().map(|member| (member.email.as_str(), member.state())).collect();
            assert_eq!(listed, expected);
        }

        admin.enable_member(enable(id, &cast.viewer.membership_id)).await.unwrap();
        let refused = cast.viewer.call.list_members(list_members(id)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn cv_02_a_row_shows_name_address_and_role_and_actions_are_per_person(app) {
        let cast = Cast::open(&app).await;
        let (id, admin) = (&cast.tenant.id, &cast.tenant.founder.call);
        for (email, name, role_name) in [("eve@example.test", "Eve", "viewer"), ("tom@example.test", "Tom", "analyst")] {
            let invitation = invite(id, email, vec![role(role_name)]);
            admin.create_invitation(proto::CreateInvitationRequest { display_name: name.into(), ..invitation }).await.unwrap();
        }
        let rows = async || {
            let rows = admin.members(id).await.into_iter().map(|it| (it.display_name, it.email, it.roles.join(" ")));
            rows.filter(|(name, ..)| !name.is_empty()).collect::<Vec<_>>()
        };
        let row = |name: &str, email: &str, role: &str| (name.to_owned(), email.to_owned(), role.to_owned());
        assert_eq!(rows().await, [row("Eve", "eve@example.test", "viewer"), row("Tom", "tom@example.test", "analyst")]);

        // What is done to one is done to no other.
        let eve = admin.member(id, "eve@example.test").await;
        admin.change_grants(change(id, vec![grant(membership(&eve.id), role("analyst"))])).await.unwrap();
        assert_eq!(rows().await, [row("Eve", "eve@example.test", "analyst"), row("Tom", "tom@example.test", "analyst")]);
        admin.disable_member(disable(id, &cast.viewer.membership_id)).await.unwrap();
        assert_eq!(cast.tenant.standing(&cast.analyst).await, (Active, vec!["analyst".to_owned()]));

        let untouched = app.traces().await;
        let refused = cast.analyst.call.change_grants(change(id, vec![grant(membership(&eve.id), role("viewer"))])).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        // Nor is anybody left without a role: there is always one to show.
        let bare = revoke(membership(&eve.id), role("analyst"));
        let bare = admin.change_grants(change(id, vec![bare])).await;
        assert_refused(bare, Code::FailedPrecondition, "ROLE_REQUIRED");
        let bare = admin.create_invitation(invite(id, "mia@example.test", vec![])).await;
        assert_refused(bare, Code::FailedPrecondition, "ROLE_REQUIRED");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cv_10_an_admin_may_do_everything_people_included(app) {
        let cast = Cast::open(&app).await;
        let (tenant, admin) = (&cast.tenant, &cast.tenant.founder);
        assert_eq!(tenant.may(admin).await, ADMIN);
        assert_all_done(manage(&admin.call, &tenant.id, &cast.viewer, "eve@example.test").await);
        let machine = admin.call.create_service_account(create_service_account(&tenant.id, "y")).await.unwrap();
        let machine = machine.service_account.unwrap().id;
        let backend = grant(service_account(&machine), role("backend"));
        admin.call.change_grants(change(&tenant.id, vec![backend])).await.unwrap();
        admin.call.create_api_key(create_api_key(&tenant.id, &machine)).await.unwrap();

        // Admins may be many; one of them always stays.
        tenant.give(&admin.call, &cast.analyst, role("admin")).await.unwrap();
        tenant.give(&cast.analyst.call, admin, role("viewer")).await.unwrap();
        let untouched = app.traces().await;
        let last = tenant.give(&app.operator(), &cast.analyst, role("viewer")).await;
        assert_refused(last, Code::FailedPrecondition, "ROLE_CARDINALITY");
        let acts = manage(&admin.call, &tenant.id, &cast.viewer, "tom@example.test").await;
        assert_all_refused(acts, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cv_11_an_analyst_has_no_admin_settings_and_all_organization_settings(app) {
        let cast = Cast::open(&app).await;
        let may = cast.tenant.may(&cast.analyst).await;
        assert_eq!(may, ANALYST);
        for settings in ["organization.view", "organization.update", "organization_settings.update"] {
            assert!(may.contains(&settings.to_owned()), "{settings}");
        }

        let untouched = app.traces().await;
        let acts = manage(&cast.analyst.call, &cast.tenant.id, &cast.viewer, "eve@example.test").await;
        assert_all_refused(acts, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }
}
