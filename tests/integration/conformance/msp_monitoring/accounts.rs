//! Accounts: many under one subscription, hidden from who has no access, each with levels of its own.

use guildhall::proto;
use tonic::Code;

use super::subscription::{NOUNS, account, claims, open};
use crate::conformance::tenant::{NOTHING, Tenant};
use crate::harness::messages::{
    accept, create_organization_under, disable, explain, get_organization, invite_by_link, item, list_permissions,
    list_resources, register, user,
};
use crate::harness::{Person, assert_refused, at, reason, role, token_in};
use crate::on_both;

/// What each level lets a person do on the account.
const ACCESS: [&str; 3] = ["account.view", "dashboard.view", "report.view"];
const READ: [&str; 4] = ["account.view", "config.view", "dashboard.view", "report.view"];
const MODIFY: [&str; 6] =
    ["account.update", "account.view", "config.update", "config.view", "dashboard.view", "report.view"];

/// Names the accounts that a person is told of when they ask for all they see.
async fn seen(subscription: &Tenant<'_>, who: &Person) -> Vec<String> {
    let request = list_resources(&subscription.id, user(&who.user_id), "account.view");
    let request = proto::ListResourcesRequest { resource_type: "account".into(), page_size: 1000, ..request };
    who.call.list_resources(request).await.unwrap().resource_ids
}

on_both! {
    async fn cm_02_a_subscription_holds_many_accounts_and_a_person_is_owned_by_neither(app) {
        let names: Vec<String> = (0..20).map(|number| format!("customer-{number:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let subscription = open(&app, &names).await;
        assert_eq!(seen(&subscription, &subscription.founder).await, names);

        // The founder of one subscription is somebody else's consultant: the same person, and two places.
        let other = create_organization_under("msp-monitoring", "Other", "zoe@example.test");
        let other = app.operator().create_organization(other).await.unwrap().organization.unwrap().id;
        let zoe = app.join("zoe@example.test").await;
        let link = zoe.call.create_invitation(invite_by_link(&other, claims(&["users-read"]))).await.unwrap().link;
        let token = token_in(&link);
        let accepted = subscription.founder.call.accept_invitation(accept(&token, "")).await.unwrap();
        let there = accepted.member.unwrap();
        assert_eq!(there.user_id, subscription.founder.user_id);
        assert_ne!(there.id, subscription.founder.membership_id);

        // What one of them does to its place is no matter of the other.
        app.operator().disable_member(disable(&other, &there.id)).await.unwrap();
        let shut_out = subscription.founder.call.get_organization(get_organization(&other)).await;
        assert_refused(shut_out, Code::NotFound, "NOT_FOUND");
        let foreign = zoe.call.disable_member(disable(&subscription.id, &subscription.founder.membership_id)).await;
        assert_refused(foreign, Code::NotFound, "NOT_FOUND");
        assert_eq!(seen(&subscription, &subscription.founder).await, names);
        app.sign_in(&subscription.founder.email, "").await;
    }

    async fn cm_13_without_access_one_cannot_see_an_account_nor_learn_that_it_exists(app) {
        let subscription = open(&app, &["open", "secret"]).await;
        // All there is on the subscription, and access to one account alone.
        let uma = subscription.person("uma", claims(&["management-modify", "users-modify", "billing-modify"])).await;
        subscription.give(&app.operator(), &uma, at(account("open"), "config-modify")).await.unwrap();
        let id = &subscription.id;

        assert_eq!(seen(&subscription, &uma).await, ["open"]);
        assert!(subscription.sees(&uma, &account("open")).await);
        assert!(!subscription.sees(&uma, &account("secret")).await);

        // Whatever they try, `secret` is answered as `absent` is, which nobody has.
        let untouched = app.traces().await;
        let mut answers = Vec::new();
        for name in ["secret", "absent"] {
            let place = account(name);
            let under = proto::RegisterResourceRequest { parent: Some(place.clone()), ..register(id, account("new")) };
            let refusals = [
                uma.call.register_resource(under).await.map(drop),
                subscription.give(&uma.call, &subscription.founder, at(place.clone(), "access")).await.map(drop),
                subscription.take(&uma.call, &subscription.founder, at(place.clone(), "access")).await.map(drop),
                uma.call.create_invitation(invite_by_link(id, vec![at(place.clone(), "access")])).await.map(drop),
            ];
            let refusals = refusals.map(|refused| {
                let status = refused.unwrap_err();
                (status.code(), reason(&status), status.message().replace(name, "#"))
            });
            assert!(refusals.iter().all(|(code, reason, _)| (*code, reason.as_str()) == (Code::NotFound, "NOT_FOUND")), "{refusals:?}");

            let item = item(&uma.user_id, "account.delete", Some(place.clone()));
            let why = uma.call.explain_check(explain(id, item)).await.unwrap();
            let permissions = list_permissions(id, user(&uma.user_id), Some(place));
            let permissions = uma.call.list_permissions(permissions).await.unwrap().permissions;
            answers.push((refusals, why.explanation, permissions));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(app.traces().await, untouched);

        subscription.give(&app.operator(), &uma, at(account("secret"), "access")).await.unwrap();
        assert_eq!(seen(&subscription, &uma).await, ["open", "secret"]);
        subscription.take(&app.operator(), &uma, at(account("secret"), "access")).await.unwrap();
        assert_eq!(seen(&subscription, &uma).await, ["open"], "and is told of it no more");
    }

    async fn cm_14_with_access_a_person_sees_the_account_and_its_dashboards_and_reports(app) {
        let subscription = open(&app, &["north", "south"]).await;
        let uma = subscription.person("uma", vec![]).await;
        assert_eq!(subscription.may_on(&uma, &account("north"), &NOUNS).await, NOTHING);

        subscription.give(&app.operator(), &uma, at(account("north"), "access")).await.unwrap();
        assert!(subscription.sees(&uma, &account("north")).await);
        assert_eq!(subscription.may_on(&uma, &account("north"), &NOUNS).await, ACCESS);
        assert!(!subscription.sees(&uma, &account("south")).await);
        assert_eq!(subscription.may_on(&uma, &account("south"), &NOUNS).await, NOTHING);
        assert_eq!(subscription.may(&uma).await, NOTHING);
    }

    async fn cm_15_without_configuration_there_are_dashboards_and_reports_only(app) {
        let subscription = open(&app, &["north"]).await;
        // Whatever they hold on the subscription opens no configuration.
        let uma = subscription.person("uma", claims(&["management-modify", "users-modify", "billing-modify"])).await;
        subscription.give(&app.operator(), &uma, at(account("north"), "access")).await.unwrap();
        let may = subscription.may_on(&uma, &account("north"), &["config", "dashboard", "report"]).await;
        assert_eq!(may, ["dashboard.view", "report.view"]);

        // Nor do they give it to themselves, who may give what they hold.
        let untouched = app.traces().await;
        for level in ["config-read", "config-modify"] {
            let raised = subscription.give(&uma.call, &uma, at(account("north"), level)).await;
            assert_refused(raised, Code::PermissionDenied, "ROLE_NOT_GRANTABLE");
        }
        assert_eq!(app.traces().await, untouched);
    }

    async fn cm_16_who_reads_configuration_sees_it_and_changes_none(app) {
        let subscription = open(&app, &["north"]).await;
        let uma = subscription.person("uma", vec![at(account("north"), "config-read")]).await;
        assert_eq!(subscription.may_on(&uma, &account("north"), &NOUNS).await, READ);
        assert_eq!(subscription.may(&uma).await, NOTHING);
    }

    async fn cm_17_who_modifies_configuration_has_full_control_of_it_in_that_account(app) {
        let subscription = open(&app, &["north", "south"]).await;
        let uma = subscription.person("uma", vec![at(account("north"), "config-modify")]).await;
        assert_eq!(subscription.may_on(&uma, &account("north"), &NOUNS).await, MODIFY);
        assert_eq!(subscription.may_on(&uma, &account("south"), &NOUNS).await, NOTHING, "in that account");
        assert_eq!(subscription.may(&uma).await, NOTHING);
    }

    async fn cm_18_claims_are_set_per_account_and_one_person_holds_different_levels(app) {
        let subscription = open(&app, &["north", "south", "east", "west"]).await;
        let assignments = [("north", "access"), ("south", "config-read"), ("east", "config-modify")];
        let uma = subscription.person("uma", assignments.map(|(name, level)| at(account(name), level)).into()).await;

        let on = async |name| subscription.may_on(&uma, &account(name), &NOUNS).await;
        assert_eq!(on("north").await, ACCESS);
        assert_eq!(on("south").await, READ);
        assert_eq!(on("east").await, MODIFY);
        assert_eq!(on("west").await, NOTHING);
        assert_eq!(seen(&subscription, &uma).await, ["east", "north", "south"]);

        // A level that changes in one changes in none beside it.
        subscription.give(&subscription.founder.call, &uma, at(account("east"), "access")).await.unwrap();
        subscription.take(&subscription.founder.call, &uma, at(account("south"), "config-read")).await.unwrap();
        assert_eq!(on("north").await, ACCESS);
        assert_eq!(on("south").await, NOTHING);
        assert_eq!(on("east").await, ACCESS);

        // Nor is there a level for all accounts at once.
        let everywhere = subscription.give(&app.operator(), &uma, role("access")).await;
        assert_refused(everywhere, Code::InvalidArgument, "ROLE_NOT_ASSIGNABLE");
    }
}
