//! The members page, and root, who stands above organizations.

use guildhall::proto;
use guildhall::proto::MemberState::{Active, Pending};
use tonic::{Code, Status};

use super::cast::{Cast, MONITOR, SCRIPT, TASK, monitor, script, task};
use super::roles::{ADMIN, USER_ADMIN, all_of};
use crate::conformance::tenant::{NOTHING, assert_all_refused, changed, removal};
use crate::harness::messages::{
    above, change, change_above, create_organization_under, get_organization, grant, invite, list_members, membership,
    update_member,
};
use crate::harness::{Caller, Person, assert_refused, role};
use crate::on_both;

/// What full control adds to the other profiles.
const FULL_CONTROL: [&str; 3] = ["organization.create", "organization.delete", "organization.update"];

/// Makes somebody root of a product, or takes that away.
async fn root(by: &Caller, person: &Person, revoke: bool) -> Result<(), Status> {
    let delta = proto::InstallationGrantDelta { revoke, ..above(&person.user_id, "task-automation", "root") };
    let changed = by.change_installation_grants(change_above(vec![delta])).await?;
    assert_eq!((changed.granted.len(), changed.revoked.len()), if revoke { (0, 1) } else { (1, 0) });
    Ok(())
}

/// Tries all that the members page does, on `member` and on somebody new. Gives what came of each.
async fn members_page(by: &Caller, id: &str, member: &Person, email: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let rename = proto::UpdateMemberRequest { display_name: "Vic".into(), ..update_member(id, &member.membership_id) };
    let to_user = change(id, vec![grant(membership(&member.membership_id), role("user"))]);
    vec![
        ("list", by.list_members(list_members(id)).await.map(drop)),
        ("create", by.create_invitation(invite(id, email, vec![role("viewer")])).await.map(drop)),
        ("change the name", by.update_member(rename).await.map(drop)),
        ("change the role", by.change_grants(to_user).await.map(drop)),
        ("delete", by.remove_member(removal(id, &member.membership_id, None)).await.map(drop)),
    ]
}

on_both! {
    async fn te_02_full_control_manages_organizations_and_includes_every_other_profile(app) {
        let cast = Cast::open(&app).await;
        let (tenant, operator) = (&cast.tenant, app.operator());
        let ron = app.somebody("ron@example.test").await;
        assert_eq!(tenant.may(&ron).await, NOTHING);
        root(&operator, &ron, false).await.unwrap();

        assert_eq!(tenant.may(&ron).await, all_of(&[&ADMIN, &USER_ADMIN, &FULL_CONTROL]));
        assert_eq!(cast.may_on(&ron, task("other")).await, TASK);
        assert_eq!(cast.may_on(&ron, monitor("other")).await, MONITOR);
        assert_eq!(tenant.may_on(&ron, &script("nightly"), &["script"]).await, SCRIPT);
        let rename = |name: &str| proto::UpdateOrganizationRequest {
            organization_id: tenant.id.clone(),
            display_name: name.into(),
            ..Default::default()
        };
        ron.call.update_organization(rename("Renamed")).await.unwrap();
        let branch = create_organization_under("task-automation", "Branch", "bea@example.test");
        let made = ron.call.create_organization(branch.clone()).await.unwrap().organization.unwrap().id;
        let bea = app.join("bea@example.test").await;
        assert_eq!(bea.call.member(&made, "bea@example.test").await.roles, ["owner"]);
        // Of this product, and nobody else.
        let untouched = app.traces().await;
        let elsewhere = create_organization_under("bi-dashboards", "Branch", "bob@example.test");
        let refused = ron.call.create_organization(elsewhere).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        for (name, person) in cast.everybody() {
            let refused = person.call.create_organization(branch.clone()).await.expect_err(name);
            assert_refused(Err::<(), _>(refused), Code::PermissionDenied, "PERMISSION_MISSING");
        }
        assert_eq!(app.traces().await, untouched);
        // Whoever they make what, owners too, and take it away again.
        assert_eq!(tenant.give(&ron.call, &cast.viewer, role("owner")).await.unwrap(), changed(&["owner"], &["viewer"]));
        assert_eq!(tenant.give(&ron.call, &cast.viewer, role("viewer")).await.unwrap(), changed(&["viewer"], &["owner"]));

        // The profile is nobody's in an organization, by itself or as root; what it has beyond an owner's is not theirs.
        let untouched = app.traces().await;
        for name in ["full-control", "root"] {
            let given = tenant.give(&operator, &cast.viewer, role(name)).await;
            assert_refused(given, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        }
        for (name, person) in cast.everybody() {
            let may = tenant.may(person).await;
            assert!(!may.contains(&"organization.create".to_owned()) && !may.contains(&"organization.delete".to_owned()), "{name}");
        }
        for person in [&cast.admin, &cast.manager, &cast.user, &cast.viewer] {
            let refused = person.call.update_organization(rename("Mine")).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let last = tenant.give(&ron.call, &tenant.founder, role("viewer")).await;
        assert_refused(last, Code::FailedPrecondition, "ROLE_CARDINALITY");
        assert_eq!(app.traces().await, untouched);
    }

    async fn te_09_root_has_full_control_of_all_organizations_of_the_product(app) {
        let cast = Cast::open(&app).await;
        let (tenant, operator) = (&cast.tenant, app.operator());
        let ron = app.somebody("ron@example.test").await;
        let found = async |catalog: &str, email: &str| {
            let request = create_organization_under(catalog, "Other", email);
            operator.create_organization(request).await.unwrap().organization.unwrap().id
        };
        let boards = found("bi-dashboards", "zoe@example.test").await;

        // By an operator, and by nobody in an organization.
        let untouched = app.traces().await;
        for person in [&tenant.founder, &cast.manager, &ron] {
            let refused = root(&person.call, &ron, false).await;
            assert_refused(refused, Code::PermissionDenied, "OPERATOR_REQUIRED");
        }
        for (product, name, expected) in [
            ("task-automation", "owner", "ROLE_NOT_ASSIGNABLE"),
            ("task-automation", "chief", "ROLE_UNKNOWN"),
            ("bi-dashboards", "root", "ROLE_UNKNOWN"),
            ("no-such-product", "root", "CATALOG_UNKNOWN"),
        ] {
            let deltas = vec![above(&ron.user_id, product, name)];
            let refused = operator.change_installation_grants(change_above(deltas)).await;
            assert_refused(refused, Code::InvalidArgument, expected);
        }
        assert_eq!(app.traces().await, untouched);
        assert_refused(ron.call.get_organization(get_organization(&tenant.id)).await, Code::NotFound, "NOT_FOUND");

        root(&operator, &ron, false).await.unwrap();
        let later = found("task-automation", "tia@example.test").await;
        for id in [&tenant.id, &later] {
            ron.call.get_organization(get_organization(id)).await.unwrap();
            ron.call.list_members(list_members(id)).await.unwrap();
            assert!(ron.call.allows(id, &ron.user_id, "organization.delete", None).await);
        }
        assert!(tenant.sees(&ron, &task("other")).await);
        // They are above organizations, and in none; and of another product's nothing is theirs.
        assert!(!tenant.everybody().await.contains(&ron.email));
        assert_refused(ron.call.get_organization(get_organization(&boards)).await, Code::NotFound, "NOT_FOUND");
        assert_refused(ron.call.list_members(list_members(&boards)).await, Code::NotFound, "NOT_FOUND");

        root(&operator, &ron, true).await.unwrap();
        for id in [&tenant.id, &later] {
            assert_refused(ron.call.get_organization(get_organization(id)).await, Code::NotFound, "NOT_FOUND");
        }
        assert!(!tenant.sees(&ron, &task("other")).await);
    }

    async fn te_15_a_members_page_creates_changes_and_deletes_people(app) {
        let cast = Cast::open(&app).await;
        let (tenant, id) = (&cast.tenant, &cast.tenant.id);
        let untouched = app.traces().await;
        for person in [&cast.user, &cast.viewer] {
            let acts = members_page(&person.call, id, &cast.admin, "new@example.test").await;
            assert_all_refused(acts, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let acts = members_page(&cast.admin.call, id, &cast.viewer, "new@example.test").await;
        assert_all_refused(acts.into_iter().filter(|(act, _)| *act != "list").collect(), Code::PermissionDenied, "PERMISSION_MISSING");
        let stranger = app.somebody("zoe@example.test").await;
        let outside = members_page(&stranger.call, id, &cast.viewer, "new@example.test").await;
        assert_all_refused(outside, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await.rows["invitations"], untouched.rows["invitations"] + 1, "that of the stranger's own");
        assert_eq!(tenant.standing(&cast.viewer).await, (Active, vec!["viewer".to_owned()]));

        for (number, person) in [&tenant.founder, &cast.manager].into_iter().enumerate() {
            let target = tenant.person(&format!("target-{number}"), vec![role("viewer")]).await;
            let email = format!("new-{number}@example.test");
            for (act, result) in members_page(&person.call, id, &target, &email).await {
                result.unwrap_or_else(|status| panic!("{act}: {status:?}"));
            }
            let made = app.operator().member(id, &email).await;
            assert_eq!((made.state(), made.roles), (Pending, vec!["viewer".to_owned()]));
            assert!(!tenant.everybody().await.contains(&target.email));
        }
    }
}
