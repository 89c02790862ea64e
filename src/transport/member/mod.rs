//! `MembershipService`: its handlers, and what several of them read and answer.

mod bulk;
mod create;
mod edit;
mod list;
mod removal;
mod state;

use std::collections::HashSet;

use tonic::{Request, Response, Status};

use self::bulk::Chunks;
use super::convert::member_to;
use super::handle::handlers;
use super::incoming::{Incoming, ServerState};
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::member::Member;
use crate::proto;
use crate::proto::membership_service_server::MembershipService;
use crate::service::{
    ChangeMemberState, ChangedMembers, CreateMembers, GetMember, LookUpMember, PreviewRemoval, UpdateMember,
};

/// Most members of one batch.
const BATCH_MAX: usize = 100;

/// Serves memberships.
pub(super) struct Memberships(pub ServerState);

handlers! {
    MembershipService for Memberships {
        create_member(CreateMemberRequest) -> CreateMemberResponse: mutation CreateMembers;
        batch_create_members(BatchCreateMembersRequest) -> BatchCreateMembersResponse: mutation CreateMembers;
        update_member(UpdateMemberRequest) -> UpdateMemberResponse: mutation UpdateMember;
        disable_member(DisableMemberRequest) -> DisableMemberResponse: mutation ChangeMemberState;
        enable_member(EnableMemberRequest) -> EnableMemberResponse: mutation ChangeMemberState;
        batch_disable_members(BatchDisableMembersRequest) -> BatchDisableMembersResponse: mutation ChangeMemberState;
        batch_enable_members(BatchEnableMembersRequest) -> BatchEnableMembersResponse: mutation ChangeMemberState;
        list_members(ListMembersRequest) -> ListMembersResponse: by list;
        get_member(GetMemberRequest) -> GetMemberResponse: query GetMember;
        look_up_member(LookUpMemberRequest) -> LookUpMemberResponse: query LookUpMember;
        list_my_memberships(ListMyMembershipsRequest) -> ListMyMembershipsResponse: by list_mine;
        preview_removal(PreviewRemovalRequest) -> PreviewRemovalResponse: query PreviewRemoval;
        remove_member(RemoveMemberRequest) -> RemoveMemberResponse: by remove;
        leave_organization(LeaveOrganizationRequest) -> LeaveOrganizationResponse: by leave;
        list_removals(ListRemovalsRequest) -> ListRemovalsResponse: by page_of_removals;
        acknowledge_removal(AcknowledgeRemovalRequest) -> AcknowledgeRemovalResponse: by acknowledge;
    }
    streams {
        type WatchRemovalsStream = removal::Watching;

        async fn watch_removals(
            &self,
            request: Request<proto::WatchRemovalsRequest>,
        ) -> Result<Response<Self::WatchRemovalsStream>, Status> {
            let (call, message) = Incoming::open(request)?;
            call.close(removal::watch(&self.0, &call, &message).await)
        }

        type BulkMembersStream = Chunks;

        async fn bulk_members(&self, request: Request<proto::BulkMembersRequest>) -> Result<Response<Chunks>, Status> {
            let (call, message) = Incoming::open(request)?;
            call.close(bulk::bulk(&self.0, &call, message).await)
        }
    }
}

fn every(changed: ChangedMembers) -> impl Iterator<Item = proto::Member> {
    let shows_private = changed.shows_private;
    changed.members.into_iter().map(move |member: Member| member_to(member, shows_private))
}

fn first(changed: ChangedMembers) -> Option<proto::Member> {
    every(changed).next()
}

fn must_be_a_batch(count: usize) -> Result<(), Error> {
    match count {
        0 => Err(Error::invalid("requests", Reason::FieldRequired, "is required")),
        1..=BATCH_MAX => Ok(()),
        _ => Err(Error::invalid("requests", Reason::OutOfRange, format!("must be at most {BATCH_MAX}"))),
    }
}

/// Notes what stands twice under a field of a batch; each value comes with the index of its request.
fn must_be_distinct<T: Eq + std::hash::Hash>(
    field: &str,
    values: impl Iterator<Item = (usize, Option<T>)>,
    violations: &mut Violations,
) {
    let mut seen = HashSet::new();
    for (index, value) in values {
        if value.is_some_and(|value| !seen.insert(value)) {
            violations.add(format!("requests[{index}].{field}"), Reason::OutOfRange, "stands in the batch before");
        }
    }
}
