//! What stands under what, and with it where a permission can be asked.

use std::sync::Arc;

use super::permission::{PermissionId, TypeId};
use crate::domain::place::DEPTH_MAX;

/// A set of resource types of one compiled catalog, which has at most 64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TypeSet(u64);

impl TypeSet {
    /// Returns the set of the first so many types of a catalog.
    pub(super) fn first(count: usize) -> Self {
        (0..).map(TypeId).take(count).fold(Self::default(), Self::with)
    }

    /// Returns the set with one type more.
    #[must_use]
    pub(super) fn with(self, kind: TypeId) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    /// Returns whether a type is in the set.
    #[must_use]
    pub fn has(self, kind: TypeId) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    fn bit(kind: TypeId) -> u64 {
        1_u64.checked_shl(kind.0.into()).unwrap_or_default()
    }
}

/// What the resources of a type may stand directly under.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Parents {
    /// The organization.
    pub organization: bool,
    /// Resources of these types.
    pub types: TypeSet,
}

/// Permissions of one compiled catalog, a bit each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PermissionSet(Arc<[u64]>);

impl PermissionSet {
    /// Returns the permissions of those up to `count` that `is_in` takes.
    pub(super) fn of(count: usize, is_in: impl Fn(PermissionId) -> bool) -> Self {
        let mut bits = vec![0_u64; count.div_ceil(64)];
        for id in (0..).map(PermissionId).take(count).filter(|id| is_in(*id)) {
            bits[usize::from(id.0 / 64)] |= 1 << (id.0 % 64);
        }
        Self(bits.into())
    }

    /// Returns whether a permission is in the set.
    #[must_use]
    pub fn has(&self, id: PermissionId) -> bool {
        self.0.get(usize::from(id.0 / 64)).is_some_and(|bits| bits & 1 << (id.0 % 64) != 0)
    }
}

/// What can be asked of a target.
#[derive(Clone, Copy, Debug)]
pub enum Askable<'a> {
    /// Every permission: the target is the organization.
    All,
    /// These: it is a resource of a type.
    Of(&'a PermissionSet),
    /// None: it is of a type that the catalog does not declare.
    Nothing,
}

impl Askable<'_> {
    /// Returns whether a permission can be asked of the target.
    #[must_use]
    pub fn has(self, id: PermissionId) -> bool {
        match self {
            Self::All => true,
            Self::Of(permissions) => permissions.has(id),
            Self::Nothing => false,
        }
    }
}

/// Returns for each type what can stand above its resources, directly or through others.
pub(super) fn above(parents: &[Parents]) -> Vec<TypeSet> {
    let mut above: Vec<TypeSet> = parents.iter().map(|parents| parents.types).collect();
    for (through, id) in (0..above.len()).zip((0..).map(TypeId)) {
        let further = above[through];
        for set in above.iter_mut().filter(|set| set.has(id)) {
            set.0 |= further.0;
        }
    }
    above
}

/// Returns the types whose resources can stand somewhere: under the organization or, in a tree as deep as it may be, under
/// what can.
pub(super) fn standing(parents: &[Parents]) -> TypeSet {
    let mut found = TypeSet::default();
    for _ in 0..DEPTH_MAX {
        let can_stand = |parents: &Parents| parents.organization || parents.types.0 & found.0 != 0;
        let reached = (0..).map(TypeId).zip(parents).filter(|(_, parents)| can_stand(parents));
        found = reached.map(|(id, _)| id).fold(TypeSet::default(), TypeSet::with);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(organization: bool, types: &[u16]) -> Parents {
        Parents { organization, types: types.iter().copied().map(TypeId).fold(TypeSet::default(), TypeSet::with) }
    }

    fn list(set: TypeSet) -> Vec<u16> {
        (0..64).filter(|id| set.has(TypeId(*id))).collect()
    }

    #[test]
    fn what_stands_above_goes_through_others_and_round_in_circles() {
        // 0 under 1 under 2 under 1, 3 by itself.
        let parents = [under(false, &[1]), under(true, &[2]), under(false, &[1]), under(true, &[])];
        let above: Vec<Vec<u16>> = above(&parents).into_iter().map(list).collect();
        assert_eq!(above, [vec![1, 2], vec![1, 2], vec![1, 2], vec![]]);
        assert_eq!(list(standing(&parents)), [0, 1, 2, 3]);
        assert_eq!(list(standing(&[under(false, &[1]), under(false, &[0])])), [0; 0]);
    }

    #[test]
    fn nothing_stands_deeper_than_a_tree_may_be() {
        let chain: Vec<Parents> =
            (0..10_u16).map(|id| id.checked_sub(1).map_or(under(true, &[]), |above| under(false, &[above]))).collect();
        assert_eq!(list(standing(&chain)), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn sets_hold_the_last_of_as_many_as_a_catalog_can_have() {
        assert_eq!(list(TypeSet::first(64)).len(), 64);
        assert!(!TypeSet::first(64).has(TypeId(64)));
        let odd = PermissionSet::of(727, |id| id.0 % 2 == 1);
        assert!(odd.has(PermissionId(725)) && !odd.has(PermissionId(726)) && !odd.has(PermissionId(9_999)));
        assert!(odd.has(PermissionId(63)) && !odd.has(PermissionId(64)));
    }
}
