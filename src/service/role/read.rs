//! Showing and listing roles: those of the catalog, but for the built-in one, and those of the organization.

use std::sync::Arc;

use super::RoleDetail;
use crate::domain::access::Actor;
use crate::domain::catalog::{Catalog, CustomRole, Role, RoleId};
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::service::etag::etag;
use crate::service::{Authorize, Call, Query};

/// Shows a role to a member of the organization.
///
/// # Errors
/// - [`Reason::NotFound`].
#[derive(Debug)]
pub struct GetRole {
    pub name: String,
}

impl Authorize for GetRole {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.visitor(&[]).await
    }
}

impl Query for GetRole {
    type Output = RoleDetail;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<RoleDetail, Error> {
        let custom = call.reads.roles().await?;
        let role = in_order(&actor.catalog).into_iter().find(|role| *role.name == *self.name);
        detail(&actor.catalog, &custom, role.ok_or_else(|| Error::not_found("role", &self.name))?)
    }
}

/// Lists roles, those of the catalog first, each by name, to a member of the organization.
///
/// # Errors
/// - [`Reason::NotFound`].
#[derive(Debug)]
pub struct ListRoles {
    /// At most so many; `None` for all, which are few.
    pub size: Option<u32>,
    /// After which the page begins.
    pub after: Option<RolePosition>,
}

/// Where a role stands in a list: whether it is of the organization's own, and its name.
pub type RolePosition = (bool, Arc<str>);

/// A page of roles.
#[derive(Debug)]
pub struct RolePage {
    pub roles: Vec<RoleDetail>,
    /// After which the next page begins, if there is one.
    pub next: Option<RolePosition>,
}

impl RoleDetail {
    /// Returns where it stands in a list.
    #[must_use]
    pub fn position(&self) -> RolePosition {
        (self.view.is_custom, Arc::clone(&self.view.name))
    }
}

impl Authorize for ListRoles {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.visitor(&[]).await
    }
}

impl Query for ListRoles {
    type Output = RolePage;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<RolePage, Error> {
        let custom = call.reads.roles().await?;
        let mut roles = in_order(&actor.catalog);
        roles.retain(|role| self.after.as_ref().is_none_or(|(is_custom, name)| position(role) > (*is_custom, name)));
        let size = self.size.map_or(roles.len(), |size| size as usize);
        let has_more = roles.len() > size;
        roles.truncate(size);
        let roles: Vec<RoleDetail> =
            roles.into_iter().map(|role| detail(&actor.catalog, &custom, role)).collect::<Result<_, _>>()?;
        let next = roles.last().filter(|_| has_more).map(RoleDetail::position);
        Ok(RolePage { roles, next })
    }
}

fn position(role: &Role) -> (bool, &Arc<str>) {
    (role.is_custom, &role.name)
}

fn in_order(catalog: &Catalog) -> Vec<&Role> {
    let named = catalog.roles().filter(|(id, _)| *id != RoleId::OPERATOR);
    let mut roles: Vec<&Role> = named.map(|(_, role)| role).collect();
    roles.sort_by(|one, other| position(one).cmp(&position(other)));
    roles
}

fn detail(catalog: &Catalog, custom: &[CustomRole], role: &Role) -> Result<RoleDetail, Error> {
    let written = custom.iter().find(|custom| role.is_custom && custom.name == role.name);
    let custom = written.map(|written| etag(written).map(|etag| (written.clone(), etag))).transpose()?;
    Ok(RoleDetail { view: catalog.view(role), custom })
}
