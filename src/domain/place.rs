//! Where a role can be held, and who can hold one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::error::{Error, Reason, Violations};
use super::id::{GroupId, MembershipId, ServiceAccountId, UserId};

/// Most bytes in a resource's type.
const RESOURCE_TYPE_BYTES_MAX: usize = 64;
/// Most bytes in a resource's id.
pub const RESOURCE_ID_BYTES_MAX: usize = 128;
/// Most resources from the organization's child down to the deepest.
pub const DEPTH_MAX: usize = 8;

/// A resource's name inside its organization: a type of the catalog and an id that the product chose.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ResourceKey {
    /// A resource type that the catalog declares.
    #[serde(rename = "t")]
    pub kind: Arc<str>,
    /// Chosen by the product; 1 to 128 bytes, no control characters.
    #[serde(rename = "i")]
    pub id: Arc<str>,
}

impl ResourceKey {
    /// Takes a type and an id as a caller wrote them; `field` names the request field in the violations.
    ///
    /// Whether the catalog declares the type is not asked here.
    ///
    /// # Errors
    /// - [`Reason::ResourceTypeMalformed`], [`Reason::ResourceIdMalformed`]: empty, too long or with control
    ///   characters.
    pub fn parse(field: &str, kind: &str, id: &str) -> Result<Self, Error> {
        let mut violations = Violations::default();
        if !is_word(kind, RESOURCE_TYPE_BYTES_MAX) {
            let path = format!("{field}.type");
            violations.add(&path, Reason::ResourceTypeMalformed, "must be 1 to 64 bytes without control characters");
        }
        if !is_word(id, RESOURCE_ID_BYTES_MAX) {
            let path = format!("{field}.id");
            violations.add(&path, Reason::ResourceIdMalformed, "must be 1 to 128 bytes without control characters");
        }
        violations.finish()?;
        Ok(Self { kind: kind.into(), id: id.into() })
    }

    /// Returns whether a type and an id could be those of a resource, as [`ResourceKey::parse`] has it.
    #[must_use]
    pub fn is_well_formed(kind: &str, id: &str) -> bool {
        is_word(kind, RESOURCE_TYPE_BYTES_MAX) && is_word(id, RESOURCE_ID_BYTES_MAX)
    }
}

fn is_word(text: &str, bytes_max: usize) -> bool {
    let is_plain = || text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    !text.is_empty() && text.len() <= bytes_max && (is_plain() || !text.chars().any(char::is_control))
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

impl fmt::Debug for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a grant is held. Everything below a place is under it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Everything.
    Installation,
    /// All organizations that follow one catalog.
    Product(Arc<str>),
    /// The organization whose log or request this stands in.
    Organization,
    /// One resource of that organization, and all below it.
    Resource(ResourceKey),
}

impl Place {
    /// Returns the resource, if the place is one.
    #[must_use]
    pub fn resource(&self) -> Option<&ResourceKey> {
        match self {
            Self::Resource(key) => Some(key),
            Self::Installation | Self::Product(_) | Self::Organization => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installation => f.write_str("installation"),
            Self::Product(catalog) => write!(f, "product:{catalog}"),
            Self::Organization => f.write_str("organization"),
            Self::Resource(key) => key.fmt(f),
        }
    }
}

/// The four kinds of place, the widest first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Everything.
    Installation,
    /// All organizations of one catalog.
    Product,
    /// One tenant.
    Organization,
    /// A node of a tenant's tree.
    Resource,
}

/// Who can hold a grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    /// A person's place in the organization.
    Membership(MembershipId),
    /// Every ACTIVE membership in the group.
    Group(GroupId),
    /// Every ACTIVE membership of the organization.
    Everyone,
    /// A machine.
    ServiceAccount(ServiceAccountId),
    /// A person, at the product or the installation only.
    User(UserId),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Membership(id) => write!(f, "membership:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
            Self::Everyone => f.write_str("everyone"),
            Self::ServiceAccount(id) => write!(f, "service_account:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

/// Who asks, or is asked about: a person or a machine, before any organization is named.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A person.
    User(UserId),
    /// A machine.
    ServiceAccount(ServiceAccountId),
}

impl Subject {
    /// Returns the principal that holds the subject's grants above the organization.
    #[must_use]
    pub fn above(self) -> Principal {
        match self {
            Self::User(id) => Principal::User(id),
            Self::ServiceAccount(id) => Principal::ServiceAccount(id),
        }
    }
}

/// Returns the resources among some places, each once and in order.
#[must_use]
pub fn resources_among<'a>(places: impl IntoIterator<Item = &'a Place>) -> Vec<ResourceKey> {
    let resources: BTreeSet<&ResourceKey> = places.into_iter().filter_map(Place::resource).collect();
    resources.into_iter().cloned().collect()
}
