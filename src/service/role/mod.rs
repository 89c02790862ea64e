//! Roles: those of the catalog, shown; those of the organization, made, changed and deleted (AX-23).

mod transfer;

pub use transfer::{TransferRole, Transferred};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::access::{Actor, may_give, may_shape, may_take, may_take_role, must_see_all_held_as};
use crate::domain::assignment::{Act, Assignment, Delta, Plan, plan, plan_member};
use crate::domain::catalog::{
    CUSTOM_ROLES_MAX, Catalog, CeilingNames, CustomRole, Holders, Reach, Role, RoleId, RolePlace, RoleView,
};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, GrantSource, Held};
use crate::domain::id::{InvitationId, OrganizationId};
use crate::domain::invitation::Invitation;
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::time::Timestamp;
use crate::service::apply::{Affected, Changed, apply};
use crate::service::etag::{etag, must_match};
use crate::service::{Context, Read, Services, Written};
use crate::store::{Lock, Reads, Tx};

/// Most grants that are moved when their role is deleted: each is one that goes and one that comes.
const MOVED_MAX: usize = 4_000;
/// Most expired grants that go with a role in one commit.
const LAPSED_MAX: u64 = 1_000;

/// The roles of an organization.
#[derive(Clone, Debug)]
pub struct Roles {
    /// The catalog it follows, with the roles of its own.
    pub catalog: Arc<Catalog>,
    /// The roles of its own as they were written, each with its tag, by name.
    pub custom: Vec<(CustomRole, String)>,
}

/// What is written of a role; nothing stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RoleChanges {
    /// For people.
    pub description: Option<String>,
    /// Where it can be held.
    pub at: Option<Vec<RolePlace>>,
    /// By whom it can be held.
    pub to: Option<Holders>,
    /// What it includes.
    pub includes: Option<Vec<Arc<str>>>,
    /// What it holds.
    pub permissions: Option<BTreeMap<Arc<str>, Reach>>,
    /// Whether its holder is on the list.
    pub as_member: Option<bool>,
    /// What its holder may give.
    pub may_grant: Option<CeilingNames>,
    /// What its holder may take.
    pub may_take: Option<CeilingNames>,
}

/// Asks for a role to be changed.
#[derive(Clone, Debug)]
pub struct UpdateRole {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub name: Arc<str>,
    /// What is written.
    pub changes: RoleChanges,
    /// As it was told; empty asks nothing.
    pub etag: String,
}

/// Asks for a role to be deleted.
#[derive(Clone, Debug)]
pub struct DeleteRole {
    /// Whose.
    pub organization: OrganizationId,
    /// Which.
    pub name: Arc<str>,
    /// What its holders hold instead, where they held it; nothing if nobody may hold it.
    pub move_holders_to: Option<Arc<str>>,
    /// As it was told; empty asks nothing.
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

/// A role that was changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdatedRole {
    /// As it stands.
    pub role: WrittenRole,
    /// The open links that bring it, if it holds less than before, or elsewhere, or by others.
    pub links: Vec<InvitationId>,
}

/// A role of the organization's own, with its tag.
pub type Tagged = (CustomRole, String);

/// A role as it was written, and as it is shown under the catalog that its commit saw: with the commit all of the answer is
/// known, and nothing is read after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WrittenRole {
    /// As it is shown.
    pub view: RoleView,
    /// As it was written.
    pub tagged: Tagged,
}

impl WrittenRole {
    fn of(catalog: &Catalog, compiled: &Role, role: CustomRole) -> Result<Self, Error> {
        Ok(Self { view: catalog.view(compiled), tagged: tagged(role)? })
    }
}

impl Services {
    /// Gives the roles of an organization, to whoever is in it.
    ///
    /// # Errors
    /// - [`Reason::NotFound`].
    pub async fn roles(&self, context: &Context, organization: OrganizationId) -> Result<Read<Roles>, Error> {
        let token = self.token_before_reading(organization).await?;
        let reads = self.store.reads();
        let actor = reads.of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        actor.must_see(None)?;
        let custom = reads.of(organization).roles().await?.into_iter().map(tagged).collect::<Result<_, _>>()?;
        Ok(Read { value: Roles { catalog: actor.catalog, custom }, token })
    }

    /// Makes a role, under the ceiling over all that it holds.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::FeatureOff`].
    /// - [`Reason::NameTaken`], and what [`CustomRole::must_fit`] fails with.
    pub async fn create_role(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        role: CustomRole,
    ) -> Result<Written<WrittenRole>, Error> {
        self.may_manage(context, organization).await?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            create(tx, call.clone(), organization, role.clone())
        })
        .await
    }

    /// Changes a role, under the ceiling over all that it then holds; what it holds no more is taken from its holders.
    ///
    /// # Errors
    /// - As [`Services::create_role`]; [`Reason::RoleNotTakeable`], [`Reason::SelfRemoval`], [`Reason::EtagMismatch`].
    pub async fn update_role(
        self: &Arc<Self>,
        context: &Context,
        request: UpdateRole,
    ) -> Result<Written<UpdatedRole>, Error> {
        self.may_manage(context, request.organization).await?;
        let (call, lock) = (context.clone(), Lock::Organization(request.organization));
        self.write(context, lock, move |tx| update(tx, call.clone(), request.clone())).await
    }

    /// Deletes a role; its holders hold another instead, and open links bring that, or there are none.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleInUse`], [`Reason::EtagMismatch`].
    /// - What granting and revoking fail with, for the holders that are moved.
    pub async fn delete_role(
        self: &Arc<Self>,
        context: &Context,
        request: DeleteRole,
    ) -> Result<Written<DeletedRole>, Error> {
        self.may_manage(context, request.organization).await?;
        let lock = Lock::Organization(request.organization);
        let organization = request.organization;
        let act = {
            let call = context.clone();
            move |tx| delete(tx, call.clone(), request.clone())
        };
        match self.write(context, lock, act.clone()).await {
            // What has expired goes with the role, and the commit had no room for so much of it.
            Err(error) if error.reason == Reason::ConcurrentUpdate && !context.validate_only => {
                self.sweep_organization(organization, self.world.now()).await?;
                self.write(context, lock, act).await
            }
            written => written,
        }
    }

    async fn may_manage(&self, context: &Context, organization: OrganizationId) -> Result<(), Error> {
        let actor = self.store.reads().of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        context.authorize(&actor, None, "")
    }
}

async fn create(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    role: CustomRole,
) -> Result<(Tx, WrittenRole), Error> {
    let (actor, catalog) = manager(&tx, &context, organization, &[]).await?;
    let roles = tx.reads().roles().await?;
    if roles.iter().any(|other| other.name == role.name) {
        return Err(Error::new(Reason::NameTaken, "the organization has a role of this name").about("role", &role.name));
    }
    if roles.len() >= CUSTOM_ROLES_MAX {
        let message = format!("the organization has {CUSTOM_ROLES_MAX} roles of its own, as many as it may");
        return Err(Error::invalid("role", Reason::OutOfRange, message));
    }
    let compiled = must_be_shaped(&actor, &catalog, &role, false, tx.now())?;
    tx.role_insert(&role).await?;
    Ok((tx, WrittenRole::of(&catalog, &compiled, role)?))
}

async fn update(mut tx: Tx, context: Context, request: UpdateRole) -> Result<(Tx, UpdatedRole), Error> {
    let UpdateRole { organization, name, changes, etag } = request;
    let (actor, catalog) = manager(&tx, &context, organization, &[]).await?;
    let before = find(&tx.above(), organization, &name).await?;
    must_match(&etag, &before)?;
    let after = changes.written_on(before.clone());
    if after == before {
        let role = WrittenRole::of(&catalog, &compiled(&catalog, &before)?, before)?;
        return Ok((tx, UpdatedRole { role, links: Vec::new() }));
    }
    let now = tx.now();
    let principals = tx.reads().principals_of_role(&name, now).await?;
    let (mut links, mut can_be_brought) = (Vec::new(), Ok(()));
    let is_mine = principals.iter().any(|principal| actor.standing.is_among(*principal));
    let after_compiled = must_be_shaped(&actor, &catalog, &after, is_mine, now)?;
    let before_compiled = compiled(&catalog, &before)?;
    let is_less = !before_compiled.is_within(&after_compiled);
    let is_elsewhere = after.at != before.at || after.to != before.to;
    if is_less || is_elsewhere {
        must_see_all_held_as(&actor, &before_compiled, now)?;
        // What is offered is as good as held.
        let extended = catalog.extended(std::iter::once(Some(&after)));
        let somebody = Principal::Membership(tx.id());
        let look = |link: Invitation| {
            if link.brought_as(&name, now).next().is_some() && links.len() < MOVED_MAX {
                links.push(link.id);
            }
            if can_be_brought.is_ok() {
                can_be_brought = must_be_brought(&link, &extended, &name, somebody, now);
            }
            Ok(())
        };
        tx.reads().each_open_link(now, look).await?;
    }
    if is_less && !(principals.is_empty() && links.is_empty()) {
        may_take_role(&actor.at(None), &Held::Role(Arc::clone(&name)), now)?;
        if principals.iter().any(|principal| actor.standing.is_alone(*principal)) {
            return Err(Error::new(Reason::SelfRemoval, "nobody takes from themselves"));
        }
    }
    if !principals.is_empty() && is_elsewhere {
        tx.reads().in_use(now).await?.must_hold(&catalog, &after)?;
    }
    can_be_brought?;
    tx.role_update(&after).await?;
    Ok((tx, UpdatedRole { role: WrittenRole::of(&catalog, &after_compiled, after)?, links }))
}

async fn delete(mut tx: Tx, context: Context, request: DeleteRole) -> Result<(Tx, DeletedRole), Error> {
    let DeleteRole { organization, name, move_holders_to, etag } = request;
    // Whatever the caller names: only what is there is looked for further.
    let role = find(&tx.above(), organization, &name).await;
    let Holdings { grants, links } = match &role {
        Ok(_) => Holdings::of(&tx, organization, &name).await?,
        Err(_) => Holdings::default(),
    };
    let offered = links.iter().flat_map(|link| link.brought_as(&name, tx.now())).map(|it| &it.place);
    let places = grants.iter().map(|grant| &grant.place).chain(offered);
    let places: BTreeSet<ResourceKey> = places.filter_map(Place::resource).cloned().collect();
    let (actor, catalog) = manager(&tx, &context, organization, &places.into_iter().collect::<Vec<_>>()).await?;
    let role = role?;
    must_match(&etag, &role)?;
    must_see_all_held_as(&actor, &compiled(&catalog, &role)?, tx.now())?;
    if grants.is_empty() && links.is_empty() {
        forget(&mut tx, &name).await?;
        return Ok((tx, DeletedRole::default()));
    }
    let Some(instead) = move_holders_to else {
        return Err(match links.first().filter(|_| grants.is_empty()) {
            Some(link) => {
                let message = "an open link offers the role; name a role that it is to offer instead, or let it lapse";
                Error::new(Reason::RoleInUse, message).about("invitation", link.id)
            }
            None => {
                let message = "the role is held; name a role that its holders are to hold instead, or revoke it first";
                Error::new(Reason::RoleInUse, message).about("role", &name)
            }
        });
    };
    if instead == name {
        return Err(Error::invalid("move_holders_to", Reason::RoleUnknown, "names the role that is to be deleted"));
    }
    if grants.len() + links.len() > MOVED_MAX {
        let message = format!("would move more than {MOVED_MAX} grants and links at once; revoke some first");
        return Err(Error::invalid("move_holders_to", Reason::OutOfRange, message));
    }
    let principals: BTreeSet<Principal> = grants.iter().map(|grant| grant.principal).collect();
    let principals: Vec<Principal> = principals.into_iter().collect();
    let affected = Affected::read(&tx, organization, &actor.catalog, &principals).await?;
    let plan = plan_moving(&actor, &grants, &instead, &affected, tx.now())?;
    let changed = apply(&mut tx, &actor.catalog, &plan, &affected, GrantSource::Manual, "move_holders_to").await?;
    let moved = move_links(&mut tx, &actor, links, &name, &instead).await?;
    forget(&mut tx, &name).await?;
    Ok((tx, DeletedRole { changed, links: moved }))
}

/// What holds or offers a role.
#[derive(Default)]
struct Holdings {
    grants: Vec<Grant>,
    links: Vec<Invitation>,
}

impl Holdings {
    /// Reads at most one more of each than may be moved.
    async fn of(tx: &Tx, _organization: OrganizationId, role: &str) -> Result<Self, Error> {
        let grants = tx.reads().grants_of_role(role, tx.now(), MOVED_MAX as u64 + 1).await?;
        let mut links = Vec::new();
        tx.reads()
            .each_open_link(tx.now(), |link| {
                if links.len() <= MOVED_MAX && link.brought_as(role, tx.now()).next().is_some() {
                    links.push(link);
                }
                Ok(())
            })
            .await?;
        Ok(Self { grants, links })
    }
}

/// Has links offer `instead` where they offered `role`, under the ceiling: whoever comes by them holds it. Who answers for a link
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

/// Ensures that an open link which brings a role may bring it still, as the role is under `catalog`.
fn must_be_brought(
    link: &Invitation,
    catalog: &Catalog,
    role: &str,
    somebody: Principal,
    now: Timestamp,
) -> Result<(), Error> {
    let is_brought = |it: &Assignment| it.must_be_assignable(catalog, somebody, "role").is_ok();
    if link.brought_as(role, now).all(is_brought) {
        return Ok(());
    }
    let message = "an open link offers the role where, or to whom, it could not be held then; let it lapse first";
    Err(Error::new(Reason::RoleInUse, message).about("invitation", link.id))
}

/// Plans that whoever holds `grants` holds `instead` in their place, under the ceiling over the whole result.
fn plan_moving(
    actor: &Actor,
    grants: &[Grant],
    instead: &Arc<str>,
    affected: &Affected,
    now: Timestamp,
) -> Result<Plan, Error> {
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
    let plan = plan(&actor.catalog, affected.before(now), &deltas)?;
    must_be_under_the_ceiling(actor, &plan, now)?;
    Ok(plan)
}

fn must_be_under_the_ceiling(actor: &Actor, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    for (principal, assignment) in &plan.granted {
        may_give(&actor.at(assignment.place.resource()), &assignment.held, *principal, now)?;
    }
    for grant in &plan.revoked {
        may_take(&actor.at(grant.place.resource()), &grant.held, now)?;
    }
    for grant in plan.gone() {
        if actor.standing.is_alone(grant.principal) {
            return Err(Error::new(Reason::SelfRemoval, "nobody takes from themselves"));
        }
    }
    Ok(())
}

/// Gathers the caller, who must manage roles, and the catalog that the organization follows, without roles of its own.
async fn manager(
    tx: &Tx,
    context: &Context,
    organization: OrganizationId,
    places: &[ResourceKey],
) -> Result<(Actor, Arc<Catalog>), Error> {
    let actor = tx.reads().actor(context.subject()?, places, tx.now()).await?;
    context.authorize(&actor, None, "")?;
    if !actor.catalog.features().custom_roles {
        let message = "the organization's catalog leaves custom roles out";
        return Err(Error::new(Reason::FeatureOff, message).about("feature", "custom_roles"));
    }
    let found = tx.reads().organization().await?;
    let found = found.ok_or_else(|| Error::not_found("organization", organization))?;
    let catalog = tx.above().catalog(&found.catalog).await?;
    Ok((actor, catalog))
}

/// Asks that `role` fits the catalog and that the caller may have it held; gives it compiled.
fn must_be_shaped(
    actor: &Actor,
    catalog: &Catalog,
    role: &CustomRole,
    is_mine: bool,
    now: Timestamp,
) -> Result<Role, Error> {
    role.must_fit(catalog, "role")?;
    let shaped = compiled(catalog, role)?;
    let includes: Vec<RoleId> = role.includes.iter().filter_map(|name| catalog.role_id(name)).collect();
    may_shape(&actor.at(None), &shaped, &includes, is_mine, now)?;
    Ok(shaped)
}

fn compiled(catalog: &Catalog, role: &CustomRole) -> Result<Role, Error> {
    let extended = catalog.extended(std::iter::once(Some(role)));
    let id = extended.role_id(&role.name).ok_or_else(|| Error::internal("a role that was not compiled"))?;
    Ok(extended.role(id).clone())
}

async fn find(reads: &Reads<'_>, organization: OrganizationId, name: &Arc<str>) -> Result<CustomRole, Error> {
    let roles = reads.of(organization).roles().await?;
    roles.into_iter().find(|role| role.name == *name).ok_or_else(|| Error::not_found("role", name))
}

fn tagged(role: CustomRole) -> Result<Tagged, Error> {
    let tag = etag(&role)?;
    Ok((role, tag))
}

impl RoleChanges {
    /// Writes what is named over `role`.
    fn written_on(self, role: CustomRole) -> CustomRole {
        CustomRole {
            name: role.name,
            description: self.description.unwrap_or(role.description),
            at: self.at.unwrap_or(role.at),
            to: self.to.unwrap_or(role.to),
            includes: self.includes.unwrap_or(role.includes),
            permissions: self.permissions.unwrap_or(role.permissions),
            as_member: self.as_member.unwrap_or(role.as_member),
            may_grant: self.may_grant.unwrap_or(role.may_grant),
            may_take: self.may_take.unwrap_or(role.may_take),
        }
    }
}
