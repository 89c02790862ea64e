//! The six profiles, which people hold as part of a role, and what each opens.

use tonic::{Code, Status};

use super::cast::{Cast, MONITOR, SCRIPT, TASK, monitor, script, task};
use crate::conformance::tenant::{NOTHING, assert_all_done, assert_all_refused, changed, resource};
use crate::harness::messages::{change, grant, invite, membership, register, revoke};
use crate::harness::{Caller, as_member, assert_refused, at, role};
use crate::on_both;

const PROFILES: [&str; 6] = ["full-control", "full-access", "view", "execution", "create-and-modify", "user-admin"];

/// Tries all there is to creating and changing, in an order in which each act finds what it needs.
async fn create_and_modify(by: &Caller, id: &str, to: &str, name: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let list = |place| change(id, vec![grant(membership(to), as_member(place))]);
    vec![
        ("create a task", by.register_resource(register(id, task(name))).await.map(drop)),
        ("create a monitor", by.register_resource(register(id, monitor(name))).await.map(drop)),
        ("create a script", by.register_resource(register(id, script(name))).await.map(drop)),
        ("list on a task", by.change_grants(list(task("listed"))).await.map(drop)),
        ("list on a monitor", by.change_grants(list(monitor("listed"))).await.map(drop)),
    ]
}

on_both! {
    async fn te_01_there_are_six_profiles_and_people_hold_them_as_part_of_a_role_only(app) {
        let cast = Cast::open(&app).await;
        let (tenant, operator) = (&cast.tenant, app.operator());
        let untouched = app.traces().await;
        for profile in PROFILES {
            for place in [role(profile), at(task("listed"), profile)] {
                let refused = tenant.give(&operator, &cast.user, place.clone()).await;
                assert_refused(refused, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
                let refused = operator.create_invitation(invite(&tenant.id, "eve@example.test", vec![role("user"), place])).await;
                assert_refused(refused, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
            }
        }
        let seventh = tenant.give(&operator, &cast.user, role("billing")).await;
        assert_refused(seventh, Code::InvalidArgument, "ROLE_UNKNOWN");
        assert_eq!(app.traces().await, untouched);
    }

    async fn te_03_full_access_sees_every_resource_of_the_organization_on_its_list_or_not(app) {
        let cast = Cast::open(&app).await;
        let all = [task("listed"), task("other"), monitor("listed"), monitor("other"), script("nightly")];
        for resource in &all {
            for (name, person) in cast.everybody() {
                let is_full = ["owner", "admin"].contains(&name);
                let is_listed = resource.id == "listed";
                assert_eq!(cast.tenant.sees(person, resource).await, is_full || is_listed, "{name}: {resource:?}");
            }
        }
        // What is below another resource, too, and what will come.
        let under = register(&cast.tenant.id, task("inner"));
        let under = guildhall::proto::RegisterResourceRequest { parent: Some(monitor("other")), ..under };
        cast.tenant.founder.call.register_resource(under).await.unwrap();
        assert!(cast.tenant.sees(&cast.admin, &task("inner")).await);
        assert!(!cast.tenant.sees(&cast.manager, &task("inner")).await);
    }

    async fn te_04_view_sees_monitors_tasks_and_output_logs(app) {
        let cast = Cast::open(&app).await;
        assert_eq!(cast.may_on(&cast.viewer, task("listed")).await, ["log.view", "task.view"]);
        assert_eq!(cast.may_on(&cast.viewer, monitor("listed")).await, ["log.view", "monitor.view"]);
        // No script, no run, and nothing that does not list them.
        assert_eq!(cast.may_on(&cast.viewer, script("nightly")).await, NOTHING);
        assert_eq!(cast.may_on(&cast.viewer, task("other")).await, NOTHING);
        assert_eq!(cast.may_on(&cast.viewer, monitor("other")).await, NOTHING);
        assert_eq!(cast.tenant.may(&cast.viewer).await, NOTHING);
    }

    async fn te_05_execution_sees_and_runs_tasks(app) {
        let cast = Cast::open(&app).await;
        assert_eq!(cast.may_on(&cast.user, task("listed")).await, ["log.view", "task.run", "task.view"]);
        assert_eq!(cast.may_on(&cast.user, task("other")).await, NOTHING);
        // There is nothing to run about a monitor or a script.
        assert_eq!(cast.may_on(&cast.user, monitor("listed")).await, ["log.view", "monitor.view"]);
        assert_eq!(cast.may_on(&cast.user, script("nightly")).await, NOTHING);

        // Without it, nothing runs: the viewer has all else that the user has.
        cast.tenant.give(&cast.tenant.founder.call, &cast.user, role("viewer")).await.unwrap();
        assert_eq!(cast.may_on(&cast.user, task("listed")).await, ["log.view", "task.view"]);
    }

    async fn te_06_create_and_modify_creates_and_changes_resources_and_sets_the_lists_of_tasks(app) {
        let cast = Cast::open(&app).await;
        let (id, newcomer) = (&cast.tenant.id, cast.tenant.person("eve", vec![role("viewer")]).await);
        for (name, person) in [("first", &cast.tenant.founder), ("second", &cast.admin)] {
            assert_all_done(create_and_modify(&person.call, id, &newcomer.membership_id, name).await);
            let gone = [task("listed"), monitor("listed")].map(|place| revoke(membership(&newcomer.membership_id), as_member(place)));
            let gone = cast.tenant.change(&person.call, gone.into()).await.unwrap();
            assert_eq!(gone, changed(&[], &["listed", "listed"]));
            assert_eq!(cast.may_on(person, task(name)).await, TASK);
            assert_eq!(cast.may_on(person, monitor(name)).await, MONITOR);
            assert_eq!(cast.tenant.may_on(person, &script(name), &["script"]).await, SCRIPT);
        }

        let untouched = app.traces().await;
        for person in [&cast.manager, &cast.user, &cast.viewer] {
            let acts = create_and_modify(&person.call, id, &newcomer.membership_id, "third").await;
            assert_all_refused(acts, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let unknown = cast.admin.call.register_resource(register(id, resource("dashboard", "x"))).await;
        assert_refused(unknown, Code::InvalidArgument, "RESOURCE_TYPE_UNKNOWN");
        assert_eq!(app.traces().await, untouched);
    }

    async fn te_08_apart_from_full_access_people_reach_only_resources_whose_list_names_them(app) {
        let cast = Cast::open(&app).await;
        for person in [&cast.manager, &cast.user, &cast.viewer] {
            for other in [task("other"), monitor("other"), script("nightly")] {
                assert_eq!(cast.may_on(person, other.clone()).await, NOTHING);
                assert!(!cast.tenant.sees(person, &other).await);
            }
            assert!(!cast.may_on(person, task("listed")).await.is_empty());
            // Off the list, out of reach at once; and back.
            let taken = cast.tenant.take(&cast.admin.call, person, as_member(task("listed"))).await.unwrap();
            assert_eq!(taken, changed(&[], &["listed"]));
            assert_eq!(cast.may_on(person, task("listed")).await, NOTHING);
            assert!(!cast.tenant.sees(person, &task("listed")).await);
            assert!(cast.tenant.sees(person, &monitor("listed")).await, "another list is another matter");
            cast.tenant.give(&cast.admin.call, person, as_member(task("listed"))).await.unwrap();
            assert!(cast.tenant.sees(person, &task("listed")).await);
        }
    }
}
