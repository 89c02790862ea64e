//! Contacts: bare addresses that are told of a resource, and are never a principal (TE-23).

use super::error::{Error, Reason};
use super::id::ContactId;
use super::place::ResourceKey;
use super::time::Timestamp;

/// Most contacts of one resource.
pub const CONTACTS_MAX: usize = 100;

/// An address that is told of a resource.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Contact {
    /// Made by the server.
    pub id: ContactId,
    /// Of which resource.
    pub key: ResourceKey,
    /// Where mails go, as written.
    pub email: String,
    /// When it was added.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Ensures that a resource with `count` contacts can have one more.
///
/// # Errors
/// - [`Reason::ContactsExhausted`].
pub fn must_have_room(key: &ResourceKey, count: usize) -> Result<(), Error> {
    if count < CONTACTS_MAX {
        return Ok(());
    }
    let message = format!("a resource has at most {CONTACTS_MAX} contacts");
    Err(Error::new(Reason::ContactsExhausted, message).about("resource", key))
}
