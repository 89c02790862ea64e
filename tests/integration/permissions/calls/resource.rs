//! Resources. The case of a row names the type.

use guildhall::proto;
use guildhall::proto::browse_resources_request::Under;
use guildhall::rpc::Rpc;

use super::{Call, call, contact};
use crate::conformance::tenant::resource;
use crate::harness::messages::{
    browse, delete, get_resource, membership, move_under, register, register_all, rename, set_owner, share, unshare,
};
use crate::permissions::targets::{Ask, kind_in};

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let (id, kind) = (ask.id(), ask.row.case);
    match ask.row.rpc {
        Rpc::RegisterResource => call!(ask, register_resource(new(ask))),
        Rpc::RegisterResources => {
            let one = resource(&ask.any_kind(), &ask.fresh());
            call!(ask, register_resources(vec![register_all(id, [(one, None)])]))
        }
        Rpc::BrowseResources => {
            let under = ask.row.case.strip_prefix("under ").map(|it| Under::Parent(ask.resource(kind_in(it))));
            call!(ask, browse_resources(proto::BrowseResourcesRequest { under, ..browse(id) }))
        }
        Rpc::GetResource => call!(ask, get_resource(get_resource(id, ask.resource(kind)))),
        Rpc::UpdateResource => call!(ask, update_resource(rename(id, ask.resource(kind), &ask.fresh()))),
        Rpc::MoveResource => {
            let moved = ask.resource_to_spend(kind).await;
            // What does not stand under its like stands at the organization.
            let (type_id, declared) = ask.catalog().resource_type(kind).expect("a type of the catalog");
            let parent = declared.parents.types.has(type_id).then(|| ask.other_resource(kind));
            call!(ask, move_resource(move_under(id, moved, parent)))
        }
        Rpc::SetResourceOwner => {
            call!(ask, set_resource_owner(set_owner(id, ask.resource_to_spend(kind).await, None)))
        }
        Rpc::DeleteResource => call!(ask, delete_resource(delete(id, ask.resource_to_spend(kind).await))),
        Rpc::ShareResource => {
            let with = vec![membership(&ask.pending().await)];
            let message = share(id, ask.resource(kind), with);
            call!(ask, share_resource(proto::ShareResourceRequest { role: shared_as(ask), ..message }))
        }
        Rpc::UnshareResource => {
            let (member, resource, role) = (ask.pending().await, ask.resource(kind), shared_as(ask));
            if ask.is_done {
                let message = share(id, resource.clone(), vec![membership(&member)]);
                let message = proto::ShareResourceRequest { role: role.clone(), ..message };
                ask.operator().share_resource(message).await.expect("a resource to share");
            }
            let message = unshare(id, resource, vec![membership(&member)]);
            call!(ask, unshare_resource(proto::UnshareResourceRequest { role, ..message }))
        }
        _ => contact::prepare(ask).await,
    }
}

/// Reads what is to be registered from the case: `TYPE`, `TYPE, its id chosen` or `TYPE under a TYPE`.
fn new(ask: &Ask<'_>) -> proto::RegisterResourceRequest {
    if let Some(kind) = ask.row.case.strip_suffix(", its id chosen") {
        return register(ask.id(), resource(kind, &ask.fresh()));
    }
    if let Some((kind, parent)) = ask.row.case.split_once(" under ") {
        let parent = Some(ask.resource(kind_in(parent)));
        return proto::RegisterResourceRequest { parent, ..register(ask.id(), resource(kind, "")) };
    }
    register(ask.id(), resource(ask.row.case, ""))
}

/// Returns the role by which the type is shared; where there is none, it is shared by its list.
fn shared_as(ask: &Ask<'_>) -> String {
    let (_, kind) = ask.catalog().resource_type(ask.row.case).expect("a type of the catalog");
    let for_people = kind.shares.iter().map(|id| ask.catalog().role(*id)).find(|role| role.to.people);
    for_people.map(|role| role.name.to_string()).unwrap_or_default()
}
