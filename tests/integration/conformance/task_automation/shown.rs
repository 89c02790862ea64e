//! What everybody is shown of the roles.

use tonic::Code;

use super::cast::Cast;
use crate::conformance::shown::{self, paragraphs};
use crate::harness::assert_refused;
use crate::harness::messages::list_roles;
use crate::on_both;

/// The six profiles (TE-01 to TE-07), and the roles that have them (TE-09 to TE-14).
const ROLES: &str = "
    admin: at organization, to people, one of role, on every list
    all: member.list monitor.create script.create script.delete script.update script.view task.create
    listed: log.view monitor.delete monitor.notify monitor.share monitor.update monitor.view task.delete
        task.notify task.run task.share task.update task.view

    backend: at organization, to machines
    all: access.check monitor.notify monitor.view task.notify task.view

    create-and-modify: at none, to people
    all: member.list monitor.create script.create script.delete script.update script.view task.create
    listed: monitor.delete monitor.notify monitor.share monitor.update task.delete task.notify task.share
        task.update

    execution: at none, to people
    listed: task.run task.view

    full-access: at none, to people, on every list
    all: script.view
    listed: log.view monitor.view task.view

    full-control: at none, to people, on every list
    all: member.assign member.invite member.list member.remove member.update monitor.create
        organization.create organization.delete organization.update script.create script.delete
        script.update script.view task.create
    listed: log.view monitor.delete monitor.notify monitor.share monitor.update monitor.view task.delete
        task.notify task.run task.share task.update task.view
    gives: any
    takes: any

    manager: at organization, to people, one of role
    all: member.assign member.invite member.list member.remove member.update
    listed: log.view monitor.view task.run task.view
    gives: admin manager user viewer
    takes: admin manager user viewer

    owner: at organization, to people, one of role, on every list, at least 1
    all: access.check audit.view member.assign member.invite member.list member.remove member.update
        monitor.create organization.update organization.view policy.update script.create script.delete
        script.update script.view service_account.manage task.create
    listed: log.view monitor.delete monitor.notify monitor.share monitor.update monitor.view task.delete
        task.notify task.run task.share task.update task.view
    gives: admin backend manager user viewer
    takes: admin backend manager user viewer

    root: at product, to people, on every list
    all: member.assign member.invite member.list member.remove member.update monitor.create
        organization.create organization.delete organization.update script.create script.delete
        script.update script.view task.create
    listed: log.view monitor.delete monitor.notify monitor.share monitor.update monitor.view task.delete
        task.notify task.run task.share task.update task.view
    gives: any
    takes: any

    user: at organization, to people, one of role
    listed: log.view monitor.view task.run task.view

    user-admin: at none, to people
    all: member.assign member.invite member.list member.remove member.update
    gives: admin manager user viewer
    takes: admin manager user viewer

    view: at none, to people
    listed: log.view monitor.view task.view

    viewer: at organization, to people, one of role
    listed: log.view monitor.view task.view
";

on_both! {
    async fn te_24_every_kind_of_client_is_shown_the_same_roles(app) {
        let cast = Cast::open(&app).await;
        let stranger = app.somebody("eve@example.test").await;
        for by in [&cast.tenant.founder.call, &cast.viewer.call, &cast.tenant.backend, &app.operator()] {
            assert_eq!(shown::roles(by, &cast.tenant.id).await, paragraphs(ROLES));
        }
        let hidden = stranger.call.list_roles(list_roles(&cast.tenant.id)).await;
        assert_refused(hidden, Code::NotFound, "NOT_FOUND");
    }
}
