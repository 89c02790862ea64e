//! Roles as they are shown: by names, with all that they come to under one catalog.

use std::sync::Arc;

use super::{Catalog, Ceiling, CeilingNames, Holders, OnLeave, PermissionId, Reach, Role, RoleId};

/// A role as it is shown. It stands by itself: whoever has it needs no catalog to read it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct RoleView {
    /// Unique in the catalog, and among the roles that an organization has made.
    pub name: Arc<str>,
    /// For people.
    pub description: Arc<str>,
    /// Whether an organization made it.
    pub is_custom: bool,
    /// Where it can be held: `installation`, `product`, `organization`, or the name of a type.
    pub at: Vec<Arc<str>>,
    /// By whom it can be held.
    pub to: Holders,
    /// The reaches of each permission that it holds, with all includes taken in, in the order of the catalog.
    pub effective: Vec<(Arc<str>, Vec<Reach>)>,
    /// Whether its holder is on the list.
    pub as_member: bool,
    /// What its holder may give.
    pub may_grant: CeilingNames,
    /// What its holder may take away.
    pub may_take: CeilingNames,
    /// Fewest holders in an organization.
    pub least: u32,
    /// Most holders in an organization.
    pub most: Option<u32>,
    /// Roles that must be held beside it.
    pub requires: Vec<Arc<str>>,
    /// The exclusive set it belongs to.
    pub set: Option<Arc<str>>,
    /// Whether it is only transferred.
    pub is_transfer_only: bool,
    /// Whether direct grants on resources go when it is left.
    pub clears_on_leave: bool,
}

impl Catalog {
    /// Returns a role, which names others of this catalog, as it is shown.
    #[must_use]
    pub fn view(&self, role: &Role) -> RoleView {
        let name = |id: &RoleId| Arc::clone(&self.role(*id).name);
        let reaches = |permission: PermissionId| {
            let held = [Reach::Any, Reach::Shared, Reach::Own].into_iter();
            held.filter(|reach| role.reach(permission).has(*reach)).collect::<Vec<_>>()
        };
        let held = self.permissions().filter(|permission| !role.reach(*permission).is_empty());
        RoleView {
            name: Arc::clone(&role.name),
            description: Arc::clone(&role.description),
            is_custom: role.is_custom,
            at: self.places(role),
            to: role.to,
            effective: held.map(|id| (Arc::clone(self.permission_name(id)), reaches(id))).collect(),
            as_member: role.as_member,
            may_grant: self.ceiling_names(&role.may_grant),
            may_take: self.ceiling_names(&role.may_take),
            least: role.least,
            most: role.most,
            requires: role.requires.iter().map(name).collect(),
            set: role.set.map(|set| Arc::clone(&self.set(set).name)),
            is_transfer_only: role.is_transfer_only,
            clears_on_leave: role.on_leave == OnLeave::Clear,
        }
    }

    fn places(&self, role: &Role) -> Vec<Arc<str>> {
        let levels = [(role.at.installation, "installation"), (role.at.product, "product")];
        let levels = levels.into_iter().chain([(role.at.organization, "organization")]);
        let levels = levels.filter(|(is_at, _)| *is_at).map(|(_, word)| word.into());
        let types = self.resource_types().filter(|(id, _)| role.at.types.contains(id));
        levels.chain(types.map(|(_, kind)| Arc::clone(&kind.name))).collect()
    }

    fn ceiling_names(&self, ceiling: &Ceiling) -> CeilingNames {
        if ceiling.any {
            CeilingNames::Any
        } else if ceiling.subset {
            CeilingNames::Subset
        } else if ceiling.list.is_empty() {
            CeilingNames::None
        } else {
            CeilingNames::Roles(ceiling.list.iter().map(|id| Arc::clone(&self.role(*id).name)).collect())
        }
    }
}
