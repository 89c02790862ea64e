//! Who is being removed: told to the product, which acknowledges.

use std::sync::Arc;

use crate::domain::access::Actor;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::removal::Removal;
use crate::service::{Authorize, Call, Context, Mutation, Query, Services, Written};
use crate::store::{RemovalKey, Tx};

/// Lists the removals that are under way, oldest first.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Clone, Debug)]
pub struct ListRemovals {
    /// Only those that this listener has yet to acknowledge.
    pub listener: Option<Arc<str>>,
    /// At most so many; those that the listener has acknowledged count among them.
    pub size: u32,
    /// After which removal the page begins.
    pub after: Option<RemovalKey>,
}

/// A page of removals.
#[derive(Clone, Debug)]
pub struct Removals {
    /// Oldest first.
    pub removals: Vec<Removal>,
    /// After which removal the next page begins, if there is one.
    pub next: Option<RemovalKey>,
}

impl Authorize for ListRemovals {}

impl Query for ListRemovals {
    type Output = Removals;

    async fn read(&self, call: &Call<'_>, _actor: Actor) -> Result<Removals, Error> {
        let mut removals = call.reads.removal_page(self.after, self.size + 1).await?;
        let has_more = removals.len() > self.size as usize;
        removals.truncate(self.size as usize);
        let next = removals.last().filter(|_| has_more);
        let next = next.map(|removal| (removal.requested_at.as_micros(), removal.membership.0));
        removals.retain(|removal| self.listener.as_ref().is_none_or(|listener| removal.awaiting.contains(listener)));
        Ok(Removals { removals, next })
    }
}

/// Notes that somebody of the product has done what a removal asks of it. The last one's word ends the membership.
///
/// # Errors
/// - [`Reason::NotFound`], also for a removal that has ended; [`Reason::PermissionMissing`].
/// - [`Reason::OutOfRange`] for a listener that the catalog does not name.
#[derive(Debug)]
pub struct AcknowledgeRemoval {
    /// Whose removal.
    pub membership: MembershipId,
    /// Who has done it.
    pub listener: Arc<str>,
}

impl Authorize for AcknowledgeRemoval {}

impl Mutation for AcknowledgeRemoval {
    type Output = Removal;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Removal, Error> {
        let removal = tx.reads().removal(self.membership).await?;
        let mut removal = removal.ok_or_else(|| Error::not_found("removal", self.membership))?;
        let is_awaited = removal.awaiting.contains(&self.listener);
        // One that the catalog named when the removal began is waited for still.
        if !is_awaited && !actor.catalog.removal().listeners.contains(&self.listener) {
            let message = "is none of those that the catalog waits for";
            return Err(Error::invalid("listener", Reason::OutOfRange, message));
        }
        if is_awaited {
            removal.awaiting.retain(|name| *name != self.listener);
            tx.removal_update(&removal).await?;
        }
        Ok(removal)
    }
}

impl Services {
    /// Notes an acknowledgement, and ends the membership with the last one.
    ///
    /// # Errors
    /// As [`AcknowledgeRemoval`].
    pub async fn acknowledge_removal(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: AcknowledgeRemoval,
    ) -> Result<Written<Removal>, Error> {
        let mut written = self.run(context, organization, request).await?;
        if !context.validate_only && written.value.awaiting.is_empty() {
            written.token = self.finish_committed(organization, written.value.membership, written.token).await;
        }
        Ok(written)
    }
}
