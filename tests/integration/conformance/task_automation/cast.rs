//! An organization with one person of each role.

use guildhall::proto::ResourceRef;

use crate::conformance::tenant::{Tenant, Way, resource};
use crate::harness::{Person, TestApp, as_member, role};

/// An organization with one person of each role. The founder is its owner.
pub struct Cast<'a> {
    pub tenant: Tenant<'a>,
    pub admin: Person,
    pub manager: Person,
    pub user: Person,
    pub viewer: Person,
}

/// What may be done on a task, a monitor and a script at all, with the logs that they write.
pub const TASK: [&str; 8] =
    ["log.view", "task.create", "task.delete", "task.notify", "task.run", "task.share", "task.update", "task.view"];
pub const MONITOR: [&str; 7] = [
    "log.view",
    "monitor.create",
    "monitor.delete",
    "monitor.notify",
    "monitor.share",
    "monitor.update",
    "monitor.view",
];
pub const SCRIPT: [&str; 4] = ["script.create", "script.delete", "script.update", "script.view"];

impl<'a> Cast<'a> {
    /// Opens an organization with two tasks, two monitors and a script. Of each two, the first lists everybody below
    /// the admin.
    pub async fn open(app: &'a TestApp) -> Self {
        let resources = [task("listed"), task("other"), monitor("listed"), monitor("other"), script("nightly")];
        let tenant = Tenant::open(app, "task-automation", Way::Mail).await.with(&resources).await;
        let admin = tenant.person("max", vec![role("admin")]).await;
        let listed = |name| vec![role(name), as_member(task("listed")), as_member(monitor("listed"))];
        let manager = tenant.person("mia", listed("manager")).await;
        let user = tenant.person("uma", listed("user")).await;
        let viewer = tenant.person("vic", listed("viewer")).await;
        Self { tenant, admin, manager, user, viewer }
    }

    /// Returns everybody, each with the name of their role.
    pub fn everybody(&self) -> [(&'static str, &Person); 5] {
        [
            ("owner", &self.tenant.founder),
            ("admin", &self.admin),
            ("manager", &self.manager),
            ("user", &self.user),
            ("viewer", &self.viewer),
        ]
    }

    /// Names what a person may do on a resource, in alphabetical order.
    pub async fn may_on(&self, who: &Person, resource: ResourceRef) -> Vec<String> {
        let nouns = [resource.r#type.as_str(), "log"];
        self.tenant.may_on(who, &resource, &nouns).await
    }
}

pub fn task(id: &str) -> ResourceRef {
    resource("task", id)
}

pub fn monitor(id: &str) -> ResourceRef {
    resource("monitor", id)
}

pub fn script(id: &str) -> ResourceRef {
    resource("script", id)
}
