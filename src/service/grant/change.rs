//! One atomic batch of deltas, under the ceiling over the whole result.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::access::{Actor, Facts, may_carry_out, may_give, may_take, may_touch};
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::error::{Error, Violations};
use crate::domain::fact::GrantSource;
use crate::domain::grant::assignment::{Act, Delta, plan};
use crate::domain::grant::matrix::Matrix;
use crate::domain::place::{Principal, ResourceKey, resources_among};
use crate::domain::time::must_be_ahead;
use crate::service::apply::{Affected, Changed, apply};
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Grants and revokes, all at one revision: deltas alone, each with the path of the field that asks for it.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::RoleNotTakeable`].
/// - [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`], under `deltas[i]` or `matrices[i]`.
/// - [`Reason::SelfRemoval`], [`Reason::RoleCardinality`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`].
/// - [`Reason::GroupFull`].
#[derive(Debug)]
pub struct ChangeGrants {
    pub(super) deltas: Vec<Delta>,
    paths: Vec<Arc<str>>,
}

impl ChangeGrants {
    /// Returns what applies the deltas in order, all or none, and after them the matrices, each row by row.
    #[must_use]
    pub fn new(mut deltas: Vec<Delta>, matrices: &[Matrix]) -> Self {
        let mut paths: Vec<Arc<str>> = (0..deltas.len()).map(|index| format!("deltas[{index}]").into()).collect();
        for (index, matrix) in matrices.iter().enumerate() {
            let path: Arc<str> = format!("matrices[{index}]").into();
            paths.extend(std::iter::repeat_n(path, matrix.cells()));
            deltas.extend(matrix.deltas());
        }
        Self { deltas, paths }
    }

    /// Returns what applies one delta for each of the request's principals.
    pub(super) fn of_principals(deltas: Vec<Delta>) -> Self {
        let paths = (0..deltas.len()).map(|index| format!("principals[{index}]").into()).collect();
        Self { deltas, paths }
    }
}

impl Authorize for ChangeGrants {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(&self.places()).await?;
        self.may_be_asked_by(&actor)?;
        Ok(actor)
    }
}

impl Mutation for ChangeGrants {
    type Output = Changed;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Changed, Error> {
        let affected = Affected::read(tx, &actor.catalog, &self.principals()).await?;
        self.must_be_assignable(&actor)?;
        self.may_be_applied_by(&actor)?;
        let located = |refusal| self.located(refusal);
        let plan = plan(&actor.catalog, affected.before(actor.now), &self.deltas).map_err(located)?;
        may_carry_out(&actor, &plan, actor.now).map_err(located)?;
        let applied = apply(tx, &actor.catalog, &plan, &affected, GrantSource::Manual, "deltas").await;
        applied.map_err(located)?.seen_by(tx, &actor).await
    }
}

impl ChangeGrants {
    fn iter(&self) -> impl Iterator<Item = (&str, &Delta)> {
        self.paths.iter().map(|path| &**path).zip(&self.deltas)
    }

    fn places(&self) -> Vec<ResourceKey> {
        resources_among(self.deltas.iter().map(|delta| &delta.assignment.place))
    }

    fn principals(&self) -> Vec<Principal> {
        let principals: BTreeSet<Principal> = self.deltas.iter().map(|delta| delta.principal).collect();
        principals.into_iter().collect()
    }

    /// Ensures that every place exists in the caller's eyes, and then that the caller may assign, or share, at each, before
    /// anything is returned of the principals there.
    pub(super) fn may_be_asked_by(&self, actor: &Actor) -> Result<(), Error> {
        self.must_be_of_known_types(actor)?;
        let mut facts: BTreeMap<Option<&ResourceKey>, Facts> = BTreeMap::new();
        for place in self.deltas.iter().map(|delta| delta.assignment.place.resource()) {
            if let Entry::Vacant(entry) = facts.entry(place) {
                if place.is_some() {
                    actor.must_see(place)?;
                }
                entry.insert(actor.at(place));
            }
        }
        for (path, delta) in self.iter() {
            if let Some(place) = facts.get(&delta.assignment.place.resource()) {
                let touched = may_touch(place, &delta.assignment.held, actor.now);
                touched.map_err(|error| error.under(&format!("{path}.")).with("delta", path))?;
            }
        }
        Ok(())
    }

    /// Ensures that every place is of a type that the catalog declares: a misspelt one is no place that is not there.
    fn must_be_of_known_types(&self, actor: &Actor) -> Result<(), Error> {
        let mut violations = Violations::default();
        let mut refused = "";
        for (path, delta) in self.iter().filter(|(_, delta)| delta.assignment.place.resource().is_some()) {
            // The cells of a matrix share one path.
            if path != refused
                && violations.take(delta.assignment.must_be_of_a_known_type(&actor.catalog, path))?.is_none()
            {
                refused = path;
            }
        }
        violations.finish()
    }

    fn must_be_assignable(&self, actor: &Actor) -> Result<(), Error> {
        let mut violations = Violations::default();
        // The cells of a matrix share one path: what is wrong with several of them is reported once.
        let mut refused = "";
        for (path, delta) in self.iter() {
            if path == refused {
                continue;
            }
            let end = if delta.act == Act::Grant { delta.assignment.expires_at } else { None };
            let ahead = violations.take(must_be_ahead(&format!("{path}.grant.expire_time"), end, actor.now))?;
            let assignable = delta.assignment.must_be_assignable(&actor.catalog, delta.principal, path);
            if violations.take(assignable)?.is_none() || ahead.is_none() {
                refused = path;
            }
        }
        violations.finish()
    }

    /// Ensures the ceiling of each delta by itself, so that who may not is refused for that before what cannot be.
    fn may_be_applied_by(&self, actor: &Actor) -> Result<(), Error> {
        for (path, Delta { principal, assignment, act }) in self.iter() {
            let place = actor.at(assignment.place.resource());
            let applied = match act {
                Act::Grant => may_give(&place, &assignment.held, *principal, actor.now),
                Act::Revoke => may_take(&place, &assignment.held, actor.now),
            };
            applied.map_err(|refusal| refusal.with("delta", path).with("principal", principal))?;
        }
        Ok(())
    }

    /// Names in a refusal the delta that it comes from: the last that gives or takes just what the refusal names, or
    /// anything at that place, or of that principal.
    fn located(&self, refusal: Error) -> Error {
        let is = |key: &'static str, value: &dyn std::fmt::Display| {
            refusal.metadata.get(key).is_some_and(|named| *named == value.to_string())
        };
        let (mut best, mut path) = (0, None);
        for (at, Delta { principal, assignment, .. }) in self.iter() {
            let is_of = is("principal", principal) || !refusal.metadata.contains_key("principal");
            let (is_there, is_it) = (is("place", &assignment.place), is("role", &assignment.held));
            let likeness = usize::from(is_of) * (1 + usize::from(is_there) + 2 * usize::from(is_there && is_it));
            if likeness >= best.max(1) {
                (best, path) = (likeness, Some(at));
            }
        }
        match path {
            Some(path) if !refusal.metadata.is_empty() => refusal.with("delta", path),
            _ => refusal,
        }
    }
}
