//! Deleting a resource with all that stands below it, and with everything that hangs on that.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::find;
use crate::domain::access::{Actor, Node, is_visible};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Grant;
use crate::domain::id::OrganizationId;
use crate::domain::place::ResourceKey;
use crate::service::clearing::Clearing;
use crate::service::etag::must_match;
use crate::service::run::Authorized;
use crate::service::{Authorize, Call, Context, Mutation, Services, Written};
use crate::store::{Branch, Tx};

/// Most facts of one commit; what takes more is cleared in slices.
const FACTS_MAX: usize = 10_000;
/// After what a deletion that was cut off may be repeated.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Most resources that an answer names.
const NAMED_MAX: usize = 1_000;

/// Deletes a resource with all that stands below it: their grants, contacts and service accounts go with them, each with
/// its fact. What takes more than 10,000 facts goes in several commits, from the leaves up; a caller who repeats it after
/// a failure in between has the rest cleared.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::EtagMismatch`].
/// - [`Reason::CommitUnknown`] for whatever comes in between.
#[derive(Clone, Debug)]
pub struct DeleteResource {
    pub key: ResourceKey,
    /// How the resource must look; empty asks nothing.
    pub etag: String,
}

/// What was deleted, as far as the caller saw it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeletedResources {
    /// The resource, and what stood below it; at most 1,000.
    pub resources: Vec<ResourceKey>,
    /// How many there were.
    pub resource_count: u32,
    /// Whether some of it is still there, and goes with a further commit. Never so in what is stored under a request id.
    #[serde(skip)]
    is_part: bool,
}

/// What one commit deletes: all of it, or as much as fits.
#[derive(Debug)]
struct DeleteSlice {
    request: DeleteResource,
    /// What is deleted altogether, if a part of it is already.
    begun: Option<DeletedResources>,
}

impl Services {
    /// Deletes a resource with all that stands below it, in as many commits as that takes.
    ///
    /// # Errors
    /// As [`DeleteResource`].
    pub async fn delete_resource(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: DeleteResource,
    ) -> Result<Written<DeletedResources>, Error> {
        let call = self.call(context).of(organization);
        let authorized = Authorized::deleting(&call, &request.key).await?;
        let mut begun: Option<DeletedResources> = None;
        loop {
            let slice = DeleteSlice { request: request.clone(), begun: begun.clone() };
            match (self.commit_in(context, &authorized, slice).await, begun) {
                (Ok(deleted), _) if !deleted.value.is_part => return Ok(deleted),
                (Ok(deleted), before) => begun = before.or(Some(deleted.value)),
                // Nothing is a refusal any more: a part of it is gone.
                (Err(error), Some(_)) => {
                    let message = "a part was deleted, and the rest was not: repeat the call with the same request_id";
                    return Err(Error::new(Reason::CommitUnknown, message).with_source(error).retry_after(RETRY_AFTER));
                }
                (Err(error), None) => return Err(error),
            }
        }
    }
}

impl Authorize for DeleteSlice {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let key = &self.request.key;
        let actor = call.visitor(std::slice::from_ref(key)).await?;
        // Once a part is deleted, somebody else may have deleted the rest.
        if self.begun.is_none() || actor.knows(key) {
            call.may(&actor, Some(key), &key.kind)?;
        }
        Ok(actor)
    }
}

impl Mutation for DeleteSlice {
    type Output = DeletedResources;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<DeletedResources, Error> {
        let DeleteResource { key, etag } = &self.request;
        if let Some(begun) = self.begun.as_ref().filter(|_| !actor.knows(key)) {
            return Ok(DeletedResources { is_part: false, ..begun.clone() });
        }
        if !etag.is_empty() {
            must_match(etag, &find(tx.reads(), key).await?)?;
        }
        let branches = tx.reads().subtree(key).await?;
        let grants = tx.reads().subtree_grants(key).await?;
        let standing = actor.standing.clone();
        let deleted = self.begun.clone().unwrap_or_else(|| seen(actor, &branches, &grants));
        if tx.is_dry() {
            return Ok(DeletedResources { is_part: false, ..deleted });
        }

        let mut clearing = Clearing::of_branches(tx, &branches, grants).await?;
        // The resource stays to the end, and what the caller holds at it, so that the call can go on.
        let kept = clearing.put_last(|grant| standing.is_among(grant.principal));
        let count = clearing.len();
        if count <= FACTS_MAX {
            clearing.take(tx, count).await?;
            return Ok(DeletedResources { is_part: false, ..deleted });
        }
        let most = if kept < count { count - kept } else { count };
        clearing.take(tx, FACTS_MAX.min(most)).await?;
        Ok(DeletedResources { is_part: true, ..deleted })
    }

    fn is_whole(&self, output: &DeletedResources) -> bool {
        !output.is_part
    }
}

/// Returns what goes of what the caller sees.
fn seen(mut actor: Actor, branches: &[Branch], grants: &[Grant]) -> DeletedResources {
    let mine = grants.iter().filter(|grant| actor.standing.is_among(grant.principal));
    actor.grants = actor.grants.iter().chain(mine).cloned().collect();
    let mut deleted = DeletedResources::default();
    for branch in branches {
        let key = &branch.node.key;
        if !actor.knows(key) {
            let above = branch.parent.as_ref().and_then(|parent| actor.chains.get(parent)).cloned().unwrap_or_default();
            let chain: Vec<Node> = std::iter::once(branch.node.clone()).chain(above).collect();
            actor.chains.insert(key.clone(), chain);
        }
        if is_visible(&actor.at(Some(key)), actor.now) {
            deleted.resource_count += 1;
            if deleted.resources.len() < NAMED_MAX {
                deleted.resources.push(key.clone());
            }
        }
    }
    deleted
}
