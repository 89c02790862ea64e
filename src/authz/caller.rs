//! Who asks: whether the credential still stands, and whether the caller may know.

use super::engine::Engine;
use super::question::{Asked, Denial};
use super::view::View;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{ApiKeyId, SessionId};
use crate::domain::place::Subject;
use crate::domain::time::Timestamp;

/// The permission that asking about others needs.
const ACCESS_CHECK: &str = "access.check";

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    pub subject: Subject,
    /// The session that the access token belongs to, if it was one.
    pub session: Option<SessionId>,
    /// The API key, if it was one.
    pub key: Option<ApiKeyId>,
    /// From then on the credential is refused.
    pub expires_at: Option<Timestamp>,
}

impl Caller {
    /// Ensures that the credential has not expired.
    ///
    /// # Errors
    /// - [`Reason::TokenExpired`].
    pub fn must_not_be_expired(&self, now: Timestamp) -> Result<(), Error> {
        if self.expires_at.is_some_and(|expires_at| now >= expires_at) {
            return Err(Error::new(Reason::TokenExpired, "the credential has expired"));
        }
        Ok(())
    }
}

impl Engine {
    /// Ensures that a credential which was verified once still stands: that it has not expired, and that neither the user or
    /// service account was disabled, nor the session ended, nor the key revoked, nor lost with a part of the history.
    ///
    /// # Errors
    /// - [`Reason::TokenExpired`], [`Reason::SessionEnded`], [`Reason::KeyRevoked`], [`Reason::CredentialInvalid`],
    ///   [`Reason::ServiceAccountDisabled`], [`Reason::UserDisabled`].
    pub fn must_be_alive(&self, caller: &Caller) -> Result<(), Error> {
        let installation = self.installation_now();
        caller.must_not_be_expired(self.env().now())?;
        if caller.session.is_some_and(|session| installation.is_session_ended(session)) {
            return Err(Error::new(Reason::SessionEnded, "the session was ended"));
        }
        if caller.key.is_some_and(|key| installation.is_key_revoked(key)) {
            return Err(key_revoked());
        }
        if caller.key.is_some_and(|key| self.is_key_lost(key)) {
            return Err(Error::new(Reason::CredentialInvalid, "the credential is not one of this service"));
        }
        match caller.subject {
            Subject::User(user) if !installation.is_user_active(user) => {
                Err(Error::new(Reason::UserDisabled, "the user is disabled"))
            }
            Subject::ServiceAccount(id) if installation.is_account_disabled(id) => Err(account_disabled()),
            Subject::User(_) | Subject::ServiceAccount(_) => Ok(()),
        }
    }
}

/// The refusal of a key that was revoked, whether or not the server knew it before.
pub fn key_revoked() -> Error {
    Error::new(Reason::KeyRevoked, "the API key was revoked")
}

/// The refusal of the keys of a disabled service account, whether or not the server knew them before.
pub fn account_disabled() -> Error {
    Error::new(Reason::ServiceAccountDisabled, "the service account is disabled")
}

/// Ensures that a caller may know the answers to some questions: about oneself everyone, about others with access.check.
///
/// # Errors
/// - [`Reason::NotFound`] if the caller does not see the organization.
/// - [`Reason::PermissionMissing`] without access.check.
pub fn may_ask<'a>(
    view: &View,
    caller: Subject,
    mut asked: impl Iterator<Item = Result<Asked<'a>, Denial>>,
) -> Result<(), Error> {
    if view.right_to_check(caller).is_allowed() {
        return Ok(());
    }
    let is_about_others = asked.any(|asked| asked.is_ok_and(|asked| asked.subject != caller));
    may_ask_about(view, caller, (!is_about_others).then_some(caller))
}

/// Ensures that a caller may know about `subject`; nobody stands for everybody.
///
/// # Errors
/// As [`may_ask`].
pub fn may_ask_about(view: &View, caller: Subject, subject: Option<Subject>) -> Result<(), Error> {
    if view.right_to_check(caller).is_allowed() {
        return Ok(());
    }
    if !view.is_seen_by(caller) {
        return Err(Error::not_found("organization", view.token().organization));
    }
    if subject != Some(caller) {
        return Err(Error::new(Reason::PermissionMissing, "lacks access.check").about("permission", ACCESS_CHECK));
    }
    Ok(())
}
