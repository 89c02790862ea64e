//! What everybody is shown of the roles.

use tonic::Code;

use super::workspace::open;
use crate::conformance::shown::{self, paragraphs};
use crate::harness::assert_refused;
use crate::harness::messages::list_roles;
use crate::on_both;

/// The basic use of the product (AX-21), what others share (AX-28), the administration (AX-22), and what machines hold (AX-27).
const ROLES: &str = "
    asset-reader: at asset, to machines
    all: asset.view

    backend: at organization, to machines
    all: access.check

    default: at organization, to people
    all: asset.create schedule.create
    listed: asset.view project.view
    own: asset.delete asset.notify asset.share asset.update asset.view schedule.delete schedule.update
        schedule.view

    shared-viewer: at organization, to people
    listed: asset.view project.view

    workspace-admin: at organization, to people, at least 1
    all: access.check asset.create asset.delete asset.notify asset.set_owner asset.share asset.update
        asset.view audit.view group.list group.manage member.assign member.disable member.invite member.list
        member.remove member.update organization.update organization.view policy.update project.create
        project.delete project.notify project.set_owner project.share project.update project.view role.manage
        schedule.create schedule.delete schedule.disable schedule.set_owner schedule.update schedule.view
        service_account.manage
    listed: asset.view project.view
    own: asset.delete asset.notify asset.share asset.update asset.view schedule.delete schedule.update
        schedule.view
    gives: what they hold
    takes: any
";

on_both! {
    async fn ax_23_who_makes_a_role_is_shown_what_those_that_are_there_hold(app) {
        let workspace = open(&app).await;
        let eve = workspace.person("eve", vec![]).await;
        let stranger = app.somebody("zoe@example.test").await;
        for by in [&workspace.founder.call, &eve.call, &workspace.backend] {
            assert_eq!(shown::roles(by, &workspace.id).await, paragraphs(ROLES));
        }
        let hidden = stranger.call.list_roles(list_roles(&workspace.id)).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
    }
}
