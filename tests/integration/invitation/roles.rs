//! Roles that an open link offers: neither deleted nor changed behind the back of whoever comes by it.

use std::time::Duration;

use guildhall::proto::{self, HolderKind, Reach};
use prost_types::FieldMask;
use tonic::Code;

use super::{Scene, come, house, in_the_way};
use crate::harness::messages::{create_role, custom_role, delete_role, invite, reaching, update_role};
use crate::harness::{assert_refused, at, role};
use crate::on_both;
use crate::refusals::revision_of;

const WEEK: Duration = Duration::from_hours(7 * 24);

fn with(role: proto::Role, field: &str, id: &str) -> proto::UpdateRoleRequest {
    let update_mask = Some(FieldMask { paths: vec![field.into()] });
    proto::UpdateRoleRequest { update_mask, ..update_role(id, role) }
}

on_both! {
    async fn a_role_that_a_link_offers_is_deleted_only_if_the_link_offers_another(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        scene.make("guard", &["house.view"]).await;
        let (plain, _) = scene.link(vec![role("helper")]).await;
        let (link, token) = scene.link(vec![role("guard"), at(house("red"), "helper")]).await;
        let before = revision_of(owner, id).await;

        for validate_only in [true, false] {
            let request = proto::DeleteRoleRequest { validate_only, ..delete_role(id, "guard") };
            let refused = owner.delete_role(request).await.unwrap_err();
            assert_eq!(in_the_way(&refused), format!("invitation/{link}"));
            assert_refused::<()>(Err(refused), Code::FailedPrecondition, "ROLE_IN_USE");
        }
        let moving = |validate_only| proto::DeleteRoleRequest {
            validate_only,
            move_holders_to: "helper".into(),
            ..delete_role(id, "guard")
        };
        let dry = owner.delete_role(moving(true)).await.unwrap();
        assert_eq!((dry.moved_invitation_ids, dry.granted.len(), dry.revoked.len()), (vec![link.clone()], 0, 0));
        assert_eq!(revision_of(owner, id).await, before);
        let moved = owner.delete_role(moving(false)).await.unwrap();
        assert_eq!(moved.moved_invitation_ids, [link]);
        assert!(plain != moved.moved_invitation_ids[0]);

        // The name is used again, for more; the link offers the other role all the same.
        scene.make("guard", &["audit.view"]).await;
        let bob = app.somebody("bob@example.test").await;
        assert_eq!(come(&bob, &token).await.unwrap().roles, ["helper"]);
        assert!(!owner.allows(id, &bob.user_id, "audit.view", None).await);
    }

    async fn a_link_that_has_lapsed_keeps_no_role(app) {
        let scene = Scene::of(&app).await;
        let id = scene.id();
        scene.make("guard", &["house.view"]).await;
        scene.link(vec![role("guard")]).await;
        app.clock.advance(WEEK);
        let owner = app.sign_in("ada@example.test", "").await.call;
        let deleted = owner.delete_role(delete_role(id, "guard")).await.expect("nobody can come to hold it");
        assert_eq!(deleted.moved_invitation_ids, [""; 0]);
    }

    /// Who moves what a link offers gives it, and takes the other: to whoever comes.
    async fn who_may_not_give_the_other_role_or_take_the_one_moves_no_link(app) {
        let scene = Scene::of(&app).await;
        let (warden, id) = (&scene.warden.call, scene.id());
        scene.make("guard", &["house.view"]).await;
        scene.make("mighty", &["audit.view"]).await;
        scene.link(vec![role("guard")]).await;
        scene.link(vec![role("mighty")]).await;
        for (from, to, reason) in [
            ("guard", "mighty", "ROLE_NOT_GRANTABLE"),
            ("mighty", "guard", "ROLE_NOT_TAKEABLE"),
        ] {
            let request = proto::DeleteRoleRequest { move_holders_to: to.into(), ..delete_role(id, from) };
            assert_refused(warden.delete_role(request).await, Code::PermissionDenied, reason);
        }
        let request = proto::DeleteRoleRequest { move_holders_to: "keeper".into(), ..delete_role(id, "guard") };
        assert_refused(warden.delete_role(request).await, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
        let request = proto::DeleteRoleRequest { move_holders_to: "helper".into(), ..delete_role(id, "guard") };
        warden.delete_role(request).await.expect("theirs to give and to take");
    }

    async fn a_role_that_a_link_offers_stays_where_and_by_whom_it_can_be_held(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let everywhere = proto::Role {
            at: vec!["organization".into(), "house".into()],
            to: vec![HolderKind::Membership.into(), HolderKind::ServiceAccount.into()],
            ..custom_role("guard", &["house.view"])
        };
        owner.create_role(create_role(id, everywhere)).await.unwrap();
        let (link, token) = scene.link(vec![role("guard")]).await;
        let elsewhere = proto::Role { at: vec!["house".into()], ..custom_role("guard", &[]) };
        let to_machines = proto::Role { to: vec![HolderKind::ServiceAccount.into()], ..custom_role("guard", &[]) };
        let before = revision_of(owner, id).await;
        for (changed, field) in [(&elsewhere, "at"), (&to_machines, "to")] {
            for validate_only in [true, false] {
                let request = proto::UpdateRoleRequest { validate_only, ..with(changed.clone(), field, id) };
                let refused = owner.update_role(request).await.unwrap_err();
                assert_eq!(in_the_way(&refused), format!("invitation/{link}"), "{field}");
                assert_refused::<()>(Err(refused), Code::FailedPrecondition, "ROLE_IN_USE");
            }
        }
        assert_eq!(revision_of(owner, id).await, before);
        let bob = app.somebody("bob@example.test").await;
        assert_eq!(come(&bob, &token).await.unwrap().roles, ["guard"]);

        app.clock.advance(WEEK);
        let owner = app.sign_in("ada@example.test", "").await.call;
        let refused = owner.update_role(with(elsewhere, "at", id)).await.unwrap_err();
        assert_eq!(in_the_way(&refused), "role/guard", "held now, and offered no more");
    }

    async fn who_may_not_take_a_role_does_not_narrow_what_a_link_offers(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        // Gives what it holds and takes nothing.
        let giver = proto::Role {
            permissions: ["role.manage", "member.assign", "member.list", "house.view", "shed.view"]
                .map(|permission| reaching(permission, Reach::Any))
                .to_vec(),
            may_grant: Some(proto::RoleCeiling { kind: Some(proto::role_ceiling::Kind::Subset(true)) }),
            ..custom_role("giving", &[])
        };
        owner.create_role(create_role(id, giver)).await.unwrap();
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![role("giving")]).await;
        scene.make("guard", &["house.view", "member.list"]).await;
        let narrower = || with(custom_role("guard", &["house.view"]), "permissions", id);
        let dry = proto::UpdateRoleRequest { validate_only: true, ..narrower() };
        eve.call.update_role(dry).await.expect("nobody holds it, nor is it offered");
        let (link, _) = scene.link(vec![role("guard")]).await;
        assert_refused(eve.call.update_role(narrower()).await, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let dry = proto::UpdateRoleRequest { validate_only: true, ..narrower() };
        assert_eq!(owner.update_role(dry).await.unwrap().invitation_ids, [link.as_str()]);
        assert_eq!(owner.update_role(narrower()).await.expect("hers to take").invitation_ids, [link]);
    }

    /// What is offered to a mailbox is held by its membership.
    async fn a_role_that_is_offered_to_a_mailbox_is_held(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        scene.make("guard", &["house.view"]).await;
        owner.create_invitation(invite(id, "bob@example.test", vec![role("guard")])).await.unwrap();
        assert_refused(owner.delete_role(delete_role(id, "guard")).await, Code::FailedPrecondition, "ROLE_IN_USE");
        let moving = proto::DeleteRoleRequest { move_holders_to: "helper".into(), ..delete_role(id, "guard") };
        let moved = owner.delete_role(moving).await.unwrap();
        assert_eq!((moved.granted.len(), moved.revoked.len(), moved.moved_invitation_ids.len()), (1, 1, 0));
        let bob = app.join("bob@example.test").await;
        assert_eq!(owner.member(id, &bob.email).await.roles, ["helper"]);
    }
}
