//! `CreateMember` and `BatchCreateMembers`.

use super::{must_be_a_batch, must_be_distinct};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason, Violations};
use crate::domain::fields::all;
use crate::domain::metadata::external_id;
use crate::domain::text::name;
use crate::proto;
use crate::service::{CreateMembers, CreatedMembers, NewMember, Written};
use crate::transport::convert::{assignment, grant, member_to, metadata, token};
use crate::transport::handle::Decode;
use crate::transport::incoming::ServerState;

/// Most assignments of one new member.
const ASSIGNMENTS_MAX: usize = 100;

impl Decode<proto::CreateMemberRequest> for CreateMembers {
    fn decode(message: proto::CreateMemberRequest, _server: &ServerState) -> Result<Self, Error> {
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
    fn decode(message: proto::BatchCreateMembersRequest, _server: &ServerState) -> Result<Self, Error> {
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
