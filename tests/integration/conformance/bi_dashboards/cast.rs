//! An organization with one person of each role.

use guildhall::proto::{Assignment, ResourceRef};

use crate::conformance::tenant::{Tenant, Way, resource};
use crate::harness::{Person, TestApp, at, role};

/// An organization with one person of each role. The founder is an admin.
pub struct Cast<'a> {
    pub tenant: Tenant<'a>,
    pub analyst: Person,
    pub viewer: Person,
}

impl<'a> Cast<'a> {
    /// Opens an organization with dashboards and reports that its admin made.
    pub async fn open(app: &'a TestApp) -> Self {
        let resources = [dashboard("sales"), dashboard("stock"), report("year")];
        let tenant = Tenant::open(app, "bi-dashboards", Way::Mail).await.with(&resources).await;
        let analyst = tenant.person("ann", vec![role("analyst")]).await;
        let viewer = tenant.person("vic", vec![role("viewer")]).await;
        Self { tenant, analyst, viewer }
    }
}

pub fn dashboard(id: &str) -> ResourceRef {
    resource("dashboard", id)
}

pub fn report(id: &str) -> ResourceRef {
    resource("report", id)
}

/// What a dashboard is shared by.
pub fn shared(id: &str) -> Assignment {
    at(dashboard(id), "dashboard-viewer")
}
