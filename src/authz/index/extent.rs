//! Where a subject has a permission, found from what they hold and own: so a list costs by what it shows, and not by what it
//! leaves out.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use super::OrganizationIndex;
use super::evaluate::Standing;
use super::number::{AS_MEMBER, FOREVER, Holder, Holding, Number, ORGANIZATION};
use crate::authz::installation::InstallationIndex;
use crate::domain::catalog::{PermissionId, Reach, Role};
use crate::domain::place::Subject;
use crate::domain::time::Timestamp;

/// The resources on which a subject has a permission.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// All there are.
    All,
    /// These, in order, and all that stands below each. None stands below another.
    Below(Vec<Number>),
}

/// Numbers of resources to look up.
type Places = HashSet<Number, FixedState>;

/// What counts for one permission, by the place at which it is held.
#[derive(Default)]
struct Found {
    permission: PermissionId,
    any: Held,
    shared: Held,
    own: Held,
    /// Where the subject is on the list.
    listed: Held,
}

/// Where something is held: everywhere, or at these places.
#[derive(Default)]
struct Held {
    everywhere: bool,
    places: Places,
}

impl OrganizationIndex {
    /// Returns where a subject who stands here has a permission now. It agrees with `evaluate` on every resource.
    pub(super) fn extent(
        &self,
        installation: &InstallationIndex,
        subject: Subject,
        standing: &Standing,
        permission: PermissionId,
        now: Timestamp,
    ) -> Extent {
        let mut found = Found { permission, ..Found::default() };
        for (_, role) in self.counting_above(installation, subject, now) {
            found.role(ORGANIZATION, role);
        }
        if standing.is_in {
            for holder in &standing.holders {
                self.each_held_anywhere(*holder, |place, holding| self.find(&mut found, place, holding, now));
            }
        }
        if found.any.everywhere || (found.shared.everywhere && found.listed.everywhere) {
            return Extent::All;
        }

        let mut roots: Vec<Number> = found.any.places.iter().copied().collect();
        self.both(&found.shared, &found.listed, &mut roots);
        if let Some(me) = standing.owner.filter(|_| !found.own.is_nowhere()) {
            let owned = Held { everywhere: false, places: self.owned_by(me).collect() };
            self.both(&found.own, &owned, &mut roots);
        }
        Extent::Below(self.topmost(roots))
    }

    /// Returns where both extents are.
    pub(super) fn common(&self, one: Extent, other: Extent) -> Extent {
        match (one, other) {
            (Extent::All, extent) | (extent, Extent::All) => extent,
            (Extent::Below(one), Extent::Below(other)) => {
                let (one, other) = (Held::at(one), Held::at(other));
                let mut roots = Vec::new();
                self.both(&one, &other, &mut roots);
                Extent::Below(self.topmost(roots))
            }
        }
    }

    /// Returns whether a resource is in an extent.
    pub(super) fn is_within(&self, extent: &Extent, number: Number) -> bool {
        match extent {
            Extent::All => true,
            Extent::Below(roots) => {
                self.chain(Some(number)).places().iter().any(|place| roots.binary_search(place).is_ok())
            }
        }
    }

    /// Returns the registered resources of a type that stand in one of `roots` or below it, in the order of their ids.
    pub(super) fn within(&self, roots: &[Number], kind: u16, after: Option<&str>) -> Vec<Number> {
        let (mut found, mut left) = (Vec::new(), roots.to_vec());
        while let Some(number) = left.pop() {
            left.extend(self.children_of(number));
            if self.kind_of(number) == kind && after.is_none_or(|after| self.id_of(number) > after) {
                found.push(number);
            }
        }
        found.sort_unstable_by(|one, other| self.id_of(*one).cmp(self.id_of(*other)));
        found
    }

    /// Returns the registered resources that stand directly under one, or at the top for `NOBODY`, in no order.
    pub(super) fn children_of(&self, parent: Number) -> impl Iterator<Item = Number> {
        let old = self.base.children_of(parent).iter().copied();
        old.filter(|number| self.overlay.resource(*number).is_none()).chain(self.overlay.children_of(parent))
    }

    fn owned_by(&self, owner: Holder) -> impl Iterator<Item = Number> {
        let old = self.base.owned_by(owner).iter().copied();
        old.filter(|number| self.overlay.resource(*number).is_none()).chain(self.overlay.owned_by(owner))
    }

    pub(super) fn kind_of(&self, number: Number) -> u16 {
        match self.overlay.resource(number) {
            Some(resource) => resource.key.0,
            None => self.base.resources[number as usize].kind,
        }
    }

    pub(super) fn id_of(&self, number: Number) -> &str {
        match self.overlay.resource(number) {
            Some(resource) => &resource.key.1,
            None => self.base.key(&self.base.resources[number as usize]),
        }
    }

    /// Calls `each` with all that a holder holds, and where.
    fn each_held_anywhere(&self, holder: Holder, mut each: impl FnMut(Number, Holding)) {
        let has_changed = self.overlay.has_spots(holder);
        if let Some(held) = self.base.holdings(holder) {
            let is_as_before = |place| !has_changed || self.overlay.spot(holder, place).is_none();
            if is_as_before(ORGANIZATION) {
                for role in self.base.combination(held) {
                    each(ORGANIZATION, Holding { held: *role, expires_at: FOREVER });
                }
            }
            for (place, holding) in self.base.elsewhere(held).filter(|(place, _)| is_as_before(*place)) {
                each(place, holding);
            }
        }
        if has_changed {
            for place in self.overlay.places_of(holder) {
                let spot = self.overlay.spot(holder, place);
                spot.into_iter().flat_map(|spot| spot.iter()).for_each(|holding| each(place, *holding));
            }
        }
    }

    fn find(&self, found: &mut Found, place: Number, holding: Holding, now: Timestamp) {
        let is_there = place == ORGANIZATION || self.parent_of(place).0;
        if now.as_micros() >= holding.expires_at || !is_there {
            return;
        }
        if holding.held == AS_MEMBER {
            if place != ORGANIZATION {
                found.listed.add(place);
            }
        } else if let Some(role) = self.words.role(holding.held) {
            found.role(place, role);
        }
    }

    /// Adds the places at or above which both are held.
    fn both(&self, one: &Held, other: &Held, roots: &mut Vec<Number>) {
        for (these, those) in [(one, other), (other, one)] {
            let is_below = |place: &&Number| {
                those.everywhere || self.chain(Some(**place)).places().iter().any(|above| those.places.contains(above))
            };
            if !those.is_nowhere() {
                roots.extend(these.places.iter().filter(is_below));
            }
        }
    }

    /// Leaves out what stands below another, and what is there twice.
    fn topmost(&self, mut roots: Vec<Number>) -> Vec<Number> {
        roots.sort_unstable();
        roots.dedup();
        let all: Places = roots.iter().copied().collect();
        roots.retain(|root| !self.chain(Some(*root)).places().iter().skip(1).any(|above| all.contains(above)));
        roots
    }
}

impl Found {
    fn role(&mut self, place: Number, role: &Role) {
        let reach = role.reach(self.permission);
        let found = [
            (reach.has(Reach::Any), &mut self.any),
            (reach.has(Reach::Shared), &mut self.shared),
            (reach.has(Reach::Own), &mut self.own),
            (role.as_member, &mut self.listed),
        ];
        for (_, held) in found.into_iter().filter(|(is_it, _)| *is_it) {
            held.add(place);
        }
    }
}

impl Held {
    fn at(places: Vec<Number>) -> Self {
        Self { everywhere: false, places: places.into_iter().collect() }
    }

    fn add(&mut self, place: Number) {
        if place == ORGANIZATION {
            self.everywhere = true;
        } else {
            self.places.insert(place);
        }
    }

    fn is_nowhere(&self) -> bool {
        !self.everywhere && self.places.is_empty()
    }
}
