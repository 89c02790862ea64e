//! Service accounts: made, listed, shut out, let in again, ended.

mod api_key;

pub use api_key::{ApiKeys, CreateApiKey, IssuedKey, ListApiKeys, RevokeApiKey};

use std::sync::Arc;

use crate::domain::access::{Actor, is_visible, may_let_in, may_shut_out};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Grant;
use crate::domain::id::{OrganizationId, ServiceAccountId};
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::service_account::ServiceAccount;
use crate::domain::text::required_name;
use crate::service::context::see_account;
use crate::service::{Context, Read, Services, Written};
use crate::store::{Grants, Lock, Tx};

/// How often more is looked for for one page, where the tables do not agree with the index.
const CHUNKS_MAX: usize = 40;

/// Most grants and keys that go with an account in one commit.
const FACTS_MAX: usize = 8_000;
/// Most resources that an account which ends may own where nobody is asked to hand them over.
const OWNED_MAX: u64 = 1_000;

/// Asks for a service account.
#[derive(Clone, Debug)]
pub struct CreateServiceAccount {
    /// Whose.
    pub organization: OrganizationId,
    /// For people.
    pub display_name: String,
}

/// Asks for a page of service accounts.
#[derive(Clone, Debug)]
pub struct ListServiceAccounts {
    /// Whose.
    pub organization: OrganizationId,
    /// At most so many.
    pub size: u32,
    /// After which the page begins; the first if nothing.
    pub after: Option<ServiceAccountId>,
}

/// A page of service accounts.
#[derive(Clone, Debug)]
pub struct ServiceAccounts {
    /// In the order in which they were made.
    pub accounts: Vec<ServiceAccount>,
    /// After which the next page begins, if there is one.
    pub next: Option<ServiceAccountId>,
}

/// What is done to a service account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Disable,
    Enable,
    Delete,
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
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let display_name = required_name("display_name", &request.display_name)?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            create(tx, call.clone(), organization, display_name.clone())
        })
        .await
    }

    /// Shows a service account.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`]; [`Reason::NotFound`] for one that is bound to a resource which the caller does not
    ///   see, too.
    pub async fn service_account(
        &self,
        context: &Context,
        organization: OrganizationId,
        id: ServiceAccountId,
    ) -> Result<Read<ServiceAccount>, Error> {
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let mut actor = reads.of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let found = reads.of(organization).service_account(id).await?;
        if let Some(key) = found.as_ref().and_then(|account| account.bound_to.as_ref()) {
            actor =
                reads.of(organization).actor(context.subject()?, std::slice::from_ref(key), self.world.now()).await?;
        }
        Ok(Read { value: see_account(&actor, found, id, self.world.now())?, token })
    }

    /// Lists the service accounts of an organization, but for those that are bound to resources which the caller does not
    /// see.
    ///
    /// # Errors
    /// - [`Reason::PermissionMissing`], [`Reason::NotFound`].
    /// - [`Reason::IndexStale`], and what [`Engine::view`](crate::authz::Engine::view) fails with.
    pub async fn list_service_accounts(
        &self,
        context: &Context,
        request: ListServiceAccounts,
    ) -> Result<Read<ServiceAccounts>, Error> {
        let ListServiceAccounts { organization, size, after } = request;
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let actor = reads.of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;

        let subject = context.subject()?;
        let sought = self.sought(&actor, subject, organization, token).await?;
        let (mut accounts, mut from): (Vec<ServiceAccount>, _) = (Vec::new(), after);
        for _ in 0..CHUNKS_MAX {
            // A page ends where an account that is seen follows, so that its token tells of no other (CM-13).
            let wanted = size as usize + 1 - accounts.len();
            let found = sought.accounts(&reads, organization, from, wanted).await?;
            let is_last = found.len() < wanted;
            from = found.last().map(|account| account.id);
            let places: Vec<ResourceKey> = found.iter().filter_map(|account| account.bound_to.clone()).collect();
            let actor = reads.of(organization).actor(subject, &places, self.world.now()).await?;
            let now = self.world.now();
            for account in found {
                let id = account.id;
                accounts.extend(see_account(&actor, Some(account), id, now));
            }
            if accounts.len() > size as usize {
                accounts.truncate(size as usize);
                let next = accounts.last().map(|account| account.id);
                return Ok(Read { value: ServiceAccounts { accounts, next }, token });
            }
            if is_last {
                return Ok(Read { value: ServiceAccounts { accounts, next: None }, token });
            }
        }
        Ok(Read { value: ServiceAccounts { accounts, next: from }, token })
    }

    /// Shuts a service account out: what it holds is kept and does not count, and its keys are refused.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`].
    /// - [`Reason::SelfRemoval`], [`Reason::ServiceAccountState`].
    pub async fn disable_service_account(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        id: ServiceAccountId,
    ) -> Result<Written<ServiceAccount>, Error> {
        self.move_account(context, organization, id, Act::Disable).await
    }

    /// Lets a service account in again, with what it held and the keys it had.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`],
    ///   [`Reason::ServiceAccountState`].
    pub async fn enable_service_account(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        id: ServiceAccountId,
    ) -> Result<Written<ServiceAccount>, Error> {
        self.move_account(context, organization, id, Act::Enable).await
    }

    /// Ends a service account: what it holds goes, and its keys are revoked.
    ///
    /// # Errors
    /// - As [`Services::disable_service_account`]; [`Reason::ServiceAccountBound`], [`Reason::ServiceAccountOwns`].
    pub async fn delete_service_account(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        id: ServiceAccountId,
    ) -> Result<Written<ServiceAccount>, Error> {
        self.move_account(context, organization, id, Act::Delete).await
    }

    async fn move_account(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        id: ServiceAccountId,
        act: Act,
    ) -> Result<Written<ServiceAccount>, Error> {
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            move_state(tx, call.clone(), organization, id, act)
        })
        .await
    }
}

async fn create(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    display_name: String,
) -> Result<(Tx, ServiceAccount), Error> {
    let actor = tx.reads().actor(context.subject()?, &[], tx.now()).await?;
    context.authorize(&actor, None, "")?;
    let account = ServiceAccount {
        id: tx.id(),
        organization: Some(organization),
        display_name,
        is_enabled: true,
        created_at: tx.now(),
        bound_to: None,
    };
    tx.service_account_insert(&account).await?;
    Ok((tx, account))
}

async fn move_state(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    id: ServiceAccountId,
    act: Act,
) -> Result<(Tx, ServiceAccount), Error> {
    let principal = Principal::ServiceAccount(id);
    let grants = tx.reads().grants_of(&[principal], tx.now()).await?;
    let found = tx.reads().service_account(id).await?;
    let bound = found.iter().filter_map(|account| account.bound_to.clone());
    let places: Vec<ResourceKey> =
        grants.live.iter().filter_map(|grant| grant.place.resource().cloned()).chain(bound).collect();
    let actor = tx.reads().actor(context.subject()?, &places, tx.now()).await?;
    context.authorize(&actor, None, "")?;
    let mut account = see_account(&actor, found, id, tx.now())?;
    may_move(&tx, &actor, &grants.live, principal, act)?;

    if act == Act::Delete {
        account.must_be_free()?;
        end(&mut tx, &context, &account, grants).await?;
        return Ok((tx, account));
    }
    let is_enabled = act == Act::Enable;
    if account.is_enabled == is_enabled {
        let message = if is_enabled { "the account is enabled" } else { "the account is disabled" };
        return Err(Error::new(Reason::ServiceAccountState, message).about("service_account", id));
    }
    account.is_enabled = is_enabled;
    tx.service_account_update(&account).await?;
    Ok((tx, account))
}

async fn end(tx: &mut Tx, context: &Context, account: &ServiceAccount, grants: Grants) -> Result<(), Error> {
    let owned = tx.reads().owned_by(&[Principal::ServiceAccount(account.id)], OWNED_MAX + 1).await?;
    let keys: Vec<ResourceKey> = owned.iter().map(|resource| resource.key.clone()).collect();
    let actor = tx.reads().actor(context.subject()?, &keys, tx.now()).await?;
    if owned.len() as u64 > OWNED_MAX || keys.iter().any(|key| is_visible(&actor.at(Some(key)), tx.now())) {
        let message = "the account owns resources: hand them over first";
        return Err(Error::new(Reason::ServiceAccountOwns, message).about("service_account", account.id));
    }
    // What the caller does not see is nobody's from now on, and they are not told.
    tx.resources_disown(owned).await?;
    let most = u32::try_from(FACTS_MAX + 1).unwrap_or(u32::MAX);
    let mut api_keys = tx.above().api_key_page(account.id, None, most).await?;
    api_keys.retain(|key| key.revoked_at.is_none());
    tx.grants_delete(&grants.rows(FACTS_MAX.saturating_sub(api_keys.len()))).await?;
    tx.api_keys_revoke(&api_keys).await?;
    tx.service_accounts_delete(&[account.id]).await
}

/// Asks the ceiling: what is shut out or ended loses every role, what is let in gets everything again.
fn may_move(tx: &Tx, actor: &Actor, grants: &[Grant], principal: Principal, act: Act) -> Result<(), Error> {
    if actor.standing.is_among(principal) {
        return Err(Error::new(Reason::SelfRemoval, "nobody does this to themselves"));
    }
    match act {
        Act::Disable | Act::Delete => may_shut_out(actor, principal, grants, tx.now()),
        Act::Enable => may_let_in(actor, principal, grants, tx.now()),
    }
}
