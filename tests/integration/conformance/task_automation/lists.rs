//! Access control lists: what has one, who sets it, and what it is good for.

use tonic::Code;

use super::cast::{Cast, SCRIPT, TASK, monitor, script, task};
use crate::conformance::tenant::{NOTHING, changed};
use crate::harness::messages::register;
use crate::harness::{as_member, assert_refused, role};
use crate::on_both;

on_both! {
    async fn te_19_lists_sit_on_tasks_and_monitors_and_scripts_have_none(app) {
        let cast = Cast::open(&app).await;
        let (tenant, admin) = (&cast.tenant, &cast.admin.call);
        for place in [task("other"), monitor("other")] {
            assert_eq!(tenant.give(admin, &cast.viewer, as_member(place)).await.unwrap(), changed(&["other"], &[]));
        }
        let untouched = app.traces().await;
        let refused = tenant.give(admin, &cast.viewer, as_member(script("nightly"))).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let refused = tenant.give(&app.operator(), &cast.viewer, as_member(script("nightly"))).await;
        assert_refused(refused, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        assert_eq!(app.traces().await, untouched);

        // Scripts are seen by who creates and modifies and by who has full access, and by nobody through a list.
        let below = register(&tenant.id, script("inner"));
        let below = guildhall::proto::RegisterResourceRequest { parent: Some(task("listed")), ..below };
        admin.register_resource(below).await.unwrap();
        for place in [script("nightly"), script("inner")] {
            for (name, person) in cast.everybody() {
                let sees = ["owner", "admin"].contains(&name);
                assert_eq!(tenant.sees(person, &place).await, sees, "{name}: {place:?}");
                let may = tenant.may_on(person, &place, &["script"]).await;
                assert_eq!(may, if sees { SCRIPT.to_vec() } else { vec![] }, "{name}: {place:?}");
            }
        }
    }

    async fn te_20_admin_roles_show_a_resource_to_members_by_putting_them_on_its_list(app) {
        let cast = Cast::open(&app).await;
        let tenant = &cast.tenant;
        for person in [&tenant.founder, &cast.admin] {
            for place in [task("other"), monitor("other")] {
                assert!(!tenant.sees(&cast.viewer, &place).await);
                assert_eq!(tenant.give(&person.call, &cast.viewer, as_member(place.clone())).await.unwrap(), changed(&["other"], &[]));
                assert!(tenant.sees(&cast.viewer, &place).await);
                tenant.take(&person.call, &cast.viewer, as_member(place.clone())).await.unwrap();
                assert!(!tenant.sees(&cast.viewer, &place).await);
            }
        }

        // Who is on a list does not put others on it; on what they do not see, there is no list.
        let untouched = app.traces().await;
        for person in [&cast.manager, &cast.user, &cast.viewer] {
            let shown = tenant.give(&person.call, &cast.admin, as_member(task("listed"))).await;
            assert_refused(shown, Code::PermissionDenied, "PERMISSION_MISSING");
            let hidden = tenant.give(&person.call, &cast.viewer, as_member(task("other"))).await;
            assert_refused(hidden, Code::NotFound, "NOT_FOUND");
            let helped = tenant.give(&person.call, person, as_member(task("other"))).await;
            assert_refused(helped, Code::NotFound, "NOT_FOUND");
        }
        assert_eq!(app.traces().await, untouched);
    }

    async fn te_21_on_the_list_a_member_reaches_the_resource_to_the_extent_of_their_role(app) {
        let cast = Cast::open(&app).await;
        let (tenant, owner) = (&cast.tenant, &cast.tenant.founder.call);
        let eve = tenant.person("eve", vec![role("viewer"), as_member(task("other"))]).await;

        // Role and list: neither alone.
        assert_eq!(cast.may_on(&eve, task("other")).await, ["log.view", "task.view"]);
        assert_eq!(cast.may_on(&eve, task("listed")).await, NOTHING, "the role alone");
        tenant.take(owner, &eve, role("viewer")).await.unwrap();
        assert_eq!(cast.may_on(&eve, task("other")).await, NOTHING, "the list alone");
        assert!(!tenant.sees(&eve, &task("other")).await);

        for (name, may) in [("user", &["log.view", "task.run", "task.view"][..]), ("manager", &["log.view", "task.run", "task.view"]), ("admin", &TASK), ("viewer", &["log.view", "task.view"])] {
            tenant.give(owner, &eve, role(name)).await.unwrap();
            assert_eq!(cast.may_on(&eve, task("other")).await, may, "{name}");
        }
        tenant.take(owner, &eve, as_member(task("other"))).await.unwrap();
        assert_eq!(cast.may_on(&eve, task("other")).await, NOTHING);
    }
}
