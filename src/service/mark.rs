//! The fingerprints by which somebody is recognised who is gone: of who they were and of their addresses.

use crate::auth::{Counted, Sealer};
use crate::domain::email::Email;
use crate::domain::error::Error;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::throttle::Key;

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
) -> Result<Vec<Key>, Error> {
    let organization = organization.0.as_bytes();
    let user = user.map(|user| Ok(sealer.fingerprint(Counted::RemovedUser, &[organization, user.0.as_bytes()])));
    let emails = emails.iter().map(|email| {
        let email = Email::parse("email", email)?;
        Ok(sealer.fingerprint(Counted::RemovedAddress, &[organization, email.key().as_bytes()]))
    });
    user.into_iter().chain(emails).collect()
}
