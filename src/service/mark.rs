//! The marks by which somebody is recognised who is gone: keyed hashes of who they were and of their addresses.

use crate::auth::Sealer;
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::id::{OrganizationId, UserId};

/// Returns the marks of somebody in one organization: of the user, if there is one, and of each of their addresses in its
/// canonical form. Of the same person two organizations have nothing in common.
///
/// # Errors
/// Only for an address that is none.
pub(super) fn marks_of(
    sealer: &Sealer,
    organization: OrganizationId,
    user: Option<UserId>,
    emails: &[String],
) -> Result<Vec<[u8; 32]>, Error> {
    let user = user.map(|user| Ok(sealer.mark("user", &format!("{organization}/{user}"))));
    let emails = emails.iter().map(|email| {
        let email = Email::parse("email", email)?;
        Ok(sealer.mark("email", &format!("{organization}/{}", email.key())))
    });
    user.into_iter().chain(emails).collect()
}
