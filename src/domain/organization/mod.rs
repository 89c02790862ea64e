//! Organizations: the tenants.

pub mod seats;

use std::sync::Arc;

use super::error::{Error, Reason};
use super::fact::OrganizationState;
use super::id::OrganizationId;
use super::metadata::Metadata;
use super::time::Timestamp;

/// A tenant.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Organization {
    /// Made by the server.
    pub id: OrganizationId,
    /// For people.
    pub display_name: String,
    /// The key of the catalog it follows.
    pub catalog: Arc<str>,
    /// Where it stands.
    pub state: OrganizationState,
    /// When it was made.
    pub created_at: Timestamp,
    /// A name for addresses, unique in the product.
    #[serde(default)]
    pub slug: Option<String>,
    /// The product's own id of it, unique in the product.
    #[serde(default)]
    pub external_id: Option<String>,
    /// What the product keeps with it.
    #[serde(default)]
    pub metadata: Metadata,
}

impl Organization {
    /// Ensures that an edit, `after`, leaves the names alone by which the product finds its organizations: who asked whether
    /// one is taken would learn of organizations that they know nothing of (CM-13).
    ///
    /// # Errors
    /// - [`Reason::FieldReserved`], the same for a name that is taken and one that is free.
    pub fn must_keep_names(&self, after: &Self) -> Result<(), Error> {
        let changed = [("slug", self.slug != after.slug), ("external_id", self.external_id != after.external_id)];
        match changed.into_iter().find(|(_, is_changed)| *is_changed) {
            Some((field, _)) => {
                let message = format!("only who may make organizations of the product changes {field}");
                Err(Error::new(Reason::FieldReserved, message).about("field", field))
            }
            None => Ok(()),
        }
    }

    /// Ensures that no other organization of the product has its slug or its external id, `others` being those that have
    /// one of the two; which one it is is not told.
    ///
    /// # Errors
    /// - [`Reason::NameTaken`].
    pub fn names_must_be_free(&self, others: &[Self]) -> Result<(), Error> {
        let mut others = others.iter().filter(|other| other.id != self.id).peekable();
        if others.peek().is_none() {
            return Ok(());
        }
        let is_slug = self.slug.is_some() && others.any(|other| other.slug == self.slug);
        let name = if is_slug { "slug" } else { "external id" };
        Err(Error::new(Reason::NameTaken, format!("another organization has this {name}")))
    }
}

/// Lengths of a slug in bytes.
const SLUG_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// Takes a slug: 3 to 63 of `a-z`, `0-9` and `-`, not at the ends; `None` if it is empty.
///
/// # Errors
/// - [`Reason::TextMalformed`].
pub fn slug(field: &str, text: &str) -> Result<Option<String>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let is_plain = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !is_plain || !SLUG_BYTES.contains(&text.len()) || text.starts_with('-') || text.ends_with('-') {
        let message = "must be 3 to 63 of a-z, 0-9 and -, with no - at its ends";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_can_stand_in_an_address() {
        assert_eq!(slug("slug", "").unwrap(), None);
        for right in ["abc", "a-1", &"x".repeat(63)] {
            assert_eq!(slug("slug", right).unwrap().as_deref(), Some(right));
        }
        for wrong in ["ab", "-ab", "ab-", "Abc", "a_b", "\u{e4}bc", "a b", &"x".repeat(64)] {
            assert_eq!(slug("slug", wrong).unwrap_err().reason, Reason::TextMalformed, "{wrong}");
        }
    }
}
