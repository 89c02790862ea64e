//! Roles that organizations make (AX-23): what they hold, by whom they are made, and what becomes of those who hold them.

mod answers;
mod ceiling;
mod editing;
mod races;
mod transfer;

use guildhall::proto;
use tonic::Status;

use crate::harness::messages::{create_role, get_role, grant, update_role};
use crate::harness::{Caller, Organization, Person, TestApp};

/// An asset, which somebody may own.
pub fn asset(id: &str) -> proto::ResourceRef {
    proto::ResourceRef { r#type: "asset".into(), id: id.into() }
}

/// A workspace, where roles are made as needed, with an asset in it.
async fn workspace(app: &TestApp) -> Organization {
    let workspace = app.found_under("analytics-workspace").await;
    let request = crate::harness::messages::register(&workspace.id, asset("plan"));
    workspace.owner.call.register_resource(request).await.expect("an asset");
    workspace
}

async fn make(by: &Caller, organization: &str, role: proto::Role) -> Result<proto::Role, Status> {
    Ok(by.create_role(create_role(organization, role)).await?.role.expect("it is in the answer"))
}

async fn change(by: &Caller, organization: &str, role: proto::Role) -> Result<proto::Role, Status> {
    Ok(by.update_role(update_role(organization, role)).await?.role.expect("it is in the answer"))
}

async fn shown(by: &Caller, organization: &str, name: &str) -> Result<proto::Role, Status> {
    Ok(by.get_role(get_role(organization, name)).await?.role.expect("it is in the answer"))
}

async fn give(by: &Caller, organization: &str, to: &Person, assignment: proto::Assignment) -> Result<(), Status> {
    let to = crate::harness::messages::membership(&to.membership_id);
    by.change_grants(crate::harness::messages::change(organization, vec![grant(to, assignment)])).await.map(drop)
}

/// Every role that holds no more than the holder does there.
fn subset() -> proto::RoleCeiling {
    proto::RoleCeiling { kind: Some(proto::role_ceiling::Kind::Subset(true)) }
}

/// Every role.
fn any() -> proto::RoleCeiling {
    proto::RoleCeiling { kind: Some(proto::role_ceiling::Kind::Any(true)) }
}

/// These roles.
fn named(names: &[&str]) -> proto::RoleCeiling {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    proto::RoleCeiling { kind: Some(proto::role_ceiling::Kind::Roles(proto::RoleNames { names })) }
}
