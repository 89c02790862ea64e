//! What a removal touches, as far as whoever asks sees it.

use std::collections::{BTreeMap, HashMap};

use crate::domain::access::{Actor, is_visible};
use crate::domain::catalog::PermissionId;
use crate::domain::error::{Error, Reason};
use crate::domain::id::{InvitationId, MembershipId};
use crate::domain::invitation::{Invitation, Offered};
use crate::domain::member::Member;
use crate::domain::member::removal::{Inventory, OwnedResource};
use crate::domain::place::{Place, Principal, ResourceKey, Subject};
use crate::domain::resource::Resource;
use crate::domain::time::Timestamp;
use crate::service::etag::etag;
use crate::service::{Authorize, Call, Query};
use crate::store::OrgReads;

/// Most resources that somebody owns who is removed at once.
const OWNED_MAX: usize = 5_000;
/// Most resources of others, and most invitations, that are told.
const TOLD_MAX: usize = 1_000;

/// Shows what removing a member would touch. Oneself everyone may ask about, others with member.remove.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
#[derive(Debug)]
pub struct PreviewRemoval {
    /// Who would be removed.
    pub membership: MembershipId,
}

/// What a removal would touch.
#[derive(Clone, Debug)]
pub struct RemovalPreview {
    /// Who, as they stand.
    pub member: Member,
    pub inventory: Inventory,
    /// Stands for all of it.
    pub etag: String,
}

impl Authorize for PreviewRemoval {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(&[]).await?;
        if actor.standing.membership() != Some(self.membership) {
            actor.must_hold(PermissionId::MEMBER_REMOVE, None)?;
        }
        Ok(actor)
    }
}

impl Query for PreviewRemoval {
    type Output = RemovalPreview;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<RemovalPreview, Error> {
        let reads = call.reads;
        let estate = Estate::of(reads, self.membership).await?;
        let places: Vec<ResourceKey> = estate.places().cloned().collect();
        let actor = reads.widened(actor, &places).await?;
        let member = reads.membership(self.membership, actor.now).await?;
        let member = member.ok_or_else(|| Error::not_found("member", self.membership))?;
        let inventory = take(reads, &actor, &member, &estate).await?;
        let etag = etag(&inventory)?;
        Ok(RemovalPreview { member, inventory, etag })
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
    pub async fn of(reads: OrgReads<'_>, member: MembershipId) -> Result<Self, Error> {
        let owned = reads.owned_by(&[Principal::Membership(member)], OWNED_MAX as u64 + 1).await?;
        let of_others = match owned.as_slice() {
            [] => Vec::new(),
            _ => reads.owned_by_others_below(member, TOLD_MAX as u64).await?,
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
    reads: OrgReads<'_>,
    actor: &Actor,
    member: &Member,
    estate: &Estate,
) -> Result<Inventory, Error> {
    if estate.owned.len() > OWNED_MAX {
        let message = format!("owns more than {OWNED_MAX} resources; hand some over first");
        return Err(Error::invalid("membership_id", Reason::OutOfRange, message));
    }
    let invitations = invitations(reads, actor, member).await?;
    let is_seen = |key: &ResourceKey| is_visible(&actor.at(Some(key)), actor.now);
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
    let deletes_user = is_managed(reads, member).await?;
    Ok(Inventory { owned, invitations, deletes_user, hides_others })
}

/// Returns the open invitations that a member answers for, at most 1,000. One that brings something on resources alone, none
/// of which the actor sees, is hidden as they are (CM-13).
async fn invitations(reads: OrgReads<'_>, actor: &Actor, member: &Member) -> Result<Vec<InvitationId>, Error> {
    let Some(sponsor) = member.user.map(Subject::User) else { return Ok(Vec::new()) };
    let (mut named, mut after) = (Vec::new(), None);
    loop {
        let page = reads.invitations_sponsored(sponsor, actor.now, after, TOLD_MAX as u64).await?;
        let is_last = page.len() < TOLD_MAX;
        after = page.last().map(|invitation| invitation.id);
        let offered = offered(reads, page, actor.now).await?;
        let places: Vec<ResourceKey> =
            offered.iter().flat_map(|(_, places)| places).filter_map(|place| place.resource().cloned()).collect();
        let actor = reads.widened(actor.clone(), &places).await?;
        let is_seen = |place: &Place| actor.sees(place.resource());
        let seen = offered.into_iter().filter(|(_, places)| places.is_empty() || places.iter().any(is_seen));
        named.extend(seen.map(|(id, _)| id).take(TOLD_MAX - named.len()));
        if is_last || named.len() == TOLD_MAX {
            return Ok(named);
        }
    }
}

/// Returns where each of some invitations brings something.
async fn offered(
    reads: OrgReads<'_>,
    invitations: Vec<Invitation>,
    now: Timestamp,
) -> Result<Vec<(InvitationId, Vec<Place>)>, Error> {
    let members = invitations.iter().filter_map(|invitation| match invitation.offered {
        Offered::Mailbox { membership, .. } => Some(Principal::Membership(membership)),
        Offered::Link { .. } => None,
    });
    let mut held: HashMap<Principal, Vec<Place>> = HashMap::new();
    for grant in reads.grants_of(&members.collect::<Vec<_>>(), now).await?.live {
        held.entry(grant.principal).or_default().push(grant.place);
    }
    let mut places = |offered| match offered {
        Offered::Mailbox { membership, .. } => held.remove(&Principal::Membership(membership)).unwrap_or_default(),
        Offered::Link { assignments } => assignments.into_iter().map(|assignment| assignment.place).collect(),
    };
    Ok(invitations.into_iter().map(|invitation| (invitation.id, places(invitation.offered))).collect())
}

/// Returns whether the account of a member goes with the membership: it was made here, and is nowhere else (X13).
pub(super) async fn is_managed(reads: OrgReads<'_>, member: &Member) -> Result<bool, Error> {
    let Some(user) = member.user.filter(|_| member.is_made_here) else { return Ok(false) };
    Ok(reads.users_elsewhere(&[user]).await?.is_empty() && !reads.above().holds_above(user).await?)
}
