//! Sessions: signing in.

use std::time::Duration;

use super::Services;
use crate::auth::{AccessToken, hash_of};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::UserState;
use crate::domain::id::{SessionId, UserId};

/// Most refusals for one address within the window.
const FAILURES_MAX: u32 = 10;
/// How long refusals count, from the first on.
const WINDOW: Duration = Duration::from_mins(15);

/// A session that has begun.
#[derive(Debug)]
pub struct SignedIn {
    /// The person.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// For calls.
    pub access_token: AccessToken,
}

impl Services {
    /// Signs a person in with an address and a password.
    ///
    /// Takes like time, and answers alike, for an address that is unknown, one without a password (CE-15) and one with
    /// another.
    ///
    /// # Errors
    /// - [`Reason::SignInRefused`], [`Reason::EmailMalformed`].
    /// - [`Reason::RateLimited`] after 10 refusals for the address within 15 minutes.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<SignedIn, Error> {
        let email = Email::parse("email", email)?;
        let email_hash = hash_of(email.key());
        // Counted before it is judged: of many tries at once only so many are.
        let (tries, window_began_at) = self.store.sign_in_count(&email_hash, WINDOW).await?;
        if tries > FAILURES_MAX {
            let left = window_began_at.plus(WINDOW).since(self.world.now());
            let message = "too many refused sign-ins for this address";
            return Err(Error::new(Reason::RateLimited, message).retry_after(left));
        }

        let credential = self.store.reads().credential_by_email(&email).await?;
        let hash = credential.as_ref().and_then(|credential| credential.password_hash.as_deref());
        let is_right = self.passwords.verify(password, hash).await?;
        let Some(credential) = credential.filter(|it| is_right && it.state == UserState::Active) else {
            return Err(Error::new(Reason::SignInRefused, "address and password do not fit"));
        };
        self.store.sign_in_failures_clear(&email_hash).await?;

        let session: SessionId = self.world.id();
        let expires_at = self.world.now().plus(self.settings.session_lifetime);
        self.store.session_insert(session, credential.user, expires_at).await?;
        self.activity.note(credential.user, None, self.world.now());
        let access_token = self.tokens.issue(credential.user, session)?;
        Ok(SignedIn { user: credential.user, session, access_token })
    }
}
