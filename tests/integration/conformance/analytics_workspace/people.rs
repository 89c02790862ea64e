//! How people stand: with or without a role, invited, enabled.

use guildhall::proto::MemberState::{Active, Pending};
use tonic::Code;

use super::workspace::{NOUNS, asset, open, project, schedule};
use crate::conformance::tenant::{NOTHING, changed};
use crate::harness::messages::{
    accept, get_organization, grant, invite, list_members, look_up, membership, register, sign_in,
};
use crate::harness::{PASSWORD, as_member, assert_refused, role};
use crate::on_both;

on_both! {
    async fn ax_01_a_person_without_a_role_is_a_member_with_no_access_until_an_admin_gives_one(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let eve = workspace.person("eve", vec![]).await;
        assert_eq!(workspace.standing(&eve).await, (Active, vec![]));
        eve.call.get_organization(get_organization(id)).await.expect("a member");

        // Not even what lists them is theirs to see.
        workspace.give(admin, &eve, as_member(project("alpha"))).await.unwrap();
        assert_eq!(workspace.may(&eve).await, NOTHING);
        assert_eq!(workspace.may_on(&eve, &project("alpha"), &NOUNS).await, NOTHING);
        assert!(!workspace.sees(&eve, &project("alpha")).await);
        let untouched = app.traces().await;
        for made in [project("x"), asset("x"), schedule("x")] {
            let refused = eve.call.register_resource(register(id, made)).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        let helped = workspace.give(&eve.call, &eve, role("default")).await;
        assert_refused(helped, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);

        assert_eq!(workspace.give(admin, &eve, role("default")).await.unwrap(), changed(&["default"], &[]));
        assert!(workspace.sees(&eve, &project("alpha")).await);
        assert_eq!(workspace.take(admin, &eve, role("default")).await.unwrap(), changed(&[], &["default"]));
        assert!(!workspace.sees(&eve, &project("alpha")).await);
        assert_eq!(workspace.standing(&eve).await, (Active, vec![]), "and stays a member");
    }

    async fn ax_04_the_address_is_the_username(app) {
        let workspace = open(&app).await;
        let eve = workspace.person("eve", vec![role("default")]).await;
        for username in ["eve@example.test", "Eve@Example.test"] {
            app.anyone().sign_in(sign_in(username, PASSWORD)).await.unwrap();
        }
        let untouched = app.traces().await;
        for username in ["eve", "Eve", &eve.user_id, &eve.membership_id] {
            let refused = app.anyone().sign_in(sign_in(username, PASSWORD)).await;
            assert_refused(refused, Code::InvalidArgument, "EMAIL_MALFORMED");
        }
        let refused = app.anyone().sign_in(sign_in("eva@example.test", PASSWORD)).await;
        assert_refused(refused, Code::Unauthenticated, "SIGN_IN_REFUSED");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(workspace.founder.call.member(&workspace.id, "eve@example.test").await.user_id, eve.user_id);
    }

    async fn ax_05_invited_is_who_was_sent_a_mail_and_has_not_followed_the_link(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let assignments = vec![role("default"), as_member(project("alpha"))];
        admin.create_invitation(invite(id, "eve@example.test", assignments)).await.unwrap();
        let token = app.token_mailed_to("eve@example.test").await;
        let untouched = app.traces().await;
        assert_eq!(admin.member(id, "eve@example.test").await.state(), Pending);

        // To look at the link is not to follow it, and a refused password neither.
        app.anyone().look_up_invitation(look_up(&token)).await.unwrap();
        let refused = app.anyone().accept_invitation(accept(&token, "short")).await;
        assert_refused(refused, Code::InvalidArgument, "PASSWORD_TOO_SHORT");
        let refused = app.anyone().sign_in(sign_in("eve@example.test", PASSWORD)).await;
        assert_refused(refused, Code::Unauthenticated, "SIGN_IN_REFUSED");
        let invited = admin.member(id, "eve@example.test").await;
        assert_eq!((invited.state(), invited.user_id.as_str()), (Pending, ""));
        assert_eq!(app.traces().await, untouched);

        app.join("eve@example.test").await;
        assert_eq!(admin.member(id, "eve@example.test").await.state(), Active);
    }

    async fn ax_06_enabled_is_who_may_sign_in_and_work(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let eve = workspace.person("eve", vec![role("default"), as_member(project("alpha"))]).await;
        assert_eq!(workspace.standing(&eve).await, (Active, vec!["default".to_owned()]));
        app.sign_in(&eve.email, &eve.membership_id).await;
        let chart = workspace.make(&eve.call, "asset").await;
        assert!(workspace.sees(&eve, &chart).await);
        assert!(workspace.sees(&eve, &project("alpha")).await);

        // Who is invited only, though with as much, may not work: they are nobody yet.
        let somebody = app.somebody("bob@example.test").await;
        let invited = admin.create_invitation(invite(id, &somebody.email, vec![role("default")])).await.unwrap();
        let to_bob = vec![grant(membership(&invited.member.unwrap().id), as_member(project("alpha")))];
        workspace.change(admin, to_bob).await.unwrap();
        let untouched = app.traces().await;
        let refused = somebody.call.register_resource(register(id, asset("other"))).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        assert_refused(somebody.call.list_members(list_members(id)).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
    }
}
