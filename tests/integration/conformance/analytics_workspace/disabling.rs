//! Who is shut out: keeps everything, reaches nothing, and gets it back.

use guildhall::proto::MemberState::{Active, Disabled};
use guildhall::proto::stream_checks_response::Frame as Told;
use tonic::Code;

use super::workspace::{NOUNS, asset, open, project};
use crate::conformance::tenant::NOTHING;
use crate::harness::messages::{
    delete, disable, enable, get_organization, get_resource, invite, item, membership, register, sign_in,
};
use crate::harness::{PASSWORD, as_member, assert_refused, role};
use crate::on_both;

on_both! {
    async fn ax_07_disabled_is_who_was_shut_out_by_an_admin(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder);
        let (eve, bob) = (workspace.person("eve", vec![role("default")]).await, workspace.person("bob", vec![]).await);
        let invited = admin.call.create_invitation(invite(id, "tom@example.test", vec![])).await.unwrap().member.unwrap();

        let untouched = app.traces().await;
        let refused = eve.call.disable_member(disable(id, &bob.membership_id)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let refused = admin.call.disable_member(disable(id, &admin.membership_id)).await;
        assert_refused(refused, Code::FailedPrecondition, "SELF_REMOVAL");
        let refused = admin.call.disable_member(disable(id, &invited.id)).await;
        assert_refused(refused, Code::FailedPrecondition, "MEMBER_STATE");
        let refused = admin.call.enable_member(enable(id, &eve.membership_id)).await;
        assert_refused(refused, Code::FailedPrecondition, "MEMBER_STATE");
        assert_eq!(app.traces().await, untouched);

        let answer = admin.call.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        assert_eq!(answer.member.unwrap().state(), Disabled);
        assert_eq!(workspace.standing(&eve).await, (Disabled, vec!["default".to_owned()]));
        assert_eq!(workspace.standing(&bob).await, (Active, vec![]));
        let again = admin.call.disable_member(disable(id, &eve.membership_id)).await;
        assert_refused(again, Code::FailedPrecondition, "MEMBER_STATE");
    }

    async fn ax_08_a_disabled_persons_assets_stay_theirs_out_of_their_reach(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder);
        let eve = workspace.person("eve", vec![role("default")]).await;
        let bob = workspace.person("bob", vec![role("default")]).await;
        let chart = workspace.make(&eve.call, "asset").await;
        let owner = async || {
            let found = admin.call.get_resource(get_resource(id, chart.clone())).await.unwrap();
            found.resource.unwrap().owner.unwrap().kind.unwrap()
        };
        let before = (owner().await, workspace.may_on(&eve, &chart, &["asset"]).await);
        assert_eq!(before.0, membership(&eve.membership_id));

        admin.call.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        assert_eq!(owner().await, before.0, "ownership does not move");
        assert_eq!(workspace.may_on(&eve, &chart, &["asset"]).await, NOTHING);
        let refused = eve.call.get_resource(get_resource(id, chart.clone())).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        assert!(!workspace.sees(&bob, &chart).await, "nor does anybody else come to have them");
        admin.call.enable_member(enable(id, &eve.membership_id)).await.unwrap();
        assert_eq!((owner().await, workspace.may_on(&eve, &chart, &["asset"]).await), before);
    }

    async fn ax_09_an_admin_has_the_owners_rights_over_those_assets(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder);
        let eve = workspace.person("eve", vec![role("default")]).await;
        let bob = workspace.person("bob", vec![role("default")]).await;
        let (chart, other) = (workspace.make(&eve.call, "asset").await, workspace.make(&eve.call, "asset").await);
        let of_owner = workspace.may_on(&eve, &chart, &["asset"]).await;
        admin.call.disable_member(disable(id, &eve.membership_id)).await.unwrap();

        let of_admin = workspace.may_on(admin, &chart, &["asset"]).await;
        assert!(of_owner.iter().all(|it| of_admin.contains(it)), "{of_owner:?}, {of_admin:?}");
        workspace.give(&admin.call, &bob, as_member(chart.clone())).await.unwrap();
        assert!(workspace.sees(&bob, &chart).await);
        let untouched = app.traces().await;
        let refused = workspace.give(&bob.call, &bob, as_member(other.clone())).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        let refused = bob.call.delete_resource(delete(id, chart.clone())).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        admin.call.delete_resource(delete(id, chart.clone())).await.unwrap();
        assert!(!workspace.sees(admin, &chart).await && workspace.sees(admin, &other).await);
    }

    async fn ax_24_a_disabled_person_cannot_get_in(app) {
        let workspace = open(&app).await;
        let id = &workspace.id;
        let eve = workspace.person("eve", vec![role("workspace-admin"), as_member(project("alpha"))]).await;
        let asked = || vec![item(&eve.user_id, "project.view", Some(project("alpha")))];
        let mut own = eve.call.stream().await.unwrap();
        let mut of_product = workspace.backend.stream().await.unwrap();
        for stream in [&mut own, &mut of_product] {
            stream.subscribe(id, asked()).await;
            assert!(stream.changes().await[&1]);
        }

        workspace.founder.call.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        // What was open closes: the product hears that they may not, and they that there is nothing here for them.
        assert!(!of_product.changes().await[&1]);
        let Ok(Some(Told::Reset(reset))) = own.receive().await else { panic!("the workspace is there still") };
        assert_eq!(reset.reason, "NOT_FOUND");
        let untouched = app.traces().await;
        // Neither with the token that they had, nor with a new one: their account is theirs, the workspace is not.
        let again = app.sign_in(&eve.email, &eve.membership_id).await;
        for call in [&eve.call, &again.call] {
            assert_refused(call.get_organization(get_organization(id)).await, Code::NotFound, "NOT_FOUND");
            assert_refused(call.get_resource(get_resource(id, project("alpha"))).await, Code::NotFound, "NOT_FOUND");
            assert_refused(call.register_resource(register(id, asset("x"))).await, Code::NotFound, "NOT_FOUND");
            let refused = call.enable_member(enable(id, &eve.membership_id)).await;
            assert_refused(refused, Code::NotFound, "NOT_FOUND");
        }
        assert_eq!(workspace.may(&eve).await, NOTHING);
        assert_eq!(app.traces().await.rows["memberships"], untouched.rows["memberships"]);
        assert_eq!(app.traces().await.rows["resources"], untouched.rows["resources"]);
    }

    async fn ax_26_disabling_keeps_every_asset(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder);
        let eve = workspace.person("eve", vec![role("default"), as_member(project("alpha"))]).await;
        let assets = [workspace.make(&eve.call, "asset").await, workspace.make(&eve.call, "asset").await];
        let before = app.traces().await;

        admin.call.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        let after = app.traces().await;
        for kept in ["resources", "grants", "memberships", "users"] {
            assert_eq!(after.rows[kept], before.rows[kept], "{kept}");
        }
        for asset in assets {
            assert!(workspace.sees(admin, &asset).await);
            assert!(!workspace.sees(&eve, &asset).await);
        }
    }

    async fn ax_28_others_who_may_use_the_assets_of_a_disabled_person_still_can(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder);
        let eve = workspace.person("eve", vec![role("default")]).await;
        let bob = workspace.person("bob", vec![role("default")]).await;
        let chart = workspace.make(&eve.call, "asset").await;
        assert!(!workspace.sees(&bob, &chart).await);
        workspace.give(&admin.call, &bob, as_member(chart.clone())).await.unwrap();
        assert_eq!(workspace.may_on(&bob, &chart, &["asset"]).await, ["asset.create", "asset.view"]);

        admin.call.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        assert!(workspace.sees(&bob, &chart).await);
        assert_eq!(workspace.may_on(&bob, &chart, &["asset"]).await, ["asset.create", "asset.view"]);
        assert_eq!(workspace.may_on(&eve, &chart, &["asset"]).await, NOTHING);
    }

    async fn ax_29_enabling_gives_access_back_as_it_was(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder);
        let eve = workspace.person("eve", vec![role("default"), role("shared-viewer"), as_member(project("alpha"))]).await;
        let all = async || {
            let mut all = vec![workspace.may(&eve).await];
            for place in [project("alpha"), project("beta")] {
                all.push(workspace.may_on(&eve, &place, &NOUNS).await);
            }
            all
        };
        let before = all().await;
        let standing = workspace.standing(&eve).await;

        admin.call.disable_member(disable(id, &eve.membership_id)).await.unwrap();
        assert_eq!(all().await, [NOTHING; 3]);
        // Who enables gives: an admin may, and who is no admin may not.
        let bob = workspace.person("bob", vec![role("default")]).await;
        let untouched = app.traces().await;
        let refused = bob.call.enable_member(enable(id, &eve.membership_id)).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);

        admin.call.enable_member(enable(id, &eve.membership_id)).await.unwrap();
        assert_eq!(all().await, before);
        assert_eq!(workspace.standing(&eve).await, standing);
        eve.call.get_organization(get_organization(id)).await.expect("the session goes on where it stood");
        app.anyone().sign_in(sign_in(&eve.email, PASSWORD)).await.unwrap();
        assert!(workspace.sees(&eve, &project("alpha")).await && !workspace.sees(&eve, &project("beta")).await);
    }
}
