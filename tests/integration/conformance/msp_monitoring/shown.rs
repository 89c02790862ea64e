//! What everybody is shown of the roles.

use tonic::Code;

use super::subscription::open;
use crate::conformance::shown::{self, paragraphs};
use crate::harness::assert_refused;
use crate::harness::messages::list_roles;
use crate::on_both;

/// The levels of the five claims (CM-03 to CM-17), and what a machine may.
const ROLES: &str = "
    access: at account, to people, one of account, on every list
    all: account.view dashboard.view report.view

    backend: at organization, to machines
    all: access.check

    billing-modify: at organization, to people, one of billing
    all: billing.pay billing.update billing.view

    billing-read: at organization, to people, one of billing
    all: billing.view

    config-modify: at account, to people, one of account, on every list
    all: account.update account.view config.update config.view dashboard.view report.view

    config-read: at account, to people, one of account, on every list
    all: account.view config.view dashboard.view report.view

    management-modify: at organization, to people, one of management
    all: account.create organization.update organization.view policy.update
    listed: account.delete

    management-read: at organization, to people, one of management

    users-modify: at organization, to people, one of users, at least 1
    all: member.assign member.invite member.list member.remove
    gives: what they hold
    takes: any

    users-read: at organization, to people, one of users
    all: member.list
";

on_both! {
    async fn cm_03_whoever_is_in_the_subscription_is_shown_what_the_levels_of_the_claims_are(app) {
        let subscription = open(&app, &[]).await;
        let nora = subscription.person("nora", vec![]).await;
        let stranger = app.somebody("eve@example.test").await;
        for by in [&subscription.founder.call, &nora.call, &subscription.backend] {
            assert_eq!(shown::roles(by, &subscription.id).await, paragraphs(ROLES));
        }
        let hidden = stranger.call.list_roles(list_roles(&subscription.id)).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
    }
}
