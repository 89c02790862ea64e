//! API keys of service accounts: made, listed, rotated, taken back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth::{Secret, SecretKind};
use crate::domain::access::may_let_in;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{ApiKeyId, OrganizationId, ServiceAccountId};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::service_account::{ApiKey, ServiceAccount};
use crate::domain::time::{Timestamp, must_be_ahead};
use crate::service::context::see_account;
use crate::service::{Context, Read, Services, Written};
use crate::store::{Lock, Tx};

/// Asks for an API key.
#[derive(Clone, Copy, Debug)]
pub struct CreateApiKey {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which account.
    pub service_account: ServiceAccountId,
    /// From then on it is refused.
    pub expires_at: Option<Timestamp>,
    /// The key that is taken back in the same moment.
    pub replaces: Option<ApiKeyId>,
}

/// A new API key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedKey {
    /// As made.
    pub key: ApiKey,
}

/// Asks for a page of API keys.
#[derive(Clone, Debug)]
pub struct ListApiKeys {
    /// Whose.
    pub organization: OrganizationId,
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
    /// In the order in which they were made.
    pub keys: Vec<ApiKey>,
    /// After which the next page begins, if there is one.
    pub next: Option<ApiKeyId>,
}

/// Asks for an API key to be taken back.
#[derive(Clone, Copy, Debug)]
pub struct RevokeApiKey {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which account.
    pub service_account: ServiceAccountId,
    /// Which.
    pub key: ApiKeyId,
}

impl Services {
    /// Makes an API key, in the place of another if one is named. The second value is its secret, told this once; none on
    /// a replay or a dry run.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::NotFound`].
    /// - [`Reason::OutOfRange`] for an expiry that is not in the future.
    /// - [`Reason::ServiceAccountState`] if the account is disabled, [`Reason::ServiceAccountBound`],
    ///   [`Reason::ApiKeyState`] if the key to replace is no longer good.
    pub async fn create_api_key(
        self: &Arc<Self>,
        context: &Context,
        request: CreateApiKey,
    ) -> Result<(Written<IssuedKey>, Option<Secret>), Error> {
        let organization = request.organization;
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        must_be_ahead("expire_time", request.expires_at, self.world.now())?;
        let secret = Secret::new(&self.world, SecretKind::ApiKey);

        let (call, hash) = (context.clone(), secret.hash());
        let written = self
            .write(context, Lock::Organization(organization), move |tx| create_key(tx, call.clone(), request, hash))
            .await?;
        let is_told = !written.is_replay && !context.validate_only;
        Ok((written, is_told.then_some(secret)))
    }

    /// Lists the API keys of a service account, revoked and expired ones too. Never their secrets.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::NotFound`].
    pub async fn list_api_keys(&self, context: &Context, request: ListApiKeys) -> Result<Read<ApiKeys>, Error> {
        let ListApiKeys { organization, service_account, size, after } = request;
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let mut actor = reads.of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let found = reads.of(organization).service_account(service_account).await?;
        if let [key] = bound(found.as_ref()).as_slice() {
            actor =
                reads.of(organization).actor(context.subject()?, std::slice::from_ref(key), self.world.now()).await?;
        }
        see_account(&actor, found, service_account, self.world.now())?;
        let keys = reads.api_key_page(service_account, after, size).await?;
        let next = keys.last().filter(|_| keys.len() == size as usize).map(|key| key.id);
        Ok(Read { value: ApiKeys { keys, next }, token })
    }

    /// Takes an API key back, on every server. One that was taken back before stays so.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::NotFound`].
    pub async fn revoke_api_key(
        self: &Arc<Self>,
        context: &Context,
        request: RevokeApiKey,
    ) -> Result<Written<ApiKey>, Error> {
        let organization = request.organization;
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| revoke(tx, call.clone(), request)).await
    }
}

/// Makes a key, under the ceiling: who has it has everything that the account holds.
async fn create_key(
    mut tx: Tx,
    context: Context,
    request: CreateApiKey,
    secret_hash: [u8; 32],
) -> Result<(Tx, IssuedKey), Error> {
    let (organization, account) = (request.organization, request.service_account);
    let principal = Principal::ServiceAccount(account);
    let grants = tx.reads().grants_of(&[principal], tx.now()).await?.live;
    let found = tx.reads().service_account(account).await?;
    let places = grants.iter().filter_map(|grant| grant.place.resource().cloned()).chain(bound(found.as_ref()));
    let actor = tx.reads().actor(context.subject()?, &places.collect::<Vec<_>>(), tx.now()).await?;
    context.authorize(&actor, None, "")?;
    let found = see_account(&actor, found, account, tx.now())?;
    may_let_in(&actor, principal, &grants, tx.now())?;
    found.must_be_free()?;
    if !found.is_enabled {
        let message = "a disabled account gets no keys";
        return Err(Error::new(Reason::ServiceAccountState, message).about("service_account", account));
    }
    if let Some(replaced) = request.replaces {
        let replaced = tx.above().api_key(account, replaced).await?;
        let replaced = replaced.ok_or_else(|| key_not_found(request.replaces))?;
        replaced.must_be_good(tx.now())?;
        tx.api_keys_revoke(&[replaced]).await?;
    }

    let key = ApiKey {
        id: tx.id(),
        service_account: account,
        created_at: tx.now(),
        expires_at: request.expires_at,
        revoked_at: None,
    };
    tx.api_key_insert(Some(organization), &key, &secret_hash).await?;
    Ok((tx, IssuedKey { key }))
}

async fn revoke(mut tx: Tx, context: Context, request: RevokeApiKey) -> Result<(Tx, ApiKey), Error> {
    let RevokeApiKey { organization, service_account, key } = request;
    let found = tx.reads().service_account(service_account).await?;
    let actor = tx.reads().actor(context.subject()?, &bound(found.as_ref()), tx.now()).await?;
    context.authorize(&actor, None, "")?;
    see_account(&actor, found, service_account, tx.now())?;
    let revoked = tx.above().api_key(service_account, key).await?;
    let mut revoked = revoked.ok_or_else(|| key_not_found(Some(key)))?;
    if revoked.revoked_at.is_none() {
        tx.api_keys_revoke(std::slice::from_ref(&revoked)).await?;
        revoked.revoked_at = Some(tx.now());
    }
    Ok((tx, revoked))
}

fn bound(account: Option<&ServiceAccount>) -> Vec<ResourceKey> {
    account.and_then(|account| account.bound_to.clone()).into_iter().collect()
}

fn key_not_found(id: Option<ApiKeyId>) -> Error {
    Error::not_found("api_key", id.map(|id| id.to_string()).unwrap_or_default())
}
