//! Showing and listing service accounts.

use super::{bound_to, find, seen};
use crate::domain::access::Actor;
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::id::{OrganizationId, ServiceAccountId};
use crate::domain::place::ResourceKey;
use crate::domain::service_account::ServiceAccount;
use crate::service::{Authorize, Call, Context, Query, Read, Services};

/// How often more is looked for for one page, where the tables do not agree with the index.
const CHUNKS_MAX: usize = 40;

/// Shows a service account.
///
/// # Errors
/// - [`Reason::NotFound`], for one that is bound to a resource which the caller does not see, too;
///   [`Reason::PermissionMissing`].
#[derive(Debug)]
pub struct GetServiceAccount {
    pub id: ServiceAccountId,
}

impl Authorize for GetServiceAccount {}

impl Query for GetServiceAccount {
    type Output = ServiceAccount;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<ServiceAccount, Error> {
        find(call.reads, actor, self.id).await
    }
}

/// Lists the service accounts of an organization, but for those that are bound to resources which the caller does not see.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
/// - [`Reason::IndexStale`], and what [`Engine::view`](crate::authz::Engine::view) fails with.
#[derive(Clone, Copy, Debug)]
pub struct ListServiceAccounts {
    /// At most so many.
    pub size: u32,
    /// After which the page begins; the first if nothing.
    pub after: Option<ServiceAccountId>,
}

/// A page of service accounts.
#[derive(Clone, Debug)]
pub struct ServiceAccounts {
    /// In the order in which they were created.
    pub accounts: Vec<ServiceAccount>,
    /// After which the next page begins, if there is one.
    pub next: Option<ServiceAccountId>,
}

impl Authorize for ListServiceAccounts {}

impl Services {
    /// Lists service accounts where the index knows that the caller sees something.
    ///
    /// # Errors
    /// As [`ListServiceAccounts`].
    pub async fn list_service_accounts(
        &self,
        context: &Context,
        organization: OrganizationId,
        request: ListServiceAccounts,
    ) -> Result<Read<ServiceAccounts>, Error> {
        let token = self.token_before_reading(organization).await?;
        let call = self.call(context).of(organization);
        let actor = request.authorize(&call).await?;
        let sought = self.sought(&actor, token).await?;

        let size = request.size as usize;
        let (mut accounts, mut from): (Vec<ServiceAccount>, _) = (Vec::new(), request.after);
        for _ in 0..CHUNKS_MAX {
            // A page ends where an account that is seen follows, so that its token names no other (CM-13).
            let wanted = size + 1 - accounts.len();
            let found = sought.accounts(call.reads, from, wanted).await?;
            let is_last = found.len() < wanted;
            from = found.last().map(|account| account.id);
            let places: Vec<ResourceKey> = found.iter().flat_map(|account| bound_to(Some(account))).collect();
            let there = call.reads.widened(actor.clone(), &places).await?;
            for account in found {
                let id = account.id;
                accounts.extend(seen(&there, Some(account), id));
            }
            if accounts.len() > size {
                accounts.truncate(size);
                let next = accounts.last().map(|account| account.id);
                return Ok(Read { value: ServiceAccounts { accounts, next }, token });
            }
            if is_last {
                return Ok(Read { value: ServiceAccounts { accounts, next: None }, token });
            }
        }
        Ok(Read { value: ServiceAccounts { accounts, next: from }, token })
    }
}
