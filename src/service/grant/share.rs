//! Sharing a resource: what a holder of T.share may give there.

use super::ChangeGrants;
use crate::domain::access::Actor;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::error::{Error, Violations};
use crate::domain::grant::assignment::Delta;
use crate::domain::place::ResourceKey;
use crate::domain::time::must_be_ahead;
use crate::service::apply::Changed;
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Shares a resource, or no more: grants or revokes list entries and the roles that its type lists under `shares`.
///
/// # Errors
/// - As [`ChangeGrants`]; [`Reason::RoleNotShareable`] for any other role.
#[derive(Debug)]
pub struct ShareResource {
    key: ResourceKey,
    changes: ChangeGrants,
}

impl ShareResource {
    /// Returns what applies the deltas, one for each principal, all at the resource.
    #[must_use]
    pub fn new(key: ResourceKey, deltas: Vec<Delta>) -> Self {
        Self { key, changes: ChangeGrants::of_principals(deltas) }
    }

    fn must_be_shared(&self, actor: &Actor) -> Result<(), Error> {
        let mut violations = Violations::default();
        for (index, Delta { principal, assignment, .. }) in self.changes.deltas.iter().enumerate() {
            assignment.held.must_be_shared(&actor.catalog, &self.key.kind)?;
            let field = format!("principals[{index}]");
            violations.take(assignment.must_be_assignable(&actor.catalog, *principal, &field))?;
            // All of them have the same end.
            if index == 0 {
                violations.take(must_be_ahead("expire_time", assignment.expires_at, actor.now))?;
            }
        }
        violations.finish()
    }
}

impl Authorize for ShareResource {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(std::slice::from_ref(&self.key)).await?;
        if let Some(first) = self.changes.deltas.first() {
            first.assignment.must_be_of_a_known_type(&actor.catalog, "resource.type")?;
        }
        call.may(&actor, Some(&self.key), &self.key.kind)?;
        self.must_be_shared(&actor)?;
        self.changes.may_be_asked_by(&actor)?;
        Ok(actor)
    }
}

impl Mutation for ShareResource {
    type Output = Changed;

    /// Whoever may, may by T.share: the rest is evaluated as every grant is.
    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Changed, Error> {
        self.changes.apply(tx, actor).await
    }
}
