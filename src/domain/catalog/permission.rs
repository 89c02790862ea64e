//! Permissions and how far they reach.

use std::fmt;

/// A permission of one compiled catalog, by its place in the catalog's table.
///
/// The reserved permissions at the organization stand first in every catalog, so their ids are constants.
/// After them come [`Verb::ALL`] for each resource type, in the order of the types, then what the catalog declares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct PermissionId(pub u16);

/// Declares the reserved permissions at the organization: constants and their names, in one table.
macro_rules! reserved {
    ($($index:literal $constant:ident $name:literal;)+) => {
        impl PermissionId {
            $(#[doc = concat!("`", $name, "`, asked at the organization.")] pub const $constant: Self = Self($index);)+
        }

        /// Names of the reserved permissions at the organization; the index is the [`PermissionId`].
        pub const RESERVED: &[&str] = &[$($name),+];
    };
}

reserved! {
    0 ORGANIZATION_VIEW "organization.view";
    1 ORGANIZATION_UPDATE "organization.update";
    2 ORGANIZATION_DELETE "organization.delete";
    3 POLICY_UPDATE "policy.update";
    4 DOMAIN_REQUEST "domain.request";
    5 PROVIDER_MANAGE "provider.manage";
    6 MEMBER_LIST "member.list";
    7 MEMBER_INVITE "member.invite";
    8 MEMBER_CREATE "member.create";
    9 MEMBER_UPDATE "member.update";
    10 MEMBER_ASSIGN "member.assign";
    11 MEMBER_DISABLE "member.disable";
    12 MEMBER_REMOVE "member.remove";
    13 MEMBER_RESET_FACTOR "member.reset_factor";
    14 ROLE_MANAGE "role.manage";
    15 GROUP_LIST "group.list";
    16 GROUP_MANAGE "group.manage";
    17 SERVICE_ACCOUNT_MANAGE "service_account.manage";
    18 AUDIT_VIEW "audit.view";
    19 ACCESS_CHECK "access.check";
    20 ACCESS_PREVIEW "access.preview";
    21 ORGANIZATION_CREATE "organization.create";
    22 REMOVAL_ACKNOWLEDGE "removal.acknowledge";
}

/// What Guildhall itself asks about a resource: `T.view`, `T.create` and so on for each declared type T.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verb {
    /// Visibility: who lacks it is answered as for what does not exist.
    View,
    /// Asked of the parent.
    Create,
    /// Rename, move.
    Update,
    /// Delete with all below.
    Delete,
    /// Put others on the list, or give the roles that the type lists under `shares`.
    Share,
    /// Name another owner.
    SetOwner,
    /// Have people told something about it.
    Notify,
}

impl Verb {
    /// All verbs, in the order in which they stand in a catalog's table.
    pub const ALL: &[Self] =
        &[Self::View, Self::Create, Self::Update, Self::Delete, Self::Share, Self::SetOwner, Self::Notify];

    /// Returns the word after the dot.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Share => "share",
            Self::SetOwner => "set_owner",
            Self::Notify => "notify",
        }
    }
}

/// A resource type of one compiled catalog, by its place in the catalog's table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TypeId(pub u16);

impl PermissionId {
    /// Returns the id of `verb` on `kind`.
    #[must_use]
    pub fn of_type(kind: TypeId, verb: Verb) -> Self {
        let verbs = Verb::ALL.len();
        let index = RESERVED.len() + usize::from(kind.0) * verbs + verb as usize;
        Self(u16::try_from(index).expect("a catalog has at most 64 types"))
    }
}

/// Onto which targets a permission reaches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Everything under the place of the grant.
    Any,
    /// Of that, what lists the subject, or stands under something that does.
    Shared,
    /// Of that, what the subject owns, or stands under something they own.
    Own,
}

/// A set of reaches; empty means the permission is not held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ReachSet(u8);

impl ReachSet {
    /// No reach at all.
    pub const NONE: Self = Self(0);

    /// The set of one reach.
    #[must_use]
    pub const fn of(reach: Reach) -> Self {
        Self(match reach {
            Reach::Any => 1,
            Reach::Shared => 2,
            Reach::Own => 4,
        })
    }

    /// Returns whether `reach` is in the set.
    #[must_use]
    pub const fn has(self, reach: Reach) -> bool {
        self.0 & Self::of(reach).0 != 0
    }

    /// Returns what is in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether every target that `self` reaches is reached by `other`; ANY covers SHARED and OWN.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        other.has(Reach::Any) || self.0 & !other.0 == 0
    }
}

impl fmt::Debug for ReachSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reaches = [Reach::Any, Reach::Shared, Reach::Own];
        f.debug_set().entries(reaches.into_iter().filter(|reach| self.has(*reach))).finish()
    }
}
