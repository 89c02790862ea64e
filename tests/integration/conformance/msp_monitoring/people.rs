//! Who manages people, and what they may give and take.

use guildhall::proto::MemberState::Active;
use tonic::Code;

use super::subscription::{account, claims, manage, open};
use crate::conformance::tenant::{assert_all_done, assert_all_refused, changed};
use crate::harness::messages::{
    change, create_organization_under, disable, get_organization, grant, invite_by_link, membership, revoke,
};
use crate::harness::{assert_refused, at, reason, role};
use crate::on_both;

on_both! {
    async fn cm_01_inside_one_subscription_an_administrator_invites_removes_and_manages_people(app) {
        let subscription = open(&app, &[]).await;
        let admin = subscription.person("max", claims(&["users-modify"])).await;
        let uma = subscription.person("uma", vec![]).await;
        for manager in [&subscription.founder, &admin] {
            assert_all_done(manage(&manager.call, &subscription.id, &uma).await);
        }

        // Not by who administers everything but people, nor by the administrator of another, nor by nobody.
        let mona = subscription.person("mona", claims(&["management-modify", "billing-modify"])).await;
        let other = create_organization_under("msp-monitoring", "Other", "zoe@example.test");
        app.operator().create_organization(other).await.unwrap();
        let zoe = app.join("zoe@example.test").await;
        let untouched = app.traces().await;
        let acts = manage(&mona.call, &subscription.id, &uma).await;
        assert_all_refused(acts, Code::PermissionDenied, "PERMISSION_MISSING");
        let acts = manage(&zoe.call, &subscription.id, &uma).await;
        assert_all_refused(acts, Code::NotFound, "NOT_FOUND");
        let acts = manage(&app.anyone(), &subscription.id, &uma).await;
        assert_all_refused(acts, Code::Unauthenticated, "CREDENTIAL_MISSING");
        assert_eq!(app.traces().await, untouched);
        let refused = subscription.remove(&mona.call, &uma, None).await;
        assert_refused(refused, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_refused(subscription.remove(&zoe.call, &uma, None).await, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(subscription.standing(&uma).await, (Active, vec![]));

        subscription.remove(&admin.call, &uma, None).await.unwrap();
        subscription.remove(&subscription.founder.call, &mona, None).await.unwrap();
        assert_eq!(subscription.everybody().await, [subscription.founder.email.as_str(), admin.email.as_str()]);
    }

    async fn cm_07_without_users_one_neither_sees_nor_controls_the_management_of_people(app) {
        let subscription = open(&app, &["north"]).await;
        let uma = subscription.person("uma", claims(&["management-modify", "billing-modify"])).await;
        subscription.give(&app.operator(), &uma, at(account("north"), "config-modify")).await.unwrap();
        let may = subscription.may(&uma).await;
        let of_people = |name: &&String| ["access", "audit", "group", "member", "role"].contains(&name.split('.').next().unwrap());
        assert_eq!(may.iter().find(of_people), None);

        // A member and somebody who is none are refused alike.
        let untouched = app.traces().await;
        let acts = manage(&uma.call, &subscription.id, &subscription.founder).await;
        assert_all_refused(acts, Code::PermissionDenied, "PERMISSION_MISSING");
        let texts = |id: String| {
            let (uma, subscription) = (uma.call.clone(), subscription.id.clone());
            async move {
                let refused = uma.disable_member(disable(&subscription, &id)).await.unwrap_err();
                let granted = uma.change_grants(change(&subscription, vec![grant(membership(&id), role("users-read"))]));
                (reason(&refused), refused.message().to_owned(), granted.await.unwrap_err().message().to_owned())
            }
        };
        let nobody = "018f4e9a-7b3c-7def-8a12-0123456789ab".to_owned();
        assert_eq!(texts(subscription.founder.membership_id.clone()).await, texts(nobody).await);
        // Not even on the account that they have in full control.
        let founder = &subscription.founder;
        let shared = subscription.give(&uma.call, founder, at(account("north"), "access")).await;
        assert_refused(shared, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cm_08_who_reads_users_sees_the_list_of_people_and_changes_nothing(app) {
        let subscription = open(&app, &[]).await;
        let rita = subscription.person("rita", claims(&["users-read"])).await;
        let listed: Vec<String> = rita.call.members(&subscription.id).await.into_iter().map(|it| it.email).collect();
        assert_eq!(listed, [subscription.founder.email.as_str(), rita.email.as_str()]);
        assert_eq!(subscription.may(&rita).await, ["member.list"]);

        let untouched = app.traces().await;
        let acts = manage(&rita.call, &subscription.id, &subscription.founder).await;
        let changes = acts.into_iter().filter(|(act, _)| *act != "list").collect();
        assert_all_refused(changes, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cm_09_who_modifies_users_invites_and_gives_only_claims_that_they_hold_there_themselves(app) {
        let subscription = open(&app, &["north", "south", "hidden"]).await;
        let max = subscription.person("max", claims(&["users-modify", "billing-read"])).await;
        for (name, level) in [("north", "config-read"), ("south", "access")] {
            subscription.give(&app.operator(), &max, at(account(name), level)).await.unwrap();
        }
        let uma = subscription.person("uma", vec![]).await;
        let may = ["billing.view", "member.assign", "member.invite", "member.list", "member.remove"];
        assert_eq!(subscription.may(&max).await, may);

        let held = [
            role("users-modify"), role("users-read"), role("billing-read"), role("management-read"),
            at(account("north"), "config-read"), at(account("north"), "access"), at(account("south"), "access"),
        ];
        for claim in held {
            subscription.give(&max.call, &uma, claim.clone()).await.unwrap();
            max.call.create_invitation(invite_by_link(&subscription.id, vec![claim])).await.unwrap();
        }
        let untouched = app.traces().await;
        for claim in [
            role("billing-modify"), role("management-modify"), role("backend"),
            at(account("north"), "config-modify"), at(account("south"), "config-read"), at(account("south"), "config-modify"),
        ] {
            let is_backend = claim == role("backend");
            let expected = if is_backend { (Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE") } else { (Code::PermissionDenied, "ROLE_NOT_GRANTABLE") };
            assert_refused(subscription.give(&max.call, &uma, claim.clone()).await, expected.0, expected.1);
            let link = max.call.create_invitation(invite_by_link(&subscription.id, vec![claim])).await;
            assert_refused(link, expected.0, expected.1);
        }
        let hidden = subscription.give(&max.call, &uma, at(account("hidden"), "access")).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cm_09_who_modifies_users_removes_anyone_but_themselves_and_the_last_who_does(app) {
        let subscription = open(&app, &["north"]).await;
        let (founder, max) = (&subscription.founder, subscription.person("max", claims(&["users-modify"])).await);

        // Anyone, whatever they hold and be it more than oneself: claims, and the place itself.
        let taken = subscription.take(&max.call, founder, role("billing-modify")).await.unwrap();
        assert_eq!(taken, changed(&[], &["billing-modify"]));
        subscription.remove(&max.call, founder, None).await.unwrap();
        assert_eq!(subscription.everybody().await, [max.email.as_str()]);
        let shut_out = founder.call.get_organization(get_organization(&subscription.id)).await;
        assert_refused(shut_out, Code::Unauthenticated, "SESSION_ENDED");

        // Now Max is the last: neither by themselves, nor by an operator.
        let untouched = app.traces().await;
        let own = |what| vec![revoke(membership(&max.membership_id), what)];
        let refused = subscription.change(&max.call, own(role("users-modify"))).await;
        assert_refused(refused, Code::FailedPrecondition, "SELF_REMOVAL");
        let refused = subscription.change(&max.call, vec![grant(membership(&max.membership_id), role("users-read"))]).await;
        assert_refused(refused, Code::FailedPrecondition, "SELF_REMOVAL");
        assert_refused(subscription.remove(&max.call, &max, None).await, Code::FailedPrecondition, "SELF_REMOVAL");
        assert_refused(subscription.leave(&max).await, Code::FailedPrecondition, "ROLE_CARDINALITY");
        let operator = app.operator();
        assert_refused(subscription.change(&operator, own(role("users-modify"))).await, Code::FailedPrecondition, "ROLE_CARDINALITY");
        let refused = operator.disable_member(disable(&subscription.id, &max.membership_id)).await;
        assert_refused(refused, Code::FailedPrecondition, "ROLE_CARDINALITY");
        assert_refused(subscription.remove(&operator, &max, None).await, Code::FailedPrecondition, "ROLE_CARDINALITY");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(subscription.standing(&max).await, (Active, vec!["users-modify".to_owned()]));
    }
}
