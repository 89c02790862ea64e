//! Who was removed does not come back by a link that was made before.

use std::time::Duration;

use tonic::Code;

use super::{Scene, come};
use crate::harness::messages::{invite, leave, remove};
use crate::harness::{assert_refused, role};
use crate::on_both;
use crate::refusals::revision_of;

on_both! {
    async fn cm_20_who_was_removed_does_not_come_back_by_the_same_link(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let (_, link) = scene.link(vec![role("helper")]).await;
        let (_, another) = scene.link(vec![]).await;
        let (bob, eve) = (app.somebody("bob@example.test").await, app.somebody("eve@example.test").await);
        let member = come(&bob, &link).await.unwrap().id;
        let removed = owner.remove_member(remove(id, &member)).await.unwrap();
        assert!(!removed.user_deleted, "a guest");

        let before = revision_of(owner, id).await;
        for token in [&link, &another] {
            assert_refused(come(&bob, token).await, Code::FailedPrecondition, "MEMBER_REMOVED");
        }
        assert_eq!(revision_of(owner, id).await, before);
        come(&eve, &link).await.expect("it stays open for others");

        // In the same instant, by the clock, and after it.
        let (_, later) = scene.link(vec![]).await;
        come(&bob, &later).await.expect("a link that was made after the removal");
    }

    /// A managed account goes with its membership, and another one with the address is the same person.
    async fn who_was_removed_with_their_account_is_known_by_their_address(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let (_, link) = scene.link(vec![]).await;
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        assert!(owner.remove_member(remove(id, &bob.membership_id)).await.unwrap().user_deleted);
        let pending = owner.create_invitation(invite(id, "zoe@example.test", vec![])).await.unwrap().member.unwrap();
        owner.remove_member(remove(id, &pending.id)).await.unwrap();

        for email in ["BOB@example.test", "Zoe@example.test"] {
            let again = app.somebody(email).await;
            assert_refused(come(&again, &link).await, Code::FailedPrecondition, "MEMBER_REMOVED");
        }
        let (_, later) = scene.link(vec![]).await;
        let bob = app.sign_in("bob@example.test", "").await;
        come(&bob, &later).await.expect("a link that was made after the removal");
    }

    async fn who_left_may_come_back(app) {
        let scene = Scene::of(&app).await;
        let (_, link) = scene.link(vec![]).await;
        let bob = app.somebody("bob@example.test").await;
        come(&bob, &link).await.unwrap();
        bob.call.leave_organization(leave(scene.id())).await.unwrap();
        come(&bob, &link).await.expect("nobody sent them away");
    }

    /// What is remembered of somebody is no address, and no longer than a link is open.
    async fn nothing_is_remembered_without_a_link_nor_after_it(app) {
        let scene = Scene::of(&app).await;
        let (owner, id) = (scene.owner(), scene.id());
        let remembered = async || app.traces().await.rows["barred_from_links"];
        let bob = app.invite_and_join(id, owner, "bob@example.test", vec![]).await;
        owner.remove_member(remove(id, &bob.membership_id)).await.unwrap();
        assert_eq!(remembered().await, 0);

        scene.link(vec![]).await;
        let eve = app.invite_and_join(id, owner, "eve@example.test", vec![]).await;
        owner.remove_member(remove(id, &eve.membership_id)).await.unwrap();
        assert_eq!(remembered().await, 2, "the user, and the one address");
        let store = &app.app.services().store;
        store.lapsed_delete().await.unwrap();
        assert_eq!(remembered().await, 2);
        app.clock.advance(Duration::from_hours(7 * 24));
        store.lapsed_delete().await.unwrap();
        assert_eq!(remembered().await, 0);
    }
}
