//! What a removal touches, as far as whoever asks sees it.

use std::collections::BTreeMap;

use super::Preview;
use crate::domain::access::{Actor, is_visible};
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::Member;
use crate::domain::place::{Principal, ResourceKey, Subject};
use crate::domain::removal::{Inventory, OwnedResource};
use crate::domain::resource::Resource;
use crate::domain::time::Timestamp;
use crate::service::context::{must_hold, see};
use crate::service::etag::etag;
use crate::service::{Context, Read, Services};
use crate::store::Reads;

/// Most resources that somebody owns who is removed at once.
const OWNED_MAX: usize = 5_000;
/// Most resources of others, and most invitations, that are told.
const TOLD_MAX: u64 = 1_000;

impl Services {
    /// Tells what removing a member would touch. Oneself everyone may ask about, others with member.remove.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    pub async fn preview_removal(
        &self,
        context: &Context,
        organization: OrganizationId,
        membership: MembershipId,
    ) -> Result<Read<Preview>, Error> {
        let token = self.token_before_reading(organization).await?;
        let (reads, now) = (self.store.reads(), self.world.now());
        let estate = Estate::of(&reads, organization, membership).await?;
        let places: Vec<ResourceKey> = estate.places().cloned().collect();
        let actor = reads.actor(organization, context.subject()?, &places).await?;
        see(&actor, organization, None, now)?;
        if actor.standing.membership() != Some(membership) {
            must_hold(&actor, PermissionId::MEMBER_REMOVE, None, now)?;
        }
        let member = reads.membership(organization, membership, now).await?;
        let member = member.ok_or_else(|| Error::not_found("member", membership))?;
        let inventory = take(&reads, &actor, organization, &member, &estate, now).await?;
        let etag = etag(&inventory)?;
        Ok(Read { value: Preview { member, inventory, etag }, token })
    }
}

/// What a member owns, and what others own below it, seen or not.
pub(super) struct Estate {
    pub owned: Vec<Resource>,
    /// What is owned of the member's, and what stands below it; at most 1,000.
    of_others: Vec<(ResourceKey, ResourceKey)>,
}

impl Estate {
    /// Reads what a member owns.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn of(reads: &Reads<'_>, organization: OrganizationId, member: MembershipId) -> Result<Self, Error> {
        let owned = reads.owned_by(organization, &[Principal::Membership(member)], OWNED_MAX as u64 + 1).await?;
        let of_others = match owned.as_slice() {
            [] => Vec::new(),
            _ => reads.owned_by_others_below(organization, member, TOLD_MAX).await?,
        };
        Ok(Self { owned, of_others })
    }

    /// Names every place of it, so that it can be said which of them are seen.
    pub fn places(&self) -> impl Iterator<Item = &ResourceKey> {
        self.owned.iter().map(|resource| &resource.key).chain(self.of_others.iter().map(|(_, below)| below))
    }
}

/// Takes the inventory of a member, with the actor before every place of the estate.
///
/// # Errors
/// - [`Reason::OutOfRange`] above 5,000 owned resources.
pub(super) async fn take(
    reads: &Reads<'_>,
    actor: &Actor,
    organization: OrganizationId,
    member: &Member,
    estate: &Estate,
    now: Timestamp,
) -> Result<Inventory, Error> {
    if estate.owned.len() > OWNED_MAX {
        let message = format!("owns more than {OWNED_MAX} resources; hand some over first");
        return Err(Error::invalid("membership_id", Reason::OutOfRange, message));
    }
    let is_seen = |key: &ResourceKey| is_visible(&actor.at(Some(key)), now);
    let mut of_others: BTreeMap<&ResourceKey, Vec<ResourceKey>> = BTreeMap::new();
    let mut hides_others = false;
    for (top, below) in estate.of_others.iter().filter(|(top, _)| is_seen(top)) {
        if is_seen(below) {
            of_others.entry(top).or_default().push(below.clone());
        } else {
            hides_others = true;
        }
    }
    let owned = estate.owned.iter().filter(|resource| is_seen(&resource.key)).map(|resource| OwnedResource {
        key: resource.key.clone(),
        of_others: of_others.remove(&resource.key).unwrap_or_default(),
        service_account: resource.service_account,
    });
    let owned: Vec<OwnedResource> = owned.collect();
    let invitations = match member.user {
        Some(user) => reads.invitations_sponsored(organization, Subject::User(user), now, TOLD_MAX).await?,
        None => Vec::new(),
    };
    let deletes_user = is_managed(reads, organization, member).await?;
    Ok(Inventory { owned, invitations, deletes_user, hides_others })
}

/// Says whether the account of a member goes with the membership: it was made here, and is nowhere else (X13).
pub(super) async fn is_managed(
    reads: &Reads<'_>,
    organization: OrganizationId,
    member: &Member,
) -> Result<bool, Error> {
    let Some(user) = member.user.filter(|_| member.is_made_here) else { return Ok(false) };
    Ok(reads.users_elsewhere(organization, &[user]).await?.is_empty() && !reads.holds_above(user).await?)
}
