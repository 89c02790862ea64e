//! Groups, what they and everyone hold, and batches over several members and places.

mod batches;
mod ceiling;
mod holding;
mod listing;
mod managing;
mod races;

use std::time::Duration;

use guildhall::proto::{self, principal};

use crate::harness::messages::{change_members, create_group, register};
use crate::harness::{Organization, Person, TestApp, role};

/// Dashboards that people, groups and everyone see by a role.
const BOARDS: &str = "bi-dashboards";
/// Projects that list people and groups.
const WORKSPACE: &str = "analytics-workspace";

fn dashboard(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "dashboard".into(), id: id.into() }
}

/// A group with these members.
async fn team(organization: &Organization, name: &str, members: &[&Person]) -> String {
    let owner = &organization.owner.call;
    let group = owner.create_group(create_group(&organization.id, name)).await.expect("a group").group.unwrap().id;
    if !members.is_empty() {
        let members: Vec<&str> = members.iter().map(|person| person.membership_id.as_str()).collect();
        owner.change_group_members(change_members(&organization.id, &group, &members, &[])).await.expect("members");
    }
    group
}

/// Somebody of the organization who holds one role. Ids sort by the time they were made at, so time goes on.
async fn somebody(app: &TestApp, organization: &Organization, name: &str, held: &str) -> Person {
    let email = format!("{name}@example.test");
    app.clock.advance(Duration::from_millis(1));
    app.invite_and_join(&organization.id, &organization.owner.call, &email, vec![role(held)]).await
}

async fn resources(organization: &Organization, resources: &[proto::ResourceRef]) {
    for resource in resources {
        let request = register(&organization.id, resource.clone());
        organization.owner.call.register_resource(request).await.expect("a resource");
    }
}

/// Names the holders of grants, as the ids stand in them.
fn holder(principal: Option<proto::Principal>) -> String {
    match principal.and_then(|principal| principal.kind) {
        Some(principal::Kind::MembershipId(id) | principal::Kind::ServiceAccountId(id)) => id,
        Some(principal::Kind::GroupId(id)) => format!("group {id}"),
        Some(principal::Kind::Everyone(_)) => "everyone".into(),
        None => "nobody".into(),
    }
}
