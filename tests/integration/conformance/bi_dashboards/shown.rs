//! What everybody is shown of the roles.

use tonic::Code;

use super::cast::Cast;
use crate::conformance::shown::{self, paragraphs};
use crate::harness::assert_refused;
use crate::harness::messages::list_roles;
use crate::on_both;

/// Admin, analyst and viewer (CV-10 to CV-15, CV-18, CV-23), and what a dashboard is shared by (CV-15 to CV-17).
const ROLES: &str = "
    admin: at organization, to people, one of role, at least 1
    all: access.check access.preview admin_settings.update audit.view dashboard.create dashboard.delete
        dashboard.notify dashboard.set_owner dashboard.share dashboard.update dashboard.view domain.request
        group.list group.manage member.assign member.create member.disable member.invite member.list
        member.remove member.reset_factor member.update organization.update organization.view
        organization_settings.update policy.update provider.manage report.create report.delete
        report.set_owner report.share report.update report.view service_account.manage
    gives: admin analyst backend viewer
    takes: any

    analyst: at organization, to people, one of role
    all: dashboard.create group.list member.list organization.update organization.view
        organization_settings.update report.create
    own: dashboard.delete dashboard.notify dashboard.share dashboard.update dashboard.view report.delete
        report.update report.view

    backend: at organization, to machines
    all: access.check

    dashboard-viewer: at dashboard, to everyone groups people
    all: dashboard.view

    viewer: at organization, to people, one of role
";

on_both! {
    async fn cv_09_everybody_is_shown_the_roles_of_which_each_has_one(app) {
        let cast = Cast::open(&app).await;
        let stranger = app.somebody("eve@example.test").await;
        for by in [&cast.tenant.founder.call, &cast.viewer.call, &cast.tenant.backend] {
            assert_eq!(shown::roles(by, &cast.tenant.id).await, paragraphs(ROLES));
        }
        let hidden = stranger.call.list_roles(list_roles(&cast.tenant.id)).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
    }
}
