//! How many hold a role: counted under the organization's lock, judged before a commit (X6).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::catalog::Catalog;
use crate::domain::error::{Error, Reason};
use crate::domain::fact::{Grant, Held, MemberState};
use crate::domain::place::{Place, Principal};

/// Holders of the bounded roles of one organization, kept on the head of its log.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// By role; a role that nobody holds need not stand here.
    #[serde(default)]
    holders: BTreeMap<Arc<str>, Holding>,
}

/// How many memberships hold one role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Holding {
    /// In whatever state.
    pub all: i64,
    /// Of these, the ACTIVE.
    pub active: i64,
}

impl Counters {
    /// Counts anew, from how many memberships of each state hold each role at the organization.
    #[must_use]
    pub fn recounted(catalog: &Catalog, held: &[(Arc<str>, MemberState, i64)]) -> Self {
        let mut counters = Self::default();
        for (role, state, count) in held.iter().filter(|(role, ..)| is_bounded(catalog, role)) {
            let holding = counters.holders.entry(Arc::clone(role)).or_default();
            holding.all += count;
            holding.active += if *state == MemberState::Active { *count } else { 0 };
        }
        counters
    }

    /// Returns how many hold `role`.
    #[must_use]
    pub fn of(&self, role: &str) -> Holding {
        self.holders.get(role).copied().unwrap_or_default()
    }

    /// Counts what a membership in `state` has come to hold (`times` 1) or holds no more (-1); only bounded roles at
    /// the organization are counted.
    pub fn count(&mut self, catalog: &Catalog, grant: &Grant, state: MemberState, times: i64) {
        if let Some(role) = bounded_role(catalog, grant) {
            let holding = self.holders.entry(Arc::clone(role)).or_default();
            holding.all += times;
            holding.active += if state == MemberState::Active { times } else { 0 };
        }
    }

    /// Counts that a membership which holds `grants` has gone from one state to another.
    pub fn move_state(&mut self, catalog: &Catalog, grants: &[Grant], from: MemberState, to: MemberState) {
        for grant in grants {
            self.count(catalog, grant, from, -1);
            self.count(catalog, grant, to, 1);
        }
    }
}

/// Ensures that a change leaves every role of the catalog within its bounds.
///
/// `most` counts all holders. `least` counts ACTIVE ones and is asked only of a change that brings them below it: an
/// organization whose founder has not come yet has none.
///
/// # Errors
/// - [`Reason::RoleCardinality`].
pub fn judge(catalog: &Catalog, before: &Counters, after: &Counters) -> Result<(), Error> {
    for (_, role) in catalog.roles() {
        let (was, is) = (before.of(&role.name), after.of(&role.name));
        if role.most.is_some_and(|most| is.all > i64::from(most) && is.all > was.all) {
            return Err(refusal(&role.name, "held by as many as may hold it"));
        }
        if is.active < was.active && is.active < i64::from(role.least) {
            return Err(refusal(&role.name, "held by as few as must hold it"));
        }
    }
    Ok(())
}

/// Ensures that every role of the catalog is within its bounds, whatever the bounds were before: what is asked of an
/// organization that comes to follow another catalog. `least` is asked once somebody is ACTIVE.
///
/// # Errors
/// - [`Reason::RoleCardinality`].
pub fn must_be_within(catalog: &Catalog, counters: &Counters, has_active_member: bool) -> Result<(), Error> {
    for (_, role) in catalog.roles() {
        let held = counters.of(&role.name);
        if role.most.is_some_and(|most| held.all > i64::from(most)) {
            return Err(refusal(&role.name, "held by more than may hold it"));
        }
        if has_active_member && held.active < i64::from(role.least) {
            return Err(refusal(&role.name, "held by fewer than must hold it"));
        }
    }
    Ok(())
}

fn bounded_role<'a>(catalog: &Catalog, grant: &'a Grant) -> Option<&'a Arc<str>> {
    let (Principal::Membership(_), Place::Organization, Held::Role(name)) =
        (grant.principal, &grant.place, &grant.held)
    else {
        return None;
    };
    is_bounded(catalog, name).then_some(name)
}

fn is_bounded(catalog: &Catalog, role: &str) -> bool {
    let role = catalog.role_id(role).map(|id| catalog.role(id));
    role.is_some_and(|role| role.least > 0 || role.most.is_some())
}

fn refusal(role: &str, why: &str) -> Error {
    let refusal = Error::new(Reason::RoleCardinality, format!("the role is {why}"));
    refusal.about("role", role).with("role", role).with("place", Place::Organization)
}
