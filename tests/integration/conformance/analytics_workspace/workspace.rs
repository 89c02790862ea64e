//! A workspace, and what the tests of several themes ask of it.

use guildhall::proto::ResourceRef;

use crate::conformance::tenant::{Tenant, Way, resource};
use crate::harness::TestApp;

/// What the product asks about.
pub const NOUNS: [&str; 3] = ["asset", "project", "schedule"];

/// Opens a workspace with two projects. The founder administers it.
pub async fn open(app: &TestApp) -> Tenant<'_> {
    Tenant::open(app, "analytics-workspace", Way::Mail).await.with(&[project("alpha"), project("beta")]).await
}

pub fn project(id: &str) -> ResourceRef {
    resource("project", id)
}

pub fn asset(id: &str) -> ResourceRef {
    resource("asset", id)
}

pub fn schedule(id: &str) -> ResourceRef {
    resource("schedule", id)
}
