//! How the domain's words stand in columns, and how they are read back; with them the rows that several nouns read.

use sea_orm::{ColumnTrait, Condition, DbErr};
use uuid::Uuid;

use super::entity::{grants, memberships, organizations};
use crate::domain::error::Error;
use crate::domain::fact::{Grant, GrantSource, Held, MemberState, OrganizationState};
use crate::domain::id::UserId;
use crate::domain::member::Member;
use crate::domain::metadata::Metadata;
use crate::domain::organization::Organization;
use crate::domain::place::{Place, Principal, ResourceKey, Subject};
use crate::domain::time::Timestamp;

/// What stands for a member who was never active: before any instant that a filter can name, so that the order has no
/// holes.
pub(super) const NEVER_ACTIVE: i64 = -(1 << 62);

/// The states of a service account.
pub(super) const ACCOUNT_ENABLED: &str = "enabled";
pub(super) const ACCOUNT_DISABLED: &str = "disabled";
/// Of an account that is no more. Its row stays, so that its keys are known for revoked.
pub(super) const ACCOUNT_DELETED: &str = "deleted";

/// Returns the kind and the id of a principal.
pub(super) fn principal_columns(principal: Principal) -> (&'static str, Uuid) {
    match principal {
        Principal::Membership(id) => ("membership", id.0),
        Principal::Group(id) => ("group", id.0),
        Principal::Everyone => ("everyone", Uuid::nil()),
        Principal::ServiceAccount(id) => ("service_account", id.0),
        Principal::User(id) => ("user", id.0),
    }
}

/// Reads what [`principal_columns`] gave.
pub(super) fn principal(kind: &str, id: Uuid) -> Result<Principal, Error> {
    match kind {
        "membership" => Ok(Principal::Membership(id.into())),
        "group" => Ok(Principal::Group(id.into())),
        "everyone" => Ok(Principal::Everyone),
        "service_account" => Ok(Principal::ServiceAccount(id.into())),
        "user" => Ok(Principal::User(id.into())),
        _ => Err(unreadable("principal kind", kind)),
    }
}

/// Returns the kind, and the type and id of a resource (or the product's catalog as the id).
pub(super) fn place_columns(place: &Place) -> (&'static str, &str, &str) {
    match place {
        Place::Installation => ("installation", "", ""),
        Place::Product(catalog) => ("product", "", catalog),
        Place::Organization => ("organization", "", ""),
        Place::Resource(key) => ("resource", &key.kind, &key.id),
    }
}

/// Reads what [`place_columns`] gave.
pub(super) fn place(kind: &str, resource_kind: &str, id: &str) -> Result<Place, Error> {
    match kind {
        "installation" => Ok(Place::Installation),
        "product" => Ok(Place::Product(id.into())),
        "organization" => Ok(Place::Organization),
        "resource" => Ok(Place::Resource(ResourceKey { kind: resource_kind.into(), id: id.into() })),
        _ => Err(unreadable("place kind", kind)),
    }
}

/// Returns the role's name; empty for a list entry.
pub(super) fn held_column(held: &Held) -> &str {
    match held {
        Held::Role(role) => role,
        Held::AsMember => "",
    }
}

/// Reads what [`held_column`] gave.
pub(super) fn held(role: &str) -> Held {
    if role.is_empty() { Held::AsMember } else { Held::Role(role.into()) }
}

/// Returns the kind and the id of a subject.
pub(super) fn subject_columns(subject: Subject) -> (&'static str, Uuid) {
    match subject {
        Subject::User(id) => ("user", id.0),
        Subject::ServiceAccount(id) => ("service_account", id.0),
    }
}

/// Reads what [`subject_columns`] gave.
pub(super) fn subject(kind: &str, id: Uuid) -> Result<Subject, Error> {
    match kind {
        "user" => Ok(Subject::User(id.into())),
        "service_account" => Ok(Subject::ServiceAccount(id.into())),
        _ => Err(unreadable("subject kind", kind)),
    }
}

/// Reads a resource that may be none, from its two columns.
pub(super) fn optional_key(kind: Option<String>, id: Option<String>) -> Option<ResourceKey> {
    Some(ResourceKey { kind: kind?.into(), id: id?.into() })
}

/// Reads a principal that may be none, from its two columns.
pub(super) fn optional_principal(kind: Option<String>, id: Option<Uuid>) -> Result<Option<Principal>, Error> {
    kind.zip(id).map(|(kind, id)| principal(&kind, id)).transpose()
}

/// Reads a stored state with its own reader.
pub(super) fn state<T>(read: fn(&str) -> Option<T>, word: &str) -> Result<T, Error> {
    read(word).ok_or_else(|| unreadable("state", word))
}

/// Returns metadata as JSON; nothing for none.
pub(super) fn metadata_column(metadata: &Metadata) -> Result<Option<String>, Error> {
    let is_kept = !metadata.is_empty();
    is_kept.then(|| serde_json::to_string(metadata).map_err(Error::internal)).transpose()
}

/// Reads what [`metadata_column`] gave.
pub(super) fn metadata(text: Option<&str>) -> Result<Metadata, Error> {
    text.map_or_else(|| Ok(Metadata::default()), |text| serde_json::from_str(text).map_err(Error::internal))
}

fn unreadable(what: &str, word: &str) -> Error {
    Error::internal(DbErr::Custom(format!("a {what} that cannot be read: {word}")))
}

/// Picks what has not expired by `now`.
pub(super) fn is_live(now: Timestamp) -> Condition {
    Condition::any().add(grants::Column::ExpiresAt.is_null()).add(grants::Column::ExpiresAt.gt(now.as_micros()))
}

/// Reads the row of a grant.
pub(super) fn grant(row: &grants::Model) -> Result<Grant, Error> {
    Ok(Grant {
        id: row.id.into(),
        principal: principal(&row.principal_kind, row.principal_id)?,
        place: place(&row.place_kind, &row.place_type, &row.place_id)?,
        held: held(&row.role),
        expires_at: row.expires_at.map(Timestamp::from_micros),
        source: state(GrantSource::from_word, &row.source)?,
    })
}

/// Reads the row of a membership.
pub(super) fn member(row: memberships::Model, roles: Vec<String>) -> Result<Member, Error> {
    Ok(Member {
        id: row.id.into(),
        user: row.user_id.map(UserId),
        email: row.email,
        display_name: row.display_name,
        state: state(MemberState::from_word, &row.state)?,
        roles,
        created_at: Timestamp::from_micros(row.created_at),
        external_id: row.external_id,
        metadata: metadata(row.metadata.as_deref())?,
        is_made_here: row.is_made_here,
    })
}

/// Reads the row of an organization.
pub(super) fn organization(row: organizations::Model) -> Result<Organization, Error> {
    Ok(Organization {
        id: row.id.into(),
        display_name: row.display_name,
        catalog: row.catalog.into(),
        state: state(OrganizationState::from_word, &row.state)?,
        created_at: Timestamp::from_micros(row.created_at),
        slug: row.slug,
        external_id: row.external_id,
        metadata: metadata(row.metadata.as_deref())?,
    })
}
