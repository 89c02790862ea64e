//! Service accounts: created, shown, listed, disabled, enabled, deleted; and their API keys.

mod api_key;
mod edit;
mod read;

pub use api_key::{ApiKeys, CreateApiKey, IssuedKey, ListApiKeys, RevokeApiKey};
pub use edit::{CreateServiceAccount, DeleteServiceAccount, DisableServiceAccount, EnableServiceAccount};
pub use read::{GetServiceAccount, ListServiceAccounts, ServiceAccounts};

use crate::domain::access::Actor;
use crate::domain::error::Error;
use crate::domain::id::ServiceAccountId;
use crate::domain::place::{Principal, ResourceKey, resources_among};
use crate::domain::service_account::ServiceAccount;
use crate::store::{Grants, OrgReads};

/// A service account as the caller may see it, with what it holds.
struct WithGrants {
    account: ServiceAccount,
    grants: Grants,
}

/// Returns a service account that exists in the caller's eyes.
///
/// # Errors
/// As [`seen`].
async fn find(reads: OrgReads<'_>, actor: Actor, id: ServiceAccountId) -> Result<ServiceAccount, Error> {
    let found = reads.service_account(id).await?;
    let actor = reads.widened(actor, &bound_to(found.as_ref())).await?;
    seen(&actor, found, id)
}

/// Returns a service account that exists in the caller's eyes with what it holds, and the actor with facts about every place
/// where that is.
///
/// # Errors
/// As [`seen`].
async fn before_all_it_holds(
    reads: OrgReads<'_>,
    actor: Actor,
    id: ServiceAccountId,
) -> Result<(Actor, WithGrants), Error> {
    let grants = reads.grants_of(&[Principal::ServiceAccount(id)], actor.now).await?;
    let found = reads.service_account(id).await?;
    let mut places = bound_to(found.as_ref());
    places.extend(resources_among(grants.live.iter().map(|grant| &grant.place)));
    let actor = reads.widened(actor, &places).await?;
    let account = seen(&actor, found, id)?;
    Ok((actor, WithGrants { account, grants }))
}

/// Ensures that a service account exists in the caller's eyes: one that is bound to a resource is seen by callers who see that.
///
/// # Errors
/// - [`NotFound`](crate::domain::error::Reason::NotFound).
fn seen(actor: &Actor, found: Option<ServiceAccount>, id: ServiceAccountId) -> Result<ServiceAccount, Error> {
    let is_seen = |account: &ServiceAccount| account.bound_to.as_ref().is_none_or(|key| actor.sees(Some(key)));
    found.filter(is_seen).ok_or_else(|| Error::not_found("service_account", id))
}

fn bound_to(account: Option<&ServiceAccount>) -> Vec<ResourceKey> {
    account.and_then(|account| account.bound_to.clone()).into_iter().collect()
}
