//! Where the products disagree (X): a policy settles each, so that both sides of it run on one binary.

use guildhall::proto;
use guildhall::proto::MemberState::{Active, Disabled, Pending};
use guildhall::proto::remove_member_request::Assets;
use tonic::Code;

use super::tenant::{NOTHING, Tenant, Way, changed, resource};
use crate::harness::messages::{
    accept, change, create_organization_under, disable, enable, get_organization, get_resource, grant, invite,
    invite_by_link, membership, principal, register, revoke, transfer,
};
use crate::harness::{Person, TestApp, as_member, assert_refused, at, role, token_in};
use crate::on_both;

async fn msp_monitoring(app: &TestApp) -> Tenant<'_> {
    Tenant::open(app, "msp-monitoring", Way::Link).await
}

async fn by_mail<'a>(app: &'a TestApp, preset: &str) -> Tenant<'a> {
    Tenant::open(app, preset, Way::Mail).await
}

/// An organization of this preset beside others.
async fn named<'a>(app: &'a TestApp, preset: &str) -> Tenant<'a> {
    Tenant::open_for(app, preset, Way::Mail, &format!("founder@{preset}.test")).await
}

/// A role of which there may be none.
fn lesser(preset: &str) -> &'static str {
    if preset == "task-automation" { "viewer" } else { "default" }
}

fn to(person: &Person, name: &str) -> proto::GrantDelta {
    grant(membership(&person.membership_id), role(name))
}

fn from(person: &Person, name: &str) -> proto::GrantDelta {
    revoke(membership(&person.membership_id), role(name))
}

on_both! {
    async fn x_02_a_bearer_link_or_one_mailbox(app) {
        let links = msp_monitoring(&app).await;
        let link = links.founder.call.create_invitation(invite_by_link(&links.id, vec![])).await.unwrap().link;
        let bob = app.somebody("bob@example.test").await;
        let mails = app.found_as("Mails", "zoe@example.test").await;
        mails.owner.call.create_invitation(invite(&mails.id, &bob.email, vec![])).await.unwrap();
        let mailed = app.token_mailed_by("Mails", &bob.email).await;
        let eve = app.somebody("eve@example.test").await;

        // The link is for whoever holds it, and for more than one; the mail for whom it was sent to, and for once.
        let untouched = app.traces().await;
        let refused = eve.call.accept_invitation(accept(&mailed, "")).await;
        assert_refused(refused, Code::PermissionDenied, "EMAIL_MISMATCH");
        assert_eq!(app.traces().await, untouched);
        for person in [&bob, &eve] {
            let joined = person.call.accept_invitation(accept(&token_in(&link), "")).await.unwrap();
            assert_eq!(joined.member.unwrap().email, person.email);
        }
        bob.call.accept_invitation(accept(&mailed, "")).await.unwrap();
        let again = bob.call.accept_invitation(accept(&mailed, "")).await;
        assert_refused(again, Code::FailedPrecondition, "INVITATION_ACCEPTED");

        // Each where the policy opens it, and nowhere else.
        let untouched = app.traces().await;
        let link = mails.owner.call.create_invitation(invite_by_link(&mails.id, vec![])).await;
        assert_refused(link, Code::InvalidArgument, "INVITATION_KIND_UNAVAILABLE");
        let mail = invite(&links.id, "tom@example.test", vec![]);
        let mail = proto::CreateInvitationRequest { kind: proto::InvitationKind::Email.into(), ..mail };
        let mail = links.founder.call.create_invitation(mail).await;
        assert_refused(mail, Code::InvalidArgument, "INVITATION_KIND_UNAVAILABLE");
        assert_eq!(app.traces().await, untouched);
    }

    async fn x_05_pending_people_hold_grants_which_count_once_they_are_active(app) {
        let tenant = by_mail(&app, "bi-dashboards").await.with(&[resource("dashboard", "sales")]).await;
        let bob = app.somebody("bob@example.test").await;
        let invitation = invite(&tenant.id, &bob.email, vec![role("analyst")]);
        let invited = tenant.founder.call.create_invitation(invitation).await.unwrap();
        let bob = Person { membership_id: invited.member.unwrap().id, ..bob };
        let shared = at(resource("dashboard", "sales"), "dashboard-viewer");
        tenant.give(&tenant.founder.call, &bob, shared).await.unwrap();
        assert_eq!(tenant.standing(&bob).await, (Pending, vec!["analyst".to_owned()]));

        let untouched = app.traces().await;
        assert_eq!(tenant.may(&bob).await, NOTHING);
        assert!(!tenant.sees(&bob, &resource("dashboard", "sales")).await);
        let refused = bob.call.register_resource(register(&tenant.id, resource("report", "year"))).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        let refused = bob.call.get_organization(get_organization(&tenant.id)).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);

        let token = app.token_mailed_by("Example", &bob.email).await;
        bob.call.accept_invitation(accept(&token, "")).await.unwrap();
        assert_eq!(tenant.standing(&bob).await, (Active, vec!["analyst".to_owned()]));
        assert!(tenant.sees(&bob, &resource("dashboard", "sales")).await);
        tenant.make(&bob.call, "report").await;
    }

    async fn x_06_a_role_has_least_and_most_holders_or_no_bound(app) {
        let operator = app.operator();
        // One owner, at most and at least.
        let account = by_mail(&app, "disaster-recovery").await;
        let bob = account.person("bob", vec![role("admin")]).await;
        let untouched = app.traces().await;
        for what in [to(&bob, "owner"), from(&account.founder, "owner")] {
            assert_refused(account.change(&operator, vec![what]).await, Code::FailedPrecondition, "ROLE_TRANSFER_ONLY");
        }
        let shut_out = operator.disable_member(disable(&account.id, &account.founder.membership_id)).await;
        assert_refused(shut_out, Code::FailedPrecondition, "ROLE_CARDINALITY");
        assert_eq!(app.traces().await, untouched);
    }

    async fn x_06_an_owner_role_has_at_least_one_holder_and_others_have_no_bound(app) {
        let operator = app.operator();
        let tenant = by_mail(&app, "task-automation").await;
        let (ada, bob) = (&tenant.founder, tenant.person("bob", vec![role("admin")]).await);
        // Two owners, then one, and never none.
        assert_eq!(tenant.change(&operator, vec![to(&bob, "owner")]).await.unwrap(), changed(&["owner"], &["admin"]));
        assert_eq!(tenant.change(&operator, vec![to(ada, "viewer")]).await.unwrap(), changed(&["viewer"], &["owner"]));
        let untouched = app.traces().await;
        for what in [from(&bob, "owner"), to(&bob, "viewer")] {
            assert_refused(tenant.change(&operator, vec![what]).await, Code::FailedPrecondition, "ROLE_CARDINALITY");
        }
        assert_eq!(app.traces().await, untouched);
        assert_eq!(tenant.standing(&bob).await.1, ["owner"]);

        // A handing over is judged by what it comes to.
        tenant.change(&operator, vec![from(&bob, "owner"), to(ada, "owner")]).await.unwrap();
        // The others come and go: no viewer, no user, no manager.
        for name in ["manager", "user", "viewer", "admin"] {
            tenant.give(&operator, &bob, role(name)).await.unwrap();
        }
        assert_eq!(tenant.change(&operator, vec![from(&bob, "admin")]).await.unwrap(), changed(&[], &["admin"]));
    }

    async fn x_08_disabling_is_one_act_and_deleting_another(app) {
        // Where people are only deleted, nobody in the organization shuts anybody out.
        let tasks = by_mail(&app, "task-automation").await;
        let bob = tasks.person("bob", vec![role("viewer")]).await;
        let may = tasks.may(&tasks.founder).await;
        assert!(may.contains(&"member.remove".to_owned()) && !may.contains(&"member.disable".to_owned()), "{may:?}");
        let untouched = app.traces().await;
        let refused = tasks.founder.call.disable_member(disable(&tasks.id, &bob.membership_id)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(tasks.standing(&bob).await, (Active, vec!["viewer".to_owned()]));
    }

    async fn x_08_who_is_disabled_is_there_still_with_all_they_hold(app) {
        let workspace = by_mail(&app, "analytics-workspace").await.with(&[resource("project", "alpha")]).await;
        let admin = &workspace.founder.call;
        let eve = workspace.person("eve", vec![role("default"), as_member(resource("project", "alpha"))]).await;
        let before = app.traces().await;
        admin.disable_member(disable(&workspace.id, &eve.membership_id)).await.unwrap();
        assert_eq!(workspace.standing(&eve).await, (Disabled, vec!["default".to_owned()]));
        let after = app.traces().await;
        assert_eq!((after.rows["grants"], after.rows["memberships"]), (before.rows["grants"], before.rows["memberships"]));

        // Their address is taken, and their place: there is no second one.
        let again = admin.create_invitation(invite(&workspace.id, &eve.email, vec![])).await;
        assert_refused(again, Code::AlreadyExists, "MEMBER_EXISTS");
        assert_eq!(app.traces().await, after);
        admin.enable_member(enable(&workspace.id, &eve.membership_id)).await.unwrap();
        assert!(workspace.sees(&eve, &resource("project", "alpha")).await);
    }

    async fn x_08_who_is_deleted_is_there_no_more_with_or_without_the_other_act(app) {
        for preset in ["task-automation", "analytics-workspace"] {
            let tenant = named(&app, preset).await;
            let bob = tenant.person(&format!("bob-{preset}"), vec![role(lesser(preset))]).await;
            let untouched = app.traces().await;
            let refused = tenant.remove(&bob.call, &tenant.founder, None).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
            assert_eq!(app.traces().await, untouched);

            tenant.remove(&tenant.founder.call, &bob, None).await.unwrap();
            assert!(!tenant.everybody().await.contains(&bob.email));
            // Not shut out, to be let in again: their address is free.
            let back = tenant.founder.call.enable_member(enable(&tenant.id, &bob.membership_id)).await;
            let expected = if preset == "task-automation" { (Code::PermissionDenied, "PERMISSION_MISSING") } else { (Code::NotFound, "NOT_FOUND") };
            assert_refused(back, expected.0, expected.1);
            let again = invite(&tenant.id, &bob.email, vec![role(lesser(preset))]);
            let again = tenant.founder.call.create_invitation(again).await.unwrap().member.unwrap();
            assert_ne!(again.id, bob.membership_id);
        }
    }

    async fn x_09_the_removal_names_what_becomes_of_the_assets(app) {
        let workspace = by_mail(&app, "analytics-workspace").await;
        let admin = &workspace.founder.call;
        let heir = workspace.person("hal", vec![role("default")]).await;
        let owner_of = async |chart: &proto::ResourceRef| {
            let found = admin.get_resource(get_resource(&workspace.id, chart.clone())).await.ok()?;
            found.resource.unwrap().owner.unwrap().kind
        };
        for (name, assets) in [("tia", Some(Assets::TransferTo(heir.membership_id.clone()))), ("dan", Some(Assets::DeleteAssets(true)))] {
            let person = workspace.person(name, vec![role("default")]).await;
            let chart = workspace.make(&person.call, "asset").await;
            let untouched = app.traces().await;
            let neither = workspace.remove(admin, &person, None).await;
            assert_refused(neither, Code::FailedPrecondition, "ASSETS_UNDECIDED");
            assert_eq!(app.traces().await, untouched);
            assert_eq!(owner_of(&chart).await, Some(membership(&person.membership_id)));

            let is_kept = matches!(assets, Some(Assets::TransferTo(_)));
            workspace.remove(admin, &person, assets).await.unwrap();
            assert_eq!(owner_of(&chart).await, is_kept.then(|| membership(&heir.membership_id)), "{name}");
        }
        // Who has none needs neither.
        let bare = workspace.person("bea", vec![role("default")]).await;
        workspace.remove(admin, &bare, None).await.unwrap();
        assert!(!workspace.everybody().await.contains(&bare.email));
    }

    async fn x_09_where_assets_are_no_concern_there_is_nothing_to_name(app) {
        let account = by_mail(&app, "disaster-recovery").await;
        let (admin, bob) = (account.person("max", vec![role("admin")]).await, account.person("bob", vec![role("user")]).await);
        let own = proto::RegisterResourceRequest {
            owner: Some(principal(membership(&bob.membership_id))),
            ..register(&account.id, resource("project", "alpha"))
        };
        app.operator().register_resource(own).await.unwrap();
        let untouched = app.traces().await;
        for assets in [Assets::TransferTo(admin.membership_id.clone()), Assets::DeleteAssets(true)] {
            let refused = account.remove(&admin.call, &bob, Some(assets)).await;
            assert_refused(refused, Code::FailedPrecondition, "FEATURE_OFF");
        }
        assert_eq!(app.traces().await, untouched);
        account.remove(&admin.call, &bob, None).await.unwrap();
        assert!(account.sees(&admin, &resource("project", "alpha")).await, "it stays, and is nobody's");
    }

    async fn x_11_each_role_says_which_roles_it_may_grant_as_a_list(app) {
        // A list: a manager makes admins, though an admin can do more.
        let tasks = by_mail(&app, "task-automation").await;
        let manager = tasks.person("mia", vec![role("manager")]).await;
        let bob = tasks.person("bob", vec![role("viewer")]).await;
        assert_eq!(tasks.change(&manager.call, vec![to(&bob, "admin")]).await.unwrap(), changed(&["admin"], &["viewer"]));
        let more = tasks.may(&bob).await;
        assert!(more.contains(&"task.create".to_owned()) && !tasks.may(&manager).await.contains(&"task.create".to_owned()));
        let untouched = app.traces().await;
        let refused = tasks.change(&manager.call, vec![to(&bob, "owner")]).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        // None: who holds member.list alone, or a role without a ceiling, makes nobody anything.
        let refused = tasks.change(&bob.call, vec![to(&manager, "viewer")]).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }

    async fn x_11_each_role_says_which_roles_it_may_grant_as_what_is_no_more_than_the_granters(app) {
        let subscription = msp_monitoring(&app).await;
        let max = subscription.person("max", vec![role("users-modify"), role("billing-read")]).await;
        let bob = subscription.person("bob", vec![]).await;
        for name in ["users-modify", "billing-read", "management-read"] {
            subscription.change(&max.call, vec![to(&bob, name)]).await.unwrap();
        }
        let untouched = app.traces().await;
        for name in ["billing-modify", "management-modify"] {
            let refused = subscription.change(&max.call, vec![to(&bob, name)]).await;
            assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        assert_eq!(app.traces().await, untouched);
        // What they come to hold they may give, at once.
        subscription.change(&app.operator(), vec![to(&max, "billing-modify")]).await.unwrap();
        subscription.change(&max.call, vec![to(&bob, "billing-modify")]).await.unwrap();
    }

    async fn x_12_one_role_at_a_time_or_several(app) {
        let tasks = by_mail(&app, "task-automation").await;
        let bob = tasks.person("bob", vec![role("viewer")]).await;
        assert_eq!(tasks.change(&app.operator(), vec![to(&bob, "user")]).await.unwrap(), changed(&["user"], &["viewer"]));
        assert_eq!(tasks.standing(&bob).await.1, ["user"]);
        // Invited with two, they come with the last.
        let both = vec![role("viewer"), role("manager")];
        let invited = tasks.founder.call.create_invitation(invite(&tasks.id, "eve@example.test", both)).await.unwrap();
        assert_eq!((invited.member.unwrap().roles, invited.grants.len()), (vec!["manager".to_owned()], 1));
    }

    async fn x_12_several_roles_at_a_time_where_no_set_holds_them(app) {
        let workspace = by_mail(&app, "analytics-workspace").await;
        let bob = workspace.person("bob", vec![role("shared-viewer"), role("default")]).await;
        assert_eq!(workspace.standing(&bob).await.1, ["default", "shared-viewer"]);
        let more = workspace.change(&workspace.founder.call, vec![to(&bob, "workspace-admin")]).await.unwrap();
        assert_eq!(more, changed(&["workspace-admin"], &[]));
        assert_eq!(workspace.standing(&bob).await.1, ["default", "shared-viewer", "workspace-admin"]);
    }

    async fn x_12_one_role_of_a_set_that_must_be_held(app) {
        let tenant = by_mail(&app, "bi-dashboards").await;
        let bob = tenant.person("bob", vec![role("viewer")]).await;
        let admin = &tenant.founder.call;
        assert_eq!(tenant.change(admin, vec![to(&bob, "analyst")]).await.unwrap(), changed(&["analyst"], &["viewer"]));
        let untouched = app.traces().await;
        let refused = tenant.change(admin, vec![from(&bob, "analyst")]).await;
        assert_refused(refused, Code::FailedPrecondition, "ROLE_REQUIRED");
        assert_eq!(app.traces().await, untouched);
        let moved = tenant.change(admin, vec![from(&bob, "analyst"), to(&bob, "viewer")]).await.unwrap();
        assert_eq!(moved, changed(&["viewer"], &["analyst"]));
    }

    async fn x_15_who_may_take_a_role_away_is_said_beside_who_may_grant_it(app) {
        // Wider than what one may give: a claim that one does not hold oneself.
        let subscription = msp_monitoring(&app).await;
        let max = subscription.person("max", vec![role("users-modify")]).await;
        let founder = &subscription.founder;
        let untouched = app.traces().await;
        let refused = subscription.change(&max.call, vec![to(&max, "billing-modify")]).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        // Nobody from themselves.
        let own = subscription.change(&max.call, vec![from(&max, "users-modify")]).await;
        assert_refused(own, Code::FailedPrecondition, "SELF_REMOVAL");
        assert_eq!(app.traces().await, untouched);
        let taken = subscription.change(&max.call, vec![from(founder, "billing-modify")]).await.unwrap();
        assert_eq!(taken, changed(&[], &["billing-modify"]));
        let refused = subscription.change(&max.call, vec![to(founder, "billing-modify")]).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    }

    async fn x_15_what_one_may_not_take_is_not_replaced_nor_shut_out_either(app) {
        let account = by_mail(&app, "disaster-recovery").await;
        let max = account.person("max", vec![role("admin")]).await;
        let bob = account.person("bob", vec![role("admin")]).await;
        assert_eq!(account.change(&max.call, vec![to(&bob, "user")]).await.unwrap(), changed(&["user"], &["admin"]));

        let untouched = app.traces().await;
        let owner = &account.founder;
        let refused = account.change(&max.call, vec![from(owner, "owner")]).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let refused = max.call.disable_member(disable(&account.id, &owner.membership_id)).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let own = account.change(&max.call, vec![to(&max, "user")]).await;
        assert_refused(own, Code::FailedPrecondition, "SELF_REMOVAL");
        assert_eq!(app.traces().await, untouched);

        let tasks = app.operator().create_organization(create_organization_under("task-automation", "Tasks", "tia@example.test")).await.unwrap();
        let (tasks, founder) = (tasks.organization.unwrap().id, tasks.founder.unwrap());
        let mia = app.invite_and_join(&tasks, &app.operator(), "mia@example.test", vec![role("manager")]).await;
        let replaced = mia.call.change_grants(change(&tasks, vec![grant(membership(&founder.id), role("viewer"))])).await;
        assert_refused(replaced, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
    }

    async fn x_16_what_one_may_not_see_one_cannot_act_on(app) {
        let subscription = msp_monitoring(&app).await.with(&[resource("account", "north")]).await;
        let north = resource("account", "north");
        // May add accounts anywhere, remove, and manage people: and does not see this one.
        let uma = subscription.person("uma", vec![role("management-modify"), role("users-modify")]).await;
        let under = || proto::RegisterResourceRequest {
            parent: Some(north.clone()),
            ..register(&subscription.id, resource("account", ""))
        };
        let untouched = app.traces().await;
        assert!(!subscription.sees(&uma, &north).await);
        assert_refused(uma.call.register_resource(under()).await, Code::NotFound, "NOT_FOUND");
        for what in [at(north.clone(), "access"), at(north.clone(), "config-modify")] {
            let refused = subscription.give(&uma.call, &subscription.founder, what.clone()).await;
            assert_refused(refused, Code::NotFound, "NOT_FOUND");
            let refused = uma.call.create_invitation(invite_by_link(&subscription.id, vec![what])).await;
            assert_refused(refused, Code::NotFound, "NOT_FOUND");
        }
        assert!(!subscription.backend.allows(&subscription.id, &uma.user_id, "account.delete", Some(north.clone())).await);
        assert_eq!(app.traces().await, untouched);

        // Seen, the same acts are theirs.
        subscription.give(&app.operator(), &uma, at(north.clone(), "access")).await.unwrap();
        uma.call.register_resource(under()).await.unwrap();
        subscription.give(&uma.call, &subscription.founder, at(north.clone(), "access")).await.unwrap();
        assert!(subscription.backend.allows(&subscription.id, &uma.user_id, "account.delete", Some(north)).await);
    }

    async fn x_17_the_catalog_says_what_a_founder_and_a_member_without_a_role_hold(app) {
        let operator = app.operator();
        for (preset, founder, newcomer) in [
            ("msp-monitoring", &["billing-modify", "management-modify", "users-modify"][..], None),
            ("task-automation", &["owner"], None),
            ("bi-dashboards", &["admin"], None),
            ("analytics-workspace", &["workspace-admin"], Some(&[][..])),
            ("disaster-recovery", &["admin", "owner"], Some(&["user"])),
        ] {
            let email = format!("founder@{preset}.test");
            let request = create_organization_under(preset, preset, &email);
            let created = operator.create_organization(request).await.unwrap();
            let id = created.organization.unwrap().id;
            let made = created.founder.unwrap();
            assert_eq!((made.state(), made.roles.as_slice()), (Pending, founder.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>().as_slice()), "{preset}");
            app.join(&email).await;
            let stood = operator.member(&id, &email).await;
            assert_eq!((stood.state(), stood.roles.as_slice()), (Active, made.roles.as_slice()), "{preset}");

            let Some(newcomer) = newcomer else { continue };
            let invited = operator.create_invitation(invite(&id, "new@example.test", vec![])).await.unwrap();
            assert_eq!(invited.member.unwrap().roles, newcomer, "{preset}");
        }
        // Who comes by a link without a role holds none; where a role must be named, there is no such newcomer.
        let subscription = msp_monitoring(&app).await;
        let bob = subscription.person("bob", vec![]).await;
        assert_eq!(subscription.standing(&bob).await, (Active, vec![]));
    }

    async fn x_18_an_operator_hands_the_ownership_of_an_owner_who_is_gone_on_with_a_reason_told_to_all_concerned(app) {
        let account = by_mail(&app, "disaster-recovery").await;
        let (max, uma) = (account.person("max", vec![role("admin")]).await, account.person("uma", vec![role("user")]).await);
        let (operator, owner) = (app.operator(), &account.founder);
        let hand_on = |reason: &str| proto::TransferRoleRequest {
            reason: reason.into(),
            ..transfer(&account.id, "owner", &uma.membership_id)
        };
        // Not by an admin, whatever the reason, nor by who is to have it, nor without one.
        let untouched = app.traces().await;
        for person in [&max, &uma] {
            let refused = person.call.transfer_role(hand_on("the owner has left")).await;
            assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        assert_refused(operator.transfer_role(hand_on("")).await, Code::InvalidArgument, "FIELD_REQUIRED");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(account.standing(owner).await.1, ["admin", "owner"]);

        let did = operator.transfer_role(hand_on("the owner has left")).await.unwrap();
        assert_eq!((did.from.unwrap().id, did.to.unwrap().id), (owner.membership_id.clone(), uma.membership_id.clone()));
        assert_eq!(account.standing(owner).await.1, ["admin"]);
        assert_eq!(account.standing(&uma).await.1, ["admin", "owner"]);
        let mut expected = untouched.mailed;
        expected.extend([owner.email.clone(), uma.email.clone()]);
        expected.sort();
        assert_eq!(app.traces().await.mailed, expected);
        // And who held it has no more to hand on.
        let refused = owner.call.transfer_role(hand_on("")).await;
        assert_refused(refused, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
    }
}
