//! `MembershipService`.

use std::collections::HashSet;

use tonic::{Request, Response, Status};

use super::bulk::{self, Chunks};
use super::call::{Call, Edge};
use super::convert::{Mask, assignment, grant, member_to, metadata, token};
use super::handle::{Decode, handlers};
use super::removal;
use crate::domain::access::Move;
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fields::all;
use crate::domain::id::MembershipId;
use crate::domain::member::Member;
use crate::domain::metadata::external_id;
use crate::domain::text::name;
use crate::proto;
use crate::proto::membership_service_server::MembershipService;
use crate::service::{
    ChangeMemberState, ChangedMembers, CreateMembers, CreatedMembers, GetMember, LookUpMember, MemberFields, NewMember,
    PreviewRemoval, UpdateMember, Written,
};

/// Most members of one batch.
const BATCH_MAX: usize = 100;
/// Most assignments of one new member.
const ASSIGNMENTS_MAX: usize = 100;
/// What an update writes.
const FIELDS: &[&str] = &["display_name", "external_id", "metadata"];

/// Serves memberships.
pub(super) struct Memberships(pub Edge);

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
            let (call, message) = Call::open(request)?;
            call.close(removal::watch(&self.0, &call, &message).await)
        }

        type BulkMembersStream = Chunks;

        async fn bulk_members(&self, request: Request<proto::BulkMembersRequest>) -> Result<Response<Chunks>, Status> {
            let (call, message) = Call::open(request)?;
            call.close(bulk::bulk(&self.0, &call, message).await)
        }
    }
}

impl Decode<proto::CreateMemberRequest> for CreateMembers {
    fn decode(message: proto::CreateMemberRequest, _edge: &Edge) -> Result<Self, Error> {
        let Some(member) = message.member else {
            return Err(Error::invalid("member", Reason::FieldRequired, "is required"));
        };
        Ok(Self { members: vec![new_member("member", member)?], path: |_| "member.".to_owned() })
    }
}

impl From<Written<CreatedMembers>> for proto::CreateMemberResponse {
    fn from(written: Written<CreatedMembers>) -> Self {
        let created = written.value;
        Self {
            member: created.members.into_iter().next().map(|member| member_to(member, created.shows_private)),
            grants: created.grants.into_iter().map(grant).collect(),
            revision: token(written.token),
        }
    }
}

impl Decode<proto::BatchCreateMembersRequest> for CreateMembers {
    fn decode(message: proto::BatchCreateMembersRequest, _edge: &Edge) -> Result<Self, Error> {
        must_be_a_batch(message.requests.len())?;
        let (mut violations, mut read) = (Violations::default(), Vec::new());
        for (index, new) in message.requests.into_iter().enumerate() {
            let new = violations.take(new_member(&format!("requests[{index}]"), new))?;
            read.extend(new.map(|new| (index, new)));
        }
        let emails = read.iter().map(|(index, new)| (*index, Some(new.email.key())));
        must_be_distinct("email", emails, &mut violations);
        let external_ids = read.iter().map(|(index, new)| (*index, new.external_id.as_deref()));
        must_be_distinct("external_id", external_ids, &mut violations);
        violations.finish()?;
        let members = read.into_iter().map(|(_, new)| new).collect();
        Ok(Self { members, path: |index| format!("requests[{index}].") })
    }
}

impl From<Written<CreatedMembers>> for proto::BatchCreateMembersResponse {
    fn from(written: Written<CreatedMembers>) -> Self {
        let created = written.value;
        let members = created.members.into_iter().map(|member| member_to(member, created.shows_private));
        Self { members: members.collect(), revision: token(written.token) }
    }
}

impl Decode<proto::UpdateMemberRequest> for UpdateMember {
    fn decode(message: proto::UpdateMemberRequest, _edge: &Edge) -> Result<Self, Error> {
        let id = MembershipId::parse("membership_id", &message.membership_id)?;
        let mask = Mask::parse(message.update_mask.as_ref(), FIELDS)?;
        let takes_name = mask.takes("display_name", !message.display_name.is_empty());
        let takes_external_id = mask.takes("external_id", !message.external_id.is_empty());
        let takes_metadata = mask.takes("metadata", message.metadata.is_some());
        let (display_name, external_id, metadata) = all((
            takes_name.then(|| name("display_name", &message.display_name)).transpose(),
            takes_external_id.then(|| external_id("external_id", &message.external_id)).transpose(),
            takes_metadata.then(|| metadata("metadata", message.metadata)).transpose(),
        ))?;
        Ok(Self { id, fields: MemberFields { display_name, external_id, metadata }, etag: message.etag })
    }
}

impl From<Written<ChangedMembers>> for proto::UpdateMemberResponse {
    fn from(changed: Written<ChangedMembers>) -> Self {
        Self { member: first(changed.value), revision: token(changed.token) }
    }
}

impl Decode<proto::DisableMemberRequest> for ChangeMemberState {
    fn decode(message: proto::DisableMemberRequest, _edge: &Edge) -> Result<Self, Error> {
        let id = MembershipId::parse("membership_id", &message.membership_id)?;
        Ok(Self { ids: vec![id], act: Move::Disable })
    }
}

impl From<Written<ChangedMembers>> for proto::DisableMemberResponse {
    fn from(changed: Written<ChangedMembers>) -> Self {
        Self { member: first(changed.value), revision: token(changed.token) }
    }
}

impl Decode<proto::EnableMemberRequest> for ChangeMemberState {
    fn decode(message: proto::EnableMemberRequest, _edge: &Edge) -> Result<Self, Error> {
        let id = MembershipId::parse("membership_id", &message.membership_id)?;
        Ok(Self { ids: vec![id], act: Move::Enable })
    }
}

impl From<Written<ChangedMembers>> for proto::EnableMemberResponse {
    fn from(changed: Written<ChangedMembers>) -> Self {
        Self { member: first(changed.value), revision: token(changed.token) }
    }
}

impl Decode<proto::BatchDisableMembersRequest> for ChangeMemberState {
    fn decode(message: proto::BatchDisableMembersRequest, _edge: &Edge) -> Result<Self, Error> {
        Ok(Self { ids: batch(&message.requests)?, act: Move::Disable })
    }
}

impl From<Written<ChangedMembers>> for proto::BatchDisableMembersResponse {
    fn from(changed: Written<ChangedMembers>) -> Self {
        Self { members: every(changed.value).collect(), revision: token(changed.token) }
    }
}

impl Decode<proto::BatchEnableMembersRequest> for ChangeMemberState {
    fn decode(message: proto::BatchEnableMembersRequest, _edge: &Edge) -> Result<Self, Error> {
        Ok(Self { ids: batch(&message.requests)?, act: Move::Enable })
    }
}

impl From<Written<ChangedMembers>> for proto::BatchEnableMembersResponse {
    fn from(changed: Written<ChangedMembers>) -> Self {
        Self { members: every(changed.value).collect(), revision: token(changed.token) }
    }
}

fn every(changed: ChangedMembers) -> impl Iterator<Item = proto::Member> {
    let shows_private = changed.shows_private;
    changed.members.into_iter().map(move |member: Member| member_to(member, shows_private))
}

fn first(changed: ChangedMembers) -> Option<proto::Member> {
    every(changed).next()
}

/// Reads a member to be created, all that is wrong at once.
fn new_member(field: &str, member: proto::NewMember) -> Result<NewMember, Error> {
    let path = |name: &str| format!("{field}.{name}");
    let mut read = Vec::new();
    if member.assignments.len() > ASSIGNMENTS_MAX {
        let message = format!("must be at most {ASSIGNMENTS_MAX}");
        read.push(Err(Error::invalid(path("assignments"), Reason::OutOfRange, message)));
    } else {
        let each = member.assignments.iter().enumerate();
        read.extend(each.map(|(index, it)| assignment(&path(&format!("assignments[{index}]")), it)));
    }
    let (email, display_name, external_id, metadata, assignments) = all((
        Email::parse(&path("email"), &member.email),
        name(&path("display_name"), &member.display_name),
        external_id(&path("external_id"), &member.external_id),
        metadata(&path("metadata"), member.metadata),
        all(read),
    ))?;
    Ok(NewMember { email, display_name, external_id, metadata, assignments })
}

/// Reads who is named: from 1 to 100 members, each once.
fn batch(requests: &[proto::MemberRef]) -> Result<Vec<MembershipId>, Error> {
    must_be_a_batch(requests.len())?;
    let (mut violations, mut read) = (Violations::default(), Vec::new());
    for (index, request) in requests.iter().enumerate() {
        let id = MembershipId::parse(&format!("requests[{index}].membership_id"), &request.membership_id);
        read.extend(violations.take(id)?.map(|id| (index, id)));
    }
    must_be_distinct("membership_id", read.iter().map(|(index, id)| (*index, Some(id))), &mut violations);
    violations.finish()?;
    Ok(read.into_iter().map(|(_, id)| id).collect())
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
