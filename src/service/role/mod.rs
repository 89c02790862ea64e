//! Roles: those of the catalog, shown; those of the organization, created, changed and deleted (AX-23); and transferred.

mod delete;
mod edit;
mod read;
mod transfer;

pub use delete::{DeleteRole, DeletedRole};
pub use edit::{CreateRole, RoleChanges, UpdateRole, UpdatedRole};
pub use read::{GetRole, ListRoles, RolePage, RolePosition};
pub use transfer::{TransferRole, TransferredRole};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::catalog::{Catalog, CustomRole, Role, RoleView};
use crate::domain::error::Error;
use crate::service::etag::etag;
use crate::store::{OrgReads, Tx};

/// Most grants that are moved when their role is deleted: each is one that goes and one that comes.
const MOVED_MAX: usize = 4_000;

/// A role as it is shown under the catalog of one moment; of the organization's own, also as it was written, with its tag. With
/// a commit all of the answer is known, and nothing is read after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleDetail {
    /// As it is shown.
    pub view: RoleView,
    /// As it was written, and its tag, if it is of the organization's own.
    pub custom: Option<(CustomRole, String)>,
}

impl RoleDetail {
    fn of_custom(catalog: &Catalog, compiled: &Role, role: CustomRole) -> Result<Self, Error> {
        let etag = etag(&role)?;
        Ok(Self { view: catalog.view(compiled), custom: Some((role, etag)) })
    }
}

/// Returns the catalog that the locked organization follows, without roles of its own.
async fn catalog_alone(tx: &Tx) -> Result<Arc<Catalog>, Error> {
    let found = tx.reads().organization().await?;
    let found = found.ok_or_else(|| Error::not_found("organization", tx.reads().organization_id()))?;
    tx.above().catalog(&found.catalog).await
}

fn compiled(catalog: &Catalog, role: &CustomRole) -> Result<Role, Error> {
    let extended = catalog.extended(std::iter::once(Some(role)));
    let id = extended.role_id(&role.name).ok_or_else(|| Error::internal("a role that was not compiled"))?;
    Ok(extended.role(id).clone())
}

async fn find(reads: OrgReads<'_>, name: &Arc<str>) -> Result<CustomRole, Error> {
    let roles = reads.roles().await?;
    roles.into_iter().find(|role| role.name == *name).ok_or_else(|| Error::not_found("role", name))
}
