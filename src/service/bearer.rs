//! What was verified of credentials, remembered until they expire or their session ends.
//!
//! A credential is found again by its SHA-256: nothing that could be presented is kept in memory, the table needs no
//! comparison in constant time, because nobody can steer a digest, and the digest costs a tenth of a microsecond. What is
//! remembered is asked again of the installation's index every time: an ended session, a revoked key or a disabled user
//! is refused at once all the same. What is refused is not remembered at all, so that guessing fills no memory.
//!
//! What was verified counts in the history that it was verified in. Once that is found to be no more, even in part
//! ([`Engine::breaks`](crate::authz::Engine::breaks)), it is verified anew. That a history was exchanged can go unnoticed
//! where none of it is in memory, so the keys in use are looked for besides, again and again.

use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::{Caller, Services};
use crate::auth::{SecretKind, hash_of, kind_of, looks_like_jwt};
use crate::authz::{account_disabled, key_revoked};
use crate::domain::error::{Error, Reason};
use crate::domain::id::ApiKeyId;
use crate::domain::place::Subject;

/// How many verified credentials are remembered.
const REMEMBERED_MAX: usize = 100_000;
/// How many of them one statement looks for.
const LOOKED_FOR: usize = 1_000;
/// After how long a refused call, and a refused stream, may be tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The credentials that were verified.
pub struct Bearers {
    remembered: Cache<Digest, Arc<Bearer>, UnitWeighter, BuildHasherDefault<Leading>>,
}

impl std::fmt::Debug for Bearers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearers").field("remembered", &self.remembered.len()).finish()
    }
}

impl Default for Bearers {
    fn default() -> Self {
        let capacity = REMEMBERED_MAX as u64;
        Self {
            remembered: Cache::with(
                REMEMBERED_MAX,
                capacity,
                UnitWeighter,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
        }
    }
}

/// Whose a credential is, and what its bearer has under way.
#[derive(Debug)]
pub struct Bearer {
    caller: Caller,
    /// How often histories had been found to be no more before it was verified.
    verified_at: u64,
    calls: AtomicU32,
    streams: AtomicU32,
    connections: AtomicU32,
    bytes: AtomicUsize,
}

impl Bearer {
    fn new(caller: Caller, verified_at: u64) -> Self {
        let none = || AtomicU32::new(0);
        Self { caller, verified_at, calls: none(), streams: none(), connections: none(), bytes: AtomicUsize::new(0) }
    }

    /// Tells whose it is.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns how many calls it has under way.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Acquire)
    }

    /// Takes one of the `most` places for calls that one credential may have under way.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`].
    pub fn call(self: Arc<Self>, most: u32) -> Result<Permit, Error> {
        Permit::take(self, |bearer| &bearer.calls, most)
            .ok_or_else(|| limited(format!("more than {most} calls are under way"), RETRY.0))
    }

    /// Takes one of the `most` places for streams that one credential may have open.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`].
    pub fn stream(self: Arc<Self>, most: u32) -> Result<Permit, Error> {
        Permit::take(self, |bearer| &bearer.streams, most)
            .ok_or_else(|| limited(format!("more than {most} streams are open"), RETRY.1))
    }

    /// Takes one of the `most` places for connections that one credential may have.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`].
    pub fn connection(self: Arc<Self>, most: u32) -> Result<Permit, Error> {
        Permit::take(self, |bearer| &bearer.connections, most)
            .ok_or_else(|| limited(format!("more than {most} connections are open"), RETRY.1))
    }

    /// Returns how many bytes its requests and answers under way take.
    pub fn bytes(&self) -> &AtomicUsize {
        &self.bytes
    }
}

fn limited(message: String, retry_after: Duration) -> Error {
    Error::new(Reason::RateLimited, message).about("limit", "credential").retry_after(retry_after)
}

/// A place among what a bearer has under way; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    bearer: Arc<Bearer>,
    of: fn(&Bearer) -> &AtomicU32,
}

impl Permit {
    /// Returns whose it is.
    #[must_use]
    pub fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    fn take(bearer: Arc<Bearer>, of: fn(&Bearer) -> &AtomicU32, most: u32) -> Option<Self> {
        let taken = of(&bearer).fetch_add(1, Ordering::AcqRel);
        // From here on a drop gives it back.
        let permit = Self { bearer, of };
        (taken < most).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        (self.of)(&self.bearer).fetch_sub(1, Ordering::AcqRel);
    }
}

impl Services {
    /// Finds whose a credential is, an access token or an API key, as far as that needs no look at the database: a token is
    /// verified once, and whether it still stands is asked at every call. `None` for an API key that is not remembered.
    ///
    /// # Errors
    /// - [`Reason::CredentialInvalid`], [`Reason::TokenExpired`].
    /// - What [`Engine::must_be_alive`](crate::authz::Engine::must_be_alive) says.
    pub fn recognized(&self, credential: &str) -> Result<Option<Arc<Bearer>>, Error> {
        let digest = Digest(hash_of(credential));
        if let Some(bearer) = self.remembered(&digest) {
            return self.standing(&digest, bearer).map(Some);
        }
        if kind_of(credential) == Some(SecretKind::ApiKey) {
            return Ok(None);
        }
        let verified_at = self.engine.breaks();
        let caller = self.token_caller(credential)?;
        self.remember(&digest, caller, verified_at).map(Some)
    }

    /// As [`Services::recognized`], and looks in the database where that is needed.
    ///
    /// # Errors
    /// - [`Reason::CredentialInvalid`], [`Reason::TokenExpired`], [`Reason::KeyRevoked`],
    ///   [`Reason::ServiceAccountDisabled`].
    /// - What [`Engine::must_be_alive`](crate::authz::Engine::must_be_alive) says.
    pub async fn authenticate(&self, credential: &str) -> Result<Arc<Bearer>, Error> {
        if let Some(bearer) = self.recognized(credential)? {
            return Ok(bearer);
        }
        let digest = Digest(hash_of(credential));
        // Before it is verified: what breaks off meanwhile is noticed.
        let verified_at = self.engine.breaks();
        let caller = self.key_caller(&digest).await?;
        self.remember(&digest, caller, verified_at)
    }

    /// Finds what is remembered of a credential, and was verified in the history that stands.
    fn remembered(&self, digest: &Digest) -> Option<Arc<Bearer>> {
        let bearer = self.bearers.remembered.get(digest)?;
        if bearer.verified_at == self.engine.breaks() {
            return Some(bearer);
        }
        self.bearers.remembered.remove(digest);
        None
    }

    /// Finds whose an access token is, the token of a call or the subject of a check. Its signature is verified once;
    /// that it still stands is asked every time. Reads no table and waits for nothing.
    ///
    /// # Errors
    /// - [`Reason::CredentialInvalid`] for anything but an access token of this installation, an API key included.
    /// - [`Reason::TokenExpired`], [`Reason::SessionEnded`], [`Reason::UserDisabled`].
    pub fn bearer(&self, token: &str) -> Result<Caller, Error> {
        let digest = Digest(hash_of(token));
        let bearer = match self.remembered(&digest) {
            // A key that was presented before is remembered, too; here it is no more than unknown.
            Some(bearer) if bearer.caller.session.is_none() => return Err(unknown()),
            Some(bearer) => self.standing(&digest, bearer)?,
            None => {
                let verified_at = self.engine.breaks();
                let caller = self.token_caller(token)?;
                self.remember(&digest, caller, verified_at)?
            }
        };
        Ok(bearer.caller)
    }

    fn token_caller(&self, token: &str) -> Result<Caller, Error> {
        if !looks_like_jwt(token) {
            return Err(unknown());
        }
        let claims = self.tokens.verify(token)?;
        Ok(Caller {
            subject: Subject::User(claims.user),
            session: Some(claims.session),
            key: None,
            expires_at: Some(claims.expires_at),
        })
    }

    async fn key_caller(&self, digest: &Digest) -> Result<Caller, Error> {
        let owner = self.store.reads().key_owner(&digest.0).await?.ok_or_else(unknown)?;
        let caller = Caller {
            subject: Subject::ServiceAccount(owner.service_account),
            session: None,
            key: Some(owner.key),
            expires_at: owner.expires_at,
        };
        // In the order in which a remembered key is asked, so that the answer depends on no memory.
        caller.must_not_be_expired(self.env.now())?;
        if owner.is_revoked {
            return Err(key_revoked());
        }
        if !owner.is_enabled {
            return Err(account_disabled());
        }
        self.engine.find_key(owner.key);
        Ok(caller)
    }

    /// Remembers a verified credential, once it is known to stand. Of two that verified it at once both get the same.
    fn remember(&self, digest: &Digest, caller: Caller, verified_at: u64) -> Result<Arc<Bearer>, Error> {
        self.engine.must_be_alive(&caller)?;
        let verified = || Ok::<_, Infallible>(Arc::new(Bearer::new(caller, verified_at)));
        match self.bearers.remembered.get_or_insert_with(digest, verified) {
            Ok(bearer) => Ok(bearer),
            Err(never) => match never {},
        }
    }

    /// Asks whether a remembered credential still stands; it is forgotten if it does not.
    fn standing(&self, digest: &Digest, bearer: Arc<Bearer>) -> Result<Arc<Bearer>, Error> {
        self.engine.must_be_alive(&bearer.caller).inspect_err(|_| {
            self.bearers.remembered.remove(digest);
        })?;
        Ok(bearer)
    }

    /// Looks for the keys by which calls were made and streams opened. One that the database does not have, though it was
    /// good once, went with a part of the history: it is refused from now on, and its streams end.
    pub async fn look_for_keys(&self) -> Result<(), Error> {
        let remembered = self.bearers.remembered.iter().filter_map(|(_, bearer)| bearer.caller.key);
        let mut keys = self.engine.keys_of_streams();
        keys.extend(remembered);
        let keys: Vec<ApiKeyId> = keys.into_iter().collect();
        for keys in keys.chunks(LOOKED_FOR) {
            let there = self.store.reads().api_keys_there(keys).await?;
            let lost: HashSet<ApiKeyId> = keys.iter().copied().filter(|key| !there.contains(key)).collect();
            if !lost.is_empty() {
                tracing::warn!(count = lost.len(), "API keys are no more in the database, without having been revoked");
                self.engine.lose_keys(&lost);
                self.bearers.remembered.retain(|_, bearer| bearer.caller.key.is_none_or(|key| !lost.contains(&key)));
            }
        }
        Ok(())
    }
}

fn unknown() -> Error {
    Error::new(Reason::CredentialInvalid, "the credential is not one of this service")
}

/// The SHA-256 of a credential.
#[derive(Clone, PartialEq, Eq)]
struct Digest([u8; 32]);

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (leading, _) = self.0.split_first_chunk().expect("a digest has more than 8 bytes");
        state.write_u64(u64::from_le_bytes(*leading));
    }
}

/// Takes a digest's first bytes for its hash: they are as good as random, and hashing them again makes them no better.
#[derive(Default)]
struct Leading(u64);

impl Hasher for Leading {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, leading: u64) {
        self.0 = leading;
    }
}
