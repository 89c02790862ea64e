//! What becomes of what somebody owned (X9): previewed, decided, and never at the cost of others or of what is hidden.

use guildhall::proto;
use guildhall::proto::remove_member_request::Assets;
use tonic::Code;

use super::{WORKSPACE, asset, own, owner_of, removing, worker};
use crate::harness::messages::{get_resource, membership, preview_removal, put_catalog, register, remove, set_seats};
use crate::harness::{Organization, Person, TestApp, assert_refused, role};
use crate::on_both;

/// Vaults are seen by their keeper alone; whoever removes people sees boxes.
const GUARDED: &str = "
name: guarded
version: 1
description: Things that not everybody sees who removes people.
features: {groups: false, custom_roles: false, assets: true}
types:
  box: {}
  vault: {}
roles:
  keeper:
    at: [organization]
    permissions: {box.create: ANY, box.view: ANY, vault.create: ANY, vault.view: ANY, box.set_owner: ANY,
                  vault.set_owner: ANY, member.list: ANY, member.invite: ANY, member.assign: ANY}
    may_grant: ANY
    may_take: ANY
  remover:
    at: [organization]
    permissions: {box.view: ANY, box.delete: ANY, box.set_owner: ANY, member.list: ANY, member.remove: ANY}
    may_take: ANY
  worker:
    at: [organization]
    permissions: {box.view: OWN, vault.view: OWN}
founder_roles: [keeper]
";

fn thing(kind: &str, id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: kind.into(), id: id.into() }
}

async fn invited(app: &TestApp, organization: &Organization, name: &str, held: &str) -> Person {
    let email = format!("{name}@example.test");
    app.invite_and_join(&organization.id, &organization.owner.call, &email, vec![role(held)]).await
}

on_both! {
    async fn a_removal_is_previewed_decided_and_bound_to_what_was_told(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let (bob, cat) = (worker(&app, &workspace, "bob").await, worker(&app, &workspace, "cat").await);
        own(owner, &workspace, asset("a"), &bob.membership_id, None).await;
        own(owner, &workspace, asset("below"), &cat.membership_id, Some(asset("a"))).await;

        let told = owner.preview_removal(preview_removal(id, &bob.membership_id)).await.unwrap();
        let [estate] = told.owned.as_slice() else { panic!("{:?}", told.owned) };
        assert_eq!((estate.resource.clone(), &estate.owned_by_others), (Some(asset("a")), &vec![asset("below")]));
        assert!(told.deletes_user && told.invitation_ids.is_empty());
        assert_eq!(told.member.unwrap().id, bob.membership_id);
        let about_oneself = bob.call.preview_removal(preview_removal(id, &bob.membership_id)).await.unwrap();
        assert_eq!(about_oneself.owned.len(), 1, "oneself everyone may ask about");
        let of_another = bob.call.preview_removal(preview_removal(id, &cat.membership_id)).await;
        assert_refused(of_another, Code::PermissionDenied, "PERMISSION_MISSING");

        own(owner, &workspace, asset("b"), &bob.membership_id, None).await;
        let to_cat = || Some(Assets::TransferTo(cat.membership_id.clone()));
        let before = app.traces().await;
        let stale = removing(&workspace, &bob.membership_id, to_cat());
        let stale = proto::RemoveMemberRequest { etag: told.etag, ..stale };
        assert_refused(owner.remove_member(stale).await, Code::Aborted, "ETAG_MISMATCH");
        for (assets, code, reason) in [
            (None, Code::FailedPrecondition, "ASSETS_UNDECIDED"),
            (Some(Assets::DeleteAssets(true)), Code::FailedPrecondition, "ASSETS_OF_OTHERS"),
            (Some(Assets::DeleteAssets(false)), Code::InvalidArgument, "OUT_OF_RANGE"),
            (Some(Assets::TransferTo(bob.membership_id.clone())), Code::NotFound, "NOT_FOUND"),
            (Some(Assets::TransferTo(id.clone())), Code::NotFound, "NOT_FOUND"),
        ] {
            let answer = owner.remove_member(removing(&workspace, &bob.membership_id, assets)).await;
            assert_refused(answer, code, reason);
        }
        let dry = removing(&workspace, &bob.membership_id, to_cat());
        let dry = owner.remove_member(proto::RemoveMemberRequest { validate_only: true, ..dry }).await.unwrap();
        assert_eq!((dry.revision.as_str(), dry.user_deleted), ("", true));
        assert_eq!(app.traces().await, before);

        let told = owner.preview_removal(preview_removal(id, &bob.membership_id)).await.unwrap();
        let request = removing(&workspace, &bob.membership_id, to_cat());
        let request_id = "018f4e9a-0000-7000-8000-000000000001".to_owned();
        let request = proto::RemoveMemberRequest { etag: told.etag, request_id, ..request };
        let removed = owner.remove_member(request.clone()).await.unwrap();
        assert!(removed.user_deleted && removed.awaiting.is_empty() && !removed.revision.is_empty());
        for resource in [asset("a"), asset("b"), asset("below")] {
            assert_eq!(owner_of(owner, &workspace, resource).await.as_ref(), Some(&cat.membership_id));
        }
        let gone = owner.preview_removal(preview_removal(id, &bob.membership_id)).await;
        assert_refused(gone, Code::NotFound, "NOT_FOUND");
        let again = owner.remove_member(request).await.unwrap();
        assert_eq!((again.member, again.user_deleted), (removed.member, true));
        assert_refused(owner.remove_member(remove(id, &bob.membership_id)).await, Code::NotFound, "NOT_FOUND");
    }

    async fn what_is_deleted_goes_in_slices_with_all_that_hangs_on_it(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let bob = worker(&app, &workspace, "bob").await;
        let before = app.traces().await;
        for number in 0..130 {
            let parent = (number % 10 != 0).then(|| asset(&format!("a{}", number - 1)));
            let parent = parent.filter(|_| number % 10 < 7);
            own(owner, &workspace, asset(&format!("a{number}")), &bob.membership_id, parent).await;
        }
        let removed = removing(&workspace, &bob.membership_id, Some(Assets::DeleteAssets(true)));
        assert!(owner.remove_member(removed).await.unwrap().awaiting.is_empty());
        let after = app.traces().await;
        assert_eq!(after.rows["resources"], before.rows["resources"]);
        assert_eq!(after.rows["memberships"], before.rows["memberships"] - 1);
        assert_eq!((after.rows["removals"], after.rows["group_members"]), (0, 0));
        let gone = owner.get_resource(get_resource(id, asset("a0"))).await;
        assert_refused(gone, Code::NotFound, "NOT_FOUND");
    }

    async fn what_the_remover_does_not_see_is_neither_told_nor_handed_on_nor_deleted(app) {
        app.operator().put_catalog(put_catalog(GUARDED)).await.unwrap();
        let guarded = app.found_under("guarded").await;
        let (id, keeper) = (&guarded.id, &guarded.owner.call);
        let (bob, cat) = (invited(&app, &guarded, "bob", "worker").await, invited(&app, &guarded, "cat", "worker").await);
        let remover = invited(&app, &guarded, "rem", "remover").await.call;
        own(keeper, &guarded, thing("box", "b"), &bob.membership_id, None).await;
        own(keeper, &guarded, thing("vault", "bobs-secret"), &bob.membership_id, None).await;
        own(keeper, &guarded, thing("vault", "cats-secret"), &cat.membership_id, Some(thing("box", "b"))).await;

        let told = remover.preview_removal(preview_removal(id, &bob.membership_id)).await.unwrap();
        assert!(!format!("{told:?}").contains("secret"), "{told:?}");
        assert_eq!(told.owned.iter().map(|owned| owned.resource.clone().unwrap().id).collect::<Vec<_>>(), ["b"]);
        let delete = removing(&guarded, &bob.membership_id, Some(Assets::DeleteAssets(true)));
        let refused = remover.remove_member(delete).await.unwrap_err();
        assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
        assert_refused::<()>(Err(refused), Code::FailedPrecondition, "ASSETS_OF_OTHERS");

        let to_cat = removing(&guarded, &bob.membership_id, Some(Assets::TransferTo(cat.membership_id.clone())));
        remover.remove_member(to_cat).await.unwrap();
        assert_eq!(owner_of(keeper, &guarded, thing("box", "b")).await, Some(cat.membership_id.clone()));
        assert_eq!(owner_of(keeper, &guarded, thing("vault", "bobs-secret")).await, None);
        assert_eq!(owner_of(keeper, &guarded, thing("vault", "cats-secret")).await, Some(cat.membership_id));
    }

    async fn where_a_product_keeps_assets_itself_nothing_is_to_be_decided(app) {
        let account = app.found().await;
        let owner = &account.owner.call;
        let bob = app.invite_and_join(&account.id, owner, "bob@example.test", vec![role("user")]).await;
        let project = crate::harness::project("alpha");
        let registered = proto::RegisterResourceRequest {
            owner: Some(crate::harness::messages::principal(membership(&bob.membership_id))),
            ..register(&account.id, project.clone())
        };
        app.operator().register_resource(registered).await.unwrap();

        let named = removing(&account, &bob.membership_id, Some(Assets::DeleteAssets(true)));
        assert_refused(owner.remove_member(named).await, Code::FailedPrecondition, "FEATURE_OFF");
        owner.remove_member(remove(&account.id, &bob.membership_id)).await.unwrap();
        assert_eq!(owner_of(owner, &account, project).await, None);
    }

    async fn a_deleted_resource_takes_its_limit_of_seats_along(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let (id, owner, operator) = (&workspace.id, &workspace.owner.call, app.operator());
        let project = crate::harness::project("p");
        owner.register_resource(register(id, project.clone())).await.unwrap();
        operator.set_seat_limit(set_seats(id, Some(project.clone()), Some(1))).await.unwrap();
        assert_eq!(app.traces().await.rows["seat_limits"], 1);
        owner.delete_resource(crate::harness::messages::delete(id, project)).await.unwrap();
        assert_eq!(app.traces().await.rows["seat_limits"], 0, "another of this name starts without a bound");
    }
}
