//! Who is removed: gone with their assets, or without them; and who is not removed.

use guildhall::proto::remove_member_request::Assets;
use guildhall::proto::{self, ResourceRef, principal};
use tonic::Code;

use super::workspace::{asset, open, project};
use crate::conformance::tenant::{NOTHING, Tenant, removal};
use crate::harness::messages::{
    accept, get_organization, get_resource, invite, membership, preview_removal, register, revoke, sign_in,
};
use crate::harness::{PASSWORD, Person, as_member, assert_refused, role};
use crate::on_both;

async fn owner(workspace: &Tenant<'_>, of: &ResourceRef) -> Option<principal::Kind> {
    let found = workspace.founder.call.get_resource(get_resource(&workspace.id, of.clone())).await.unwrap();
    found.resource.unwrap().owner.and_then(|owner| owner.kind)
}

fn to(person: &Person) -> Assets {
    Assets::TransferTo(person.membership_id.clone())
}

const DELETED: Option<Assets> = Some(Assets::DeleteAssets(true));

on_both! {
    async fn ax_30_removing_a_person_removes_the_account_and_all_its_assets(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let eve = workspace.person("eve", vec![role("default"), as_member(project("alpha"))]).await;
        let bob = workspace.person("bob", vec![role("default")]).await;
        let assets = [workspace.make(&eve.call, "asset").await, workspace.make(&eve.call, "asset").await];
        let kept = workspace.make(&bob.call, "asset").await;
        let below = proto::RegisterResourceRequest { parent: Some(assets[0].clone()), ..register(id, asset("")) };
        let below = eve.call.register_resource(below).await.unwrap().resource.unwrap().resource.unwrap();

        // It is told first what would go; and what is to become of it must be said.
        let preview = admin.preview_removal(preview_removal(id, &eve.membership_id)).await.unwrap();
        let owned: Vec<_> = preview.owned.into_iter().map(|it| it.resource.unwrap()).collect();
        assert_eq!((owned.len(), preview.deletes_user), (3, true));
        assert!(assets.iter().chain([&below]).all(|it| owned.contains(it)), "{owned:?}");
        let untouched = app.traces().await;
        let undecided = workspace.remove(admin, &eve, None).await;
        assert_refused(undecided, Code::FailedPrecondition, "ASSETS_UNDECIDED");
        for by in [&bob.call, &eve.call] {
            let refused = workspace.remove(by, &eve, DELETED).await;
            assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        }
        assert_eq!(app.traces().await, untouched);

        let did = workspace.remove(admin, &eve, DELETED).await.unwrap();
        assert!(did.user_deleted && did.awaiting.is_empty());
        for gone in [&assets[0], &assets[1], &below] {
            assert!(!workspace.sees(&workspace.founder, gone).await);
        }
        assert_eq!(owner(&workspace, &kept).await, Some(membership(&bob.membership_id)));
        assert_eq!(workspace.everybody().await, ["ada@example.test", "bob@example.test"]);
        assert_eq!(workspace.may(&eve).await, NOTHING);
        let gone = app.anyone().sign_in(sign_in(&eve.email, PASSWORD)).await;
        assert_refused(gone, Code::Unauthenticated, "SIGN_IN_REFUSED");
    }

    async fn ax_30_of_a_guest_the_membership_and_the_assets_here_are_removed_and_no_more(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let home = app.found_as("Elsewhere", "zoe@example.test").await;
        admin.create_invitation(invite(id, "zoe@example.test", vec![role("default")])).await.unwrap();
        let token = app.token_mailed_by("Example", "zoe@example.test").await;
        let joined = home.owner.call.accept_invitation(accept(&token, "")).await.unwrap().member.unwrap();
        let zoe = Person { membership_id: joined.id, ..home.owner.clone() };
        let chart = workspace.make(&zoe.call, "asset").await;
        let there = ResourceRef { r#type: "project".into(), id: "there".into() };
        zoe.call.register_resource(register(&home.id, there.clone())).await.unwrap();

        let untouched = app.traces().await;
        let undecided = workspace.remove(admin, &zoe, None).await;
        assert_refused(undecided, Code::FailedPrecondition, "ASSETS_UNDECIDED");
        assert_eq!(app.traces().await, untouched);
        let did = workspace.remove(admin, &zoe, DELETED).await.unwrap();
        assert!(!did.user_deleted);
        assert!(!workspace.sees(&workspace.founder, &chart).await);
        assert_refused(zoe.call.get_organization(get_organization(id)).await, Code::NotFound, "NOT_FOUND");

        // What is elsewhere stays, and so does the account.
        app.anyone().sign_in(sign_in(&zoe.email, PASSWORD)).await.unwrap();
        zoe.call.get_organization(get_organization(&home.id)).await.unwrap();
        zoe.call.get_resource(get_resource(&home.id, there)).await.unwrap();
    }

    async fn ax_31_unless_they_are_transferred_to_another_person_at_that_moment(app) {
        let workspace = open(&app).await;
        let (id, admin) = (&workspace.id, &workspace.founder.call);
        let eve = workspace.person("eve", vec![role("default")]).await;
        let bob = workspace.person("bob", vec![role("default")]).await;
        let assets = [workspace.make(&eve.call, "asset").await, workspace.make(&eve.call, "asset").await];
        let untouched = app.traces().await;
        // To another, who is there; not by who may not, and not after what was looked at has changed.
        let stranger = Person { membership_id: "018f4e9a-7b3c-7def-8a12-0123456789ab".into(), ..bob.clone() };
        for heir in [&eve, &stranger] {
            assert_refused(workspace.remove(admin, &eve, Some(to(heir))).await, Code::NotFound, "NOT_FOUND");
        }
        let refused = workspace.remove(&bob.call, &eve, Some(to(&bob))).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        let etag = admin.preview_removal(preview_removal(id, &eve.membership_id)).await.unwrap().etag;
        assert_eq!(app.traces().await, untouched);
        let late = workspace.make(&eve.call, "asset").await;
        let stale = proto::RemoveMemberRequest { etag, ..removal(id, &eve.membership_id, Some(to(&bob))) };
        assert_refused(admin.remove_member(stale).await, Code::Aborted, "ETAG_MISMATCH");
        assert_eq!(owner(&workspace, &late).await, Some(membership(&eve.membership_id)));

        let did = workspace.remove(admin, &eve, Some(to(&bob))).await.unwrap();
        assert!(did.user_deleted, "the account goes all the same");
        for chart in [&assets[0], &assets[1], &late] {
            assert_eq!(owner(&workspace, chart).await, Some(membership(&bob.membership_id)));
            assert!(workspace.sees(&bob, chart).await);
            let may = workspace.may_on(&bob, chart, &["asset"]).await;
            assert!(may.contains(&"asset.delete".to_owned()), "{may:?}");
        }
        assert_eq!(workspace.everybody().await, ["ada@example.test", "bob@example.test"]);

        // What an admin has made goes to another alike.
        let max = workspace.person("max", vec![role("workspace-admin")]).await;
        let sales = workspace.make(&max.call, "project").await;
        workspace.remove(admin, &max, Some(to(&bob))).await.unwrap();
        assert_eq!(owner(&workspace, &sales).await, Some(membership(&bob.membership_id)));
    }

    async fn ax_32_an_admin_removes_themselves_neither_from_the_workspace_nor_from_a_project(app) {
        let workspace = open(&app).await;
        let (ada, max) = (&workspace.founder, workspace.person("max", vec![role("workspace-admin"), as_member(project("alpha"))]).await);
        let eve = workspace.person("eve", vec![role("default")]).await;
        let untouched = app.traces().await;
        for admin in [ada, &max] {
            assert_refused(workspace.remove(&admin.call, admin, None).await, Code::FailedPrecondition, "SELF_REMOVAL");
            // Nor do they leave, while they hold the role.
            assert_refused(workspace.leave(admin).await, Code::FailedPrecondition, "LEAVING_BARRED");
        }
        let own = revoke(membership(&max.membership_id), as_member(project("alpha")));
        let out = workspace.change(&max.call, vec![own.clone()]).await;
        assert_refused(out, Code::FailedPrecondition, "SELF_REMOVAL");
        assert_eq!(app.traces().await, untouched);

        // Others do, and who is no admin any more leaves like everybody else.
        workspace.change(&ada.call, vec![own]).await.unwrap();
        workspace.change(&ada.call, vec![revoke(membership(&max.membership_id), role("workspace-admin"))]).await.unwrap();
        for person in [&max, &eve] {
            workspace.leave(person).await.unwrap();
        }
        assert_eq!(workspace.everybody().await, ["ada@example.test"]);
        let second = workspace.person("mia", vec![role("workspace-admin")]).await;
        workspace.remove(&second.call, ada, None).await.unwrap();
        assert_eq!(workspace.everybody().await, ["mia@example.test"]);
    }
}
