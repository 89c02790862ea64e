//! Members: listed, shut out, let in again.

use std::sync::Arc;

use super::{Context, Read, Services, Written};
use crate::domain::access::{Actor, may_give, may_take_role};
use crate::domain::cardinality;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held, MemberState};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::Member;
use crate::domain::place::{Principal, ResourceKey};
use crate::store::{Lock, MemberPage, PageKey, Tx};

/// Asks for a page of members.
#[derive(Clone, Debug)]
pub struct ListMembers {
    /// Whose.
    pub organization: OrganizationId,
    /// At most so many.
    pub size: u32,
    /// Where the page begins; the first if nothing.
    pub after: Option<PageKey>,
}

/// A page of members.
pub type Members = MemberPage;

/// What is done to a member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Disable,
    Enable,
}

impl Services {
    /// Lists the members of an organization, by address (CE-02).
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`].
    pub async fn list_members(&self, context: &Context, request: ListMembers) -> Result<Read<Members>, Error> {
        let organization = request.organization;
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let actor = reads.actor(organization, context.subject()?, &[]).await?;
        context.authorize(&actor, organization, None, "", self.world.now())?;
        let page = reads.membership_page(organization, request.after.as_ref(), request.size).await?;
        Ok(Read { value: page, token })
    }

    /// Shuts an ACTIVE member out. What they hold is kept, and does not count.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotTakeable`].
    /// - [`Reason::SelfRemoval`], [`Reason::MemberState`], [`Reason::RoleCardinality`].
    pub async fn disable_member(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        id: MembershipId,
    ) -> Result<Written<Member>, Error> {
        self.move_member(context, organization, id, Act::Disable).await
    }

    /// Lets a DISABLED member in again, with what they held.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::MemberState`].
    pub async fn enable_member(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        id: MembershipId,
    ) -> Result<Written<Member>, Error> {
        self.move_member(context, organization, id, Act::Enable).await
    }

    async fn move_member(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        id: MembershipId,
        act: Act,
    ) -> Result<Written<Member>, Error> {
        let actor = self.store.reads().actor(organization, context.subject()?, &[]).await?;
        context.authorize(&actor, organization, None, "", self.world.now())?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            move_state(tx, call.clone(), organization, id, act)
        })
        .await
    }
}

async fn move_state(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    id: MembershipId,
    act: Act,
) -> Result<(Tx, Member), Error> {
    let grants = tx.reads().grants_of(organization, &[Principal::Membership(id)]).await?;
    let judged = grants.iter().filter(|grant| act == Act::Enable || matches!(grant.held, Held::Role(_)));
    let places: Vec<ResourceKey> = judged.filter_map(|grant| grant.place.resource().cloned()).collect();
    let actor = tx.reads().actor(organization, context.subject()?, &places).await?;
    context.authorize(&actor, organization, None, "", tx.now())?;
    let member = tx.reads().membership(organization, id).await?;
    let mut member = member.ok_or_else(|| Error::not_found("member", id))?;
    may_move(&tx, &actor, &grants, &member, act)?;

    let (from, to, verb) = match act {
        Act::Disable => (MemberState::Active, MemberState::Disabled, "disabled"),
        Act::Enable => (MemberState::Disabled, MemberState::Active, "enabled"),
    };
    member.must_be(from, verb)?;
    member.state = to;
    let before = tx.counters().clone();
    tx.counters().move_state(&actor.catalog, &grants, from, to);
    cardinality::judge(&actor.catalog, &before, tx.counters())?;
    tx.membership_update(&member, verb).await?;
    Ok((tx, member))
}

/// Asks the ceiling: who is shut out loses every role, who is let in gets everything again.
fn may_move(tx: &Tx, actor: &Actor, grants: &[Grant], member: &Member, act: Act) -> Result<(), Error> {
    if actor.standing.membership() == Some(member.id) {
        return Err(Error::new(Reason::SelfRemoval, "nobody does this to themselves"));
    }
    for grant in grants {
        let place = actor.at(grant.place.resource());
        match act {
            Act::Disable => may_take_role(&place, &grant.held, tx.now())?,
            Act::Enable => may_give(&place, &grant.held, grant.principal, tx.now())?,
        }
    }
    Ok(())
}
