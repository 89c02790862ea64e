//! `DisableMember` and `EnableMember`, of one and of a batch.

use super::{every, first, must_be_a_batch, must_be_distinct};
use crate::domain::access::Move;
use crate::domain::error::{Error, Violations};
use crate::domain::id::MembershipId;
use crate::proto;
use crate::service::{ChangeMemberState, ChangedMembers, Written};
use crate::transport::convert::token;
use crate::transport::handle::Decode;
use crate::transport::incoming::ServerState;

impl Decode<proto::DisableMemberRequest> for ChangeMemberState {
    fn decode(message: proto::DisableMemberRequest, _server: &ServerState) -> Result<Self, Error> {
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
    fn decode(message: proto::EnableMemberRequest, _server: &ServerState) -> Result<Self, Error> {
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
    fn decode(message: proto::BatchDisableMembersRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { ids: batch(&message.requests)?, act: Move::Disable })
    }
}

impl From<Written<ChangedMembers>> for proto::BatchDisableMembersResponse {
    fn from(changed: Written<ChangedMembers>) -> Self {
        Self { members: every(changed.value).collect(), revision: token(changed.token) }
    }
}

impl Decode<proto::BatchEnableMembersRequest> for ChangeMemberState {
    fn decode(message: proto::BatchEnableMembersRequest, _server: &ServerState) -> Result<Self, Error> {
        Ok(Self { ids: batch(&message.requests)?, act: Move::Enable })
    }
}

impl From<Written<ChangedMembers>> for proto::BatchEnableMembersResponse {
    fn from(changed: Written<ChangedMembers>) -> Self {
        Self { members: every(changed.value).collect(), revision: token(changed.token) }
    }
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
