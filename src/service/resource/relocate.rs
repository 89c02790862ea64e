//! Moving a resource, with all that stands below it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ResourceView, find};
use crate::domain::access::{
    Actor, Facts, Node, gains_nothing_by_moving, is_visible, may_give, may_take, must_see_all,
};
use crate::domain::catalog::Verb;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held};
use crate::domain::place::ResourceKey;
use crate::domain::resource::inheritance::{Inherited, inherited};
use crate::domain::resource::{may_stand_under, must_fit_under, must_have};
use crate::domain::time::Timestamp;
use crate::service::etag::must_match;
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Most gains, and most losses, that an answer names.
const NAMED_MAX: usize = 1_000;

/// Moves a resource under another parent, with all that stands below it.
///
/// # Errors
/// - [`Reason::NotFound`] for the resource and the new parent, [`Reason::PermissionMissing`], which also refuses a place
///   that is deeper to a caller who does not see all that may stand below.
/// - [`Reason::ParentTypeNotAllowed`], [`Reason::TreeCycle`], [`Reason::TreeTooDeep`], [`Reason::EtagMismatch`].
/// - [`Reason::RoleNotGrantable`], [`Reason::RoleNotTakeable`] for what would be gained and lost by it.
#[derive(Debug)]
pub struct MoveResource {
    pub key: ResourceKey,
    /// What it will stand under; the organization if nothing.
    pub parent: Option<ResourceKey>,
    /// How the resource must look; empty asks nothing.
    pub etag: String,
}

/// What a move brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MovedResource {
    /// As it stands.
    pub view: ResourceView,
    /// What is had on it by where it stands now, and was not before; at most 1,000.
    pub gained: Vec<Inherited>,
    /// How many there are.
    pub gained_count: u32,
    /// What was had on it by where it stood, and is not now; at most 1,000.
    pub lost: Vec<Inherited>,
    /// How many there are.
    pub lost_count: u32,
}

impl Authorize for MoveResource {
    /// The catalog must let it stand there. Then T.update on the resource, T.create at the new parent, and T.share on the
    /// resource and at both parents: to move is to share with other people (domain.md, invariant 7).
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let (key, parent) = (&self.key, self.parent.as_ref());
        let places: Vec<ResourceKey> = std::iter::once(key).chain(parent).cloned().collect();
        let actor = call.visitor(&places).await?;
        call.may(&actor, Some(key), &key.kind)?;
        must_fit_under(&actor.catalog, &key.kind, parent.map(|parent| &*parent.kind))?;
        actor.must_see(parent)?;
        let there = actor.at(parent);
        must_have(&there, &key.kind, Verb::Create, actor.now)?;
        for place in [actor.at(Some(key)), actor.above(key), there] {
            must_have(&place, &key.kind, Verb::Share, actor.now)?;
        }
        Ok(actor)
    }
}

impl Mutation for MoveResource {
    type Output = MovedResource;

    async fn apply(&self, tx: &mut Tx, mut actor: Actor) -> Result<MovedResource, Error> {
        let (key, parent, now) = (&self.key, &self.parent, actor.now);
        let mut resource = find(tx.reads(), key).await?;
        must_match(&self.etag, &resource)?;
        if resource.parent == *parent {
            let (gained, lost) = (Vec::new(), Vec::new());
            let view = ResourceView::of(&actor, resource)?;
            return Ok(MovedResource { view, gained, gained_count: 0, lost, lost_count: 0 });
        }

        let before = actor.at(Some(key));
        let above = actor.at(parent.as_ref()).chain;
        // Where it stands no deeper, what is below it fits as it did; elsewhere the answer depends on all of that (CM-13).
        if above.len() + 1 > before.chain.len() && parent.as_ref() != Some(key) {
            must_see_all(&actor, now)?;
        }
        let height = tx.reads().subtree_height(key).await?;
        may_stand_under(key, height, parent.as_ref(), &above)?;
        let chain: Vec<Node> = before.chain.first().cloned().into_iter().chain(above).collect();
        let after = Facts { chain, ..before.clone() };
        let places: BTreeSet<ResourceKey> =
            before.chain.iter().chain(&after.chain).skip(1).map(|node| node.key.clone()).collect();
        let places: Vec<ResourceKey> = places.into_iter().collect();
        let grants = tx.reads().grants_on(&places, now).await?;
        must_be_under_the_ceiling(&before, &after, &grants, now)?;

        let (had, has) = (inherited(&before.chain[1..], &grants, now), inherited(&after.chain[1..], &grants, now));
        resource.parent.clone_from(parent);
        tx.resource_update(&resource, "moved").await?;
        actor.chains.insert(key.clone(), after.chain);
        let ((gained, gained_count), (lost, lost_count)) = (named(&has, &had), named(&had, &has));
        Ok(MovedResource { view: ResourceView::of(&actor, resource)?, gained, gained_count, lost, lost_count })
    }
}

/// Returns what is in `all` and not in `others`, as much as an answer names, and how much it is.
fn named(all: &BTreeSet<Inherited>, others: &BTreeSet<Inherited>) -> (Vec<Inherited>, u32) {
    let count = all.difference(others).count();
    (all.difference(others).take(NAMED_MAX).cloned().collect(), u32::try_from(count).unwrap_or(u32::MAX))
}

/// Ensures that the move keeps to the ceiling: what the new place brings others must be the actor's to give, what the old one brought theirs to
/// take, and the actor gains nothing by it themselves.
fn must_be_under_the_ceiling(before: &Facts, after: &Facts, grants: &[Grant], now: Timestamp) -> Result<(), Error> {
    if !gains_nothing_by_moving(before, after, now) {
        let refusal = Error::new(Reason::RoleNotGrantable, "may not give to themselves what they do not hold");
        return Err(refusal.with("place", before.place()));
    }
    let is_on = |chain: &[Node], grant: &Grant| {
        grant.place.resource().is_some_and(|key| chain.iter().any(|node| node.key == *key))
    };
    let mut evaluated: BTreeSet<(bool, &Held)> = BTreeSet::new();
    for grant in grants.iter().filter(|grant| !grant.is_expired(now) && !before.standing.is_among(grant.principal)) {
        let is_new = is_on(&after.chain[1..], grant);
        if is_new == is_on(&before.chain[1..], grant) || !evaluated.insert((is_new, &grant.held)) {
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
