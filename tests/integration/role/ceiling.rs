//! Who may make which role: every way to come by more than one holds.

use std::time::Duration;

use guildhall::proto::{self, HolderKind, Reach};
use tonic::{Code, Status};

use super::{any, asset, change, give, make, named, subset, workspace};
use crate::catalog::{found_shop, put, shelf, shop_with};
use crate::harness::messages::{
    self, custom_role, delete_role, get_organization, grant, membership, reaching, revoke, set_catalog, update_role,
};
use crate::harness::{Caller, Organization, Person, TestApp, assert_refused, at, reason, role};
use crate::on_both;

async fn revision(call: &Caller, organization: &str) -> String {
    call.get_organization(get_organization(organization)).await.expect("an organization").revision
}

/// What somebody may do who makes roles, and who holds some of a workspace's permissions besides.
fn maker(name: &str) -> proto::Role {
    proto::Role {
        permissions: vec![
            reaching("asset.view", Reach::Shared),
            reaching("asset.update", Reach::Own),
            reaching("asset.notify", Reach::Any),
            reaching("member.assign", Reach::Any),
            reaching("member.list", Reach::Any),
            reaching("role.manage", Reach::Any),
        ],
        may_grant: Some(subset()),
        may_take: Some(subset()),
        ..custom_role(name, &[])
    }
}

/// A workspace with a maker of roles in it, who is no admin.
async fn scene(app: &TestApp) -> (Organization, Person) {
    let workspace = workspace(app).await;
    let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
    make(owner, id, maker("maker")).await.unwrap();
    let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("maker")]).await;
    (workspace, eve)
}

fn with(name: &str, permissions: Vec<proto::RolePermission>) -> proto::Role {
    proto::Role { permissions, ..custom_role(name, &[]) }
}

/// Roles that hold more than the maker does, each by one thing.
fn too_wide(name: &str) -> Vec<(&'static str, proto::Role)> {
    let empty = || custom_role(name, &[]);
    vec![
        ("a permission", custom_role(name, &["asset.delete"])),
        ("a reserved permission", custom_role(name, &["member.invite"])),
        ("a wider reach than SHARED", custom_role(name, &["asset.view"])),
        ("a wider reach than OWN", custom_role(name, &["asset.update"])),
        ("another reach", with(name, vec![reaching("asset.view", Reach::Own)])),
        ("every list", proto::Role { as_member: true, ..with(name, vec![reaching("asset.view", Reach::Shared)]) }),
        ("what it includes", proto::Role { includes: vec!["default".into()], ..empty() }),
        ("what it includes, if little", proto::Role { includes: vec!["shared-viewer".into()], ..empty() }),
        ("whom it gives", proto::Role { may_grant: Some(any()), ..empty() }),
        ("whom it gives, one", proto::Role { may_grant: Some(named(&["workspace-admin"])), ..empty() }),
        ("whom it takes", proto::Role { may_take: Some(any()), ..empty() }),
        ("whom it takes, one", proto::Role { may_take: Some(named(&["shared-viewer"])), ..empty() }),
    ]
}

fn told(result: Result<proto::Role, Status>) -> (Code, String) {
    match result {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status)),
    }
}

on_both! {
    async fn a_role_counts_for_what_can_be_asked_where_it_can_be_held(app) {
        let (workspace, eve) = scene(&app).await;
        let (owner, id) = (&workspace.owner, workspace.id.as_str());
        let reader = |at: &str| proto::Role {
            at: vec![at.into()],
            ..with("reader", vec![reaching("asset.notify", Reach::Any), reaching("schedule.view", Reach::Any)])
        };
        let before = revision(&owner.call, id).await;
        for at in ["organization", "project", "schedule"] {
            let refused = make(&eve.call, id, reader(at)).await;
            assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        assert_eq!(revision(&owner.call, id).await, before);
        // Of an asset nobody asks about schedules: there it is worth no more than its maker holds.
        make(&eve.call, id, reader("asset")).await.expect("no more than she holds, of assets");
        give(&owner.call, id, &eve, at(asset("plan"), "reader")).await.unwrap();
        assert!(owner.call.allows(id, &eve.user_id, "asset.notify", Some(asset("plan"))).await);
        assert!(!owner.call.allows(id, &eve.user_id, "schedule.view", Some(asset("plan"))).await);
        let held = change(&eve.call, id, reader("project")).await;
        assert_refused(held, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    }

    async fn nobody_makes_a_role_that_holds_more_than_they_do(app) {
        let (workspace, eve) = scene(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        make(owner, id, custom_role("held", &["asset.notify"])).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("held")]).await;
        let before = revision(owner, id).await;
        for (what, role) in too_wide("wider") {
            let refused = (Code::PermissionDenied, "ROLE_NOT_GRANTABLE".to_owned());
            assert_eq!(told(make(&eve.call, id, role).await), refused, "made: {what}");
        }
        for (what, role) in too_wide("held") {
            let refused = (Code::PermissionDenied, "ROLE_NOT_GRANTABLE".to_owned());
            assert_eq!(told(change(&eve.call, id, role).await), refused, "changed: {what}");
        }
        // Not by the half: what nobody else wrote is judged with the rest.
        make(owner, id, custom_role("wide", &["asset.delete"])).await.unwrap();
        let words = proto::Role { name: "wide".into(), description: "harmless".into(), ..Default::default() };
        assert_refused(change(&eve.call, id, words).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        owner.delete_role(delete_role(id, "wide")).await.unwrap();
        assert_ne!(revision(owner, id).await, before);

        let within = proto::Role { may_grant: Some(subset()), may_take: Some(subset()), ..maker("within") };
        make(&eve.call, id, within).await.expect("all of what she holds");
        let less = with("held", vec![reaching("asset.notify", Reach::Any), reaching("asset.view", Reach::Shared)]);
        change(&eve.call, id, less).await.expect("wider, within what she holds");
        assert!(owner.allows(id, &bob.user_id, "asset.notify", Some(asset("plan"))).await);
    }

    /// Each lacks one of the three things that making a role asks for.
    async fn who_may_not_assign_or_manage_or_grant_makes_no_role_however_little_it_holds(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let without = |permission: &str| {
            let mut lacking = maker(&format!("no-{}", permission.replace('.', "-")));
            lacking.permissions.retain(|it| it.permission != permission);
            lacking
        };
        let cases = [
            (without("role.manage"), "PERMISSION_MISSING"),
            (without("member.assign"), "PERMISSION_MISSING"),
            (proto::Role { may_grant: None, ..maker("no-grant") }, "ROLE_NOT_GRANTABLE"),
            (proto::Role { may_grant: Some(named(&["default", "shared-viewer"])), ..maker("by-name") }, "ROLE_NOT_GRANTABLE"),
        ];
        for (number, (lacking, reason)) in cases.into_iter().enumerate() {
            let name = lacking.name.clone();
            // A list is wider than a SUBSET on paper: an operator gives it.
            make(&app.operator(), id, lacking).await.unwrap();
            let email = format!("person-{number}@example.test");
            let invited = messages::invite(id, &email, vec![role(&name)]);
            app.operator().create_invitation(invited).await.unwrap();
            let person = app.join(&email).await;
            let empty = custom_role("empty", &[]);
            assert_refused(make(&person.call, id, empty).await, Code::PermissionDenied, reason);
        }
        make(owner, id, custom_role("empty", &[])).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("default")]).await;
        let attempts = [
            change(&bob.call, id, custom_role("empty", &["asset.view"])).await.map(drop),
            change(&bob.call, id, custom_role("no-such", &[])).await.map(drop),
            bob.call.delete_role(delete_role(id, "empty")).await.map(drop),
            bob.call.delete_role(delete_role(id, "no-such")).await.map(drop),
        ];
        for refused in attempts {
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let outsider = app.found_as("Other", "oz@example.test").await.owner;
        for refused in [
            make(&outsider.call, id, custom_role("mine", &[])).await.map(drop),
            change(&outsider.call, id, custom_role("empty", &[])).await.map(drop),
            outsider.call.delete_role(delete_role(id, "empty")).await.map(drop),
        ] {
            assert_refused(refused, Code::NotFound, "NOT_FOUND");
        }
    }

    async fn a_catalog_may_leave_custom_roles_out(app) {
        let organization = app.found().await;
        let (operator, id) = (app.operator(), organization.id.as_str());
        for refused in [
            make(&operator, id, custom_role("mine", &[])).await.map(drop),
            change(&operator, id, custom_role("mine", &[])).await.map(drop),
            operator.delete_role(delete_role(id, "mine")).await.map(drop),
        ] {
            assert_refused(refused, Code::FailedPrecondition, "FEATURE_OFF");
        }
        let mine = make(&organization.owner.call, id, custom_role("mine", &[])).await;
        assert_refused(mine, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    async fn nobody_widens_or_narrows_a_role_that_they_hold(app) {
        let (workspace, eve) = scene(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let before = revision(owner, id).await;
        let mut more = maker("maker");
        more.permissions.push(reaching("asset.delete", Reach::Any));
        assert_refused(change(&eve.call, id, more.clone()).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        for narrower in [
            with("maker", maker("maker").permissions.split_off(1)),
            proto::Role { may_grant: Some(proto::RoleCeiling::default()), ..maker("maker") },
        ] {
            assert_refused(change(&eve.call, id, narrower).await, Code::FailedPrecondition, "SELF_REMOVAL");
        }
        assert_eq!(revision(owner, id).await, before);

        // An operator may give any role, and nobody what they do not hold to themselves: ada is none.
        give(owner, id, &workspace.owner, role("maker")).await.expect("she gains nothing by it");
        change(owner, id, more).await.expect("nor by this: she may delete any asset");
        let narrower = change(owner, id, maker("maker")).await;
        assert_refused(narrower, Code::FailedPrecondition, "SELF_REMOVAL");
        let moving = proto::DeleteRoleRequest { move_holders_to: "default".into(), ..delete_role(id, "maker") };
        assert_refused(owner.delete_role(moving.clone()).await, Code::FailedPrecondition, "SELF_REMOVAL");
        app.operator().delete_role(moving).await.expect("another may");
        assert!(!owner.allows(id, &eve.user_id, "role.manage", None).await);
    }

    /// Taking is asked for whatever a role of somebody comes to hold less.
    async fn who_may_not_take_a_role_neither_narrows_nor_deletes_it_while_it_is_held(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        make(owner, id, proto::Role { may_take: None, ..maker("giver") }).await.unwrap();
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("giver")]).await;
        let both = || with("both", vec![reaching("asset.notify", Reach::Any), reaching("member.list", Reach::Any)]);
        make(&eve.call, id, both()).await.unwrap();
        make(&eve.call, id, custom_role("other", &["asset.notify"])).await.unwrap();
        let less = || custom_role("both", &["asset.notify"]);
        change(&eve.call, id, less()).await.expect("nobody holds it");
        change(&eve.call, id, both()).await.unwrap();

        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("both")]).await;
        let before = revision(owner, id).await;
        assert_refused(change(&eve.call, id, less()).await, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let moving = proto::DeleteRoleRequest { move_holders_to: "other".into(), ..delete_role(id, "both") };
        assert_refused(eve.call.delete_role(moving.clone()).await, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        assert_eq!(revision(owner, id).await, before);
        let words = proto::Role { description: "says more".into(), ..both() };
        change(&eve.call, id, words).await.expect("nothing is taken by words");
        owner.delete_role(moving).await.unwrap();
        assert!(!owner.allows(id, &bob.user_id, "member.list", None).await);
    }

    async fn a_deletion_gives_nobody_a_role_that_its_maker_may_not_give(app) {
        let (workspace, eve) = scene(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        make(&eve.call, id, custom_role("little", &["asset.notify"])).await.unwrap();
        make(owner, id, custom_role("much", &["asset.delete"])).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("little")]).await;
        let before = revision(owner, id).await;
        for to in ["much", "default", "workspace-admin"] {
            let moving = proto::DeleteRoleRequest { move_holders_to: to.into(), ..delete_role(id, "little") };
            assert_refused(eve.call.delete_role(moving).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        assert_eq!(revision(owner, id).await, before);
        assert!(!owner.allows(id, &bob.user_id, "asset.delete", Some(asset("plan"))).await);
    }

    /// What one may not see, one cannot act on (X16), and whether there is anything is not told.
    async fn who_does_not_see_all_where_a_role_can_be_held_neither_narrows_moves_nor_deletes_it(app) {
        let (workspace, eve) = scene(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let everywhere = || vec!["organization".to_owned(), "asset".into()];
        for name in ["notifier", "herald"] {
            make(owner, id, proto::Role { at: everywhere(), ..custom_role(name, &["asset.notify"]) }).await.unwrap();
        }
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let moving = || proto::DeleteRoleRequest { move_holders_to: "herald".into(), ..delete_role(id, "notifier") };
        let narrower = || proto::UpdateRoleRequest {
            update_mask: Some(prost_types::FieldMask { paths: vec!["permissions".into()] }),
            ..update_role(id, custom_role("notifier", &[]))
        };
        let elsewhere = || custom_role("notifier", &["asset.notify"]);
        let mut told = Vec::new();
        for is_held in [false, true] {
            if is_held {
                give(owner, id, &bob, at(asset("plan"), "notifier")).await.unwrap();
            }
            let before = revision(owner, id).await;
            let refused = [
                eve.call.delete_role(moving()).await.unwrap_err(),
                eve.call.update_role(narrower()).await.unwrap_err(),
                change(&eve.call, id, elsewhere()).await.unwrap_err(),
            ];
            assert_eq!(refused.each_ref().map(reason), ["PERMISSION_MISSING"; 3]);
            told.push(refused.map(|status| format!("{:?} {}", status.code(), status.message())));
            assert_eq!(revision(owner, id).await, before);
        }
        assert_eq!(told[0], told[1]);

        make(owner, id, custom_role("overseer", &["asset.view"])).await.unwrap();
        give(owner, id, &eve, role("overseer")).await.unwrap();
        assert_eq!(eve.call.delete_role(moving()).await.expect("she sees it now").granted.len(), 1);
    }

    /// A role is judged by what it holds when it is given, and by who gives it: not by who made it.
    async fn a_role_that_has_grown_is_no_longer_given_by_whoever_could(app) {
        let (workspace, eve) = scene(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        make(&eve.call, id, custom_role("growing", &["asset.notify"])).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        change(owner, id, custom_role("growing", &["asset.notify", "asset.delete"])).await.unwrap();
        let refused = give(&eve.call, id, &bob, role("growing")).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let refused = give(&eve.call, id, &eve, role("growing")).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let refused = eve.call.change_grants(messages::change(
            id,
            vec![revoke(membership(&workspace.owner.membership_id), role("workspace-admin"))],
        ));
        assert_refused(refused.await, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        assert!(!owner.allows(id, &eve.user_id, "asset.delete", Some(asset("plan"))).await);
    }

    /// Whoever is to hold it, and wherever: what a role holds is judged at the organization, with all that is above.
    async fn no_detour_gives_more_than_is_held(app) {
        let (workspace, eve) = scene(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        let anyone = vec![HolderKind::Membership.into(), HolderKind::Group.into(), HolderKind::Everyone.into()];
        let everywhere = vec!["organization".to_owned(), "asset".into(), "project".into(), "schedule".into()];
        for (what, wide) in too_wide("detour") {
            let wide = proto::Role { to: anyone.clone(), at: everywhere.clone(), ..wide };
            assert_eq!(told(make(&eve.call, id, wide).await).0, Code::PermissionDenied, "{what}");
        }
        // Made narrow and given, then widened.
        let narrow = proto::Role { at: everywhere, to: anyone, ..custom_role("detour", &["asset.notify"]) };
        make(&eve.call, id, narrow).await.unwrap();
        give(&eve.call, id, &bob, role("detour")).await.unwrap();
        give(&eve.call, id, &eve, role("detour")).await.expect("what she holds, to herself");
        for (what, wide) in too_wide("detour") {
            let refused = told(change(&eve.call, id, wide).await);
            assert_eq!(refused, (Code::PermissionDenied, "ROLE_NOT_GRANTABLE".to_owned()), "{what}");
        }
        // Given to others by those who hold no more.
        make(&eve.call, id, maker("deputy")).await.unwrap();
        give(&eve.call, id, &bob, role("deputy")).await.unwrap();
        for (what, wide) in too_wide("wider") {
            let refused = told(make(&bob.call, id, wide).await);
            assert_eq!(refused, (Code::PermissionDenied, "ROLE_NOT_GRANTABLE".to_owned()), "by a deputy: {what}");
        }
        // What runs out counts until it does, and not after.
        let mut longer = crate::harness::messages::role("workspace-admin");
        longer.expire_time = None;
        assert_refused(give(&eve.call, id, &bob, longer).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        make(owner, id, custom_role("for-an-hour", &["asset.delete"])).await.unwrap();
        let end = {
            use guildhall::clock::Clock;
            let micros = app.clock.now().plus(Duration::from_hours(1)).as_micros();
            prost_types::Timestamp { seconds: micros / 1_000_000, nanos: 0 }
        };
        let for_an_hour = proto::Assignment { expire_time: Some(end), ..role("for-an-hour") };
        give(owner, id, &eve, for_an_hour).await.unwrap();
        app.clock.advance(Duration::from_hours(2));
        let eve = app.sign_in("eve@example.test", "").await;
        let late = make(&eve.call, id, custom_role("late", &["asset.delete"])).await;
        assert_refused(late, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    }

    /// Held on one asset, a role makes nobody a maker of roles for the whole organization.
    async fn what_is_held_at_a_resource_makes_no_role(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let there = proto::Role { at: vec!["asset".into()], ..maker("maker-there") };
        make(owner, id, there).await.unwrap();
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![]).await;
        give(owner, id, &eve, at(asset("plan"), "maker-there")).await.unwrap();
        let refused = make(&eve.call, id, custom_role("mine", &["asset.notify"])).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let refused = change(&eve.call, id, maker("maker-there")).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
    }

    /// An invitation is judged again at its acceptance, by what its role holds then and its sponsor may give then.
    async fn an_invitation_brings_no_role_that_has_outgrown_its_sponsor(app) {
        let workspace = workspace(&app).await;
        let (owner, id) = (&workspace.owner.call, workspace.id.as_str());
        let mut host = maker("host");
        host.permissions.push(reaching("member.invite", Reach::Any));
        make(owner, id, host).await.unwrap();
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("host")]).await;
        make(&eve.call, id, custom_role("guest", &["asset.notify"])).await.unwrap();
        let invited = messages::invite(id, "bob@example.test", vec![role("guest")]);
        eve.call.create_invitation(invited).await.unwrap();
        let token = app.token_mailed_to("bob@example.test").await;
        change(owner, id, custom_role("guest", &["asset.delete"])).await.unwrap();
        assert_refused(app.accept(&token).await, Code::FailedPrecondition, "INVITATION_UNSPONSORED");
        change(owner, id, custom_role("guest", &["asset.notify"])).await.unwrap();
        app.accept(&token).await.expect("what she may give again");
    }

    /// A switch is an operator's act and judged by none of this; what a role comes to hold by it is what its names stand for.
    async fn after_a_switch_the_ceiling_is_that_of_the_other_catalog(app) {
        let shop = found_shop(&app).await;
        let (owner, id) = (&shop.owner.call, shop.id.as_str());
        owner.register_resource(messages::register(id, shelf("tea"))).await.unwrap();
        let filler = proto::Role { at: vec!["organization".into(), "shelf".into()], ..custom_role("filler", &["shelf.fill"]) };
        make(owner, id, filler).await.unwrap();
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![role("helper")]).await;
        give(owner, id, &bob, role("filler")).await.unwrap();

        let lesser = shop_with(&[("version: 1", "version: 2"), ("      shelf.fill: ANY\n", "")]);
        put(&app, &lesser).await;
        app.operator().set_organization_catalog(set_catalog(id, "shop")).await.unwrap();
        assert!(owner.allows(id, &bob.user_id, "shelf.fill", Some(shelf("tea"))).await, "what is held stays held");
        assert!(!owner.allows(id, &shop.owner.user_id, "shelf.fill", Some(shelf("tea"))).await);
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![]).await;
        let refused = give(owner, id, &eve, role("filler")).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let refused = give(owner, id, &shop.owner, role("filler")).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let words = proto::Role { name: "filler".into(), description: "mine".into(), ..Default::default() };
        assert_refused(change(owner, id, words).await, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        let smaller = custom_role("filler", &["shelf.audit"]);
        change(owner, id, smaller).await.expect("within what she holds, and she may take any");
        assert!(!owner.allows(id, &bob.user_id, "shelf.fill", Some(shelf("tea"))).await);
        let deltas = vec![grant(membership(&eve.membership_id), role("filler"))];
        owner.change_grants(messages::change(id, deltas)).await.unwrap();
    }
}
