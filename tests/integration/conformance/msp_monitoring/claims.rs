//! The five claims, and what each level of each lets a person do.

use tonic::Code;

use super::subscription::{NOUNS, account, claims, open};
use crate::conformance::tenant::{NOTHING, changed};
use crate::harness::messages::{delete, get_organization, grant, membership, register};
use crate::harness::{assert_refused, at, role};
use crate::on_both;

const NOT_ASSIGNABLE: (Code, &str) = (Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");

on_both! {
    async fn cm_03_there_are_five_claims_and_each_takes_one_level(app) {
        let subscription = open(&app, &["north"]).await;
        let (operator, uma) = (app.operator(), subscription.person("uma", vec![]).await);
        assert_eq!(subscription.may(&uma).await, NOTHING, "none of any claim to begin with");

        // One level takes the place of another; the claims beside it stay.
        for claim in ["management", "users", "billing"] {
            let (read, modify) = (format!("{claim}-read"), format!("{claim}-modify"));
            let given = subscription.give(&operator, &uma, role(&read)).await.unwrap();
            assert_eq!(given, changed(&[&read], &[]));
            let raised = subscription.give(&operator, &uma, role(&modify)).await.unwrap();
            assert_eq!(raised, changed(&[&modify], &[&read]));
            let again = subscription.give(&operator, &uma, role(&modify)).await.unwrap();
            assert_eq!(again, changed(&[], &[]));
        }
        for (level, before) in [("access", None), ("config-read", Some("access at north")), ("config-modify", Some("config-read at north"))] {
            let given = subscription.give(&operator, &uma, at(account("north"), level)).await.unwrap();
            assert_eq!(given, changed(&[&format!("{level} at north")], before.as_slice()));
        }
        let held = ["billing-modify", "management-modify", "users-modify"].map(str::to_owned).to_vec();
        assert_eq!(subscription.standing(&uma).await.1, held);
        // Of two in one batch, the last stands.
        let both = ["billing-read", "billing-modify", "billing-read"].map(|level| grant(membership(&uma.membership_id), role(level)));
        assert_eq!(subscription.change(&operator, both.into()).await.unwrap(), changed(&["billing-read"], &["billing-modify"]));
        // And none is a level, too.
        assert_eq!(subscription.take(&operator, &uma, role("billing-read")).await.unwrap(), changed(&[], &["billing-read"]));
        assert!(!subscription.may(&uma).await.contains(&"billing.view".to_owned()));

        // A claim on the subscription is none on an account, nor the other way round; and there are no others.
        let untouched = app.traces().await;
        for level in ["management-read", "management-modify", "users-read", "users-modify", "billing-read", "billing-modify"] {
            let refused = subscription.give(&operator, &uma, at(account("north"), level)).await;
            assert_refused(refused, NOT_ASSIGNABLE.0, NOT_ASSIGNABLE.1);
        }
        for level in ["access", "config-read", "config-modify"] {
            let refused = subscription.give(&operator, &uma, role(level)).await;
            assert_refused(refused, NOT_ASSIGNABLE.0, NOT_ASSIGNABLE.1);
        }
        let refused = subscription.give(&operator, &uma, role("management")).await;
        assert_refused(refused, Code::InvalidArgument, "ROLE_UNKNOWN");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cm_04_without_management_one_may_not_add_or_remove_accounts(app) {
        let subscription = open(&app, &["north"]).await;
        let uma = subscription.person("uma", claims(&["users-modify", "billing-modify"])).await;
        subscription.give(&app.operator(), &uma, at(account("north"), "config-modify")).await.unwrap();

        let untouched = app.traces().await;
        let added = uma.call.register_resource(register(&subscription.id, account("south"))).await;
        assert_refused(added, Code::PermissionDenied, "PERMISSION_MISSING");
        // Not even one that they have in full control otherwise.
        let on_north = subscription.may_on(&uma, &account("north"), &["account"]).await;
        assert_eq!(on_north, ["account.update", "account.view"]);
        assert_eq!(app.traces().await, untouched);

        subscription.give(&app.operator(), &uma, role("management-modify")).await.unwrap();
        let made = subscription.make(&uma.call, "account").await;
        let on_made = subscription.may_on(&uma, &made, &["account"]).await;
        assert_eq!(on_made, ["account.create", "account.delete", "account.update", "account.view"]);
        let on_north = subscription.may_on(&uma, &account("north"), &["account"]).await;
        assert_eq!(on_north, ["account.create", "account.delete", "account.update", "account.view"]);
    }

    async fn cm_05_to_read_management_is_exactly_as_none(app) {
        let subscription = open(&app, &["north"]).await;
        let reader = subscription.person("rita", claims(&["management-read"])).await;
        let none = subscription.person("nora", vec![]).await;
        for person in [&reader, &none] {
            subscription.give(&app.operator(), person, at(account("north"), "access")).await.unwrap();
        }

        assert_eq!(subscription.may(&reader).await, NOTHING);
        assert_eq!(subscription.may(&reader).await, subscription.may(&none).await);
        let on_north = subscription.may_on(&reader, &account("north"), &NOUNS).await;
        assert_eq!(on_north, subscription.may_on(&none, &account("north"), &NOUNS).await);
        assert!(!on_north.contains(&"account.delete".to_owned()), "{on_north:?}");

        let untouched = app.traces().await;
        for person in [&reader, &none] {
            let added = person.call.register_resource(register(&subscription.id, account("south"))).await;
            assert_refused(added, Code::PermissionDenied, "PERMISSION_MISSING");
            person.call.get_organization(get_organization(&subscription.id)).await.expect("it is theirs to see");
        }
        assert_eq!(app.traces().await, untouched);
    }

    async fn cm_06_who_modifies_management_adds_accounts_freely_and_removes_those_they_have_access_to(app) {
        let subscription = open(&app, &["north", "south", "east"]).await;
        let mona = subscription.person("mona", claims(&["management-modify"])).await;
        let may = ["account.create", "organization.update", "organization.view", "policy.update"];
        assert_eq!(subscription.may(&mona).await, may);

        // Freely, and with full control of what they add: they alone, until they let others in.
        for _ in 0..2 {
            let made = subscription.make(&mona.call, "account").await;
            let may = subscription.may_on(&mona, &made, &NOUNS).await;
            assert!(["account.delete", "config.update"].iter().all(|it| may.contains(&(*it).to_owned())), "{may:?}");
            assert!(!subscription.sees(&subscription.founder, &made).await);
            mona.call.delete_resource(delete(&subscription.id, made.clone())).await.unwrap();
            assert!(!subscription.sees(&mona, &made).await);
        }
        // Whichever level they have there, it is access.
        for (name, level) in [("north", "access"), ("south", "config-read"), ("east", "config-modify")] {
            let before = subscription.may_on(&mona, &account(name), &["account"]).await;
            assert_eq!(before, ["account.create"], "{name} may be added to, and no more");
            assert!(!subscription.sees(&mona, &account(name)).await);
            subscription.give(&app.operator(), &mona, at(account(name), level)).await.unwrap();
            let after = subscription.may_on(&mona, &account(name), &["account"]).await;
            assert!(after.contains(&"account.delete".to_owned()), "{name}: {after:?}");
        }
        mona.call.delete_resource(delete(&subscription.id, account("east"))).await.unwrap();
        assert!(!subscription.sees(&subscription.founder, &account("east")).await, "it is gone for all");
        subscription.take(&app.operator(), &mona, at(account("north"), "access")).await.unwrap();
        let gone = subscription.may_on(&mona, &account("north"), &["account"]).await;
        assert_eq!(gone, ["account.create"]);
        let untouched = app.traces().await;
        let refused = mona.call.delete_resource(delete(&subscription.id, account("north"))).await;
        assert_refused(refused, Code::NotFound, "NOT_FOUND");
        assert_eq!(app.traces().await, untouched);
    }

    async fn cm_10_without_billing_one_does_not_see_it(app) {
        let subscription = open(&app, &["north"]).await;
        let uma = subscription.person("uma", claims(&["management-modify", "users-modify"])).await;
        subscription.give(&app.operator(), &uma, at(account("north"), "config-modify")).await.unwrap();

        for place in [None, Some(account("north"))] {
            for permission in ["billing.view", "billing.update", "billing.pay"] {
                let check = subscription.backend.allows(&subscription.id, &uma.user_id, permission, place.clone()).await;
                assert!(!check, "{permission}");
            }
        }
        subscription.give(&app.operator(), &uma, role("billing-read")).await.unwrap();
        assert!(subscription.backend.allows(&subscription.id, &uma.user_id, "billing.view", None).await);
    }

    async fn cm_11_who_reads_billing_sees_it_changes_nothing_and_does_not_reach_the_payment_portal(app) {
        let subscription = open(&app, &[]).await;
        let rita = subscription.person("rita", claims(&["billing-read"])).await;
        assert_eq!(subscription.may(&rita).await, ["billing.view"]);

        // Nor do they help themselves to more.
        let untouched = app.traces().await;
        let raised = subscription.give(&rita.call, &rita, role("billing-modify")).await;
        assert_refused(raised, Code::PermissionDenied, "PERMISSION_MISSING");
        assert_eq!(app.traces().await, untouched);
        assert_eq!(subscription.may(&rita).await, ["billing.view"]);
    }

    async fn cm_12_who_modifies_billing_sees_and_changes_it_and_reaches_the_payment_portal(app) {
        let subscription = open(&app, &[]).await;
        let bill = subscription.person("bill", claims(&["billing-modify"])).await;
        assert_eq!(subscription.may(&bill).await, ["billing.pay", "billing.update", "billing.view"]);

        subscription.give(&app.operator(), &bill, role("billing-read")).await.unwrap();
        assert_eq!(subscription.may(&bill).await, ["billing.view"], "as soon as it is taken back");
    }
}
