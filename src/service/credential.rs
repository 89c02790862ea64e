//! Credentials: whose an API key or an access token is.

use super::{Caller, Services};
use crate::auth::{SecretKind, hash_of, kind_of, looks_like_jwt};
use crate::domain::error::{Error, Reason};
use crate::domain::place::Subject;

impl Services {
    /// Verifies a credential from scratch: a signature, or a look-up by hash. What it says may be remembered, and is then
    /// to be asked of [`Engine::must_be_alive`](crate::authz::Engine::must_be_alive) at every call.
    ///
    /// # Errors
    /// - [`Reason::CredentialInvalid`], [`Reason::TokenExpired`], [`Reason::KeyRevoked`].
    pub async fn authenticate(&self, credential: &str) -> Result<Caller, Error> {
        if kind_of(credential) == Some(SecretKind::ApiKey) {
            return self.authenticate_key(credential).await;
        }
        if !looks_like_jwt(credential) {
            return Err(unknown());
        }
        let claims = self.tokens.verify(credential)?;
        Ok(Caller {
            subject: Subject::User(claims.user),
            session: Some(claims.session),
            key: None,
            expires_at: Some(claims.expires_at),
        })
    }

    /// Finds whose an access token is.
    ///
    /// # Errors
    /// - [`Reason::CredentialInvalid`], [`Reason::TokenExpired`], [`Reason::SessionEnded`], [`Reason::UserDisabled`].
    pub fn bearer(&self, token: &str) -> Result<Caller, Error> {
        let claims = self.tokens.verify(token)?;
        let caller = Caller {
            subject: Subject::User(claims.user),
            session: Some(claims.session),
            key: None,
            expires_at: Some(claims.expires_at),
        };
        self.engine.must_be_alive(&caller)?;
        Ok(caller)
    }

    async fn authenticate_key(&self, key: &str) -> Result<Caller, Error> {
        let owner = self.store.reads().key_owner(&hash_of(key)).await?.ok_or_else(unknown)?;
        if owner.is_revoked || !owner.is_enabled {
            return Err(Error::new(Reason::KeyRevoked, "the API key was revoked"));
        }
        Ok(Caller {
            subject: Subject::ServiceAccount(owner.service_account),
            session: None,
            key: Some(owner.key),
            expires_at: owner.expires_at,
        })
    }
}

fn unknown() -> Error {
    Error::new(Reason::CredentialInvalid, "the credential is not one of this service")
}
