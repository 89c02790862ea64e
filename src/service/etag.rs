//! Entity tags: what a noun looked like when it was read, so that a change made on an old look is refused (AIP-154).

use serde::Serialize;

use crate::auth::hash_of;
use crate::domain::error::{Error, Reason};

/// Bytes of the hash that stand in a tag.
const BYTES: usize = 8;

/// Returns the tag of `noun` as it stands: 16 hexadecimal digits that depend on nothing but its content.
///
/// # Errors
/// Only what the noun's own serialization says.
pub fn etag(noun: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(noun).map_err(Error::internal)?;
    let head = hash_of(&text).into_iter().take(BYTES).fold(0_u64, |head, byte| head << 8 | u64::from(byte));
    Ok(format!("{head:016x}"))
}

/// Ensures that `noun` still looks as it did when `expected` was told; an empty tag asks nothing.
///
/// # Errors
/// - [`Reason::EtagMismatch`].
pub(super) fn must_match(expected: &str, noun: &impl Serialize) -> Result<(), Error> {
    if expected.is_empty() || etag(noun)? == expected {
        return Ok(());
    }
    Err(Error::new(Reason::EtagMismatch, "it has changed since the etag was returned; read it again"))
}
