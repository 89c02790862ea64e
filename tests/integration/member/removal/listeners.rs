//! A removal waits for the product: access is gone at once, and the member only when each listener has acknowledged, or
//! the grace has ended.

use std::time::Duration;

use guildhall::proto;
use guildhall::proto::MemberState::Removing;
use guildhall::proto::remove_member_request::Assets;
use tonic::Code;

use super::{asset, found_awaited, own, owner_of, removing, worker};
use crate::harness::messages::{
    acknowledge, change, change_members, create_group, disable, disable_account, enable, get_member, grant, invite,
    leave, list_keys, list_removals, membership, register, remove, revoke_key, set_owner, share, transfer,
};
use crate::harness::{assert_refused, project, role};
use crate::on_both;

on_both! {
    async fn a_member_is_gone_when_every_listener_has_acknowledged_and_has_access_to_nothing_meanwhile(app) {
        let workspace = found_awaited(&app).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let (bob, cat) = (worker(&app, &workspace, "bob").await, worker(&app, &workspace, "cat").await);
        let (_, machine) = app.backend_account(&workspace).await;
        own(owner, &workspace, asset("a"), &bob.membership_id, None).await;
        assert!(owner.allows(id, &bob.user_id, "asset.view", Some(asset("a"))).await);

        let to_cat = removing(&workspace, &bob.membership_id, Some(Assets::TransferTo(cat.membership_id.clone())));
        let removed = owner.remove_member(to_cat.clone()).await.unwrap();
        assert_eq!(removed.awaiting, ["billing", "storage"]);
        assert_eq!(removed.member.unwrap().state(), Removing);
        assert!(!owner.allows(id, &bob.user_id, "asset.view", Some(asset("a"))).await);
        assert_eq!(owner.member(id, "bob@example.test").await.state(), Removing);
        assert_eq!(owner_of(owner, &workspace, asset("a")).await, Some(bob.membership_id.clone()));
        assert_refused(owner.remove_member(to_cat).await, Code::FailedPrecondition, "MEMBER_STATE");

        let mut watch = machine.watch_removals(id, "billing").await.unwrap();
        let told = watch.next().await.unwrap().unwrap();
        assert_eq!((&told.membership_id, &told.transfer_to), (&bob.membership_id, &cat.membership_id));
        let eve = worker(&app, &workspace, "eve").await;
        owner.remove_member(remove(id, &eve.membership_id)).await.unwrap();
        assert_eq!(watch.next().await.unwrap().unwrap().membership_id, eve.membership_id, "told as it comes");

        let say = |listener: &str| acknowledge(id, &bob.membership_id, listener);
        let unknown = machine.acknowledge_removal(say("nobody")).await;
        assert_refused(unknown, Code::InvalidArgument, "OUT_OF_RANGE");
        assert_refused(cat.call.acknowledge_removal(say("billing")).await, Code::PermissionDenied, "PERMISSION_MISSING");
        for _ in 0..2 {
            assert_eq!(machine.acknowledge_removal(say("billing")).await.unwrap().awaiting, ["storage"]);
        }
        let of = async |listener: &str| {
            let request = proto::ListRemovalsRequest { listener: listener.into(), ..list_removals(id) };
            machine.list_removals(request).await.unwrap().removals.len()
        };
        assert_eq!((of("billing").await, of("storage").await, of("").await), (1, 2, 2));
        let last = machine.acknowledge_removal(say("storage")).await.unwrap();
        assert!(last.awaiting.is_empty() && !last.revision.is_empty());
        assert_refused(owner.get_member(get_member(id, &bob.membership_id)).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(owner_of(owner, &workspace, asset("a")).await, Some(cat.membership_id));
        assert_refused(machine.acknowledge_removal(say("storage")).await, Code::NotFound, "NOT_FOUND");
    }

    async fn whoever_watches_is_told_nothing_more_once_their_credential_has_ended(app) {
        let workspace = found_awaited(&app).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let (disabled, first) = app.backend_account(&workspace).await;
        let (keyless, second) = app.backend_account(&workspace).await;
        let mut watches = [first.watch_removals(id, "billing").await.unwrap(), second.watch_removals(id, "billing").await.unwrap()];

        owner.disable_service_account(disable_account(id, &disabled)).await.unwrap();
        let key = owner.list_api_keys(list_keys(id, &keyless)).await.unwrap().api_keys.pop().unwrap().id;
        owner.revoke_api_key(revoke_key(id, &keyless, &key)).await.unwrap();
        assert_refused(watches[0].next().await, Code::Unauthenticated, "SERVICE_ACCOUNT_DISABLED");
        assert_refused(watches[1].next().await, Code::Unauthenticated, "KEY_REVOKED");
    }

    async fn nobody_is_waited_for_once_the_grace_has_ended(app) {
        let workspace = found_awaited(&app).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let bob = worker(&app, &workspace, "bob").await;
        let removed = app.clock.clone();
        owner.remove_member(remove(id, &bob.membership_id)).await.unwrap();
        let state = async || app.traces().await.rows["removals"];

        removed.advance(Duration::from_hours(7 * 24) - Duration::from_micros(1));
        app.app.services().finish_removals().await.unwrap();
        assert_eq!(state().await, 1);
        removed.advance(Duration::from_micros(1));
        app.app.services().finish_removals().await.unwrap();
        assert_eq!(state().await, 0);
        let owner = app.sign_in("ada@example.test", &workspace.owner.membership_id).await.call;
        assert_refused(owner.get_member(get_member(id, &bob.membership_id)).await, Code::NotFound, "NOT_FOUND");
    }

    async fn who_is_being_removed_gets_nothing_and_does_nothing_any_more(app) {
        let workspace = found_awaited(&app).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let (bob, cat) = (worker(&app, &workspace, "bob").await, worker(&app, &workspace, "cat").await);
        owner.register_resource(register(id, project("p"))).await.unwrap();
        own(owner, &workspace, asset("cats"), &cat.membership_id, None).await;
        let group = owner.create_group(create_group(id, "Team")).await.unwrap().group.unwrap().id;
        owner.remove_member(remove(id, &bob.membership_id)).await.unwrap();
        let before = app.traces().await;

        let (who, member) = (bob.membership_id.as_str(), || membership(&bob.membership_id));
        let to_bob = removing(&workspace, &cat.membership_id, Some(Assets::TransferTo(who.into())));
        for (act, answer) in [
            ("disable", owner.disable_member(disable(id, who)).await.map(drop)),
            ("enable", owner.enable_member(enable(id, who)).await.map(drop)),
            ("grant", owner.change_grants(change(id, vec![grant(member(), role("default"))])).await.map(drop)),
            ("share", owner.share_resource(share(id, project("p"), vec![member()])).await.map(drop)),
            ("join a group", owner.change_group_members(change_members(id, &group, &[who], &[])).await.map(drop)),
            ("own", owner.set_resource_owner(set_owner(id, asset("cats"), Some(member()))).await.map(drop)),
            ("inherit", owner.remove_member(to_bob).await.map(drop)),
            ("the same address", owner.create_invitation(invite(id, &bob.email, vec![])).await.map(drop)),
            ("be handed a role", owner.transfer_role(transfer(id, "workspace-admin", who)).await.map(drop)),
            ("leave", bob.call.leave_organization(leave(id)).await.map(drop)),
            ("look", bob.call.get_member(get_member(id, who)).await.map(drop)),
        ] {
            let status = answer.expect_err(act);
            assert!(!matches!(status.code(), Code::Internal | Code::Unknown), "{act}: {status:?}");
        }
        assert_eq!(app.traces().await, before);
    }

    async fn what_others_have_made_below_in_the_meantime_is_not_deleted(app) {
        let workspace = found_awaited(&app).await;
        let (id, owner) = (&workspace.id, &workspace.owner.call);
        let (bob, cat) = (worker(&app, &workspace, "bob").await, worker(&app, &workspace, "cat").await);
        own(owner, &workspace, asset("a"), &bob.membership_id, None).await;
        own(owner, &workspace, asset("b"), &bob.membership_id, None).await;
        let delete = removing(&workspace, &bob.membership_id, Some(Assets::DeleteAssets(true)));
        owner.remove_member(delete).await.unwrap();
        own(owner, &workspace, asset("cats"), &cat.membership_id, Some(asset("a"))).await;

        for listener in ["billing", "storage"] {
            app.operator().acknowledge_removal(acknowledge(id, &bob.membership_id, listener)).await.unwrap();
        }
        assert_eq!(owner_of(owner, &workspace, asset("cats")).await, Some(cat.membership_id));
        assert_eq!(owner_of(owner, &workspace, asset("a")).await, None);
        assert_eq!(app.traces().await.rows["resources"], 2, "b is gone");
    }

    async fn what_breaks_off_between_slices_is_finished_later(app) {
        let workspace = found_awaited(&app).await;
        let owner = &workspace.owner.call;
        let bob = worker(&app, &workspace, "bob").await;
        for number in 0..160 {
            own(owner, &workspace, asset(&format!("a{number}")), &bob.membership_id, None).await;
        }
        let delete = removing(&workspace, &bob.membership_id, Some(Assets::DeleteAssets(true)));
        owner.remove_member(delete).await.unwrap();
        app.clock.advance(Duration::from_hours(7 * 24));

        let resources = async || app.traces().await.rows["resources"];
        let (mut left, mut breaks) = (resources().await, 0);
        assert_eq!(left, 160);
        while app.traces().await.rows["removals"] > 0 {
            // The slice that is under way ends; what calls for the next one does not.
            let services = app.app.services().clone();
            let _ = tokio::time::timeout(Duration::from_millis(5), services.finish_removals()).await;
            let now = resources().await;
            assert!(now <= left);
            breaks += usize::from(now < left && now > 0);
            left = now;
        }
        println!("broken off {breaks} times");
        assert_eq!(resources().await, 0);
    }
}
