//! Service accounts and their API keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::text::required_name;
use super::{Context, Services, Written};
use crate::auth::{Secret, SecretKind};
use crate::domain::access::may_give;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{OrganizationId, ServiceAccountId};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::service_account::{ApiKey, ServiceAccount};
use crate::domain::time::Timestamp;
use crate::store::{Lock, Tx};

/// Asks for a service account.
#[derive(Clone, Debug)]
pub struct CreateServiceAccount {
    /// Whose.
    pub organization: OrganizationId,
    /// For people.
    pub display_name: String,
}

/// Asks for an API key.
#[derive(Clone, Copy, Debug)]
pub struct CreateApiKey {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which account.
    pub service_account: ServiceAccountId,
    /// From then on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// A new API key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedKey {
    /// As made.
    pub key: ApiKey,
}

impl Services {
    /// Makes a service account. It holds nothing until something is granted to it.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::NotFound`].
    /// - [`Reason::FieldRequired`], [`Reason::TextMalformed`].
    pub async fn create_service_account(
        self: &Arc<Self>,
        context: &Context,
        request: CreateServiceAccount,
    ) -> Result<Written<ServiceAccount>, Error> {
        let organization = request.organization;
        let actor = self.store.reads().actor(organization, context.subject()?, &[]).await?;
        context.authorize(&actor, organization, None, "", self.world.now())?;
        let display_name = required_name("display_name", &request.display_name)?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            create(tx, call.clone(), organization, display_name.clone())
        })
        .await
    }

    /// Makes an API key. The second value is its secret, told this once; none on a replay or a dry run.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::NotFound`].
    /// - [`Reason::OutOfRange`] for an expiry that is not in the future.
    /// - [`Reason::ServiceAccountState`] if the account is disabled.
    pub async fn create_api_key(
        self: &Arc<Self>,
        context: &Context,
        request: CreateApiKey,
    ) -> Result<(Written<IssuedKey>, Option<Secret>), Error> {
        let organization = request.organization;
        let actor = self.store.reads().actor(organization, context.subject()?, &[]).await?;
        context.authorize(&actor, organization, None, "", self.world.now())?;
        if request.expires_at.is_some_and(|expires_at| expires_at <= self.world.now()) {
            return Err(Error::invalid("expire_time", Reason::OutOfRange, "must be in the future"));
        }
        let secret = Secret::new(&self.world, SecretKind::ApiKey);

        let (call, hash) = (context.clone(), secret.hash());
        let written = self
            .write(context, Lock::Organization(organization), move |tx| create_key(tx, call.clone(), request, hash))
            .await?;
        let is_told = !written.is_replay && !context.validate_only;
        Ok((written, is_told.then_some(secret)))
    }
}

async fn create(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    display_name: String,
) -> Result<(Tx, ServiceAccount), Error> {
    let actor = tx.reads().actor(organization, context.subject()?, &[]).await?;
    context.authorize(&actor, organization, None, "", tx.now())?;
    let account = ServiceAccount {
        id: tx.id(),
        organization: Some(organization),
        display_name,
        is_enabled: true,
        created_at: tx.now(),
    };
    tx.service_account_insert(&account).await?;
    Ok((tx, account))
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
    let grants = tx.reads().grants_of(organization, &[principal]).await?;
    let places: Vec<ResourceKey> = grants.iter().filter_map(|grant| grant.place.resource().cloned()).collect();
    let actor = tx.reads().actor(organization, context.subject()?, &places).await?;
    context.authorize(&actor, organization, None, "", tx.now())?;
    let found = tx.reads().service_account(organization, account).await?;
    let found = found.ok_or_else(|| Error::not_found("service_account", account))?;
    for grant in &grants {
        may_give(&actor.at(grant.place.resource()), &grant.held, principal, tx.now())?;
    }
    if !found.is_enabled {
        let message = "a disabled account gets no keys";
        return Err(Error::new(Reason::ServiceAccountState, message).about("service_account", account));
    }

    let key = ApiKey { id: tx.id(), service_account: account, created_at: tx.now(), expires_at: request.expires_at };
    tx.api_key_insert(Some(organization), &key, &secret_hash).await?;
    Ok((tx, IssuedKey { key }))
}
