//! Deleting a resource with all that stands below it, and with everything that hangs on that.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clearing::Clearing;
use super::etag::must_match;
use super::{Context, Services, Written};
use crate::domain::access::{Actor, Node, is_visible};
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::Grant;
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;
use crate::store::{Branch, Lock, Tx};

/// Most facts of one commit; what takes more is cleared in slices.
const FACTS_MAX: usize = 10_000;
/// When a deletion that was cut off may be repeated.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Most resources that an answer names.
const TOLD_MAX: usize = 1_000;

/// Asks for a resource to be deleted.
#[derive(Clone, Debug)]
pub struct DeleteResource {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub key: ResourceKey,
    /// As it was told; nothing is asked if it is empty.
    pub etag: String,
}

/// What went, as far as the caller saw it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Deleted {
    /// The resource, and what stood below it; at most 1,000.
    pub resources: Vec<ResourceKey>,
    /// How many there were.
    pub resource_count: u32,
}

impl Services {
    /// Deletes a resource with all that stands below it: their grants, contacts and service accounts go with them, each
    /// with its fact. What takes more than 10,000 facts goes in several commits, from the leaves up; who repeats the call
    /// after a failure in between has the rest cleared.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::EtagMismatch`].
    /// - [`Reason::CommitUnknown`] if the database went away in between.
    pub async fn delete_resource(
        self: &Arc<Self>,
        context: &Context,
        request: DeleteResource,
    ) -> Result<Written<Deleted>, Error> {
        let (organization, key) = (request.organization, &request.key);
        let actor = self.store.reads().actor(organization, context.subject()?, std::slice::from_ref(key)).await?;
        // A retry finds it gone: whether it is one is known under the lock.
        if context.replay.is_none() || actor.knows(key) {
            context.authorize(&actor, organization, Some(key), &key.kind, self.world.now())?;
        }
        let mut first = None;
        let deleted = self.delete_in_slices(context, &request, &mut first).await;
        match (deleted, first) {
            (Ok(mut written), first) => {
                written.value = first.unwrap_or(written.value);
                Ok(written)
            }
            (Err(error), Some(_)) if error.kind() == Kind::Unavailable => {
                let message = "a part was deleted, and the rest could not be: repeat the call";
                Err(Error::new(Reason::CommitUnknown, message).with_source(error).retry_after(RETRY_AFTER))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Deletes in as many commits as it takes. `first` is what the first slice answered, once it is committed.
    async fn delete_in_slices(
        self: &Arc<Self>,
        context: &Context,
        request: &DeleteResource,
        first: &mut Option<Deleted>,
    ) -> Result<Written<Deleted>, Error> {
        while self.is_too_large(request).await? && !context.validate_only {
            // A slice is not the answer: it is not remembered.
            let slice = Context { replay: None, ..context.clone() };
            let sliced = self.delete_slice(&slice, request, true).await?;
            first.get_or_insert(sliced.value);
        }
        self.delete_slice(context, request, false).await
    }

    /// Says whether what goes takes more facts than one commit holds, as far as can be said without the lock.
    async fn is_too_large(&self, request: &DeleteResource) -> Result<bool, Error> {
        let reads = self.store.reads();
        let branches = reads.subtree(request.organization, &request.key).await?;
        let grants = reads.subtree_grants(request.organization, &request.key).await?;
        // A resource, its service account, and some room for contacts and for what is granted in between.
        Ok(2 * branches.len() + grants.len() > FACTS_MAX / 2)
    }

    async fn delete_slice(
        self: &Arc<Self>,
        context: &Context,
        request: &DeleteResource,
        is_slice: bool,
    ) -> Result<Written<Deleted>, Error> {
        let (call, request) = (context.clone(), request.clone());
        let lock = Lock::Organization(request.organization);
        self.write(context, lock, move |tx| delete(tx, call.clone(), request.clone(), is_slice)).await
    }
}

async fn delete(mut tx: Tx, context: Context, request: DeleteResource, is_slice: bool) -> Result<(Tx, Deleted), Error> {
    let DeleteResource { organization, key, etag } = request;
    let actor = tx.reads().actor(organization, context.subject()?, std::slice::from_ref(&key)).await?;
    context.authorize(&actor, organization, Some(&key), &key.kind, tx.now())?;
    if !etag.is_empty() {
        let resource = tx.reads().resource(organization, &key).await?;
        must_match(&etag, &resource.ok_or_else(|| Error::not_found("resource", &key))?)?;
    }
    let branches = tx.reads().subtree(organization, &key).await?;
    let grants = tx.reads().subtree_grants(organization, &key).await?;
    let deleted = seen(actor, &branches, &grants, tx.now());
    if context.validate_only {
        return Ok((tx, deleted));
    }

    let clearing = Clearing::of_branches(&tx, organization, &branches, grants).await?;
    let count = clearing.len();
    if is_slice {
        // The root stays to the end, so that the call can be repeated.
        clearing.take(&mut tx, FACTS_MAX.min(count.saturating_sub(1))).await?;
    } else if count > FACTS_MAX {
        return Err(Error::new(Reason::ConcurrentUpdate, "it has grown meanwhile; try again"));
    } else {
        clearing.take(&mut tx, count).await?;
    }
    Ok((tx, deleted))
}

/// Tells what goes of what the caller sees.
fn seen(mut actor: Actor, branches: &[Branch], grants: &[Grant], now: Timestamp) -> Deleted {
    let mine = grants.iter().filter(|grant| actor.standing.is_among(grant.principal));
    actor.grants = actor.grants.iter().chain(mine).cloned().collect();
    let mut deleted = Deleted::default();
    for branch in branches {
        let key = &branch.node.key;
        if !actor.knows(key) {
            let above = branch.parent.as_ref().and_then(|parent| actor.chains.get(parent)).cloned().unwrap_or_default();
            let chain: Vec<Node> = std::iter::once(branch.node.clone()).chain(above).collect();
            actor.chains.insert(key.clone(), chain);
        }
        if is_visible(&actor.at(Some(key)), now) {
            deleted.resource_count += 1;
            if deleted.resources.len() < TOLD_MAX {
                deleted.resources.push(key.clone());
            }
        }
    }
    deleted
}
