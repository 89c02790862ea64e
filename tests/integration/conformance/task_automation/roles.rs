//! The roles: which profiles each holds, who sets them, and to what.

use guildhall::proto::MemberState::{Active, Pending};
use guildhall::proto::{self, Assignment};
use tonic::Code;

use super::cast::{Cast, MONITOR, SCRIPT, TASK, monitor, script, task};
use crate::conformance::tenant::{NOTHING, changed};
use crate::harness::messages::{
    bearer, check, disable, grant, invite, item, item_about, list_members, membership, revoke,
};
use crate::harness::{as_member, assert_refused, role, violations};
use crate::on_both;

/// What full access, create-and-modify and execution come to at the organization.
pub const ADMIN: [&str; 19] = [
    "log.view",
    "member.list",
    "monitor.create",
    "monitor.delete",
    "monitor.notify",
    "monitor.share",
    "monitor.update",
    "monitor.view",
    "script.create",
    "script.delete",
    "script.update",
    "script.view",
    "task.create",
    "task.delete",
    "task.notify",
    "task.run",
    "task.share",
    "task.update",
    "task.view",
];
pub const USER_ADMIN: [&str; 5] = ["member.assign", "member.invite", "member.list", "member.remove", "member.update"];
/// What is the owner's alone, beside the profiles.
const OWNER: [&str; 6] = [
    "access.check",
    "audit.view",
    "organization.update",
    "organization.view",
    "policy.update",
    "service_account.manage",
];

const FOUR: [&str; 4] = ["admin", "manager", "user", "viewer"];

pub fn all_of(parts: &[&[&str]]) -> Vec<String> {
    let mut all: Vec<String> = parts.concat().into_iter().map(str::to_owned).collect();
    all.sort();
    all.dedup();
    all
}

on_both! {
    async fn te_07_user_admin_adds_people_and_sets_their_role_to_four_and_to_no_other(app) {
        let cast = Cast::open(&app).await;
        let (tenant, owner) = (&cast.tenant, &cast.tenant.founder);
        let bob = tenant.person("bob", vec![role("viewer")]).await;
        for (number, person) in [owner, &cast.manager].into_iter().enumerate() {
            for name in FOUR {
                let email = format!("{name}-{number}@example.test");
                let invited = person.call.create_invitation(invite(&tenant.id, &email, vec![role(name)])).await.unwrap();
                assert_eq!(invited.member.unwrap().roles, [name]);
                tenant.give(&person.call, &bob, role(name)).await.unwrap();
                assert_eq!(tenant.standing(&bob).await, (Active, vec![name.to_owned()]));
            }
        }

        let untouched = app.traces().await;
        let denied = |reason| (Code::PermissionDenied, reason);
        for person in [owner, &cast.manager] {
            let (call, own) = (&person.call, membership(&person.membership_id));
            // To no other, and never the owner's away.
            assert_refused(tenant.give(call, &bob, role("owner")).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
            for name in ["root", "backend"] {
                assert_refused(tenant.give(call, &bob, role(name)).await, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
            }
            // Never to itself: not more, and not less.
            let to_itself = tenant.change(call, vec![grant(own.clone(), role("admin"))]).await;
            let expected = if person.email == owner.email { denied("ROLE_NOT_TAKEABLE") } else { denied("ROLE_NOT_GRANTABLE") };
            assert_refused(to_itself, expected.0, expected.1);
        }
        for what in [revoke(membership(&owner.membership_id), role("owner")), grant(membership(&owner.membership_id), role("viewer"))] {
            let refused = tenant.change(&cast.manager.call, vec![what]).await;
            assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        }
        let lessened = tenant.change(&cast.manager.call, vec![grant(membership(&cast.manager.membership_id), role("viewer"))]).await;
        assert_refused(lessened, Code::FailedPrecondition, "SELF_REMOVAL");
        // Nor deletes the owner, or themselves.
        let deleted = tenant.remove(&cast.manager.call, owner, None).await;
        assert_refused(deleted, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        for person in [owner, &cast.manager] {
            let deleted = tenant.remove(&person.call, person, None).await;
            assert_refused(deleted, Code::FailedPrecondition, "SELF_REMOVAL");
        }
        // Without it, nothing of this.
        for person in [&cast.admin, &cast.user, &cast.viewer] {
            let deleted = tenant.remove(&person.call, &bob, None).await;
            assert_refused(deleted, Code::PermissionDenied, "PERMISSION_MISSING");
            let refused = tenant.give(&person.call, &bob, role("viewer")).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
            let refused = person.call.create_invitation(invite(&tenant.id, "eve@example.test", vec![role("viewer")])).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        assert_eq!(app.traces().await, untouched);
        assert_eq!(tenant.standing(owner).await, (Active, vec!["owner".to_owned()]));
        assert_eq!(tenant.standing(&cast.manager).await, (Active, vec!["manager".to_owned()]));

        tenant.remove(&cast.manager.call, &cast.admin, None).await.unwrap();
        tenant.remove(&owner.call, &bob, None).await.unwrap();
        let left = tenant.everybody().await;
        assert!(!left.contains(&bob.email) && !left.contains(&cast.admin.email), "{left:?}");
    }

    async fn te_10_the_owner_has_full_access_creates_modifies_executes_and_manages_people(app) {
        let cast = Cast::open(&app).await;
        let (tenant, owner) = (&cast.tenant, &cast.tenant.founder);
        assert_eq!(tenant.may(owner).await, all_of(&[&ADMIN, &USER_ADMIN, &OWNER]));
        assert_eq!(cast.may_on(owner, task("other")).await, TASK);
        assert_eq!(cast.may_on(owner, monitor("other")).await, MONITOR);
        assert_eq!(tenant.may_on(owner, &script("nightly"), &["script"]).await, SCRIPT);

        // At least one, made by an operator and by nobody in the organization.
        let operator = app.operator();
        let untouched = app.traces().await;
        assert_refused(tenant.give(&owner.call, &cast.admin, role("owner")).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let last = vec![revoke(membership(&owner.membership_id), role("owner"))];
        assert_refused(tenant.change(&operator, last.clone()).await, Code::FailedPrecondition, "ROLE_CARDINALITY");
        let shut_out = operator.disable_member(disable(&tenant.id, &owner.membership_id)).await;
        assert_refused(shut_out, Code::FailedPrecondition, "ROLE_CARDINALITY");
        assert_eq!(app.traces().await, untouched);

        let second = tenant.give(&operator, &cast.admin, role("owner")).await.unwrap();
        assert_eq!(second, changed(&["owner"], &["admin"]));
        assert_eq!(tenant.change(&operator, last).await.unwrap(), changed(&[], &["owner"]));
        assert_eq!(tenant.may(owner).await, NOTHING);
    }

    async fn te_11_the_admin_has_full_access_creates_modifies_and_executes_and_does_not_manage_people(app) {
        let cast = Cast::open(&app).await;
        assert_eq!(cast.tenant.may(&cast.admin).await, ADMIN);
        assert_eq!(cast.may_on(&cast.admin, task("other")).await, TASK);
        assert_eq!(cast.may_on(&cast.admin, monitor("other")).await, MONITOR);
        assert_eq!(cast.tenant.may_on(&cast.admin, &script("nightly"), &["script"]).await, SCRIPT);

        let untouched = app.traces().await;
        let refused = cast.tenant.give(&cast.admin.call, &cast.viewer, role("user")).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }

    async fn te_12_the_user_views_and_executes(app) {
        let cast = Cast::open(&app).await;
        assert_eq!(cast.tenant.may(&cast.user).await, NOTHING);
        assert_eq!(cast.may_on(&cast.user, task("listed")).await, ["log.view", "task.run", "task.view"]);
        assert_eq!(cast.may_on(&cast.user, monitor("listed")).await, ["log.view", "monitor.view"]);
    }

    async fn te_13_the_viewer_views(app) {
        let cast = Cast::open(&app).await;
        assert_eq!(cast.tenant.may(&cast.viewer).await, NOTHING);
        assert_eq!(cast.may_on(&cast.viewer, task("listed")).await, ["log.view", "task.view"]);
        assert_eq!(cast.may_on(&cast.viewer, monitor("listed")).await, ["log.view", "monitor.view"]);
    }

    async fn te_14_the_manager_manages_people_views_and_executes_and_has_no_full_access(app) {
        let cast = Cast::open(&app).await;
        assert_eq!(cast.tenant.may(&cast.manager).await, USER_ADMIN);
        assert_eq!(cast.may_on(&cast.manager, task("listed")).await, ["log.view", "task.run", "task.view"]);
        assert_eq!(cast.may_on(&cast.manager, monitor("listed")).await, ["log.view", "monitor.view"]);
        for other in [task("other"), monitor("other"), script("nightly")] {
            assert_eq!(cast.may_on(&cast.manager, other.clone()).await, NOTHING);
            assert!(!cast.tenant.sees(&cast.manager, &other).await);
        }
    }

    async fn te_16_inviting_asks_for_a_role_out_of_admin_user_viewer_and_manager(app) {
        let cast = Cast::open(&app).await;
        let (tenant, manager) = (&cast.tenant, &cast.manager.call);
        for name in FOUR {
            let email = format!("{name}@example.test");
            manager.create_invitation(invite(&tenant.id, &email, vec![role(name)])).await.unwrap();
            let member = app.operator().member(&tenant.id, &email).await;
            assert_eq!((member.state(), member.roles), (Pending, vec![name.to_owned()]));
        }

        let untouched = app.traces().await;
        let try_with = async |what: Vec<Assignment>| manager.create_invitation(invite(&tenant.id, "eve@example.test", what)).await;
        // To be on a list is no role.
        for nothing in [vec![], vec![as_member(task("listed"))]] {
            let refused = app.operator().create_invitation(invite(&tenant.id, "eve@example.test", nothing)).await.unwrap_err();
            assert_eq!(violations(&refused), [("assignments".to_owned(), "FIELD_REQUIRED".to_owned())]);
        }
        assert_refused(try_with(vec![]).await, Code::InvalidArgument, "FIELD_REQUIRED");
        assert_refused(try_with(vec![role("owner")]).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        for (name, expected) in [("root", "ROLE_NOT_ASSIGNABLE"), ("backend", "ROLE_NOT_ASSIGNABLE"), ("guest", "ROLE_UNKNOWN")] {
            assert_refused(try_with(vec![role(name)]).await, Code::InvalidArgument, expected);
        }
        assert_eq!(app.traces().await, untouched);
    }

    async fn te_17_a_holder_of_user_admin_may_change_a_role_at_any_time(app) {
        let cast = Cast::open(&app).await;
        let (tenant, manager) = (&cast.tenant, &cast.manager.call);
        // Of who has yet to come, of who works, and of who is shut out.
        let invited = manager.create_invitation(invite(&tenant.id, "eve@example.test", vec![role("viewer")])).await.unwrap();
        let pending = invited.member.unwrap().id;
        let raised = tenant.change(manager, vec![grant(membership(&pending), role("admin"))]).await.unwrap();
        assert_eq!(raised, changed(&["admin"], &["viewer"]));

        // All that lists them follows at once, and no list is touched.
        assert_eq!(tenant.give(manager, &cast.viewer, role("user")).await.unwrap(), changed(&["user"], &["viewer"]));
        assert_eq!(cast.may_on(&cast.viewer, task("listed")).await, ["log.view", "task.run", "task.view"]);
        assert_eq!(tenant.give(manager, &cast.user, role("admin")).await.unwrap(), changed(&["admin"], &["user"]));
        assert_eq!(cast.may_on(&cast.user, task("other")).await, TASK);
        assert_eq!(tenant.give(manager, &cast.user, role("viewer")).await.unwrap(), changed(&["viewer"], &["admin"]));
        assert_eq!(cast.may_on(&cast.user, task("other")).await, NOTHING);
        assert_eq!(cast.may_on(&cast.user, task("listed")).await, ["log.view", "task.view"]);
        app.operator().disable_member(disable(&tenant.id, &cast.user.membership_id)).await.unwrap();
        assert_eq!(tenant.give(manager, &cast.user, role("user")).await.unwrap(), changed(&["user"], &["viewer"]));
        assert_eq!(cast.may_on(&cast.user, task("listed")).await, NOTHING, "shut out, whatever the role");

        let untouched = app.traces().await;
        for person in [&cast.admin, &cast.viewer] {
            let refused = tenant.change(&person.call, vec![grant(membership(&pending), role("viewer"))]).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        assert_eq!(app.traces().await, untouched);
    }

    async fn te_24_the_same_roles_hold_for_every_kind_of_client(app) {
        let cast = Cast::open(&app).await;
        let id = &cast.tenant.id;
        let asked = ["task.view", "task.run", "task.update"];
        for (name, person) in cast.everybody() {
            let expected = cast.may_on(person, task("listed")).await;
            let expected = asked.map(|permission| expected.contains(&permission.to_owned()));

            // Asked by the product's backend about the person and about their token, by the person, one by one, in a
            // batch and on a stream.
            let token = person.call.credential.clone().unwrap();
            let mut stream = person.call.stream().await.unwrap();
            let items = |subject: proto::Subject| asked.map(|permission| item_about(subject.clone(), permission, Some(task("listed"))));
            let by_person = items(proto::Subject { kind: Some(proto::subject::Kind::UserId(person.user_id.clone())) });
            assert_eq!(stream.check(id, by_person.to_vec()).await, expected, "{name} on a stream");
            for (client, items) in [("themselves", by_person), ("their token", items(bearer(&token)))] {
                let request = proto::BatchCheckRequest { organization_id: id.clone(), items: items.to_vec(), consistency: None };
                let decisions = cast.tenant.backend.batch_check(request).await.unwrap().decisions;
                let allowed: Vec<bool> = decisions.iter().map(|decision| decision.allowed).collect();
                assert_eq!(allowed, expected, "{name}, by the backend about {client}");
            }
            for (permission, expected) in asked.into_iter().zip(expected) {
                let own = person.call.check(check(id, item(&person.user_id, permission, Some(task("listed"))))).await;
                assert_eq!(own.unwrap().decision.unwrap().allowed, expected, "{name}: {permission}");
            }
        }
        // Nobody's client asks for more than its person has.
        let about = check(id, item(&cast.admin.user_id, "task.view", Some(task("listed"))));
        assert_refused(cast.viewer.call.check(about).await, Code::PermissionDenied, "PERMISSION_MISSING");
        let listed = cast.viewer.call.list_members(list_members(id)).await;
        assert_refused(listed, Code::PermissionDenied, "PERMISSION_MISSING");
    }
}
