//! Organizations: the tenants.

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
    /// A name for addresses, unique in the installation.
    #[serde(default)]
    pub slug: Option<String>,
    /// The product's own id of it, unique in the installation.
    #[serde(default)]
    pub external_id: Option<String>,
    /// What the product keeps with it.
    #[serde(default)]
    pub metadata: Metadata,
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
