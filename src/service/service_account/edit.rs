//! Creating, disabling, enabling and deleting a service account.

use super::{WithGrants, before_all_it_holds};
use crate::domain::access::{Actor, may_do_to, may_let_in, may_shut_out};
use crate::domain::error::{Error, Reason};
use crate::domain::id::ServiceAccountId;
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::service_account::ServiceAccount;
use crate::service::{Authorize, Mutation};
use crate::store::{Grants, Tx};

/// Most grants and keys that go with an account in one commit.
const FACTS_MAX: usize = 8_000;
/// Most resources that an account which is deleted may own where nobody is asked to set another owner.
const OWNED_MAX: u64 = 1_000;

/// Creates a service account. It holds nothing until something is granted to it.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Debug)]
pub struct CreateServiceAccount {
    /// For people.
    pub display_name: String,
}

impl Authorize for CreateServiceAccount {}

impl Mutation for CreateServiceAccount {
    type Output = ServiceAccount;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ServiceAccount, Error> {
        let account = ServiceAccount {
            id: tx.id(),
            organization: Some(actor.organization),
            display_name: self.display_name.clone(),
            is_enabled: true,
            created_at: tx.now(),
            bound_to: None,
        };
        tx.service_account_insert(&account).await?;
        Ok(account)
    }
}

/// Disables a service account: what it holds is kept and does not count, and its keys are refused.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`].
/// - [`Reason::SelfRemoval`], [`Reason::ServiceAccountState`].
#[derive(Debug)]
pub struct DisableServiceAccount {
    pub id: ServiceAccountId,
}

impl Authorize for DisableServiceAccount {}

impl Mutation for DisableServiceAccount {
    type Output = ServiceAccount;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ServiceAccount, Error> {
        let (actor, WithGrants { account, grants }) = before_all_it_holds(tx.reads(), actor, self.id).await?;
        may_do_to(&actor, Principal::ServiceAccount(self.id))?;
        may_shut_out(&actor, Principal::ServiceAccount(self.id), &grants.live, actor.now)?;
        set_enabled(tx, account, false).await
    }
}

/// Enables a service account, with what it held and the keys it had.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`].
/// - [`Reason::SelfRemoval`], [`Reason::ServiceAccountState`].
#[derive(Debug)]
pub struct EnableServiceAccount {
    pub id: ServiceAccountId,
}

impl Authorize for EnableServiceAccount {}

impl Mutation for EnableServiceAccount {
    type Output = ServiceAccount;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ServiceAccount, Error> {
        let (actor, WithGrants { account, grants }) = before_all_it_holds(tx.reads(), actor, self.id).await?;
        may_do_to(&actor, Principal::ServiceAccount(self.id))?;
        may_let_in(&actor, Principal::ServiceAccount(self.id), &grants.live, actor.now)?;
        set_enabled(tx, account, true).await
    }
}

/// Deletes a service account: what it holds goes, and its keys are revoked.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`], [`Reason::SelfRemoval`].
/// - [`Reason::ServiceAccountBound`], [`Reason::ServiceAccountOwns`].
#[derive(Debug)]
pub struct DeleteServiceAccount {
    pub id: ServiceAccountId,
}

impl Authorize for DeleteServiceAccount {}

impl Mutation for DeleteServiceAccount {
    type Output = ServiceAccount;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ServiceAccount, Error> {
        let (actor, WithGrants { account, grants }) = before_all_it_holds(tx.reads(), actor, self.id).await?;
        may_do_to(&actor, Principal::ServiceAccount(self.id))?;
        may_shut_out(&actor, Principal::ServiceAccount(self.id), &grants.live, actor.now)?;
        account.must_be_free()?;
        disown(tx, actor, self.id).await?;
        delete(tx, self.id, grants).await?;
        Ok(account)
    }
}

async fn set_enabled(tx: &mut Tx, mut account: ServiceAccount, is_enabled: bool) -> Result<ServiceAccount, Error> {
    if account.is_enabled == is_enabled {
        let message = if is_enabled { "the account is enabled" } else { "the account is disabled" };
        return Err(Error::new(Reason::ServiceAccountState, message).about("service_account", account.id));
    }
    account.is_enabled = is_enabled;
    tx.service_account_update(&account).await?;
    Ok(account)
}

/// Leaves what an account owns without an owner, if the caller sees none of it: that has no owner from now on, and is not named.
async fn disown(tx: &mut Tx, actor: Actor, id: ServiceAccountId) -> Result<(), Error> {
    let owned = tx.reads().owned_by(&[Principal::ServiceAccount(id)], OWNED_MAX + 1).await?;
    let keys: Vec<ResourceKey> = owned.iter().map(|resource| resource.key.clone()).collect();
    let actor = tx.reads().widened(actor, &keys).await?;
    if owned.len() as u64 > OWNED_MAX || keys.iter().any(|key| actor.sees(Some(key))) {
        let message = "the account owns resources: set another owner first";
        return Err(Error::new(Reason::ServiceAccountOwns, message).about("service_account", id));
    }
    tx.resources_disown(owned).await
}

/// Deletes an account with its keys and what it holds.
async fn delete(tx: &mut Tx, id: ServiceAccountId, grants: Grants) -> Result<(), Error> {
    let most = u32::try_from(FACTS_MAX + 1).unwrap_or(u32::MAX);
    let mut api_keys = tx.reads().api_key_page(id, None, most).await?;
    api_keys.retain(|key| key.revoked_at.is_none());
    tx.grants_delete(&grants.rows(FACTS_MAX.saturating_sub(api_keys.len()))).await?;
    tx.api_keys_revoke(&api_keys).await?;
    tx.service_accounts_delete(&[id]).await
}
