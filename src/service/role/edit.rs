//! Creating and changing a role of the organization's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{MOVED_MAX, RoleDetail, catalog_alone, compiled, find};
use crate::domain::access::{Actor, may_shape, may_take_from, may_take_role, must_see_all_held_as};
use crate::domain::catalog::{
    CUSTOM_ROLES_MAX, Catalog, CeilingNames, CustomRole, Holders, Reach, Role, RoleId, RolePlace,
};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Held;
use crate::domain::grant::assignment::Assignment;
use crate::domain::id::InvitationId;
use crate::domain::invitation::Invitation;
use crate::domain::place::Principal;
use crate::domain::time::Timestamp;
use crate::service::etag::must_match;
use crate::service::{Authorize, Mutation};
use crate::store::Tx;

/// Creates a role, under the ceiling over all that it holds.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::FeatureOff`].
/// - [`Reason::NameTaken`], and what [`CustomRole::must_fit`] fails with.
#[derive(Debug)]
pub struct CreateRole {
    /// As it is to be.
    pub role: CustomRole,
}

impl Authorize for CreateRole {}

impl Mutation for CreateRole {
    type Output = RoleDetail;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<RoleDetail, Error> {
        let role = &self.role;
        let catalog = catalog_alone(tx).await?;
        let roles = tx.reads().roles().await?;
        if roles.iter().any(|other| other.name == role.name) {
            let refusal = Error::new(Reason::NameTaken, "the organization has a role of this name");
            return Err(refusal.about("role", &role.name));
        }
        if roles.len() >= CUSTOM_ROLES_MAX {
            let message = format!("the organization has {CUSTOM_ROLES_MAX} roles of its own, as many as it may");
            return Err(Error::invalid("role", Reason::OutOfRange, message));
        }
        let compiled = must_be_shaped(&actor, &catalog, role, false)?;
        tx.role_insert(role).await?;
        RoleDetail::of_custom(&catalog, &compiled, role.clone())
    }
}

/// Changes a role, under the ceiling over all that it then holds; what it holds no more is taken from its holders.
///
/// # Errors
/// - As [`CreateRole`]; [`Reason::RoleNotTakeable`], [`Reason::SelfRemoval`], [`Reason::RoleInUse`],
///   [`Reason::EtagMismatch`].
#[derive(Debug)]
pub struct UpdateRole {
    pub name: Arc<str>,
    /// What is written.
    pub changes: RoleChanges,
    /// How the role must look; empty asks nothing.
    pub etag: String,
}

/// A role that was changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdatedRole {
    /// As it stands.
    pub role: RoleDetail,
    /// The open links that bring it, if it holds less than before, or elsewhere, or by others.
    pub links: Vec<InvitationId>,
}

/// What is written of a role; `None` leaves it as it is.
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

impl RoleChanges {
    /// Returns `role` with what is named written over it.
    fn written_on(&self, role: CustomRole) -> CustomRole {
        CustomRole {
            name: role.name,
            description: self.description.clone().unwrap_or(role.description),
            at: self.at.clone().unwrap_or(role.at),
            to: self.to.unwrap_or(role.to),
            includes: self.includes.clone().unwrap_or(role.includes),
            permissions: self.permissions.clone().unwrap_or(role.permissions),
            as_member: self.as_member.unwrap_or(role.as_member),
            may_grant: self.may_grant.clone().unwrap_or(role.may_grant),
            may_take: self.may_take.clone().unwrap_or(role.may_take),
        }
    }
}

impl Authorize for UpdateRole {}

impl Mutation for UpdateRole {
    type Output = UpdatedRole;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<UpdatedRole, Error> {
        let catalog = catalog_alone(tx).await?;
        let before = find(tx.reads(), &self.name).await?;
        must_match(&self.etag, &before)?;
        let after = self.changes.written_on(before.clone());
        if after == before {
            let role = RoleDetail::of_custom(&catalog, &compiled(&catalog, &before)?, before)?;
            return Ok(UpdatedRole { role, links: Vec::new() });
        }
        let principals = tx.reads().principals_of_role(&self.name, actor.now).await?;
        let is_mine = principals.iter().any(|principal| actor.standing.is_among(*principal));
        let after_compiled = must_be_shaped(&actor, &catalog, &after, is_mine)?;
        let before_compiled = compiled(&catalog, &before)?;
        let is_less = !before_compiled.is_within(&after_compiled);
        let is_elsewhere = after.at != before.at || after.to != before.to;
        let mut bringing = Bringing::default();
        if is_less || is_elsewhere {
            must_see_all_held_as(&actor, &before_compiled, actor.now)?;
            // What is offered is as good as held.
            bringing = Bringing::read(tx, &catalog, &after).await?;
        }
        if is_less && !(principals.is_empty() && bringing.links.is_empty()) {
            may_take_role(&actor.at(None), &Held::Role(Arc::clone(&self.name)), actor.now)?;
            principals.iter().try_for_each(|principal| may_take_from(&actor, *principal))?;
        }
        if !principals.is_empty() && is_elsewhere {
            tx.reads().in_use(actor.now).await?.must_hold(&catalog, &after)?;
        }
        bringing.refusal.map_or(Ok(()), Err)?;
        tx.role_update(&after).await?;
        Ok(UpdatedRole { role: RoleDetail::of_custom(&catalog, &after_compiled, after)?, links: bringing.links })
    }
}

/// The open links that bring a role.
#[derive(Default)]
struct Bringing {
    links: Vec<InvitationId>,
    /// Why one of them could bring it no more.
    refusal: Option<Error>,
}

impl Bringing {
    /// Reads the links that bring `role`, as it is to be beside those of `catalog`.
    async fn read(tx: &Tx, catalog: &Catalog, role: &CustomRole) -> Result<Self, Error> {
        let extended = catalog.extended(std::iter::once(Some(role)));
        let (somebody, now) = (Principal::Membership(tx.id()), tx.now());
        let mut bringing = Self::default();
        let look = |link: Invitation| {
            if link.brought_as(&role.name, now).next().is_some() && bringing.links.len() < MOVED_MAX {
                bringing.links.push(link.id);
            }
            if bringing.refusal.is_none() {
                bringing.refusal = must_be_brought(&link, &extended, &role.name, somebody, now).err();
            }
            Ok(())
        };
        tx.reads().each_open_link(now, look).await?;
        Ok(bringing)
    }
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

/// Ensures that `role` fits the catalog and that the caller may have it held; returns it compiled.
fn must_be_shaped(actor: &Actor, catalog: &Catalog, role: &CustomRole, is_mine: bool) -> Result<Role, Error> {
    role.must_fit(catalog, "role")?;
    let shaped = compiled(catalog, role)?;
    let includes: Vec<RoleId> = role.includes.iter().filter_map(|name| catalog.role_id(name)).collect();
    may_shape(&actor.at(None), &shaped, &includes, is_mine, actor.now)?;
    Ok(shaped)
}
