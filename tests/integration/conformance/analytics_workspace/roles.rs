//! Roles: several at a time, and what each opens.

use guildhall::proto;
use guildhall::proto::MemberState::Active;
use tonic::Code;

use super::workspace::{NOUNS, asset, open, project};
use crate::conformance::tenant::{NOTHING, changed};
use crate::harness::messages::{
    create_role, custom_role, delete_role, disable, enable, grant, invite, list_members, membership, register, revoke,
    update_role,
};
use crate::harness::{as_member, assert_refused, role};
use crate::on_both;

/// What a workspace admin may do at the workspace: everything that a user may, and the administration.
const ADMIN: [&str; 35] = [
    "access.check",
    "asset.create",
    "asset.delete",
    "asset.notify",
    "asset.set_owner",
    "asset.share",
    "asset.update",
    "asset.view",
    "audit.view",
    "group.list",
    "group.manage",
    "member.assign",
    "member.disable",
    "member.invite",
    "member.list",
    "member.remove",
    "member.update",
    "organization.update",
    "organization.view",
    "policy.update",
    "project.create",
    "project.delete",
    "project.notify",
    "project.set_owner",
    "project.share",
    "project.update",
    "project.view",
    "role.manage",
    "schedule.create",
    "schedule.delete",
    "schedule.disable",
    "schedule.set_owner",
    "schedule.update",
    "schedule.view",
    "service_account.manage",
];

on_both! {
    async fn ax_20_roles_are_added_and_removed_and_several_are_held_at_a_time(app) {
        let workspace = open(&app).await;
        let (founder, operator) = (&workspace.founder.call, app.operator());
        let eve = workspace.person("eve", vec![]).await;
        let to = |name| grant(membership(&eve.membership_id), role(name));
        let from = |name| revoke(membership(&eve.membership_id), role(name));

        let several = workspace.change(founder, vec![to("default"), to("shared-viewer"), to("workspace-admin")]).await.unwrap();
        assert_eq!(several, changed(&["default", "shared-viewer", "workspace-admin"], &[]));
        let held = ["default", "shared-viewer", "workspace-admin"].map(str::to_owned).to_vec();
        assert_eq!(workspace.standing(&eve).await, (Active, held));
        let one = workspace.change(founder, vec![from("workspace-admin")]).await.unwrap();
        assert_eq!(one, changed(&[], &["workspace-admin"]), "the others stay");
        assert_eq!(workspace.standing(&eve).await.1, ["default", "shared-viewer"]);
        let both = workspace.change(founder, vec![from("default"), to("workspace-admin"), from("shared-viewer")]).await.unwrap();
        assert_eq!(both, changed(&["workspace-admin"], &["default", "shared-viewer"]));
        workspace.change(founder, vec![to("default"), from("workspace-admin")]).await.unwrap();

        let untouched = app.traces().await;
        for what in [to("shared-viewer"), from("default"), to("workspace-admin")] {
            let refused = workspace.change(&eve.call, vec![what]).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        for (name, expected) in [("backend", "ROLE_NOT_ASSIGNABLE"), ("manager", "ROLE_UNKNOWN")] {
            assert_refused(workspace.change(founder, vec![to(name)]).await, Code::InvalidArgument, expected);
        }
        let own = revoke(membership(&workspace.founder.membership_id), role("workspace-admin"));
        assert_refused(workspace.change(founder, vec![own.clone()]).await, Code::FailedPrecondition, "SELF_REMOVAL");
        assert_refused(workspace.change(&operator, vec![own]).await, Code::FailedPrecondition, "ROLE_CARDINALITY");
        assert_eq!(app.traces().await, untouched);
    }

    async fn ax_21_the_role_default_is_the_basic_use_of_the_product(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let eve = workspace.person("eve", vec![role("default"), as_member(project("alpha"))]).await;
        assert_eq!(workspace.may(&eve).await, ["asset.create", "schedule.create"]);
        // Their own, they have in hand.
        let mine = workspace.make(&eve.call, "asset").await;
        let may = workspace.may_on(&eve, &mine, &["asset"]).await;
        let own = ["asset.create", "asset.delete", "asset.notify", "asset.share", "asset.update", "asset.view"];
        assert_eq!(may, own);
        let nightly = workspace.make(&eve.call, "schedule").await;
        let may = workspace.may_on(&eve, &nightly, &["schedule"]).await;
        assert_eq!(may, ["schedule.create", "schedule.delete", "schedule.update", "schedule.view"]);

        // What lists them, and what is in it: to see, and to add to.
        let inside = proto::RegisterResourceRequest { parent: Some(project("alpha")), ..register(id, asset("inside")) };
        admin.register_resource(inside).await.unwrap();
        let on_alpha = workspace.may_on(&eve, &project("alpha"), &NOUNS).await;
        assert_eq!(on_alpha, ["asset.create", "asset.view", "project.view", "schedule.create"]);
        assert!(workspace.sees(&eve, &asset("inside")).await);

        // And nothing of others, nor the administration.
        admin.register_resource(register(id, asset("theirs"))).await.unwrap();
        for theirs in [project("beta"), asset("theirs")] {
            assert!(!workspace.sees(&eve, &theirs).await);
            assert_eq!(workspace.may_on(&eve, &theirs, &["asset", "project"]).await, ["asset.create"]);
        }
        let untouched = app.traces().await;
        let refused = eve.call.register_resource(register(id, project("gamma"))).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_refused(eve.call.list_members(list_members(id)).await, Code::PermissionDenied, "PERMISSION_MISSING");
        let listed = workspace.give(&eve.call, &workspace.founder, as_member(project("alpha"))).await;
        assert_refused(listed, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);

        let watcher = workspace.person("wes", vec![role("shared-viewer"), as_member(project("alpha"))]).await;
        assert_eq!(workspace.may(&watcher).await, NOTHING, "to see what is shared is a part of it, held by itself, too");
        assert_eq!(workspace.may_on(&watcher, &project("alpha"), &NOUNS).await, ["asset.view", "project.view"]);
    }

    async fn ax_22_a_workspace_admin_may_do_everything_that_a_user_may_and_administers(app) {
        let workspace = open(&app).await;
        let (id, eve) = (&workspace.id, workspace.person("eve", vec![role("default")]).await);
        let max = workspace.person("max", vec![role("workspace-admin")]).await;
        for person in [&workspace.founder, &max] {
            assert_eq!(workspace.may(person).await, ADMIN);
        }
        for permission in workspace.may(&eve).await {
            assert!(ADMIN.contains(&permission.as_str()), "{permission}");
        }

        let hers = workspace.make(&eve.call, "asset").await;
        assert!(workspace.sees(&max, &hers).await);
        max.call.register_resource(register(id, project("gamma"))).await.unwrap();
        max.call.create_invitation(invite(id, "bob@example.test", vec![role("workspace-admin")])).await.unwrap();
        workspace.give(&max.call, &eve, as_member(project("gamma"))).await.unwrap();
        max.call.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        max.call.enable_member(enable(id, &eve.membership_id)).await.unwrap();
        app.backend_account_by(&max.call, id).await;

        let untouched = app.traces().await;
        let refused = eve.call.create_invitation(invite(id, "tom@example.test", vec![])).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let refused = eve.call.disable_member(disable(id, &max.membership_id)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }

    async fn ax_23_custom_roles_are_made_as_needed(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let eve = workspace.person("eve", vec![]).await;
        admin.register_resource(register(id, asset("chart"))).await.unwrap();
        let chart = asset("chart");
        let made = admin.create_role(create_role(id, custom_role("editor", &["asset.view", "asset.update"]))).await.unwrap();
        assert!(made.role.unwrap().is_custom);
        assert_eq!(workspace.give(admin, &eve, role("editor")).await.unwrap(), changed(&["editor"], &[]));
        assert_eq!(workspace.may_on(&eve, &chart, &["asset"]).await, ["asset.update", "asset.view"]);
        assert_eq!(workspace.standing(&eve).await, (Active, vec!["editor".to_owned()]));

        // Whoever holds it holds what it says from then on.
        let wider = custom_role("editor", &["asset.view", "asset.update", "asset.delete"]);
        admin.update_role(update_role(id, wider)).await.unwrap();
        assert_eq!(workspace.may_on(&eve, &chart, &["asset"]).await, ["asset.delete", "asset.update", "asset.view"]);

        // No more than its maker holds, under no other's name, and by nobody but an admin; nor where the product has none.
        let account = app.found_as("Account", "max@example.test").await;
        let untouched = app.traces().await;
        let beyond = admin.create_role(create_role(id, custom_role("maker", &["member.create"]))).await;
        assert_refused(beyond, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let beyond = admin.update_role(update_role(id, custom_role("editor", &["asset.view", "member.create"]))).await;
        assert_refused(beyond, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        for taken in ["editor", "default"] {
            let refused = admin.create_role(create_role(id, custom_role(taken, &["asset.view"]))).await;
            assert_refused(refused, Code::AlreadyExists, "NAME_TAKEN");
        }
        let refused = eve.call.create_role(create_role(id, custom_role("mine", &["asset.view"]))).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let refused = eve.call.update_role(update_role(id, custom_role("editor", &["asset.view"]))).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let fixed = create_role(&account.id, custom_role("watcher", &["project.view"]));
        assert_refused(app.operator().create_role(fixed).await, Code::FailedPrecondition, "FEATURE_OFF");
        // One that is held does not vanish from under its holders, who may be moved.
        let held = admin.delete_role(delete_role(id, "editor")).await;
        assert_refused(held, Code::FailedPrecondition, "ROLE_IN_USE");
        assert_eq!(app.traces().await, untouched);

        let moved = proto::DeleteRoleRequest { move_holders_to: "default".into(), ..delete_role(id, "editor") };
        admin.delete_role(moved).await.unwrap();
        assert_eq!(workspace.standing(&eve).await, (Active, vec!["default".to_owned()]));
        assert_eq!(workspace.may_on(&eve, &chart, &["asset"]).await, ["asset.create"]);
    }
}
