//! Texts for people, as callers give them.

use crate::domain::error::{Error, Reason};

/// Most bytes of a name.
const NAME_BYTES_MAX: usize = 200;
/// Most bytes of a reason.
const REASON_BYTES_MAX: usize = 1_000;

/// Takes a name that must be there.
///
/// # Errors
/// - [`Reason::FieldRequired`] if it is empty.
/// - [`Reason::TextMalformed`] above 200 bytes, or with control characters.
pub(super) fn required_name(field: &str, text: &str) -> Result<String, Error> {
    if text.trim().is_empty() {
        return Err(Error::invalid(field, Reason::FieldRequired, "is required"));
    }
    name(field, text)
}

/// Takes a name that may be empty. Spaces around it are dropped.
///
/// # Errors
/// - [`Reason::TextMalformed`] above 200 bytes, or with control characters.
pub(super) fn name(field: &str, text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        let message = "must be at most 200 bytes without control characters";
        return Err(Error::invalid(field, Reason::TextMalformed, message));
    }
    Ok(text.to_owned())
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
