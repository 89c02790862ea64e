//! What an organization holds of a catalog, so that it can be asked whether another one has a place for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Catalog, CustomRole};
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::Held;
use crate::domain::grant::assignment::Assignment;
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::resource::must_fit_under;

/// What an organization holds of the catalog it follows, each kind of thing once.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    /// What is held: by one principal of each kind, at one place of each kind; once with an end, and once without.
    pub held: Vec<(Principal, Assignment)>,
    /// The types of its resources, each with that of what it stands under; nothing for the organization.
    pub types: BTreeSet<(Arc<str>, Option<Arc<str>>)>,
    /// Whether it has groups.
    pub has_groups: bool,
    /// The roles that it has made.
    pub roles: Vec<CustomRole>,
}

impl InUse {
    /// Ensures that `catalog` has a place for all of it, and gives it with the organization's own roles.
    ///
    /// # Errors
    /// - [`Reason::CatalogIncompatible`], about the first thing that has none; [`Reason::ParentTypeNotAllowed`] for
    ///   resources that stand otherwise.
    pub fn must_fit(&self, catalog: &Catalog) -> Result<Catalog, Error> {
        let refuse = |kind: &'static str, name: &str, why: &str| {
            let message = format!("the organization has the {kind} {name}, {why}");
            Err(Error::new(Reason::CatalogIncompatible, message).about(kind, name))
        };
        if self.has_groups && !catalog.features().groups {
            return refuse("feature", "groups", "which the catalog leaves out");
        }
        if !self.roles.is_empty() && !catalog.features().custom_roles {
            return refuse("feature", "custom_roles", "which the catalog leaves out");
        }
        for (kind, _) in &self.types {
            if catalog.resource_type(kind).is_none() {
                return refuse("type", kind, "which the catalog does not declare");
            }
        }
        for (kind, parent) in &self.types {
            must_fit_under(catalog, kind, parent.as_deref())?;
        }
        for role in &self.roles {
            if let Err(error) = role.must_fit(catalog, &role.name) {
                return refuse("role", &role.name, &format!("which does not fit the catalog: {}", error.message));
            }
        }
        let extended = catalog.extended(self.roles.iter().map(Some));
        for (principal, assignment) in &self.held {
            let (kind, name) = match (&assignment.held, assignment.place.resource()) {
                (Held::Role(name), _) => ("role", &**name),
                (Held::AsMember, Some(key)) => ("list entry", &*key.kind),
                (Held::AsMember, None) => ("list entry", "of the organization"),
            };
            match assignment.must_be_assignable(&extended, *principal, "held") {
                Err(error) if error.kind() == Kind::InvalidArgument => {
                    return refuse(
                        kind,
                        name,
                        "for which the catalog has no place: where it is held, by whom, or until when",
                    );
                }
                assignable => assignable?,
            }
        }
        Ok(extended)
    }

    /// Ensures that `role`, as it is to be beside those of `catalog`, can be held wherever and by whomever it is held.
    ///
    /// # Errors
    /// - [`Reason::RoleInUse`].
    pub fn must_hold(&self, catalog: &Catalog, role: &CustomRole) -> Result<(), Error> {
        let extended = catalog.extended(std::iter::once(Some(role)));
        let is_it = |assignment: &Assignment| matches!(&assignment.held, Held::Role(name) if *name == role.name);
        for (principal, assignment) in self.held.iter().filter(|(_, assignment)| is_it(assignment)) {
            if assignment.must_be_assignable(&extended, *principal, "held").is_err() {
                let message = "the role is held where, or by whom, it could not be held then; revoke it there first";
                return Err(Error::new(Reason::RoleInUse, message).about("role", &role.name));
            }
        }
        Ok(())
    }

    /// Returns a key that stands for every resource of a type.
    #[must_use]
    pub fn any_of(kind: &str) -> ResourceKey {
        ResourceKey { kind: kind.into(), id: "any".into() }
    }
}
