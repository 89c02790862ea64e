//! Custom roles: what an organization adds to the catalog it follows (AX-23).
//!
//! A custom role is kept by names, as it was written, and compiled against whatever catalog the organization follows.
//! It has no cardinality, set or transfer, and includes roles of the catalog only.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{At, Catalog, Ceiling, Holders, OnLeave, RESERVED, Reach, ReachSet, Role, RoleId, is_name};
use crate::domain::error::{Error, Reason, Violations};

/// Most custom roles of one organization.
pub const CUSTOM_ROLES_MAX: usize = 256;
/// Most entries of each list of a role.
const ENTRIES_MAX: usize = 512;
/// Most characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// A role that an organization has made.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct CustomRole {
    /// Unique among the roles of the organization and of its catalog; never changes.
    pub name: Arc<str>,
    /// For people.
    pub description: String,
    /// Where it can be held.
    pub at: Vec<RolePlace>,
    /// By whom it can be held.
    pub to: Holders,
    /// Names of catalog roles whose permissions, ceilings and list entry it takes in.
    pub includes: Vec<Arc<str>>,
    /// Reaches by permission.
    pub permissions: BTreeMap<Arc<str>, Reach>,
    /// Whether its holder is on the list of the place where it is held and of everything below.
    pub as_member: bool,
    /// What its holder may give.
    pub may_grant: CeilingNames,
    /// What its holder may take away.
    pub may_take: CeilingNames,
}

/// Where a custom role can be held.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolePlace {
    /// At the organization.
    Organization,
    /// At resources of this type.
    Type(Arc<str>),
}

/// A ceiling, by names.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CeilingNames {
    /// Nothing.
    #[default]
    None,
    /// Every role that holds no more than the holder does there.
    Subset,
    /// Every role.
    Any,
    /// These roles of the catalog.
    Roles(Vec<Arc<str>>),
}

impl CustomRole {
    /// Ensures that the role can stand beside those of `catalog`; `field` is the path of the role in the request.
    ///
    /// # Errors
    /// Every violation at once:
    /// - [`Reason::TextMalformed`] for a name that is none, or too long a description.
    /// - [`Reason::NameTaken`] if the catalog has a role of this name.
    /// - [`Reason::RoleUnknown`], [`Reason::PermissionUnknown`], [`Reason::ResourceTypeUnknown`].
    /// - [`Reason::OutOfRange`] for a list that is too long, or a place or kind of holder that is missing.
    /// - [`Reason::RoleNotAssignable`] for a role that cannot be included, or a reserved permission that is not ANY.
    pub fn must_fit(&self, catalog: &Catalog, field: &str) -> Result<(), Error> {
        let mut violations = Violations::default();
        if !is_name(&self.name) {
            let message = "must be lower-case words of a-z and 0-9, joined by - or _, at most 64 bytes in all";
            violations.add(format!("{field}.name"), Reason::TextMalformed, message);
        } else if catalog.role_id(&self.name).is_some() {
            violations.add(format!("{field}.name"), Reason::NameTaken, "is the name of a role of the catalog");
        }
        if self.description.chars().count() > DESCRIPTION_CHARS_MAX || self.description.contains('\0') {
            let message = format!("must be at most {DESCRIPTION_CHARS_MAX} characters");
            violations.add(format!("{field}.description"), Reason::TextMalformed, message);
        }
        let sizes = [
            ("at", self.at.len()),
            ("includes", self.includes.len()),
            ("permissions", self.permissions.len()),
            ("may_grant", self.may_grant.names().len()),
            ("may_take", self.may_take.names().len()),
        ];
        for (list, _) in sizes.into_iter().filter(|(_, size)| *size > ENTRIES_MAX) {
            let message = format!("must have at most {ENTRIES_MAX} entries");
            violations.add(format!("{field}.{list}"), Reason::OutOfRange, message);
        }
        self.note_places(catalog, field, &mut violations);
        self.note_names(catalog, field, &mut violations);
        violations.finish()
    }

    fn note_places(&self, catalog: &Catalog, field: &str, violations: &mut Violations) {
        if self.at.is_empty() {
            violations.add(format!("{field}.at"), Reason::OutOfRange, "must name at least one place");
        }
        for (index, place) in self.at.iter().enumerate() {
            if let RolePlace::Type(kind) = place
                && catalog.resource_type(kind).is_none()
            {
                let message = "is not declared by the catalog";
                violations.add(format!("{field}.at[{index}]"), Reason::ResourceTypeUnknown, message);
            }
        }
        if !(self.to.people || self.to.groups || self.to.everyone || self.to.service_accounts) {
            violations.add(format!("{field}.to"), Reason::OutOfRange, "must name at least one kind of holder");
        }
    }

    fn note_names(&self, catalog: &Catalog, field: &str, violations: &mut Violations) {
        for (index, name) in self.includes.iter().enumerate() {
            let path = format!("{field}.includes[{index}]");
            match catalog.role_id(name).map(|id| (id, catalog.role(id))) {
                Some((id, _)) if id == RoleId::OPERATOR => {
                    violations.add(path, Reason::RoleUnknown, "names no role of the catalog");
                }
                Some((_, role)) if role.is_custom || role.is_bound_to_membership() => {
                    let message =
                        "names a role that is counted, exclusive, given by transfer or custom, and so not included";
                    violations.add(path, Reason::RoleNotAssignable, message);
                }
                Some(_) => {}
                None => violations.add(path, Reason::RoleUnknown, "names no role of the catalog"),
            }
        }
        for (name, reach) in &self.permissions {
            let path = format!("{field}.permissions[{name}]");
            match catalog.permission(name) {
                None => violations.add(path, Reason::PermissionUnknown, "is not declared by the catalog"),
                Some(id) if usize::from(id.0) < RESERVED.len() && *reach != Reach::Any => {
                    let message = "must be ANY: it is asked at the organization, which has no owner and no list";
                    violations.add(path, Reason::OutOfRange, message);
                }
                Some(_) => {}
            }
        }
        for (list, ceiling) in [("may_grant", &self.may_grant), ("may_take", &self.may_take)] {
            for name in ceiling.names() {
                if catalog.role_id(name).is_none_or(|id| id == RoleId::OPERATOR || catalog.role(id).is_custom) {
                    violations.add(format!("{field}.{list}"), Reason::RoleUnknown, "names no role of the catalog");
                }
            }
        }
    }

    /// Compiles the role under `catalog`. What the catalog does not declare gives nothing.
    fn compile(&self, catalog: &Catalog) -> Role {
        let mut at = At::default();
        for place in &self.at {
            match place {
                RolePlace::Organization => at.organization = true,
                RolePlace::Type(kind) => at.types.extend(catalog.resource_type(kind).map(|(id, _)| id)),
            }
        }
        let mut reaches = vec![ReachSet::NONE; catalog.permissions.len()];
        for (name, reach) in &self.permissions {
            if let Some(id) = catalog.permission(name) {
                reaches[usize::from(id.0)] = ReachSet::of(*reach);
            }
        }
        let mut role = Role {
            name: Arc::clone(&self.name),
            description: self.description.as_str().into(),
            reaches: reaches.into(),
            as_member: self.as_member,
            at,
            to: self.to,
            may_grant: self.may_grant.compile(catalog),
            may_take: self.may_take.compile(catalog),
            least: 0,
            most: None,
            requires: Vec::new(),
            set: None,
            is_transfer_only: false,
            on_leave: OnLeave::Keep,
            is_custom: true,
        };
        for included in self.includes.iter().filter_map(|name| catalog.role_id(name)) {
            role.take_in(catalog.role(included));
        }
        role
    }
}

impl CeilingNames {
    fn names(&self) -> &[Arc<str>] {
        match self {
            Self::Roles(names) => names,
            Self::None | Self::Subset | Self::Any => &[],
        }
    }

    fn compile(&self, catalog: &Catalog) -> Ceiling {
        Ceiling {
            any: *self == Self::Any,
            subset: *self == Self::Subset,
            list: self.names().iter().filter_map(|name| catalog.role_id(name)).collect(),
        }
    }
}

impl Catalog {
    /// Ensures that organizations make roles of their own.
    ///
    /// # Errors
    /// - [`Reason::FeatureOff`].
    pub fn must_take_custom_roles(&self) -> Result<(), Error> {
        if self.features().custom_roles {
            return Ok(());
        }
        let message = "the organization's catalog leaves custom roles out";
        Err(Error::new(Reason::FeatureOff, message).about("feature", "custom_roles"))
    }

    /// Returns this catalog with an organization's own roles after its own, in their order, so that no number of the
    /// catalog moves. Nothing stands where there is none, and its number is not used.
    #[must_use]
    pub fn extended<'a>(&self, roles: impl Iterator<Item = Option<&'a CustomRole>>) -> Self {
        let mut extended = self.clone();
        for role in roles {
            let id = RoleId(u16::try_from(extended.roles.len()).expect("an organization has few roles of its own"));
            match role {
                Some(role) => {
                    extended.roles_by_name.insert(Arc::clone(&role.name), id);
                    extended.roles.push(role.compile(self));
                }
                None => extended.roles.push(Role::nothing()),
            }
        }
        extended
    }
}
