//! Every path that takes something from somebody.

use guildhall::proto;
use guildhall::proto::bulk_members_request::Act;
use guildhall::rpc::Rpc;
use prost::Message;

use super::giving::{bulk, outcome_of_bulk};
use super::scene::{HIDDEN, Scene, house};
use super::{Call, Column, outcome};
use crate::harness::messages::{
    change, change_members, custom_role, delete_account, delete_group, disable, disable_account, disable_members,
    membership, move_under, revoke, unshare, update_role,
};
use crate::harness::{at, role};

/// As the rows of the table are called.
pub const PATHS: &[&str] = &[
    "ChangeGrants, revoking",
    "BulkMembers, revoking",
    "DisableMember",
    "BatchDisableMembers",
    "BulkMembers, disabling",
    "RemoveMember",
    "ChangeGroupMembers, removing",
    "DeleteGroup",
    "UpdateRole, narrowing",
    "UnshareResource",
    "MoveResource, from where others hold something",
    "DisableServiceAccount",
    "DeleteServiceAccount",
];

impl Scene<'_> {
    /// Makes the targets of a call that takes something; nothing where the cell does not apply.
    pub async fn take_by(&self, path: &str, column: Column, place: &str) -> Option<Call> {
        let (id, by, held) = (self.id(), self.actor(path, column).call.clone(), Self::held(column, place));
        let is_oneself = column == Column::Oneself;
        Some(match path {
            "ChangeGrants, revoking" | "BulkMembers, revoking" => {
                let (holder, held) = (self.recipient(column).await, if is_oneself { role("giver") } else { held });
                if !is_oneself {
                    self.give(membership(&holder), Self::held(column, HIDDEN)).await;
                }
                if path == "BulkMembers, revoking" {
                    let request = bulk(&id, &holder, Act::Revoke(held));
                    return Some(Box::pin(async move { outcome_of_bulk(by.bulk(request, 1).await) }));
                }
                let request = change(&id, vec![revoke(membership(&holder), held)]);
                Box::pin(async move { outcome(by.change_grants(request).await) })
            }
            "DisableMember" => {
                let request = disable(&id, &self.holder(column).await);
                Box::pin(async move { outcome(by.disable_member(request).await) })
            }
            "BatchDisableMembers" => {
                let request = disable_members(&id, &[&self.holder(column).await]);
                Box::pin(async move { outcome(by.batch_disable_members(request).await) })
            }
            "BulkMembers, disabling" => {
                let request = bulk(&id, &self.holder(column).await, Act::Disable(proto::PlainAct {}));
                Box::pin(async move { outcome_of_bulk(by.bulk(request, 1).await) })
            }
            "RemoveMember" => {
                let membership_id = self.holder(column).await;
                let request = proto::RemoveMemberRequest { organization_id: id, membership_id, ..Default::default() };
                Box::pin(async move { outcome(by.send(Rpc::RemoveMember, vec![request.encode_to_vec()]).await.end) })
            }
            "ChangeGroupMembers, removing" => {
                // What the giver has by a group is no more than they have without it.
                let held = if is_oneself { role("helper") } else { held };
                let member = self.recipient(column).await;
                let team = self.group(held, &[&member]).await;
                let request = change_members(&id, &team, &[], &[&member]);
                Box::pin(async move { outcome(by.change_group_members(request).await) })
            }
            "DeleteGroup" if !is_oneself => {
                let request = delete_group(&id, &self.group(held, &[]).await);
                Box::pin(async move { outcome(by.delete_group(request).await) })
            }
            "UpdateRole, narrowing" => {
                let all: &[&str] = if column == Column::Above {
                    &["audit.view", "house.notify"]
                } else {
                    &["member.list", "role.manage"]
                };
                let name = self.custom(all).await;
                let held = if column == Column::Hidden { at(house(HIDDEN), &name) } else { role(&name) };
                self.give(membership(&self.recipient(column).await), held).await;
                let permissions = custom_role(&name, &all[..1]).permissions;
                let request = update_role(&id, proto::Role { name, permissions, ..Default::default() });
                Box::pin(async move { outcome(by.update_role(request).await) })
            }
            "UnshareResource" if column != Column::Above => {
                let member = self.recipient(column).await;
                let target = if column == Column::Hidden { place.to_owned() } else { self.shown().await };
                if column != Column::Hidden {
                    let listed = crate::harness::as_member(house(&target));
                    self.give(membership(&member), listed).await;
                }
                let request = unshare(&id, house(&target), vec![membership(&member)]);
                Box::pin(async move { outcome(by.unshare_resource(request).await) })
            }
            "MoveResource, from where others hold something" if column == Column::Above => {
                let (from, to, moved) = (self.shown().await, self.shown().await, self.fresh());
                self.register(&moved, Some(&from)).await;
                self.give(membership(&self.pending().await), at(house(&from), "keeper")).await;
                let request = move_under(&id, house(&moved), Some(house(&to)));
                Box::pin(async move { outcome(by.move_resource(request).await) })
            }
            "DisableServiceAccount" if !is_oneself => {
                let request = disable_account(&id, &self.machine(held).await);
                Box::pin(async move { outcome(by.disable_service_account(request).await) })
            }
            "DeleteServiceAccount" if !is_oneself => {
                let request = delete_account(&id, &self.machine(held).await);
                Box::pin(async move { outcome(by.delete_service_account(request).await) })
            }
            _ => return None,
        })
    }
}
