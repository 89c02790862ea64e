//! Moving a resource, with all that stands below it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::access::{
    Actor, Facts, Node, gains_nothing_by_moving, is_visible, may_give, may_take, must_see_all,
};
use crate::domain::catalog::Verb;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held};
use crate::domain::id::OrganizationId;
use crate::domain::inheritance::{Inherited, inherited};
use crate::domain::place::ResourceKey;
use crate::domain::resource::{may_stand_under, must_fit_under, must_have};
use crate::domain::time::Timestamp;
use crate::service::etag::must_match;
use crate::service::shown::{Shown, show};
use crate::service::{Context, Services, Written};
use crate::store::{Lock, Tx};

/// Most gains, and most losses, that an answer tells of one by one.
const TOLD_MAX: usize = 1_000;

/// Asks for a resource to be moved.
#[derive(Clone, Debug)]
pub struct MoveResource {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub key: ResourceKey,
    /// What it will stand under; the organization if nothing.
    pub parent: Option<ResourceKey>,
    /// As it was told; nothing is asked if it is empty.
    pub etag: String,
}

impl MoveResource {
    fn places(&self) -> Vec<ResourceKey> {
        std::iter::once(&self.key).chain(&self.parent).cloned().collect()
    }
}

/// What a move brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MovedResource {
    /// As it stands.
    pub shown: Shown,
    /// What is had on it by where it stands now, and was not before; at most 1,000.
    pub gained: Vec<Inherited>,
    /// How many there are.
    pub gained_count: u32,
    /// What was had on it by where it stood, and is not now; at most 1,000.
    pub lost: Vec<Inherited>,
    /// How many there are.
    pub lost_count: u32,
}

impl Services {
    /// Moves a resource under another parent, with all that stands below it.
    ///
    /// # Errors
    /// - [`Reason::NotFound`] for the resource and the new parent, [`Reason::PermissionMissing`], which also refuses a place
    ///   that is deeper to a caller who does not see all that may stand below.
    /// - [`Reason::ParentTypeNotAllowed`], [`Reason::TreeCycle`], [`Reason::TreeTooDeep`], [`Reason::EtagMismatch`].
    /// - [`Reason::RoleNotGrantable`], [`Reason::RoleNotTakeable`] for what would be gained and lost by it.
    pub async fn move_resource(
        self: &Arc<Self>,
        context: &Context,
        request: MoveResource,
    ) -> Result<Written<MovedResource>, Error> {
        let organization = request.organization;
        let actor =
            self.store.reads().of(organization).actor(context.subject()?, &request.places(), self.world.now()).await?;
        may_move(context, &actor, &request, self.world.now())?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| relocate(tx, call.clone(), request.clone()))
            .await
    }
}

async fn relocate(mut tx: Tx, context: Context, request: MoveResource) -> Result<(Tx, MovedResource), Error> {
    let (_organization, now) = (request.organization, tx.now());
    let mut actor = tx.reads().actor(context.subject()?, &request.places(), tx.now()).await?;
    may_move(&context, &actor, &request, now)?;
    let MoveResource { key, parent, etag, .. } = request;
    let resource = tx.reads().resource(&key).await?;
    let mut resource = resource.ok_or_else(|| Error::not_found("resource", &key))?;
    must_match(&etag, &resource)?;
    if resource.parent == parent {
        let (gained, lost) = (Vec::new(), Vec::new());
        let moved = MovedResource { shown: show(&actor, resource, now)?, gained, gained_count: 0, lost, lost_count: 0 };
        return Ok((tx, moved));
    }

    let before = actor.at(Some(&key));
    let above = actor.at(parent.as_ref()).chain;
    // Where it stands no deeper, what is below it fits as it did; elsewhere the answer depends on all of that (CM-13).
    if above.len() + 1 > before.chain.len() && parent.as_ref() != Some(&key) {
        must_see_all(&actor, now)?;
    }
    let height = tx.reads().subtree_height(&key).await?;
    may_stand_under(&key, height, parent.as_ref(), &above)?;
    let chain: Vec<Node> = before.chain.first().cloned().into_iter().chain(above).collect();
    let after = Facts { chain, ..before.clone() };
    let places: BTreeSet<ResourceKey> =
        before.chain.iter().chain(&after.chain).skip(1).map(|node| node.key.clone()).collect();
    let places: Vec<ResourceKey> = places.into_iter().collect();
    let grants = tx.reads().grants_on(&places, now).await?;
    must_be_under_the_ceiling(&before, &after, &grants, now)?;

    let (had, has) = (inherited(&before.chain[1..], &grants, now), inherited(&after.chain[1..], &grants, now));
    resource.parent = parent;
    tx.resource_update(&resource, "moved").await?;
    actor.chains.insert(key, after.chain);
    let told = |all: &BTreeSet<Inherited>, others: &BTreeSet<Inherited>| -> (Vec<Inherited>, u32) {
        let count = all.difference(others).count();
        (all.difference(others).take(TOLD_MAX).cloned().collect(), u32::try_from(count).unwrap_or(u32::MAX))
    };
    let ((gained, gained_count), (lost, lost_count)) = (told(&has, &had), told(&had, &has));
    Ok((tx, MovedResource { shown: show(&actor, resource, now)?, gained, gained_count, lost, lost_count }))
}

/// Asks that the catalog lets it stand there, for T.update on the resource, T.create at the new parent, and T.share on the resource and at both parents: to
/// move is to share with other people (domain.md, invariant 7).
fn may_move(context: &Context, actor: &Actor, request: &MoveResource, now: Timestamp) -> Result<(), Error> {
    let MoveResource { organization, key, parent, .. } = request;
    context.authorize(actor, Some(key), &key.kind)?;
    must_fit_under(&actor.catalog, &key.kind, parent.as_ref().map(|parent| &*parent.kind))?;
    actor.must_see(parent.as_ref())?;
    let there = actor.at(parent.as_ref());
    must_have(&there, &key.kind, Verb::Create, now)?;
    for place in [actor.at(Some(key)), actor.above(key), there] {
        must_have(&place, &key.kind, Verb::Share, now)?;
    }
    Ok(())
}

/// Asks the ceiling: what the new place brings others must be the actor's to give, what the old one brought theirs to
/// take, and the actor gains nothing by it themselves.
fn must_be_under_the_ceiling(before: &Facts, after: &Facts, grants: &[Grant], now: Timestamp) -> Result<(), Error> {
    if !gains_nothing_by_moving(before, after, now) {
        let refusal = Error::new(Reason::RoleNotGrantable, "may not give to themselves what they do not hold");
        return Err(refusal.with("place", before.place()));
    }
    let is_on = |chain: &[Node], grant: &Grant| {
        grant.place.resource().is_some_and(|key| chain.iter().any(|node| node.key == *key))
    };
    let mut judged: BTreeSet<(bool, &Held)> = BTreeSet::new();
    for grant in grants.iter().filter(|grant| !grant.is_expired(now) && !before.standing.is_among(grant.principal)) {
        let is_new = is_on(&after.chain[1..], grant);
        if is_new == is_on(&before.chain[1..], grant) || !judged.insert((is_new, &grant.held)) {
            continue;
        }
        let allowed = if is_new {
            may_give(before, &grant.held, grant.principal, now)
        } else {
            may_take(before, &grant.held, now)
        };
        allowed.map_err(|refusal| {
            let is_seen = [before, after].into_iter().any(|facts| is_seen_in(facts, grant.place.resource(), now));
            if is_seen { refusal } else { refusal.without_metadata() }
        })?;
    }
    Ok(())
}

/// Returns whether a place is in the chain of a resource, and seen.
fn is_seen_in(facts: &Facts, place: Option<&ResourceKey>, now: Timestamp) -> bool {
    let found = facts.chain.iter().position(|node| Some(&node.key) == place);
    found.is_some_and(|at| is_visible(&facts.above(at), now))
}
