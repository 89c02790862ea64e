//! Disabling and enabling members.

use std::collections::BTreeSet;

use super::ChangedMembers;
use crate::domain::access::{Actor, Move, may_move};
use crate::domain::catalog::PermissionId;
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::fact::{Grant, Held};
use crate::domain::grant::cardinality;
use crate::domain::id::{GroupId, MembershipId};
use crate::domain::place::{Principal, ResourceKey};
use crate::service::seats::SeatsBefore;
use crate::service::{Authorize, Mutation};
use crate::store::Tx;

/// Disables ACTIVE members, whose grants are kept and do not count, or enables DISABLED ones, with what they held; all or none.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`], [`Reason::RoleNotGrantable`].
/// - [`Reason::SelfRemoval`], [`Reason::MemberState`], [`Reason::RoleCardinality`], [`Reason::SeatsExhausted`].
#[derive(Debug)]
pub struct ChangeMemberState {
    /// Whose, each once.
    pub ids: Vec<MembershipId>,
    /// Which of the two.
    pub act: Move,
}

impl Authorize for ChangeMemberState {}

impl Mutation for ChangeMemberState {
    type Output = ChangedMembers;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<ChangedMembers, Error> {
        let (ids, act) = (&self.ids, self.act);
        let belongings = tx.reads().groups_of(ids).await?;
        let groups: BTreeSet<GroupId> = belongings.iter().map(|(_, group)| *group).collect();
        let themselves = ids.iter().map(|id| Principal::Membership(*id));
        let principals: Vec<Principal> = themselves.chain(groups.into_iter().map(Principal::Group)).collect();
        let grants = tx.reads().grants_of(&principals, tx.now()).await?.live;
        let decisive = grants.iter().filter(|grant| act == Move::Enable || matches!(grant.held, Held::Role(_)));
        let places: BTreeSet<ResourceKey> = decisive.filter_map(|grant| grant.place.resource().cloned()).collect();
        let places: Vec<ResourceKey> = places.into_iter().collect();
        let actor = tx.reads().widened(actor, &places).await?;

        let mut found = tx.reads().memberships(ids, tx.now()).await?;
        found.sort_by_key(|member| ids.iter().position(|id| *id == member.id));
        if let Some(id) = ids.iter().find(|id| !found.iter().any(|member| member.id == **id)) {
            return Err(Error::not_found("member", id));
        }
        for id in ids {
            let is_theirs = |grant: &&Grant| match grant.principal {
                Principal::Group(group) => belongings.contains(&(*id, group)),
                principal => principal == Principal::Membership(*id),
            };
            let held: Vec<&Grant> = grants.iter().filter(is_theirs).collect();
            may_move(&actor, *id, &held, act, tx.now())?;
        }

        let (from, to, verb) = act.states();
        let seats = SeatsBefore::of_members(tx, &actor.catalog, ids, &places).await?;
        let before = tx.counters().clone();
        for member in &mut found {
            member.must_be(from, verb)?;
            member.state = to;
        }
        tx.counters().move_state(&actor.catalog, &grants, from, to);
        cardinality::judge(&actor.catalog, &before, tx.counters())?;
        tx.memberships_move(&found, to, verb).await?;
        seats.must_suffice(tx, &actor.catalog).await?;
        Ok(ChangedMembers { members: found, shows_private: actor.holds(PermissionId::MEMBER_UPDATE, None) })
    }
}
