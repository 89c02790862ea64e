//! The end of memberships: what it takes along, what it leaves to others, and who is waited for.

mod accounts;
mod assets;
mod listeners;
mod many;
mod races;

use guildhall::proto;
use guildhall::proto::remove_member_request::Assets;

use crate::harness::messages::{get_resource, membership, principal, put_catalog, register, remove};
use crate::harness::{Caller, Organization, Person, TestApp, role};

/// People who own assets.
const WORKSPACE: &str = "analytics-workspace";

fn asset(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "asset".into(), id: id.into() }
}

/// A workspace whose product has two listeners, which machines of the role `backend` speak for.
async fn found_awaited(app: &TestApp) -> Organization {
    let preset = include_str!("../../../../presets/analytics-workspace.yaml");
    // Whoever gives a machine its role holds as much.
    let yaml = preset.replace("access.check: ANY\n", "access.check: ANY\n      removal.acknowledge: ANY\n");
    let yaml = yaml.replace("name: analytics-workspace", "name: awaited");
    let yaml = format!("{yaml}\nremoval: {{listeners: [billing, storage], grace: 7d}}\n");
    app.operator().put_catalog(put_catalog(&yaml)).await.expect("a catalog");
    app.found_under("awaited").await
}

/// Somebody of the workspace who owns what they make.
async fn worker(app: &TestApp, organization: &Organization, name: &str) -> Person {
    let email = format!("{name}@example.test");
    app.invite_and_join(&organization.id, &organization.owner.call, &email, vec![role("default")]).await
}

/// Registers an asset of somebody's.
async fn own(
    by: &Caller,
    organization: &Organization,
    resource: proto::ResourceRef,
    owner: &str,
    parent: Option<proto::ResourceRef>,
) {
    let request = proto::RegisterResourceRequest {
        owner: Some(principal(membership(owner))),
        parent,
        ..register(&organization.id, resource)
    };
    by.register_resource(request).await.expect("a resource");
}

/// Returns the membership that owns a resource; nothing if nobody does.
async fn owner_of(by: &Caller, organization: &Organization, resource: proto::ResourceRef) -> Option<String> {
    let found = by.get_resource(get_resource(&organization.id, resource)).await.expect("a resource");
    match found.resource.unwrap().owner?.kind? {
        proto::principal::Kind::MembershipId(id) => Some(id),
        other => panic!("owned by {other:?}"),
    }
}

fn removing(organization: &Organization, who: &str, assets: Option<Assets>) -> proto::RemoveMemberRequest {
    proto::RemoveMemberRequest { assets, ..remove(&organization.id, who) }
}
