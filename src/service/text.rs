//! Texts for people, as callers give them.

use crate::domain::error::{Error, Reason};
use crate::domain::text::{is_visible, normalized};

/// Most bytes of a name.
const NAME_BYTES_MAX: usize = 200;
/// Most bytes of a reason.
const REASON_BYTES_MAX: usize = 1_000;

/// Takes a name that must be there.
///
/// # Errors
/// - [`Reason::FieldRequired`] if nothing of it can be seen.
/// - [`Reason::TextMalformed`] above 200 bytes, or with control characters.
pub(super) fn required_name(field: &str, text: &str) -> Result<String, Error> {
    let name = name(field, text)?;
    if name.is_empty() {
        return Err(Error::invalid(field, Reason::FieldRequired, "is required"));
    }
    Ok(name)
}

/// Takes a name that may be empty, in NFC. Spaces around it are dropped; what is drawn as nothing is no name.
///
/// # Errors
/// - [`Reason::TextMalformed`] above 200 bytes, or with control characters.
pub(super) fn name(field: &str, text: &str) -> Result<String, Error> {
    let name = normalized(text.trim());
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = "must be at most 200 bytes without control characters";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok(if is_visible(&name) { name } else { String::new() })
}

/// Takes why something is done, which may be empty. Spaces around it are dropped.
///
/// # Errors
/// - [`Reason::TextMalformed`] above 1000 bytes, or with control characters other than line feeds.
pub(super) fn reason(field: &str, text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.len() > REASON_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\n') {
        let message = "must be at most 1000 bytes without control characters but line feeds";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok(text.to_owned())
}
