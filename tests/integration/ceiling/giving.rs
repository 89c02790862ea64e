//! Every path that gives somebody something.

use guildhall::proto::bulk_members_request::{Act, Selection};
use guildhall::proto::{self, grant_matrix};
use guildhall::rpc::Rpc;
use prost::Message;

use super::scene::{HIDDEN, Scene, house};
use super::{Call, Column, item_outcome, outcome};
use crate::harness::messages::{
    accept, change, change_by_matrix, change_members, create_api_key, create_member, create_members, create_role,
    custom_role, delete_role, disable, disable_account, enable, enable_account, enable_members, everyone, grant, group,
    invite, invite_by_link, matrix, membership, move_under, new_member, principal, register, revoke, rotate_key,
    service_account, set_catalog, set_owner, share, update_role,
};
use crate::harness::{at, role, token_in};

/// As the rows of the table are called.
pub const PATHS: &[&str] = &[
    "ChangeGrants, a delta",
    "ChangeGrants, a matrix",
    "ChangeGrants, to a group",
    "ChangeGrants, to everyone",
    "ChangeGrants, to a service account",
    "BulkMembers, a grant",
    "CreateMember",
    "BatchCreateMembers",
    "CreateInvitation, to a mailbox",
    "CreateInvitation, a link",
    "AcceptInvitation, to a mailbox",
    "AcceptInvitation, a link",
    "EnableMember",
    "BatchEnableMembers",
    "BulkMembers, enabling",
    "ChangeGroupMembers, adding",
    "CreateRole",
    "UpdateRole, widening",
    "DeleteRole, moving its holders",
    "ShareResource, the list",
    "ShareResource, a role",
    "MoveResource, to where others hold something",
    "SetResourceOwner",
    "RegisterResource",
    "RegisterResources",
    "CreateApiKey",
    "RotateApiKey",
    "EnableServiceAccount",
    "TransferRole",
    "SetOrganizationCatalog",
];

impl Scene<'_> {
    /// Makes the targets of a call that gives something; nothing where the cell does not apply.
    pub async fn give_by(&self, path: &str, column: Column, place: &str) -> Option<Call> {
        let (id, by, held) = (self.id(), self.actor(path, column).call.clone(), Self::held(column, place));
        let is_oneself = column == Column::Oneself;
        Some(match path {
            "ChangeGrants, a delta" => {
                let request = change(&id, vec![grant(membership(&self.recipient(column).await), held)]);
                Box::pin(async move { outcome(by.change_grants(request).await) })
            }
            "ChangeGrants, a matrix" => {
                let resources = held.resource.clone().into_iter().collect();
                let given = grant_matrix::Act::Grant(proto::Assignment { resource: None, ..held });
                let cells = matrix(vec![membership(&self.recipient(column).await)], resources, given);
                let request = change_by_matrix(&id, vec![cells]);
                Box::pin(async move { outcome(by.change_grants(request).await) })
            }
            "ChangeGrants, to a group" => {
                let team = self.group(role("helper"), &[&self.recipient(column).await]).await;
                // What it holds already is not what is given.
                let held = if column == Column::Within { at(house(&self.shown().await), "helper") } else { held };
                let request = change(&id, vec![grant(group(&team), held)]);
                Box::pin(async move { outcome(by.change_grants(request).await) })
            }
            "ChangeGrants, to everyone" => {
                let request = change(&id, vec![grant(everyone(), held)]);
                Box::pin(async move { outcome(by.change_grants(request).await) })
            }
            "ChangeGrants, to a service account" if !is_oneself => {
                let machine = self.machine(at(house(&self.unlisted().await), "helper")).await;
                let request = change(&id, vec![grant(service_account(&machine), held)]);
                Box::pin(async move { outcome(by.change_grants(request).await) })
            }
            "BulkMembers, a grant" => {
                let request = bulk(&id, &self.recipient(column).await, Act::Grant(held));
                Box::pin(async move { outcome_of_bulk(by.bulk(request, 1).await) })
            }
            "CreateMember" if !is_oneself => {
                let request = create_member(&id, new_member(&format!("{}@example.test", self.fresh()), vec![held]));
                Box::pin(async move { outcome(by.create_member(request).await) })
            }
            "BatchCreateMembers" if !is_oneself => {
                let emails = [self.fresh(), self.fresh()].map(|name| format!("{name}@example.test"));
                let members = vec![new_member(&emails[0], vec![]), new_member(&emails[1], vec![held])];
                let request = create_members(&id, members);
                Box::pin(async move { outcome(by.batch_create_members(request).await) })
            }
            "CreateInvitation, to a mailbox" if !is_oneself => {
                let request = invite(&id, &format!("{}@example.test", self.fresh()), vec![held]);
                Box::pin(async move { outcome(by.create_invitation(request).await) })
            }
            "CreateInvitation, a link" if !is_oneself => {
                let request = invite_by_link(&id, vec![held]);
                Box::pin(async move { outcome(by.create_invitation(request).await) })
            }
            "AcceptInvitation, to a mailbox" | "AcceptInvitation, a link" if !is_oneself => {
                self.accept(path.ends_with("link"), column).await
            }
            "EnableMember" | "BatchEnableMembers" | "BulkMembers, enabling" => self.enable(path, column).await,
            "ChangeGroupMembers, adding" => {
                let team = self.group(held, &[]).await;
                let request = change_members(&id, &team, &[&self.recipient(column).await], &[]);
                Box::pin(async move { outcome(by.change_group_members(request).await) })
            }
            "CreateRole" | "UpdateRole, widening" | "DeleteRole, moving its holders" => {
                return self.shape(path, column).await;
            }
            "CreateApiKey" | "RotateApiKey" | "EnableServiceAccount" if !is_oneself => self.key(path, column).await,
            "TransferRole" if column != Column::Hidden => self.transfer(path, column).await,
            "SetOrganizationCatalog" if column == Column::Above => {
                let request = set_catalog(&id, "analytics-workspace");
                Box::pin(async move { outcome(by.set_organization_catalog(request).await) })
            }
            _ => return self.give_by_resource(path, column, place).await,
        })
    }

    async fn give_by_resource(&self, path: &str, column: Column, place: &str) -> Option<Call> {
        let (id, by) = (self.id(), self.actor(path, column).call.clone());
        let (is_above, is_oneself) = (column == Column::Above, column == Column::Oneself);
        Some(match path {
            "ShareResource, the list" if !is_above => {
                let target = house(&self.named(column, place).await);
                let request = share(&id, target, vec![membership(&self.recipient(column).await)]);
                Box::pin(async move { outcome(by.share_resource(request).await) })
            }
            "ShareResource, a role" if column != Column::Within => {
                let target = house(&self.named(column, place).await);
                let request = share(&id, target, vec![membership(&self.recipient(column).await)]);
                let request = proto::ShareResourceRequest { role: "guest".into(), ..request };
                Box::pin(async move { outcome(by.share_resource(request).await) })
            }
            "MoveResource, to where others hold something" => {
                let (from, moved) = (self.named(Column::Within, place).await, self.fresh());
                self.register(&moved, Some(&from)).await;
                let to = match column {
                    Column::Oneself => self.listing(&[&self.actor(path, column).membership_id]).await,
                    _ => self.named(column, place).await,
                };
                if is_above {
                    self.give(membership(&self.pending().await), at(house(&to), "keeper")).await;
                }
                let request = move_under(&id, house(&moved), Some(house(&to)));
                Box::pin(async move { outcome(by.move_resource(request).await) })
            }
            "SetResourceOwner" if !is_above => {
                let target = house(&self.named(column, place).await);
                let request = set_owner(&id, target, Some(membership(&self.recipient(column).await)));
                Box::pin(async move { outcome(by.set_resource_owner(request).await) })
            }
            "RegisterResource" | "RegisterResources" if !is_above => {
                let parent = Some(house(&self.named(column, place).await));
                let owner = Some(principal(membership(&self.recipient(column).await)));
                let is_one = path == "RegisterResource";
                // One of many has an id always.
                let new = if is_oneself || !is_one { self.fresh() } else { String::new() };
                if is_one {
                    let request = register(&id, house(&new));
                    let request = proto::RegisterResourceRequest { parent, owner, ..request };
                    return Some(Box::pin(async move { outcome(by.register_resource(request).await) }));
                }
                let new = proto::NewResource { resource: Some(house(&new)), parent, owner, ..Default::default() };
                let resources = vec![new];
                let request = proto::RegisterResourcesRequest { organization_id: id, resources, ..Default::default() };
                Box::pin(async move {
                    let answer = by.register_resources(vec![request]).await.expect("an answer");
                    let refused = answer.refused.first();
                    item_outcome(refused.map_or("", |it| &it.reason), refused.map_or("", |it| &it.message))
                })
            }
            _ => return None,
        })
    }

    /// An invitation whose sponsor could give anything when they made it, and now gives what a clerk does.
    async fn accept(&self, is_link: bool, column: Column) -> Call {
        let (id, held) = (self.id(), vec![Self::held(column, HIDDEN)]);
        let sponsor = self.active(vec![role("giver")]).await;
        let email = format!("{}@example.test", self.fresh());
        let (token, by) = if is_link {
            let made = sponsor.call.create_invitation(invite_by_link(&id, held)).await.expect("a link");
            (token_in(&made.link), self.app.somebody(&email).await.call)
        } else {
            sponsor.call.create_invitation(invite(&id, &email, held)).await.expect("an invitation");
            (self.app.token_mailed_to(&email).await, self.app.anyone())
        };
        let them = || membership(&sponsor.membership_id);
        let demotion = vec![revoke(them(), role("giver")), grant(them(), role("clerk"))];
        self.organization.owner.call.change_grants(change(&id, demotion)).await.expect("a demotion");
        let password = if is_link { "" } else { crate::harness::PASSWORD };
        let request = accept(&token, password);
        Box::pin(async move { outcome(by.accept_invitation(request).await) })
    }

    async fn enable(&self, path: &str, column: Column) -> Call {
        let (id, by) = (self.id(), self.actor(path, column).call.clone());
        let member = self.holder(column).await;
        if column != Column::Oneself {
            self.organization.owner.call.disable_member(disable(&id, &member)).await.expect("a disabled member");
        }
        match path {
            "EnableMember" => Box::pin(async move { outcome(by.enable_member(enable(&id, &member)).await) }),
            "BatchEnableMembers" => {
                Box::pin(async move { outcome(by.batch_enable_members(enable_members(&id, &[&member])).await) })
            }
            _ => {
                let request = bulk(&id, &member, Act::Enable(proto::PlainAct {}));
                Box::pin(async move { outcome_of_bulk(by.bulk(request, 1).await) })
            }
        }
    }

    async fn shape(&self, path: &str, column: Column) -> Option<Call> {
        let (id, by) = (self.id(), self.actor(path, column).call.clone());
        let permissions: &[&str] = if column == Column::Within { &["member.list"] } else { &["audit.view"] };
        Some(match path {
            "CreateRole" if matches!(column, Column::Within | Column::Above) => {
                let request = create_role(&id, custom_role(&self.fresh(), permissions));
                Box::pin(async move { outcome(by.create_role(request).await) })
            }
            "UpdateRole, widening" if column != Column::Hidden => {
                let name = self.custom(&[]).await;
                self.give(membership(&self.recipient(column).await), role(&name)).await;
                let wider = custom_role(&name, permissions).permissions;
                let request = update_role(&id, proto::Role { name, permissions: wider, ..Default::default() });
                Box::pin(async move { outcome(by.update_role(request).await) })
            }
            "DeleteRole, moving its holders" => {
                let name = self.custom(&[]).await;
                let held = if column == Column::Hidden { at(house(HIDDEN), &name) } else { role(&name) };
                self.give(membership(&self.recipient(column).await), held).await;
                let instead = if matches!(column, Column::Above | Column::Oneself) { "ruler" } else { "helper" };
                let request = proto::DeleteRoleRequest { move_holders_to: instead.into(), ..delete_role(&id, &name) };
                Box::pin(async move { outcome(by.delete_role(request).await) })
            }
            _ => return None,
        })
    }

    async fn key(&self, path: &str, column: Column) -> Call {
        let (id, by, owner) = (self.id(), self.actor(path, column).call.clone(), &self.organization.owner.call);
        let machine = self.machine(Self::held(column, HIDDEN)).await;
        match path {
            "CreateApiKey" => Box::pin(async move { outcome(by.create_api_key(create_api_key(&id, &machine)).await) }),
            "RotateApiKey" => {
                let made = self.app.operator().create_api_key(create_api_key(&id, &machine)).await.expect("a key");
                let request = rotate_key(&id, &machine, &made.api_key.expect("it is in the answer").id);
                Box::pin(async move { outcome(by.rotate_api_key(request).await) })
            }
            _ => {
                owner.disable_service_account(disable_account(&id, &machine)).await.expect("a disabled account");
                Box::pin(async move { outcome(by.enable_service_account(enable_account(&id, &machine)).await) })
            }
        }
    }

    /// Hands the title on: as who holds it, as who does not, and to oneself.
    async fn transfer(&self, path: &str, column: Column) -> Call {
        let by = self.actor(path, column);
        let (from, to) = (self.active(vec![]).await, self.active(vec![]).await);
        let request = |to: &str| proto::TransferRoleRequest {
            organization_id: self.id(),
            role: "title".into(),
            to_membership_id: to.into(),
            ..Default::default()
        };
        let (by, request) = match column {
            Column::Within => {
                let first = proto::TransferRoleRequest { reason: "the first".into(), ..request(&from.membership_id) };
                let given = self.app.operator().send(Rpc::TransferRole, vec![first.encode_to_vec()]).await;
                given.end.expect("a first holder");
                (from.call, request(&to.membership_id))
            }
            Column::Oneself => (by.call.clone(), request(&by.membership_id)),
            Column::Above | Column::Hidden => (by.call.clone(), request(&to.membership_id)),
        };
        Box::pin(async move { outcome(by.send(Rpc::TransferRole, vec![request.encode_to_vec()]).await.end) })
    }
}

pub fn bulk(organization: &str, member: &str, act: Act) -> proto::BulkMembersRequest {
    let members = vec![proto::MemberRef { membership_id: member.into() }];
    proto::BulkMembersRequest {
        organization_id: organization.into(),
        selection: Some(Selection::Listed(proto::MemberList { members })),
        act: Some(act),
        ..Default::default()
    }
}

pub fn outcome_of_bulk(result: Result<Vec<proto::BulkMembersResponse>, tonic::Status>) -> super::Outcome {
    match result {
        Err(status) => outcome(Err::<(), _>(status)),
        Ok(answers) => {
            let only = &answers[0].results[0];
            item_outcome(&only.reason, &only.message)
        }
    }
}
