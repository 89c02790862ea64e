//! Members, and the end of their memberships.

use guildhall::proto;
use guildhall::proto::bulk_members_request::{Act, Selection};
use guildhall::proto::leave_organization_request::Assets;
use guildhall::proto::look_up_member_request::Name;
use guildhall::rpc::Rpc;

use super::{Call, call, unknown};
use crate::harness::messages::{
    acknowledge, create_member, create_members, disable, disable_members, enable, enable_members, get_member, leave,
    list_members, list_removals, look_up_member, new_member, preview_removal, remove, update_member,
};
use crate::permissions::scene::ordinary;
use crate::permissions::targets::Ask;

/// Who of a product might wait for removals.
const LISTENER: &str = "product";

pub async fn prepare(ask: &Ask<'_>) -> Call {
    let id = ask.id();
    match (ask.row.rpc, ask.row.case) {
        (Rpc::ListMembers, _) => call!(ask, list_members(list_members(id))),
        (Rpc::GetMember, case) => call!(ask, get_member(get_member(id, &meant(ask, case)))),
        (Rpc::LookUpMember, _) => {
            let name = Name::Email(ask.standing().active.email.clone());
            call!(ask, look_up_member(look_up_member(id, name)))
        }
        (Rpc::ListMyMemberships, _) => {
            call!(ask, list_my_memberships(proto::ListMyMembershipsRequest::default()))
        }
        (Rpc::CreateMember, _) => call!(ask, create_member(create_member(id, somebody(ask)))),
        (Rpc::BatchCreateMembers, _) => call!(ask, batch_create_members(create_members(id, vec![somebody(ask)]))),
        (Rpc::UpdateMember, "the product's id of another") => {
            let message = update_member(id, &meant(ask, "about another"));
            call!(ask, update_member(proto::UpdateMemberRequest { external_id: ask.fresh(), ..message }))
        }
        (Rpc::UpdateMember, "one's own name") => {
            let message = update_member(id, &ask.own_membership());
            call!(ask, update_member(proto::UpdateMemberRequest { display_name: ask.fresh(), ..message }))
        }
        (Rpc::DisableMember, _) => call!(ask, disable_member(disable(id, &ask.active().await))),
        (Rpc::EnableMember, _) => call!(ask, enable_member(enable(id, &ask.disabled().await))),
        (Rpc::BatchDisableMembers, _) => {
            call!(ask, batch_disable_members(disable_members(id, &[&ask.active().await])))
        }
        (Rpc::BatchEnableMembers, _) => {
            call!(ask, batch_enable_members(enable_members(id, &[&ask.disabled().await])))
        }
        (Rpc::BulkMembers, _) => {
            let members = vec![proto::MemberRef { membership_id: ask.active().await }];
            let message = proto::BulkMembersRequest {
                organization_id: id.into(),
                selection: Some(Selection::Listed(proto::MemberList { members })),
                act: Some(Act::Disable(proto::PlainAct {})),
                ..Default::default()
            };
            let by = ask.who.call.clone();
            Box::pin(async move { by.bulk(message, usize::MAX).await.map(drop) })
        }
        _ => end(ask).await,
    }
}

/// Returns a call about the end of a membership.
async fn end(ask: &Ask<'_>) -> Call {
    let id = ask.id();
    match (ask.row.rpc, ask.row.case) {
        (Rpc::PreviewRemoval, case) => call!(ask, preview_removal(preview_removal(id, &meant(ask, case)))),
        (Rpc::RemoveMember, _) => call!(ask, remove_member(remove(id, &ask.pending().await))),
        (Rpc::LeaveOrganization, _) => {
            // Who calls stays for the other rows.
            let assets = ask.catalog().features().assets.then_some(Assets::DeleteAssets(true));
            let message = proto::LeaveOrganizationRequest { validate_only: true, assets, ..leave(id) };
            call!(ask, leave_organization(message))
        }
        (Rpc::ListRemovals, _) => call!(ask, list_removals(list_removals(id))),
        (Rpc::WatchRemovals, _) => {
            let (by, id) = (ask.who.call.clone(), id.to_owned());
            Box::pin(async move { by.watch_removals(&id, LISTENER).await.map(drop) })
        }
        (Rpc::AcknowledgeRemoval, _) => {
            let member = &ask.standing().active.membership_id;
            call!(ask, acknowledge_removal(acknowledge(id, member, LISTENER)))
        }
        _ => unknown(ask),
    }
}

/// Returns whom a row is about.
fn meant(ask: &Ask<'_>, case: &str) -> String {
    match case {
        "about oneself" => ask.own_membership(),
        "about another" => ask.standing().active.membership_id.clone(),
        _ => unknown(ask),
    }
}

fn somebody(ask: &Ask<'_>) -> proto::NewMember {
    new_member(&ask.email(), ordinary(ask.catalog()))
}
