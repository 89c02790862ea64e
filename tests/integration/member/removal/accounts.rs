//! Whose account goes with the membership, who may leave, and what is left of somebody who comes back.

use std::time::Duration;

use guildhall::proto;
use tonic::Code;

use super::{WORKSPACE, worker};
use crate::harness::messages::{
    change, get_member, get_organization, grant, invite, leave, list_grants, membership, remove, sign_in,
};
use crate::harness::{PASSWORD, assert_refused, role};
use crate::on_both;

on_both! {
    async fn the_account_of_a_managed_person_goes_and_its_address_is_free_again(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let bob = worker(&app, &workspace, "bob").await;
        let removed = owner.remove_member(remove(id, &bob.membership_id)).await.unwrap();
        assert!(removed.user_deleted);

        let dead = bob.call.get_organization(get_organization(id)).await;
        assert_eq!(dead.unwrap_err().code(), Code::Unauthenticated);
        let answer = app.anyone().sign_in(sign_in(&bob.email, PASSWORD)).await;
        assert_refused(answer, Code::Unauthenticated, "SIGN_IN_REFUSED");

        app.clock.advance(Duration::from_millis(1));
        owner.create_invitation(invite(id, &bob.email, vec![])).await.unwrap();
        let token = app.mails_to(&bob.email, 2).await.pop().unwrap();
        let accepted = app.accept(&crate::harness::token_in(&token)).await.unwrap().member.unwrap();
        assert_ne!((&accepted.id, &accepted.user_id), (&bob.membership_id, &bob.user_id));
        let held = owner.list_grants(list_grants(id, Some(membership(&accepted.id)))).await.unwrap();
        assert_eq!((held.grants, accepted.roles), (vec![], vec![]), "a new member, who holds nothing of the old one");
    }

    async fn a_guest_keeps_their_account(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let guest = app.found_as("Home", "guest@example.test").await;
        owner.create_invitation(invite(id, "guest@example.test", vec![role("default")])).await.unwrap();
        let token = app.token_mailed_by("Example", "guest@example.test").await;
        let accepted = guest.owner.call.accept_invitation(crate::harness::messages::accept(&token, "")).await.unwrap();
        let member = accepted.member.unwrap().id;

        let removed = owner.remove_member(remove(id, &member)).await.unwrap();
        assert!(!removed.user_deleted);
        guest.owner.call.get_organization(get_organization(&guest.id)).await.expect("at home nothing has changed");
        let here = guest.owner.call.get_organization(get_organization(id)).await;
        assert_refused(here, Code::NotFound, "NOT_FOUND");
    }

    async fn who_leaves_is_gone_and_who_must_stay_does_not_leave(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let bob = worker(&app, &workspace, "bob").await;
        let admin = app.invite_and_join(id, owner, "max@example.test", vec![role("workspace-admin")]).await;
        let barred = admin.call.leave_organization(leave(id)).await;
        assert_refused(barred, Code::FailedPrecondition, "LEAVING_BARRED");
        let oneself = admin.call.remove_member(remove(id, &admin.membership_id)).await;
        assert_refused(oneself, Code::FailedPrecondition, "SELF_REMOVAL");

        let left = bob.call.leave_organization(leave(id)).await.unwrap();
        assert!(left.user_deleted && left.awaiting.is_empty());
        assert_refused(owner.get_member(get_member(id, &bob.membership_id)).await, Code::NotFound, "NOT_FOUND");

        let account = app.found_by("eva@example.test").await;
        let last = account.owner.call.leave_organization(leave(&account.id)).await;
        assert_refused(last, Code::FailedPrecondition, "ROLE_CARDINALITY");
        let removed = app.operator().remove_member(remove(&account.id, &account.owner.membership_id)).await;
        assert_refused(removed, Code::FailedPrecondition, "ROLE_CARDINALITY");
        account.owner.call.get_organization(get_organization(&account.id)).await.expect("the owner is still there");
    }

    async fn an_invitation_of_who_was_removed_is_revoked(app) {
        let workspace = app.found_under(WORKSPACE).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let invited = owner.create_invitation(invite(id, "eve@example.test", vec![role("default")])).await.unwrap();
        let token = app.token_mailed_to("eve@example.test").await;
        let removed = owner.remove_member(remove(id, &invited.member.unwrap().id)).await.unwrap();
        assert!(!removed.user_deleted);
        assert_refused(app.accept(&token).await, Code::FailedPrecondition, "INVITATION_REVOKED");
        owner.create_invitation(invite(id, "eve@example.test", vec![])).await.expect("the address is free");
    }

    async fn who_may_not_take_a_role_removes_nobody_who_holds_it(app) {
        let account = app.found().await;
        let (id, owner) = (&account.id, &account.owner.call);
        let max = app.invite_and_join(id, owner, "max@example.test", vec![role("admin")]).await;
        let uma = app.invite_and_join(id, owner, "uma@example.test", vec![role("user")]).await;
        let above = max.call.remove_member(remove(id, &account.owner.membership_id)).await;
        assert_refused(above, Code::PermissionDenied, "ROLE_NOT_TAKEABLE");
        let lacking = uma.call.remove_member(remove(id, &max.membership_id)).await;
        assert_refused(lacking, Code::PermissionDenied, "PERMISSION_MISSING");
        let long = proto::RemoveMemberRequest { reason: "x".repeat(1001), ..remove(id, &uma.membership_id) };
        assert_eq!(max.call.remove_member(long).await.unwrap_err().code(), Code::InvalidArgument);
        max.call.change_grants(change(id, vec![grant(membership(&uma.membership_id), role("admin"))])).await.unwrap();
        uma.call.remove_member(remove(id, &max.membership_id)).await.expect("admins take admins");
    }
}
