//! Sessions: signing in.
//!
//! Whoever signs in has no credential yet, so the order matters: a try that is known to be over a limit is refused by
//! memory alone; then comes the turn to hash, so that only as many tries as hash reach the database; then one read of
//! what the address is held against, and one of what was refused before; then the hash. Only a success writes.

use std::net::IpAddr;

use super::Services;
use super::throttle::Tried;
use crate::auth::{AccessToken, Counted, Presented, Secret, SecretKind};
use crate::domain::email::Email;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::UserState;
use crate::domain::id::{SessionId, UserId};
use crate::domain::throttle::Key;
use crate::store::NewSession;

/// Signs a user in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Any spelling of the address.
    pub email: String,
    /// The password.
    pub password: Presented,
    /// What an earlier sign-in on this device returned; anything else is as good as nothing.
    pub device_token: Presented,
    /// Where the user sits, if that is known.
    pub source: Option<IpAddr>,
}

/// A session that has begun.
#[derive(Debug)]
pub struct SignedIn {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// For calls.
    pub access_token: AccessToken,
    /// What the device shows at the next sign-in; it signs nobody in.
    pub device_token: Presented,
}

/// A device that shows a token.
struct Device {
    hash: [u8; 32],
    key: Key,
}

impl Services {
    /// Signs a user in with an address and a password.
    ///
    /// Takes like time, sends the same statements, and answers alike, for an address that is unknown, one without a password
    /// (CE-15) and one with another.
    ///
    /// # Errors
    /// - [`Reason::SignInRefused`], [`Reason::EmailMalformed`].
    /// - [`Reason::RateLimited`] after too many refusals; on a device that has signed this user in before, after too many
    ///   there.
    /// - [`Reason::PasswordsBusy`].
    pub async fn sign_in(&self, request: SignIn) -> Result<SignedIn, Error> {
        let email = Email::parse("email", &request.email)?;
        let (device, strange) = (self.device(&request.device_token), self.tried(&email, request.source));
        match &device {
            Some(device) => self.throttle.must_be_within(&[Tried::Bearer(device.key)])?,
            None => self.throttle.must_be_within(&strange)?,
        }
        let turn = self.passwords.turn().await?;

        let (mark, reads) = (self.throttle.mark(), self.store.reads());
        let shown = device.as_ref().map_or([0; 32], |device| device.hash);
        let credential = reads.credential_by_email(&email, &shown, self.env.now()).await?;
        let subjects: Vec<Key> =
            strange.iter().map(|tried| tried.subject()).chain(device.as_ref().map(|it| it.key)).collect();
        let refused = reads.refusals(&subjects, self.since_window()).await?;

        let known = device.filter(|device| {
            let row = refused.iter().find(|row| row.subject == device.key);
            let in_a_row = row.map_or(0, |row| row.refusals.in_a_row);
            in_a_row < self.throttle.limits().row && credential.as_ref().is_some_and(|it| it.knows_device)
        });
        // A device that this user has signed in on is counted by itself, so that strangers cannot lock them out.
        let tried = known.as_ref().map_or(strange, |device| vec![Tried::Bearer(device.key)]);
        let tried = self.throttle.begin(&tried, mark, &refused)?;

        let hash = credential.as_ref().and_then(|credential| credential.password_hash.as_deref());
        let is_right = match turn.verify(request.password.text(), hash).await {
            Ok(is_right) => is_right,
            Err(error) => {
                tried.undecided();
                return Err(error);
            }
        };
        let Some(credential) = credential.filter(|it| is_right && it.state == UserState::Active) else {
            return Err(Error::new(Reason::SignInRefused, "address and password do not fit"));
        };
        tried.succeeded();
        self.begin_session(credential.user, known.map(|device| (device, request.device_token))).await
    }

    /// Reads what a device shows; nothing for what is no such token.
    fn device(&self, token: &Presented) -> Option<Device> {
        let hash = token.hash_of_kind(SecretKind::Device)?;
        Some(Device { hash, key: self.sealer.fingerprint(Counted::Device, &[&hash]) })
    }

    /// Returns what a try without a known device counts under.
    fn tried(&self, email: &Email, source: Option<IpAddr>) -> Vec<Tried> {
        let address = self.sealer.fingerprint(Counted::Address, &[email.key().as_bytes()]);
        let source = source.map(|source| {
            let source = self.sealer.fingerprint(Counted::Source, &[source.to_string().as_bytes()]);
            Tried::FromSource { source, address }
        });
        source.into_iter().chain([Tried::Address(address)]).collect()
    }

    async fn begin_session(&self, user: UserId, known: Option<(Device, Presented)>) -> Result<SignedIn, Error> {
        let now = self.env.now();
        let (device, device_token) = match known {
            Some((device, token)) => (device.hash, token),
            None => {
                let secret = Secret::new(&self.env, SecretKind::Device);
                (secret.hash(), Presented::from(secret.text().to_owned()))
            }
        };
        let session = NewSession {
            id: self.env.id(),
            user,
            expires_at: now.plus(self.settings.session_lifetime),
            device,
            device_expires_at: now.plus(self.settings.device_lifetime),
        };
        self.store.session_begin(&session).await?;
        self.activity.note(user, None, now);
        let access_token = self.tokens.issue(user, session.id)?;
        Ok(SignedIn { user, session: session.id, access_token, device_token })
    }
}
