//! Who is being removed: told to the product, which acknowledges.

use std::sync::Arc;

use crate::domain::error::{Error, Reason};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::removal::Removal;
use crate::service::{Context, Read, Services, Written};
use crate::store::{Lock, RemovalKey, Tx};

impl Services {
    /// Gives a page of the removals that are under way, oldest first; those that `listener` has yet to acknowledge, if
    /// one is named.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    pub async fn removals(
        &self,
        context: &Context,
        organization: OrganizationId,
        listener: &str,
        after: Option<RemovalKey>,
        size: u32,
    ) -> Result<Read<(Vec<Removal>, Option<RemovalKey>)>, Error> {
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let actor = reads.of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let mut page = reads.of(organization).removal_page(after, size + 1).await?;
        let has_more = page.len() > size as usize;
        page.truncate(size as usize);
        let next = page.last().filter(|_| has_more);
        let next = next.map(|removal| (removal.requested_at.as_micros(), removal.membership.0));
        page.retain(|removal| listener.is_empty() || removal.awaiting.iter().any(|name| **name == *listener));
        Ok(Read { value: (page, next), token })
    }

    /// Notes that somebody of the product has done what a removal asks of it. The last one's word ends the membership.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], also for a removal that has ended; [`Reason::PermissionMissing`].
    /// - [`Reason::OutOfRange`] for a listener that the catalog does not name.
    pub async fn acknowledge_removal(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        membership: MembershipId,
        listener: Arc<str>,
    ) -> Result<Written<Removal>, Error> {
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")?;
        let call = context.clone();
        let mut written = self
            .write(context, Lock::Organization(organization), move |tx| {
                acknowledge(tx, call.clone(), organization, membership, Arc::clone(&listener))
            })
            .await?;
        if !context.validate_only && written.value.awaiting.is_empty() {
            written.token = self.finish_committed(organization, membership, written.token).await;
        }
        Ok(written)
    }
}

async fn acknowledge(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    membership: MembershipId,
    listener: Arc<str>,
) -> Result<(Tx, Removal), Error> {
    let actor = tx.reads().actor(context.subject()?, &[], tx.now()).await?;
    context.authorize(&actor, None, "")?;
    let removal = tx.reads().removal(membership).await?;
    let mut removal = removal.ok_or_else(|| Error::not_found("removal", membership))?;
    // One that the catalog named when the removal began is waited for still.
    if !removal.awaiting.contains(&listener) && !actor.catalog.removal().listeners.contains(&listener) {
        let message = "is none of those that the catalog waits for";
        return Err(Error::invalid("listener", Reason::OutOfRange, message));
    }
    if removal.awaiting.contains(&listener) {
        removal.awaiting.retain(|name| *name != listener);
        tx.removal_update(&removal).await?;
    }
    Ok((tx, removal))
}
