//! What everybody is shown of the roles.

use tonic::Code;

use super::account::Account;
use crate::conformance::shown::{self, paragraphs};
use crate::harness::assert_refused;
use crate::harness::messages::{create_group, create_role, custom_role, list_roles};
use crate::on_both;

/// Owner, admin and user (CE-18 to CE-23), and what leaves with a role (CE-29, CE-34).
const ROLES: &str = "
    admin: at organization, to people, one of role, clears when left
    all: access.check audit.view member.assign member.create member.disable member.invite member.list
        member.remove organization.update organization.view policy.update project.create project.delete
        project.operate project.share project.update project.view service_account.manage
    gives: admin backend user
    takes: admin backend user

    backend: at organization, to machines
    all: access.check

    owner: at organization, to people, at least 1, at most 1, beside admin, by transfer, clears when left
    all: access.check audit.view member.assign member.create member.disable member.invite member.list
        member.remove organization.update organization.view policy.update project.create project.delete
        project.operate project.share project.update project.view service_account.manage
    gives: admin backend user
    takes: admin backend user

    user: at organization, to people, one of role
    listed: project.operate project.view
";

on_both! {
    async fn ce_18_whoever_is_in_the_account_is_shown_what_the_three_roles_are(app) {
        let account = Account::open(&app).await;
        let stranger = app.somebody("eve@example.test").await;
        for by in [&account.owner.call, &account.user.call, &account.backend] {
            assert_eq!(shown::roles(by, &account.id).await, paragraphs(ROLES));
        }
        let hidden = stranger.call.list_roles(list_roles(&account.id)).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
    }

    async fn ce_18_there_are_no_other_roles_and_people_are_assigned_one_by_one(app) {
        let account = Account::open(&app).await;
        let untouched = app.traces().await;
        // Not even by an operator, who may do anything: the account has neither roles of its own nor groups.
        let helper = create_role(&account.id, custom_role("helper", &["project.operate"]));
        assert_refused(app.operator().create_role(helper).await, Code::FailedPrecondition, "FEATURE_OFF");
        let team = app.operator().create_group(create_group(&account.id, "team")).await;
        assert_refused(team, Code::FailedPrecondition, "FEATURE_OFF");
        assert_eq!(app.traces().await, untouched);
    }
}
