//! How the domain's words stand in columns, and how they are read back.

use sea_orm::DbErr;
use uuid::Uuid;

use crate::domain::error::Error;
use crate::domain::fact::Held;
use crate::domain::metadata::Metadata;
use crate::domain::place::{Place, Principal, ResourceKey, Subject};

/// Gives the kind and the id of a principal.
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

/// Gives the kind, and the type and id of a resource (or the product's catalog as the id).
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

/// Gives the role's name; empty for a list entry.
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

/// Gives the kind and the id of a subject.
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

/// Gives metadata as JSON; nothing for none.
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
