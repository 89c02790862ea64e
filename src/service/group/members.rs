//! Who is in a group: changed, and listed.

use serde::{Deserialize, Serialize};

use super::{before_all_it_holds, find};
use crate::domain::access::Actor;
use crate::domain::error::{Error, Reason};
use crate::domain::group::{self, MEMBERS_MAX};
use crate::domain::id::{GroupId, MembershipId};
use crate::domain::place::Principal;
use crate::service::seats::SeatsBefore;
use crate::service::{Authorize, Call, Mutation, Query};
use crate::store::{GroupMemberPage, Tx};

/// Adds members to a group and removes others. Nobody stands in both lists.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
/// - [`Reason::RoleNotGrantable`], [`Reason::RoleNotTakeable`], [`Reason::SelfRemoval`], [`Reason::GroupFull`],
///   [`Reason::SeatsExhausted`].
#[derive(Debug)]
pub struct ChangeGroupMembers {
    /// Which group.
    pub group: GroupId,
    /// Who is added.
    pub add: Vec<MembershipId>,
    /// Who is removed.
    pub remove: Vec<MembershipId>,
}

/// Who was added and who was removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangedGroupMembers {
    /// Who is in and was not before.
    pub added: Vec<MembershipId>,
    /// Who was in and is not any more.
    pub removed: Vec<MembershipId>,
}

impl Authorize for ChangeGroupMembers {}

impl Mutation for ChangeGroupMembers {
    type Output = ChangedGroupMembers;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ChangedGroupMembers, Error> {
        let (actor, grants) = before_all_it_holds(tx.reads(), actor, self.group).await?;
        find(tx.reads(), self.group).await?;
        let named: Vec<MembershipId> = self.add.iter().chain(&self.remove).copied().collect();
        let principals: Vec<Principal> = named.iter().copied().map(Principal::Membership).collect();
        tx.reads().principals(&principals).await?;
        if !self.add.is_empty() {
            group::may_add(&actor, self.group, &grants.live, &self.add, actor.now)?;
        }
        if !self.remove.is_empty() {
            group::may_take_out(&actor, self.group, &grants.live, actor.now)?;
        }
        if actor.standing.membership().is_some_and(|me| self.remove.contains(&me)) {
            return Err(Error::new(Reason::SelfRemoval, "nobody removes themselves from a group"));
        }

        let places = grants.live.iter().filter_map(|grant| grant.place.resource().cloned()).map(Some).collect();
        let seats = SeatsBefore::count(tx, &actor.catalog, places).await?;
        let (inside, count) = tx.reads().group_members_among(self.group, &named).await?;
        let added: Vec<_> = self.add.iter().copied().filter(|member| !inside.contains(member)).collect();
        let removed: Vec<_> = self.remove.iter().copied().filter(|member| inside.contains(member)).collect();
        if !added.is_empty() {
            group::must_have_room(self.group, count - removed.len(), added.len(), MEMBERS_MAX)?;
            tx.group_members_insert(self.group, &added).await?;
        }
        if !removed.is_empty() {
            tx.group_members_delete(self.group, &removed).await?;
        }
        seats.must_suffice(tx, &actor.catalog).await?;
        Ok(ChangedGroupMembers { added, removed })
    }
}

/// Lists who is in a group.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`].
#[derive(Clone, Copy, Debug)]
pub struct ListGroupMembers {
    /// Which group.
    pub group: GroupId,
    /// At most so many.
    pub size: u32,
    /// After whom the page begins.
    pub after: Option<MembershipId>,
}

impl Authorize for ListGroupMembers {}

impl Query for ListGroupMembers {
    type Output = GroupMemberPage;

    async fn read(&self, call: &Call<'_>, _actor: Actor) -> Result<GroupMemberPage, Error> {
        find(call.reads, self.group).await?;
        call.reads.group_member_page(self.group, self.after, self.size).await
    }
}
