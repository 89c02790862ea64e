//! The first commit of a removal: everything that gives access is gone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::finish::hand_over;
use super::inventory::{Estate, is_managed, take};
use crate::auth::Sealer;
use crate::domain::access::{Actor, may_shut_out};
use crate::domain::catalog::{PermissionId, Verb};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held, MemberState};
use crate::domain::grant::cardinality;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::Member;
use crate::domain::member::removal::{Assets, Inventory, Removal};
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::service::etag::must_match;
use crate::service::mark::marks_of;
use crate::service::{Authorize, Call, Context, Mutation, Services, Written};
use crate::store::{Grants, Tx};

/// Facts of the first commit that are neither grants nor resources: the membership, its invitation, and others like these.
const OTHER_FACTS: usize = 100;

/// Removes a member, or lets the caller leave. Their access is gone with the answer; the membership itself is, unless
/// somebody of the product is waited for.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`], [`Reason::SelfRemoval`].
/// - [`Reason::LeavingBarred`] for a member with a role whose holders do not leave (AX-32).
/// - [`Reason::RoleCardinality`] for the last holder of a role that must be held, [`Reason::MemberState`].
/// - [`Reason::AssetsUndecided`], [`Reason::AssetsOfOthers`], [`Reason::FeatureOff`], [`Reason::EtagMismatch`].
#[derive(Clone, Debug)]
pub struct RemoveMember {
    /// Who; the caller if nobody is named, who leaves.
    pub membership: Option<MembershipId>,
    /// What becomes of what they own.
    pub assets: Assets,
    /// That of the preview; empty asks nothing.
    pub etag: String,
    /// Why; may be empty.
    pub reason: String,
}

/// A member who is removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Removed {
    /// As they last stood.
    pub member: Member,
    /// Who of the product has yet to acknowledge.
    pub awaiting: Vec<Arc<str>>,
    /// Whether the account went with the membership.
    pub user_deleted: bool,
}

impl Authorize for RemoveMember {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        if self.membership.is_some() {
            let actor = call.permitted().await?;
            self.whom(&actor)?;
            return Ok(actor);
        }
        match call.visitor(&[]).await.and_then(|actor| self.whom(&actor).map(|_| actor)) {
            // Who has left does not see the organization any more, and is answered again that they have left.
            Err(_) if is_answered(call).await? => call.reads.anybody(call.context.subject()?, &[], call.now).await,
            leaving => leaving,
        }
    }
}

impl RemoveMember {
    /// Returns who is to go: whom the request names, or the caller, who leaves.
    fn whom(&self, actor: &Actor) -> Result<MembershipId, Error> {
        let me = actor.standing.membership();
        if self.membership.is_some() && self.membership == me {
            return Err(Error::new(Reason::SelfRemoval, "nobody removes themselves; leaving is an act of its own"));
        }
        self.membership.or(me).ok_or_else(|| Error::not_found("member", ""))
    }
}

/// Returns whether the answer to the call's request id is stored.
async fn is_answered(call: &Call<'_>) -> Result<bool, Error> {
    match &call.context.replay {
        Some(replay) => Ok(call.reads.above().replayed(replay, call.now).await?.is_some()),
        None => Ok(false),
    }
}

/// A removal, with what marks who must not come back by a link.
struct PreparedRemoval {
    request: RemoveMember,
    sealer: Sealer,
}

impl Authorize for PreparedRemoval {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        self.request.authorize(call).await
    }
}

impl Mutation for PreparedRemoval {
    type Output = Removed;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Removed, Error> {
        let (request, id) = (&self.request, self.request.whom(&actor)?);
        let principal = Principal::Membership(id);
        let grants = tx.reads().grants_of(&[principal], actor.now).await?;
        let groups = tx.reads().groups_of(&[id]).await?;
        let groups: Vec<Principal> = groups.into_iter().map(|(_, group)| Principal::Group(group)).collect();
        let by_groups = tx.reads().grants_of(&groups, actor.now).await?.live;
        let all: Vec<&Grant> = grants.live.iter().chain(&by_groups).collect();
        let estate = Estate::of(tx.reads(), id).await?;
        let places = all.iter().filter_map(|grant| grant.place.resource()).chain(estate.places());
        let places: Vec<ResourceKey> = places.cloned().collect();
        let actor = tx.reads().widened(actor, &places).await?;
        let member = tx.reads().membership(id, actor.now).await?;
        let member = member.ok_or_else(|| Error::not_found("member", id))?;
        if member.state == MemberState::Removing {
            return Err(Error::new(Reason::MemberState, "the member is being removed already").about("member", id));
        }
        may_go(&actor, request, &all)?;
        let inventory = take(tx.reads(), &actor, &member, &estate).await?;
        must_match(&request.etag, &inventory)?;
        inventory.must_be_decided(request.assets, actor.catalog.features().assets)?;
        may_dispose(tx, &actor, request.assets, &inventory, id).await?;

        if !request.reason.is_empty() {
            tx.because(request.reason.clone());
        }
        // Who leaves may come back by whatever they hold.
        if request.membership.is_some() {
            bar_from_links(tx, &self.sealer, &member).await?;
        }
        // What the caller does not see goes neither to anybody nor away.
        for resource in estate.owned.into_iter().filter(|resource| !actor.sees(Some(&resource.key))) {
            hand_over(tx, resource, None).await?;
        }
        let user_deleted = close(tx, &actor, &member, grants).await?;
        let policy = actor.catalog.removal();
        let removal = Removal {
            membership: id,
            assets: request.assets,
            awaiting: policy.listeners.clone(),
            requested_at: actor.now,
            due_at: actor.now.plus(policy.grace),
        };
        tx.removal_insert(&removal).await?;
        let member = Member { state: MemberState::Removing, roles: Vec::new(), ..member };
        Ok(Removed { member, awaiting: removal.awaiting, user_deleted })
    }
}

impl Services {
    /// Removes a member, and ends the membership at once if nobody is waited for.
    ///
    /// # Errors
    /// As [`RemoveMember`].
    pub async fn remove_member(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: RemoveMember,
    ) -> Result<Written<Removed>, Error> {
        let authorized = self.authorize(context, organization, &request).await?;
        let removal = PreparedRemoval { request, sealer: self.sealer.clone() };
        let mut written = self.commit_in(context, &authorized, removal).await?;
        self.removals_begun.send_replace(());
        if !context.validate_only && written.value.awaiting.is_empty() {
            written.token = self.finish_committed(organization, written.value.member.id, written.token).await;
        }
        Ok(written)
    }
}

/// Ensures the ceiling: who is removed loses every role, what their groups hold included; who leaves must not hold one that
/// keeps them.
fn may_go(actor: &Actor, request: &RemoveMember, grants: &[&Grant]) -> Result<(), Error> {
    if let Some(id) = request.membership {
        return may_shut_out(actor, Principal::Membership(id), grants.iter().copied(), actor.now);
    }
    let is_kept = |grant: &&&Grant| match &grant.held {
        Held::Role(name) if grant.place == Place::Organization => {
            actor.catalog.role_id(name).is_some_and(|role| actor.catalog.never_leave().contains(&role))
        }
        _ => false,
    };
    match grants.iter().find(is_kept).map(|grant| &grant.held) {
        Some(Held::Role(name)) => {
            let message = "a member with this role does not leave; have it revoked first";
            Err(Error::new(Reason::LeavingBarred, message).about("role", name))
        }
        _ => Ok(()),
    }
}

/// Ensures that the caller may do to each resource that they see what is to become of it.
async fn may_dispose(
    tx: &Tx,
    actor: &Actor,
    assets: Assets,
    inventory: &Inventory,
    leaver: MembershipId,
) -> Result<(), Error> {
    let verb = match assets {
        Assets::Keep => return Ok(()),
        Assets::Delete => Verb::Delete,
        Assets::Transfer(to) => {
            let found = tx.reads().membership(to, actor.now).await?;
            let found = found.filter(|member| to != leaver && member.state != MemberState::Removing);
            if found.is_none() {
                return Err(Error::not_found("member", to));
            }
            Verb::SetOwner
        }
    };
    for owned in &inventory.owned {
        let Some((kind, _)) = actor.catalog.resource_type(&owned.key.kind) else { continue };
        actor.must_hold(PermissionId::of_type(kind, verb), Some(&owned.key))?;
    }
    Ok(())
}

/// Ensures that who is removed does not come back by a link that is open now: neither the user nor anybody with an address of theirs.
async fn bar_from_links(tx: &Tx, sealer: &Sealer, member: &Member) -> Result<(), Error> {
    let mut emails = match member.user {
        Some(user) => tx.above().user_emails(user).await?,
        None => Vec::new(),
    };
    emails.push(member.email.clone());
    let mut marks = marks_of(sealer, tx.reads().organization_id(), member.user, &emails)?;
    marks.sort_unstable();
    marks.dedup();
    tx.bar_from_open_links(&marks).await
}

/// Takes everything away that gives access. Returns whether the account went, too.
async fn close(tx: &mut Tx, actor: &Actor, member: &Member, grants: Grants) -> Result<bool, Error> {
    if let Some(user) = member.user {
        tx.user_lock(user).await?;
    }
    let user_deleted = is_managed(tx.reads(), member).await?;
    let before = tx.counters().clone();
    for grant in &grants.live {
        tx.counters().count(&actor.catalog, grant, member.state, -1);
    }
    cardinality::judge(&actor.catalog, &before, tx.counters())?;
    let groups = tx.reads().groups_of(&[member.id]).await?;
    // Somebody who is being removed holds nothing, whatever rows there are: those that do not fit go with the slices.
    let room = tx.room().saturating_sub(groups.len() + OTHER_FACTS);
    let mut rows = grants.rows(room);
    rows.truncate(room);
    tx.grants_delete(&rows).await?;
    for (member, group) in groups {
        tx.group_members_delete(group, &[member]).await?;
    }
    tx.invitations_revoke(member.id).await?;
    let removing = Member { state: MemberState::Removing, ..member.clone() };
    tx.membership_update(&removing, "removed").await?;
    if let Some(user) = member.user.filter(|_| user_deleted) {
        tx.user_delete(user).await?;
    }
    Ok(user_deleted)
}
