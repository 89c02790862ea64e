//! Deleting a role of the organization's own.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{MOVED_MAX, catalog_alone, compiled, find};
use crate::domain::access::{Actor, may_give, may_take, may_take_from, must_see_all_held_as};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, Held};
use crate::domain::grant::assignment::{Act, Assignment, Delta, Plan, plan, plan_member};
use crate::domain::id::{InvitationId, OrganizationId};
use crate::domain::invitation::Invitation;
use crate::domain::place::{Place, Principal, ResourceKey, resources_among};
use crate::domain::time::Timestamp;
use crate::service::apply::{Affected, Changed, apply};
use crate::service::etag::must_match;
use crate::service::{Authorize, Context, Mutation, Services, Written};
use crate::store::{OrgReads, Tx};

/// Most expired grants that go with a role in one commit.
const LAPSED_MAX: u64 = 1_000;

/// Deletes a role; its holders hold another instead, and open links bring that, or there are none.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::FeatureOff`], [`Reason::RoleInUse`],
///   [`Reason::EtagMismatch`].
/// - What granting and revoking fail with, for the holders that are moved.
#[derive(Clone, Debug)]
pub struct DeleteRole {
    pub name: Arc<str>,
    /// What its holders hold instead, where they held it; nothing if nobody may hold it.
    pub move_holders_to: Option<Arc<str>>,
    /// How the role must look; empty asks nothing.
    pub etag: String,
}

/// What the deletion of a role has changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeletedRole {
    /// What is held by others than before.
    pub changed: Changed,
    /// The open links that bring the other role in the place of this one.
    pub links: Vec<InvitationId>,
}

impl Services {
    /// Deletes a role.
    ///
    /// # Errors
    /// As [`DeleteRole`].
    pub async fn delete_role(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        request: DeleteRole,
    ) -> Result<Written<DeletedRole>, Error> {
        let authorized = self.authorize(context, organization, &request).await?;
        match self.commit_in(context, &authorized, request.clone()).await {
            // What has expired goes with the role, and the commit had no room for so much of it.
            Err(error) if error.reason == Reason::ConcurrentUpdate && !context.validate_only => {
                self.sweep_organization(organization, self.env.now()).await?;
                self.commit_in(context, &authorized, request).await
            }
            deleted => deleted,
        }
    }
}

impl Authorize for DeleteRole {}

impl Mutation for DeleteRole {
    type Output = DeletedRole;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<DeletedRole, Error> {
        let catalog = catalog_alone(tx).await?;
        let role = find(tx.reads(), &self.name).await?;
        must_match(&self.etag, &role)?;
        must_see_all_held_as(&actor, &compiled(&catalog, &role)?, actor.now)?;
        let holdings = Holdings::read(tx.reads(), &self.name, actor.now).await?;
        if holdings.is_empty() {
            forget(tx, &self.name).await?;
            return Ok(DeletedRole::default());
        }
        let instead = self.instead_of(&holdings)?;
        let actor = tx.reads().widened(actor, &holdings.places(&self.name, tx.now())).await?;
        let Holdings { grants, links } = holdings;
        let principals: BTreeSet<Principal> = grants.iter().map(|grant| grant.principal).collect();
        let principals: Vec<Principal> = principals.into_iter().collect();
        let affected = Affected::read(tx, &actor.catalog, &principals).await?;
        let plan = plan_moving(&actor, &grants, instead, &affected)?;
        let changed = apply(tx, &actor.catalog, &plan, &affected, GrantSource::Manual, "move_holders_to").await?;
        let links = move_links(tx, &actor, links, &self.name, instead).await?;
        forget(tx, &self.name).await?;
        Ok(DeletedRole { changed, links })
    }
}

impl DeleteRole {
    /// Returns the role that is to be held, and offered, instead.
    fn instead_of(&self, holdings: &Holdings) -> Result<&Arc<str>, Error> {
        let Holdings { grants, links } = holdings;
        let Some(instead) = &self.move_holders_to else {
            return Err(match links.first().filter(|_| grants.is_empty()) {
                Some(link) => {
                    let message =
                        "an open link offers the role; name a role that it is to offer instead, or let it lapse";
                    Error::new(Reason::RoleInUse, message).about("invitation", link.id)
                }
                None => {
                    let message =
                        "the role is held; name a role that its holders are to hold instead, or revoke it first";
                    Error::new(Reason::RoleInUse, message).about("role", &self.name)
                }
            });
        };
        if *instead == self.name {
            return Err(Error::invalid("move_holders_to", Reason::RoleUnknown, "names the role that is to be deleted"));
        }
        if grants.len() + links.len() > MOVED_MAX {
            let message = format!("would move more than {MOVED_MAX} grants and links at once; revoke some first");
            return Err(Error::invalid("move_holders_to", Reason::OutOfRange, message));
        }
        Ok(instead)
    }
}

/// What holds or offers a role.
struct Holdings {
    grants: Vec<Grant>,
    links: Vec<Invitation>,
}

impl Holdings {
    /// Reads at most one more of each than may be moved.
    async fn read(reads: OrgReads<'_>, role: &str, now: Timestamp) -> Result<Self, Error> {
        let grants = reads.grants_of_role(role, now, MOVED_MAX as u64 + 1).await?;
        let mut links = Vec::new();
        let look = |link: Invitation| {
            if links.len() <= MOVED_MAX && link.brought_as(role, now).next().is_some() {
                links.push(link);
            }
            Ok(())
        };
        reads.each_open_link(now, look).await?;
        Ok(Self { grants, links })
    }

    fn is_empty(&self) -> bool {
        self.grants.is_empty() && self.links.is_empty()
    }

    /// Returns the resources where the role is held or offered.
    fn places(&self, role: &str, now: Timestamp) -> Vec<ResourceKey> {
        let offered = self.links.iter().flat_map(|link| link.brought_as(role, now)).map(|it| &it.place);
        resources_among(self.grants.iter().map(|grant| &grant.place).chain(offered))
    }
}

/// Plans that the holders of `grants` hold `instead` in their place, under the ceiling over the whole result.
fn plan_moving(actor: &Actor, grants: &[Grant], instead: &Arc<str>, affected: &Affected) -> Result<Plan, Error> {
    let instead = Held::Role(Arc::clone(instead));
    let held = affected.held.iter().filter(|it| it.held == instead);
    let there: HashMap<(Principal, &Place), Option<Timestamp>> =
        held.map(|it| ((it.principal, &it.place), it.expires_at)).collect();
    let mut deltas = Vec::new();
    for grant in grants {
        let moved = Assignment { place: grant.place.clone(), held: instead.clone(), expires_at: grant.expires_at };
        moved.must_be_assignable(&actor.catalog, grant.principal, "move_holders_to")?;
        let left = Assignment { held: grant.held.clone(), ..moved.clone() };
        deltas.push(Delta { principal: grant.principal, assignment: left, act: Act::Revoke });
        // Whoever holds the other role there for longer keeps it for as long.
        let holds_longer = match there.get(&(grant.principal, &grant.place)) {
            Some(None) => true,
            Some(Some(until)) => grant.expires_at.is_some_and(|expires_at| expires_at <= *until),
            None => false,
        };
        if !holds_longer {
            deltas.push(Delta { principal: grant.principal, assignment: moved, act: Act::Grant });
        }
    }
    let plan = plan(&actor.catalog, affected.before(actor.now), &deltas)?;
    must_be_under_the_ceiling(actor, &plan)?;
    Ok(plan)
}

fn must_be_under_the_ceiling(actor: &Actor, plan: &Plan) -> Result<(), Error> {
    for (principal, assignment) in &plan.granted {
        may_give(&actor.at(assignment.place.resource()), &assignment.held, *principal, actor.now)?;
    }
    for grant in &plan.revoked {
        may_take(&actor.at(grant.place.resource()), &grant.held, actor.now)?;
    }
    plan.gone().try_for_each(|grant| may_take_from(actor, grant.principal))
}

/// Has links offer `instead` where they offered `role`, under the ceiling: users who come by them hold it. Who answers for a link
/// stays who made it.
async fn move_links(
    tx: &mut Tx,
    actor: &Actor,
    links: Vec<Invitation>,
    role: &Arc<str>,
    instead: &Arc<str>,
) -> Result<Vec<InvitationId>, Error> {
    let (now, somebody) = (tx.now(), Principal::Membership(tx.id()));
    let (old, new) = (Held::Role(Arc::clone(role)), Held::Role(Arc::clone(instead)));
    let mut moved = Vec::new();
    for link in links {
        for assignment in link.brought_as(role, now) {
            let there = Assignment { held: new.clone(), ..assignment.clone() };
            there.must_be_assignable(&actor.catalog, somebody, "move_holders_to")?;
            let place = actor.at(assignment.place.resource());
            may_take(&place, &old, now)?;
            may_give(&place, &new, somebody, now)?;
        }
        let link = link.moved(role, instead);
        let brought: Vec<Assignment> = link.brought(now).cloned().collect();
        plan_member(&actor.catalog, somebody, &brought)?;
        tx.invitation_update(&link).await?;
        moved.push(link.id);
    }
    Ok(moved)
}

/// Deletes a role that nobody holds, with what has expired of it.
async fn forget(tx: &mut Tx, role: &Arc<str>) -> Result<(), Error> {
    let lapsed = tx.reads().lapsed_grants_of_role(role, tx.now(), LAPSED_MAX + 1).await?;
    if lapsed.len() as u64 > LAPSED_MAX {
        return Err(Error::new(Reason::ConcurrentUpdate, "much of it has expired meanwhile; try again"));
    }
    if lapsed.len() >= tx.room() {
        let message = "comes to more changes than one commit takes; revoke some grants first";
        return Err(Error::invalid("move_holders_to", Reason::OutOfRange, message));
    }
    tx.grants_delete(&lapsed).await?;
    tx.role_delete(role).await
}
