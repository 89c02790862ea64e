//! The names of types and roles as numbers: the catalog's own, and after them those that it does not declare.
//!
//! What the catalog does not declare gives nothing, but is kept: another catalog, or a later version, may declare it.

use std::sync::Arc;

use super::number::{AS_MEMBER, FOREVER, Holding};
use crate::domain::catalog::{Catalog, CustomRole, Role, RoleId};
use crate::domain::fact::{Grant, Held};
use crate::domain::time::Timestamp;

/// Names as numbers, under one catalog.
#[derive(Clone, Debug)]
pub(super) struct Words {
    /// The catalog that the organization follows, with the roles of its own.
    pub catalog: Arc<Catalog>,
    /// That catalog as it is for everybody.
    followed: Arc<Catalog>,
    /// The organization's own roles, in the order of their numbers; nothing where one is gone.
    roles: Arc<Vec<Option<CustomRole>>>,
    undeclared_kinds: Arc<Vec<Arc<str>>>,
    undeclared_roles: Arc<Vec<Arc<str>>>,
}

impl Words {
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            followed: Arc::clone(&catalog),
            catalog,
            roles: Arc::default(),
            undeclared_kinds: Arc::default(),
            undeclared_roles: Arc::default(),
        }
    }

    /// Returns the catalog that the organization follows, without roles of its own.
    pub fn followed(&self) -> &Arc<Catalog> {
        &self.followed
    }

    /// Returns the organization's own roles.
    pub fn roles(&self) -> impl Iterator<Item = &CustomRole> {
        self.roles.iter().flatten()
    }

    /// Returns whether to take `role` in would move numbers that were given: behind the catalog's roles and the
    /// organization's own stand those that neither declares, and `role` may be one of them.
    pub fn must_number_anew_for(&self, role: &CustomRole) -> bool {
        !self.undeclared_roles.is_empty() && self.roles().all(|known| known.name != role.name)
    }

    /// Takes in a role of the organization's own as it stands.
    pub fn put_role(&mut self, role: &CustomRole) {
        let roles = Arc::make_mut(&mut self.roles);
        let is_it = |known: &Option<CustomRole>| known.as_ref().is_some_and(|known| known.name == role.name);
        let place = roles.iter().position(is_it);
        // Nobody holds what is gone, so its number is free: an organization that makes and deletes roles all day long
        // does not run out of numbers.
        match place.or_else(|| roles.iter().position(Option::is_none)) {
            Some(place) => roles[place] = Some(role.clone()),
            None => roles.push(Some(role.clone())),
        }
        self.extend();
    }

    /// Takes a role of the organization's own away, which nobody holds.
    pub fn remove_role(&mut self, name: &str) {
        for role in Arc::make_mut(&mut self.roles) {
            role.take_if(|role| *role.name == *name);
        }
        self.extend();
    }

    fn extend(&mut self) {
        self.catalog = Arc::new(self.followed.extended(self.roles.iter().map(Option::as_ref)));
    }

    /// Returns the number of a type, a new one if need be.
    pub fn kind(&mut self, name: &Arc<str>) -> u16 {
        match self.catalog.resource_type(name) {
            Some((id, _)) => id.0,
            None => number(self.catalog.resource_types().len(), &mut self.undeclared_kinds, name),
        }
    }

    /// Returns the number of a type, if anything was ever said of one.
    pub fn known_kind(&self, name: &str) -> Option<u16> {
        match self.catalog.resource_type(name) {
            Some((id, _)) => Some(id.0),
            None => known(self.catalog.resource_types().len(), &self.undeclared_kinds, name),
        }
    }

    /// Returns the name of a type.
    pub fn kind_name(&self, kind: u16) -> Arc<str> {
        let kind = usize::from(kind);
        let declared = self.catalog.resource_types().nth(kind).map(|(_, kind)| &kind.name);
        let declared_count = self.catalog.resource_types().len();
        Arc::clone(declared.unwrap_or_else(|| &self.undeclared_kinds[kind - declared_count]))
    }

    /// Returns a grant as a holding.
    pub fn holding(&mut self, grant: &Grant) -> Holding {
        let held = match &grant.held {
            Held::AsMember => AS_MEMBER,
            Held::Role(name) => match self.catalog.role_id(name) {
                Some(id) => id.0,
                None => number(self.catalog.roles().len(), &mut self.undeclared_roles, name),
            },
        };
        Holding { held, expires_at: grant.expires_at.map_or(FOREVER, Timestamp::as_micros) }
    }

    /// Returns the role behind a holding, if it is one that the catalog declares.
    pub fn role(&self, held: u16) -> Option<&Role> {
        self.catalog.declared_role(RoleId(held))
    }

    /// Returns what a holding says.
    pub fn held(&self, held: u16) -> Held {
        match self.role(held) {
            _ if held == AS_MEMBER => Held::AsMember,
            Some(role) => Held::Role(Arc::clone(&role.name)),
            None => Held::Role(Arc::clone(&self.undeclared_roles[usize::from(held) - self.catalog.roles().len()])),
        }
    }
}

fn number(declared: usize, undeclared: &mut Arc<Vec<Arc<str>>>, name: &Arc<str>) -> u16 {
    known(declared, undeclared, name).unwrap_or_else(|| {
        let names = Arc::make_mut(undeclared);
        names.push(Arc::clone(name));
        to_number(declared + names.len() - 1)
    })
}

fn known(declared: usize, undeclared: &[Arc<str>], name: &str) -> Option<u16> {
    let at = undeclared.iter().position(|known| **known == *name)?;
    Some(to_number(declared + at))
}

/// The last number is taken by [`AS_MEMBER`].
fn to_number(count: usize) -> u16 {
    u16::try_from(count).ok().filter(|number| *number < AS_MEMBER).expect("fewer names than numbers of two bytes")
}
