//! Deleting a resource with all that stands below it, and with everything that hangs on that.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::access::{Actor, Node, is_visible};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Grant;
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;
use crate::service::clearing::Clearing;
use crate::service::etag::must_match;
use crate::service::write::Slice;
use crate::service::{Context, Services, Written};
use crate::store::{Branch, Lock, Tx};

/// Most facts of one commit; what takes more is cleared in slices.
const FACTS_MAX: usize = 10_000;
/// After what a deletion that was cut off may be repeated.
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
    /// with its fact. What takes more than 10,000 facts goes in several commits, from the leaves up; whoever repeats the
    /// call after a failure in between has the rest cleared.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::EtagMismatch`].
    /// - [`Reason::CommitUnknown`] for whatever comes in between.
    pub async fn delete_resource(
        self: &Arc<Self>,
        context: &Context,
        request: DeleteResource,
    ) -> Result<Written<Deleted>, Error> {
        let (organization, key) = (request.organization, &request.key);
        let actor = self
            .store
            .reads()
            .of(organization)
            .actor(context.subject()?, std::slice::from_ref(key), self.world.now())
            .await?;
        // A retry finds it gone: whether it is one is known under the lock.
        if context.replay.is_none() || actor.knows(key) {
            context.authorize(&actor, Some(key), &key.kind)?;
        }
        let mut first: Option<Deleted> = None;
        loop {
            let (call, request, answer) = (context.clone(), request.clone(), first.clone());
            let act = move |tx| delete(tx, call.clone(), request.clone(), answer.clone());
            match (self.write_slice(context, Lock::Organization(organization), act).await, &first) {
                (Ok(Written { value: Slice::Part(part), .. }), _) => first = first.or(Some(part)),
                (Ok(Written { value: Slice::Whole(value), token, is_replay }), _) => {
                    return Ok(Written { value, token, is_replay });
                }
                // Nothing is a refusal any more: a part of it is there.
                (Err(error), Some(_)) => {
                    let message = "a part was deleted, and the rest was not: repeat the call with the same request_id";
                    return Err(Error::new(Reason::CommitUnknown, message).with_source(error).retry_after(RETRY_AFTER));
                }
                (Err(error), None) => return Err(error),
            }
        }
    }
}

/// Deletes all of it, or as much as one commit takes. `first` is what was answered of it, if a part is gone already.
async fn delete(
    mut tx: Tx,
    context: Context,
    request: DeleteResource,
    first: Option<Deleted>,
) -> Result<(Tx, Slice<Deleted>), Error> {
    let DeleteResource { organization, key, etag } = request;
    let actor = tx.reads().actor(context.subject()?, std::slice::from_ref(&key), tx.now()).await?;
    if let Some(first) = first.as_ref().filter(|_| !actor.knows(&key)) {
        // Somebody else has deleted the rest of it.
        return Ok((tx, Slice::Whole(first.clone())));
    }
    context.authorize(&actor, Some(&key), &key.kind)?;
    if !etag.is_empty() {
        let resource = tx.reads().resource(&key).await?;
        must_match(&etag, &resource.ok_or_else(|| Error::not_found("resource", &key))?)?;
    }
    let branches = tx.reads().subtree(&key).await?;
    let grants = tx.reads().subtree_grants(&key).await?;
    let standing = actor.standing.clone();
    let deleted = first.unwrap_or_else(|| seen(actor, &branches, &grants, tx.now()));
    if context.validate_only {
        return Ok((tx, Slice::Whole(deleted)));
    }

    let mut clearing = Clearing::of_branches(&tx, organization, &branches, grants).await?;
    // The resource stays to the end, and what the caller holds at it, so that the call can go on.
    let kept = clearing.put_last(|grant| standing.is_among(grant.principal));
    let count = clearing.len();
    if count > FACTS_MAX {
        let most = if kept < count { count - kept } else { count };
        clearing.take(&mut tx, FACTS_MAX.min(most)).await?;
        return Ok((tx, Slice::Part(deleted)));
    }
    clearing.take(&mut tx, count).await?;
    Ok((tx, Slice::Whole(deleted)))
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
