//! `UpdateMember`.

use super::first;
use crate::domain::error::Error;
use crate::domain::fields::all;
use crate::domain::id::MembershipId;
use crate::domain::metadata::external_id;
use crate::domain::text::name;
use crate::proto;
use crate::service::{ChangedMembers, MemberFields, UpdateMember, Written};
use crate::transport::convert::{Mask, metadata, token};
use crate::transport::handle::Decode;
use crate::transport::incoming::ServerState;

/// What an update writes.
const FIELDS: &[&str] = &["display_name", "external_id", "metadata"];

impl Decode<proto::UpdateMemberRequest> for UpdateMember {
    fn decode(message: proto::UpdateMemberRequest, _server: &ServerState) -> Result<Self, Error> {
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
