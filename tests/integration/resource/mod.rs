//! What becomes of resources: registered, changed, moved, handed over, shared, deleted.
//!
//! A file holds one kind of act. Who may call what is asked in `permissions`, malformed ids in `refusals::ids`.

mod accounts;
mod contacts;
mod costs;
mod deletion;
mod large;
mod moves;
mod nesting;
mod ownership;
mod registration;
mod sharing;
mod tree;
mod updates;
mod visibility;

use guildhall::proto;
use tonic::Status;

use crate::harness::messages::{get_resource, register};
use crate::harness::{Caller, Organization, Person, TestApp, role};

pub fn asset(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "asset".into(), id: id.into() }
}

pub fn schedule(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "schedule".into(), id: id.into() }
}

/// Registers a resource under another; gives it as it stands.
pub async fn put(
    call: &Caller,
    organization: &str,
    resource: proto::ResourceRef,
    parent: Option<proto::ResourceRef>,
) -> Result<proto::Resource, Status> {
    let request = proto::RegisterResourceRequest { parent, ..register(organization, resource) };
    Ok(call.register_resource(request).await?.resource.expect("it is in the answer"))
}

/// Shows a resource.
pub async fn get(call: &Caller, organization: &str, resource: proto::ResourceRef) -> Result<proto::Resource, Status> {
    Ok(call.get_resource(get_resource(organization, resource)).await?.resource.expect("it is in the answer"))
}

/// Brings somebody in with these roles at the organization.
pub async fn person(app: &TestApp, organization: &Organization, name: &str, roles: &[&str]) -> Person {
    let assignments = roles.iter().map(|name| role(name)).collect();
    let email = format!("{name}@example.test");
    app.invite_and_join(&organization.id, &organization.owner.call, &email, assignments).await
}
