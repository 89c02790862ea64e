//! Between the messages of the wire and the types of the domain. Parsed once, here, and carried as types ever after.

mod check;
mod explanation;
mod grant;
mod inheritance;
mod mask;
mod matrix;
mod metadata;
mod noun;
mod role;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(super) use check::{
    Items, PERMISSION_BYTES_MAX, Tokens, asked, consistency, consistency_view, decision, decision_out, listed_subject,
    question, valid_for,
};
pub(super) use explanation::{Sight, allowed_by, missing};
pub(super) use grant::{
    assignment, delta, grant, held, installation_delta, installation_grant, principal, principal_out,
};
pub(super) use inheritance::inherited;
pub(super) use mask::Mask;
pub(super) use matrix::{matrix, named, read_each};
pub(super) use metadata::{metadata, metadata_out};
pub(super) use noun::{
    api_key, contact, group, group_member, invitation, invitation_kind, listed_member, member, member_state, member_to,
    organization, organization_to, recipient, resource, service_account,
};
pub(super) use role::{changes, new_role, role, role_mask};

use crate::domain::error::{Error, Reason};
use crate::domain::place::ResourceKey;
use crate::domain::revision::Token;
use crate::domain::time::Timestamp;
use crate::proto;

/// Writes an instant.
pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// Reads an instant; what is below a microsecond is cut off.
///
/// # Errors
/// - [`Reason::OutOfRange`] outside the years 1 to 9999 (AIP-142), or with nanos outside a second.
pub(super) fn instant(field: &str, at: &prost_types::Timestamp) -> Result<Timestamp, Error> {
    const FIRST: i64 = -62_135_596_800;
    const LAST: i64 = 253_402_300_799;
    if !(FIRST..=LAST).contains(&at.seconds) || !(0..1_000_000_000).contains(&at.nanos) {
        return Err(Error::invalid(field, Reason::OutOfRange, "is not an instant from the years 1 to 9999"));
    }
    Ok(Timestamp::from_micros(at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000))
}

/// Reads a duration that is not negative.
///
/// # Errors
/// - [`Reason::OutOfRange`].
pub(super) fn duration(field: &str, duration: &prost_types::Duration) -> Result<Duration, Error> {
    let refuse = || Error::invalid(field, Reason::OutOfRange, "is not a duration of zero or more");
    let seconds = u64::try_from(duration.seconds).map_err(|_| refuse())?;
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000).ok_or_else(refuse)?;
    Ok(Duration::new(seconds, nanos))
}

/// Writes milliseconds, rounded up: an age is never told as less than it is.
pub(super) fn millis_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Writes a revision token; empty where nothing was committed.
pub(super) fn token(token: Option<Token>) -> String {
    token.map(|token| URL_SAFE_NO_PAD.encode(token.to_bytes())).unwrap_or_default()
}

/// Reads a revision token.
///
/// # Errors
/// - [`Reason::RevisionInvalid`].
pub(super) fn parse_token(field: &str, text: &str) -> Result<Token, Error> {
    let refuse = || Error::invalid(field, Reason::RevisionInvalid, "is not a revision of this service");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refuse())?;
    Token::from_bytes(&bytes).ok_or_else(refuse)
}

/// Reads an id that need not be there.
///
/// # Errors
/// What `parse` refuses.
pub(super) fn optional_id<T>(
    field: &str,
    text: &str,
    parse: impl FnOnce(&str, &str) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { parse(field, text).map(Some) }
}

/// Writes a resource's name.
pub(super) fn resource_ref(key: &ResourceKey) -> proto::ResourceRef {
    proto::ResourceRef { r#type: key.kind.to_string(), id: key.id.to_string() }
}

/// Reads a resource's name.
///
/// # Errors
/// - [`Reason::ResourceTypeMalformed`], [`Reason::ResourceIdMalformed`].
pub(super) fn resource_key(field: &str, reference: &proto::ResourceRef) -> Result<ResourceKey, Error> {
    ResourceKey::parse(field, &reference.r#type, &reference.id)
}

/// Reads a resource's name that must be there.
///
/// # Errors
/// - [`Reason::FieldRequired`], and as [`resource_key`].
pub(super) fn required_key(field: &str, reference: Option<&proto::ResourceRef>) -> Result<ResourceKey, Error> {
    match reference {
        Some(reference) => resource_key(field, reference),
        None => Err(Error::invalid(field, Reason::FieldRequired, "is required")),
    }
}

/// Reads a resource's name that need not be there.
///
/// # Errors
/// As [`resource_key`].
pub(super) fn optional_key(field: &str, reference: Option<&proto::ResourceRef>) -> Result<Option<ResourceKey>, Error> {
    reference.map(|reference| resource_key(field, reference)).transpose()
}
