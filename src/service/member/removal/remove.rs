//! The first commit of a removal: everything that gives access is gone.

use std::sync::Arc;

use super::finish::hand_over;
use super::inventory::{Estate, invitations, is_managed, take};
use super::{RemoveMember, Removed};
use crate::auth::Sealer;
use crate::domain::access::{Actor, is_visible, may_shut_out};
use crate::domain::cardinality;
use crate::domain::catalog::{PermissionId, Verb};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held, MemberState};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::Member;
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::removal::{Assets, Inventory, Removal};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::service::etag::must_match;
use crate::service::mark::marks_of;
use crate::service::{Context, Services, Written};
use crate::store::{Grants, Lock, Tx};

/// Facts of the first commit that are neither grants nor resources: the membership, its invitation, and others like these.
const OTHER_FACTS: usize = 100;

impl Services {
    /// Removes a member, or lets the caller leave. Their access is gone with the answer; the membership itself is, unless
    /// somebody of the product is waited for.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`], [`Reason::SelfRemoval`].
    /// - [`Reason::LeavingBarred`] for whoever holds a role whose holders do not leave (AX-32).
    /// - [`Reason::RoleCardinality`] for the last holder of a role that must be held, [`Reason::MemberState`].
    /// - [`Reason::AssetsUndecided`], [`Reason::AssetsOfOthers`], [`Reason::FeatureOff`], [`Reason::EtagMismatch`].
    pub async fn remove_member(
        self: &Arc<Self>,
        context: &Context,
        request: RemoveMember,
    ) -> Result<Written<Removed>, Error> {
        let organization = request.organization;
        let (reads, now) = (self.store.reads(), self.world.now());
        let found = reads.of(organization).actor(context.subject()?, &[], self.world.now()).await.and_then(|actor| {
            actor.must_see(None)?;
            whom(&actor, &request, now)
        });
        let membership = match (found, &context.replay) {
            (Ok(membership), _) => Some(membership),
            // Who has left does not see the organization any more, and is told that they have left.
            (Err(_), Some(replay)) if request.membership.is_none() && reads.replayed(replay, now).await?.is_some() => {
                None
            }
            (Err(error), _) => return Err(error),
        };
        let request = RemoveMember { reason: text::reason("reason", &request.reason)?, ..request };

        let (call, sealer) = (context.clone(), self.sealer.clone());
        let mut written = self
            .write(context, Lock::Organization(organization), move |tx| {
                remove(tx, call.clone(), sealer.clone(), request.clone())
            })
            .await?;
        self.removals_begun.send_replace(());
        if let Some(membership) = membership
            && !context.validate_only
            && written.value.awaiting.is_empty()
        {
            written.token = self.finish_committed(organization, membership, written.token).await;
        }
        Ok(written)
    }
}

/// Finds who is to go: whom the request names, which needs member.remove, or the caller, who leaves.
fn whom(actor: &Actor, request: &RemoveMember, now: Timestamp) -> Result<MembershipId, Error> {
    match request.membership {
        Some(id) => {
            actor.must_hold(PermissionId::MEMBER_REMOVE, None)?;
            if actor.standing.membership() == Some(id) {
                return Err(Error::new(Reason::SelfRemoval, "nobody removes themselves; leaving is an act of its own"));
            }
            Ok(id)
        }
        None => actor.standing.membership().ok_or_else(|| Error::not_found("member", "")),
    }
}

async fn remove(mut tx: Tx, context: Context, sealer: Sealer, request: RemoveMember) -> Result<(Tx, Removed), Error> {
    let (organization, now, subject) = (request.organization, tx.now(), context.subject()?);
    let caller = tx.reads().actor(subject, &[], tx.now()).await?;
    caller.must_see(None)?;
    let principal = Principal::Membership(whom(&caller, &request, now)?);
    let Principal::Membership(id) = principal else { return Err(Error::internal("a member")) };

    let grants = tx.reads().grants_of(&[principal], now).await?;
    let groups = tx.reads().groups_of(&[id]).await?;
    let groups: Vec<Principal> = groups.into_iter().map(|(_, group)| Principal::Group(group)).collect();
    let by_groups = tx.reads().grants_of(&groups, now).await?.live;
    let all: Vec<&Grant> = grants.live.iter().chain(&by_groups).collect();
    let estate = Estate::of(&tx.above(), organization, id).await?;
    let places = all.iter().filter_map(|grant| grant.place.resource()).chain(estate.places());
    let places: Vec<ResourceKey> = places.cloned().collect();
    let actor = tx.reads().actor(subject, &places, tx.now()).await?;
    let member = tx.reads().membership(id, now).await?;
    let member = member.ok_or_else(|| Error::not_found("member", id))?;
    if member.state == MemberState::Removing {
        return Err(Error::new(Reason::MemberState, "the member is being removed already").about("member", id));
    }
    may_go(&actor, &request, &all, now)?;
    let invitations = invitations(&tx.above(), subject, organization, &member, now).await?;
    let inventory = take(&tx.above(), &actor, organization, (&member, invitations), &estate, now).await?;
    must_match(&request.etag, &inventory)?;
    inventory.must_be_decided(request.assets, actor.catalog.features().assets)?;
    may_dispose(&tx, &actor, request.assets, &inventory, id).await?;

    if !request.reason.is_empty() {
        tx.because(request.reason);
    }
    // Who leaves may come back by whatever they hold.
    if request.membership.is_some() {
        bar_from_links(&tx, &sealer, organization, &member).await?;
    }
    // What the caller does not see goes neither to anybody nor away.
    let unseen = estate.owned.into_iter().filter(|it| !is_visible(&actor.at(Some(&it.key)), now));
    for resource in unseen {
        hand_over(&mut tx, organization, resource, None).await?;
    }
    let user_deleted = close(&mut tx, &actor, organization, &member, grants).await?;
    let policy = actor.catalog.removal();
    let removal = Removal {
        membership: id,
        assets: request.assets,
        awaiting: policy.listeners.clone(),
        requested_at: now,
        due_at: now.plus(policy.grace),
    };
    tx.removal_insert(&removal).await?;
    let member = Member { state: MemberState::Removing, roles: Vec::new(), ..member };
    Ok((tx, Removed { member, awaiting: removal.awaiting, user_deleted }))
}

/// Asks the ceiling: who is removed loses every role, what their groups hold included; who leaves must not hold one that
/// keeps them.
fn may_go(actor: &Actor, request: &RemoveMember, grants: &[&Grant], now: Timestamp) -> Result<(), Error> {
    if let Some(id) = request.membership {
        return may_shut_out(actor, Principal::Membership(id), grants.iter().copied(), now);
    }
    let is_kept = |grant: &&&Grant| match &grant.held {
        Held::Role(name) if grant.place == Place::Organization => {
            actor.catalog.role_id(name).is_some_and(|role| actor.catalog.never_leave().contains(&role))
        }
        _ => false,
    };
    match grants.iter().find(is_kept).map(|grant| &grant.held) {
        Some(Held::Role(name)) => {
            let message = "whoever holds this role does not leave; have it taken away first";
            Err(Error::new(Reason::LeavingBarred, message).about("role", name))
        }
        _ => Ok(()),
    }
}

/// Asks that the caller may do to each resource that they see what is to become of it.
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
            let found = tx.reads().membership(to, tx.now()).await?;
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

/// Ensures that who is removed does not come back by a link that is open now: the user, nor whoever has an address of theirs.
async fn bar_from_links(tx: &Tx, sealer: &Sealer, organization: OrganizationId, member: &Member) -> Result<(), Error> {
    let mut emails = match member.user {
        Some(user) => tx.above().user_emails(user).await?,
        None => Vec::new(),
    };
    emails.push(member.email.clone());
    let mut marks = marks_of(sealer, organization, member.user, &emails)?;
    marks.sort_unstable();
    marks.dedup();
    tx.bar_from_open_links(&marks).await
}

/// Takes everything away that gives access. Says whether the account went, too.
async fn close(
    tx: &mut Tx,
    actor: &Actor,
    organization: OrganizationId,
    member: &Member,
    grants: Grants,
) -> Result<bool, Error> {
    if let Some(user) = member.user {
        tx.user_lock(user).await?;
    }
    let user_deleted = is_managed(&tx.above(), organization, member).await?;
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
