//! API keys of service accounts: created, listed, rotated, revoked.

use serde::{Deserialize, Serialize};

use super::{WithGrants, before_all_it_holds, find};
use crate::auth::{Secret, SecretKind};
use crate::clock::Env;
use crate::domain::access::{Actor, may_let_in};
use crate::domain::error::{Error, Reason};
use crate::domain::id::{ApiKeyId, ServiceAccountId};
use crate::domain::place::Principal;
use crate::domain::service_account::ApiKey;
use crate::domain::time::{Timestamp, must_be_ahead};
use crate::service::{Authorize, Call, Mutation, Query};
use crate::store::{OrgReads, Tx};

/// Creates an API key, in the place of another if one is named, under the ceiling: who has it has everything that the account
/// holds.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`].
/// - [`Reason::OutOfRange`] for an expiry that is not in the future.
/// - [`Reason::ServiceAccountState`] if the account is disabled, [`Reason::ServiceAccountBound`], [`Reason::ApiKeyState`] if
///   the key to replace is no longer good.
#[derive(Debug)]
pub struct CreateApiKey {
    /// Of which account.
    pub service_account: ServiceAccountId,
    /// From then on it is refused.
    pub expires_at: Option<Timestamp>,
    /// The key that is revoked in the same moment.
    pub replaces: Option<ApiKeyId>,
    /// Where the secret is drawn from.
    pub env: Env,
}

/// A new API key.
#[derive(Debug, Serialize, Deserialize)]
pub struct IssuedKey {
    /// As created.
    pub key: ApiKey,
    /// Returned this once: not by a replay, since it is not stored, nor where nothing is committed.
    #[serde(skip)]
    pub secret: Option<Secret>,
}

impl Authorize for CreateApiKey {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.permitted().await?;
        must_be_ahead("expire_time", self.expires_at, call.now)?;
        Ok(actor)
    }
}

impl Mutation for CreateApiKey {
    type Output = IssuedKey;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<IssuedKey, Error> {
        let (actor, WithGrants { account, grants }) =
            before_all_it_holds(tx.reads(), actor, self.service_account).await?;
        may_let_in(&actor, Principal::ServiceAccount(account.id), &grants.live, actor.now)?;
        account.must_be_free()?;
        if !account.is_enabled {
            let message = "a disabled account gets no keys";
            return Err(Error::new(Reason::ServiceAccountState, message).about("service_account", account.id));
        }
        if let Some(replaced) = self.replaces {
            let replaced = find_key(tx.reads(), account.id, replaced).await?;
            replaced.must_be_good(tx.now())?;
            tx.api_keys_revoke(&[replaced]).await?;
        }

        let secret = Secret::new(&self.env, SecretKind::ApiKey);
        let key = ApiKey {
            id: tx.id(),
            service_account: account.id,
            created_at: tx.now(),
            expires_at: self.expires_at,
            revoked_at: None,
        };
        tx.api_key_insert(&key, &secret.hash()).await?;
        Ok(IssuedKey { key, secret: (!tx.is_dry()).then_some(secret) })
    }
}

/// Lists the API keys of a service account, revoked and expired ones too. Never their secrets.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Clone, Copy, Debug)]
pub struct ListApiKeys {
    /// Of which account.
    pub service_account: ServiceAccountId,
    /// At most so many.
    pub size: u32,
    /// After which the page begins; the first if nothing.
    pub after: Option<ApiKeyId>,
}

/// A page of API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// In the order in which they were created.
    pub keys: Vec<ApiKey>,
    /// After which the next page begins, if there is one.
    pub next: Option<ApiKeyId>,
}

impl Authorize for ListApiKeys {}

impl Query for ListApiKeys {
    type Output = ApiKeys;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<ApiKeys, Error> {
        let account = find(call.reads, actor, self.service_account).await?;
        let keys = call.reads.api_key_page(account.id, self.after, self.size).await?;
        let next = keys.last().filter(|_| keys.len() == self.size as usize).map(|key| key.id);
        Ok(ApiKeys { keys, next })
    }
}

/// Revokes an API key, on every server. One that was revoked before stays so.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Clone, Copy, Debug)]
pub struct RevokeApiKey {
    /// Of which account.
    pub service_account: ServiceAccountId,
    pub key: ApiKeyId,
}

impl Authorize for RevokeApiKey {}

impl Mutation for RevokeApiKey {
    type Output = ApiKey;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ApiKey, Error> {
        let account = find(tx.reads(), actor, self.service_account).await?;
        let mut revoked = find_key(tx.reads(), account.id, self.key).await?;
        if revoked.revoked_at.is_none() {
            tx.api_keys_revoke(std::slice::from_ref(&revoked)).await?;
            revoked.revoked_at = Some(tx.now());
        }
        Ok(revoked)
    }
}

async fn find_key(reads: OrgReads<'_>, account: ServiceAccountId, id: ApiKeyId) -> Result<ApiKey, Error> {
    reads.api_key(account, id).await?.ok_or_else(|| Error::not_found("api_key", id))
}
