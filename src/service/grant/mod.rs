//! Granting and revoking: one atomic batch of deltas, under the ceiling over the whole result.

mod installation;
mod list;

pub use installation::{ChangeInstallationGrants, InstallationChanged, InstallationDelta};
pub use list::{ListGrants, SummarizeGrants, Summary};

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::access::{Actor, Facts, may_carry_out, may_give, may_take, may_touch};
use crate::domain::assignment::{Act, Delta, plan};
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::error::{Error, Violations};
use crate::domain::fact::GrantSource;
use crate::domain::id::OrganizationId;
use crate::domain::matrix::Matrix;
use crate::domain::place::{Principal, ResourceKey};
use crate::domain::time::{Timestamp, must_be_ahead};
use crate::service::apply::{Affected, Changed, apply};
use crate::service::{Context, Services, Written};
use crate::store::{Lock, Tx};

/// Asks for grants to change.
#[derive(Clone, Debug)]
pub struct ChangeGrants {
    /// Whose.
    pub organization: OrganizationId,
    /// Applied in order, all or none.
    pub deltas: Vec<Delta>,
    /// Applied after the deltas, in order, each row by row.
    pub matrices: Vec<Matrix>,
}

/// Asks for a resource to be shared, or no more: what a holder of T.share may give there.
#[derive(Clone, Debug)]
pub struct ShareResource {
    /// Whose.
    pub organization: OrganizationId,
    /// What is shared.
    pub key: ResourceKey,
    /// With whom, as what. All at that resource.
    pub deltas: Vec<Delta>,
}

/// A request in its simplest form: deltas alone, each with the path of the field that asks for it.
#[derive(Clone)]
struct Batch {
    organization: OrganizationId,
    deltas: Vec<Delta>,
    paths: Vec<Arc<str>>,
}

impl Services {
    /// Grants and revokes, all at one revision.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`], [`Reason::RoleNotGrantable`], [`Reason::RoleNotTakeable`].
    /// - [`Reason::RoleUnknown`], [`Reason::RoleNotAssignable`], under `deltas[i]` or `matrices[i]`.
    /// - [`Reason::SelfRemoval`], [`Reason::RoleCardinality`], [`Reason::RoleTransferOnly`], [`Reason::RoleRequired`].
    /// - [`Reason::GroupFull`].
    pub async fn change_grants(
        self: &Arc<Self>,
        context: &Context,
        request: ChangeGrants,
    ) -> Result<Written<Changed>, Error> {
        self.change_batch(context, Batch::of(request)).await
    }

    async fn change_batch(self: &Arc<Self>, context: &Context, batch: Batch) -> Result<Written<Changed>, Error> {
        let organization = batch.organization;
        let actor =
            self.store.reads().of(organization).actor(context.subject()?, &batch.places(), self.world.now()).await?;
        may_change(&actor, &batch, self.world.now())?;

        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| change(tx, call.clone(), batch.clone())).await
    }

    /// Shares a resource, or no more: grants or revokes list entries and the roles that its type lists under `shares`.
    ///
    /// # Errors
    /// - As [`Services::change_grants`]; [`Reason::RoleNotShareable`] for any other role.
    pub async fn share_resource(
        self: &Arc<Self>,
        context: &Context,
        request: ShareResource,
    ) -> Result<Written<Changed>, Error> {
        let ShareResource { organization, key, deltas } = request;
        let actor = self
            .store
            .reads()
            .of(organization)
            .actor(context.subject()?, std::slice::from_ref(&key), self.world.now())
            .await?;
        actor.must_see(None)?;
        if let Some(first) = deltas.first() {
            first.assignment.must_be_of_a_known_type(&actor.catalog, "resource.type")?;
        }
        context.authorize(&actor, Some(&key), &key.kind)?;
        let mut violations = Violations::default();
        for (index, Delta { principal, assignment, .. }) in deltas.iter().enumerate() {
            assignment.held.must_be_shared(&actor.catalog, &key.kind)?;
            let field = format!("principals[{index}]");
            violations.take(assignment.must_be_assignable(&actor.catalog, *principal, &field))?;
            // All of them have the same end.
            if index == 0 {
                violations.take(must_be_ahead("expire_time", assignment.expires_at, self.world.now()))?;
            }
        }
        violations.finish()?;
        // Who may, may by T.share: the rest is judged as every grant is.
        let paths = (0..deltas.len()).map(|index| format!("principals[{index}]").into()).collect();
        self.change_batch(context, Batch { organization, deltas, paths }).await
    }
}

async fn change(mut tx: Tx, context: Context, batch: Batch) -> Result<(Tx, Changed), Error> {
    let (organization, now) = (batch.organization, tx.now());
    let actor = tx.reads().actor(context.subject()?, &batch.places(), tx.now()).await?;
    may_change(&actor, &batch, now)?;
    let principals = batch.principals();
    let affected = Affected::read(&tx, &actor.catalog, &principals).await?;
    must_be_assignable(&actor, &batch, now)?;
    may_apply(&actor, &batch, now)?;
    let located = |refusal| batch.located(refusal);
    let plan = plan(&actor.catalog, affected.before(now), &batch.deltas).map_err(located)?;
    may_carry_out(&actor, &plan, now).map_err(located)?;
    let applied = apply(&mut tx, &actor.catalog, &plan, &affected, GrantSource::Manual, "deltas").await;
    let changed = applied.map_err(located)?;
    let changed = changed.as_seen_by(&tx, &actor).await?;
    Ok((tx, changed))
}

impl Batch {
    fn of(request: ChangeGrants) -> Self {
        let ChangeGrants { organization, mut deltas, matrices } = request;
        let mut paths: Vec<Arc<str>> = (0..deltas.len()).map(|index| format!("deltas[{index}]").into()).collect();
        for (index, matrix) in matrices.iter().enumerate() {
            let path: Arc<str> = format!("matrices[{index}]").into();
            paths.extend(std::iter::repeat_n(path, matrix.cells()));
            deltas.extend(matrix.deltas());
        }
        Self { organization, deltas, paths }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Delta)> {
        self.paths.iter().map(|path| &**path).zip(&self.deltas)
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

    fn places(&self) -> Vec<ResourceKey> {
        let places = self.deltas.iter().filter_map(|delta| delta.assignment.place.resource());
        places.collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    fn principals(&self) -> Vec<Principal> {
        let principals: BTreeSet<Principal> = self.deltas.iter().map(|delta| delta.principal).collect();
        principals.into_iter().collect()
    }
}

/// Asks that every place exists in the caller's eyes, and then that the caller may assign, or share, at each, before
/// anything is told of the principals there.
fn may_change(actor: &Actor, batch: &Batch, now: Timestamp) -> Result<(), Error> {
    actor.must_see(None)?;
    must_be_of_known_types(actor, batch)?;
    let mut facts: BTreeMap<Option<&ResourceKey>, Facts> = BTreeMap::new();
    for place in batch.deltas.iter().map(|delta| delta.assignment.place.resource()) {
        if let Entry::Vacant(entry) = facts.entry(place) {
            if place.is_some() {
                actor.must_see(place)?;
            }
            entry.insert(actor.at(place));
        }
    }
    for (path, delta) in batch.iter() {
        if let Some(place) = facts.get(&delta.assignment.place.resource()) {
            let touched = may_touch(place, &delta.assignment.held, now);
            touched.map_err(|error| error.under(&format!("{path}.")).with("delta", path))?;
        }
    }
    Ok(())
}

/// Ensures that every place is of a type that the catalog declares: a misspelt one is no place that is not there.
fn must_be_of_known_types(actor: &Actor, batch: &Batch) -> Result<(), Error> {
    let mut violations = Violations::default();
    let mut refused = "";
    for (path, delta) in batch.iter().filter(|(_, delta)| delta.assignment.place.resource().is_some()) {
        // The cells of a matrix share one path.
        if path != refused && violations.take(delta.assignment.must_be_of_a_known_type(&actor.catalog, path))?.is_none()
        {
            refused = path;
        }
    }
    violations.finish()
}

fn must_be_assignable(actor: &Actor, batch: &Batch, now: Timestamp) -> Result<(), Error> {
    let mut violations = Violations::default();
    // The cells of a matrix share one path: what is wrong with several of them is told once.
    let mut refused = "";
    for (path, delta) in batch.iter() {
        if path == refused {
            continue;
        }
        let end = if delta.act == Act::Grant { delta.assignment.expires_at } else { None };
        let ahead = violations.take(must_be_ahead(&format!("{path}.grant.expire_time"), end, now))?;
        let assignable = delta.assignment.must_be_assignable(&actor.catalog, delta.principal, path);
        if violations.take(assignable)?.is_none() || ahead.is_none() {
            refused = path;
        }
    }
    violations.finish()
}

/// Asks the ceiling of each delta by itself, so that who may not is told so before what cannot be.
fn may_apply(actor: &Actor, batch: &Batch, now: Timestamp) -> Result<(), Error> {
    for (path, Delta { principal, assignment, act }) in batch.iter() {
        let place = actor.at(assignment.place.resource());
        let applied = match act {
            Act::Grant => may_give(&place, &assignment.held, *principal, now),
            Act::Revoke => may_take(&place, &assignment.held, now),
        };
        applied.map_err(|refusal| refusal.with("delta", path).with("principal", principal))?;
    }
    Ok(())
}
