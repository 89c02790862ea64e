//! Groups.

use guildhall::rpc::Rpc;

use super::{Call, call, unknown};
use crate::harness::messages::{
    change_members, create_group, delete_group, get_group, list_group_members, list_groups, look_up_group, rename_group,
};
use crate::permissions::targets::{Ask, GROUP};

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let id = ask.id();
    match ask.row.rpc {
        Rpc::CreateGroup => call!(ask, create_group(create_group(id, &ask.fresh()))),
        Rpc::GetGroup => call!(ask, get_group(get_group(id, &ask.group()))),
        Rpc::LookUpGroup => call!(ask, look_up_group(look_up_group(id, GROUP))),
        Rpc::ListGroups => call!(ask, list_groups(list_groups(id))),
        Rpc::UpdateGroup => call!(ask, update_group(rename_group(id, &ask.group(), &ask.fresh()))),
        Rpc::DeleteGroup => call!(ask, delete_group(delete_group(id, &ask.group_to_spend().await))),
        Rpc::ChangeGroupMembers => {
            let member = ask.pending().await;
            call!(ask, change_group_members(change_members(id, &ask.group(), &[&member], &[])))
        }
        Rpc::ListGroupMembers => call!(ask, list_group_members(list_group_members(id, &ask.group()))),
        _ => unknown(ask),
    }
}
