//! Transferring a role: at one revision, from its holder to one ACTIVE member (CE-19, CE-30..35, X18).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::access::{Actor, may_give, may_take};
use crate::domain::catalog::{Catalog, Role};
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::{Grant, GrantSource, Held, MemberState};
use crate::domain::grant::assignment::{Plan, plan_transfer};
use crate::domain::id::MembershipId;
use crate::domain::member::Member;
use crate::domain::place::{Place, Principal, resources_among};
use crate::mail::Mail;
use crate::service::apply::{Affected, Changed, apply};
use crate::service::call::must_be_operator;
use crate::service::mailing::Mailer;
use crate::service::{Authorize, Call, Mutation};
use crate::store::Tx;

/// Transfers a role: from its holder to one ACTIVE member.
///
/// # Errors
/// - [`Reason::NotFound`]; [`Reason::RoleNotGrantable`] for a caller who neither holds the role nor is an operator.
/// - [`Reason::RoleNotAssignable`] for a role that is not transferred; [`Reason::RoleUnknown`].
/// - [`Reason::FieldRequired`] for an operator without a reason, or where several hold it and none is named.
/// - [`Reason::MemberState`] if who is to get it is not ACTIVE; [`Reason::RoleCardinality`].
#[derive(Debug)]
pub struct TransferRole {
    /// One that is held by a transfer only.
    pub role: Arc<str>,
    /// Who gets it.
    pub to: MembershipId,
    /// Who loses it; nobody named: the caller, or, for an operator, its only holder.
    pub from: Option<MembershipId>,
    /// Why; operators give one.
    pub reason: String,
    /// By which both are notified.
    pub mailer: Mailer,
}

/// A role that was transferred.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransferredRole {
    /// Who held it, as they stand; nobody if it was without a holder.
    pub from: Option<Member>,
    /// Who holds it, as they stand.
    pub to: Member,
    /// What is new, and what anybody has lost by it.
    pub changed: Changed,
    /// What who held it holds still.
    pub kept: Vec<Grant>,
}

impl Authorize for TransferRole {
    /// Whoever holds the role, and that is known under the lock alone.
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.visitor(&[]).await
    }
}

impl Mutation for TransferRole {
    type Output = TransferredRole;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<TransferredRole, Error> {
        let now = tx.now();
        let holders = tx.reads().grants_of_role(&self.role, now, 1_000).await?;
        let role = transferable(&actor.catalog, &self.role)?;
        let from = self.previous_holder(tx, &actor, &holders).await?;
        if !self.reason.is_empty() {
            tx.because(self.reason.clone());
        }
        let to = tx.reads().membership(self.to, now).await?;
        let to = to.ok_or_else(|| Error::not_found("member", self.to))?;
        to.must_be(MemberState::Active, "given a role by a transfer")?;
        if from == Some(to.id) {
            return Err(Error::invalid("to_membership_id", Reason::OutOfRange, "holds the role already"));
        }
        let from = match from {
            Some(id) => tx.reads().membership(id, now).await?,
            None => None,
        };

        let members = [from.as_ref(), Some(&to)].into_iter().flatten();
        let members: Vec<Principal> = members.map(|it| Principal::Membership(it.id)).collect();
        let affected = Affected::read(tx, &actor.catalog, &members).await?;
        let (giver, taker) = (from.as_ref().map(|it| Principal::Membership(it.id)), Principal::Membership(to.id));
        let plan = plan_transfer(&actor.catalog, affected.before(now), role, giver, taker)?;
        must_be_under_the_ceiling(tx, &actor, &plan, role, taker).await?;
        let changed = apply(tx, &actor.catalog, &plan, &affected, GrantSource::Manual, "role").await?;
        let changed = changed.seen_by(tx, &actor).await?;

        let held = affected.held.into_iter().filter(|grant| Some(grant.principal) == giver);
        let kept = held.filter(|grant| plan.gone().all(|gone| gone != grant));
        let kept: Vec<Grant> =
            kept.chain(changed.granted.iter().filter(|it| Some(it.principal) == giver).cloned()).collect();
        let from = match from {
            Some(from) => tx.reads().membership(from.id, now).await?,
            None => None,
        };
        let to = tx.reads().membership(to.id, now).await?;
        let to = to.ok_or_else(|| Error::internal("a member who was there"))?;
        self.notify(tx, from.as_ref(), &to).await?;
        Ok(TransferredRole { from, to, changed, kept })
    }
}

impl TransferRole {
    /// Notifies who held the role and who holds it.
    async fn notify(&self, tx: &mut Tx, from: Option<&Member>, to: &Member) -> Result<(), Error> {
        let organization = tx.reads().organization().await?.map(|it| it.display_name).unwrap_or_default();
        for member in from.into_iter().chain([to]) {
            let mail = Mail::RoleTransferred {
                to: member.email.clone(),
                organization: organization.clone(),
                is_new_holder: member.id == to.id,
            };
            self.mailer.send(tx, &mail).await?;
        }
        Ok(())
    }

    /// Returns who loses the role. Whoever holds it transfers it themselves; an operator does for others, with a reason.
    async fn previous_holder(&self, tx: &Tx, actor: &Actor, holders: &[Grant]) -> Result<Option<MembershipId>, Error> {
        let holders: Vec<MembershipId> = holders
            .iter()
            .filter_map(|grant| match grant.principal {
                Principal::Membership(id) => Some(id),
                _ => None,
            })
            .collect();
        let own = actor.standing.membership().filter(|own| actor.standing.is_in() && holders.contains(own));
        if let Some(own) = own.filter(|own| self.from.is_none_or(|from| from == *own)) {
            return Ok(Some(own));
        }
        match must_be_operator(tx.above(), actor.subject).await {
            Err(error) if error.kind() == Kind::PermissionDenied => {
                let message = "only who holds the role transfers it";
                let refusal = Error::new(Reason::RoleNotGrantable, message).about("role", &self.role);
                return Err(refusal.with("role", &self.role).with("place", Place::Organization));
            }
            is_operator => is_operator?,
        }
        if self.reason.is_empty() {
            return Err(Error::invalid("reason", Reason::FieldRequired, "is required of an operator"));
        }
        match (self.from, holders.as_slice()) {
            (Some(from), holders) if holders.contains(&from) => Ok(Some(from)),
            (Some(from), _) => Err(Error::not_found("member", from)),
            (None, []) => Ok(None),
            (None, [only]) => Ok(Some(*only)),
            (None, _) => {
                let message = "is required where several hold the role";
                Err(Error::invalid("from_membership_id", Reason::FieldRequired, message))
            }
        }
    }
}

fn transferable<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Role, Error> {
    let Some(id) = catalog.role_id(name) else {
        return Err(Error::invalid("role", Reason::RoleUnknown, "names no role of the catalog"));
    };
    let role = catalog.role(id);
    if role.is_transfer_only {
        return Ok(role);
    }
    Err(Error::invalid("role", Reason::RoleNotAssignable, "names a role that is granted, not transferred"))
}

/// Ensures that the caller may give and take what the transfer brings and takes beside the role itself, which its holder may
/// transfer.
async fn must_be_under_the_ceiling(
    tx: &Tx,
    actor: &Actor,
    plan: &Plan,
    role: &Role,
    taker: Principal,
) -> Result<(), Error> {
    let is_itself = |held: &Held| matches!(held, Held::Role(name) if *name == role.name);
    let others: Vec<&Grant> = plan.revoked.iter().filter(|grant| grant.principal == taker).collect();
    let places = resources_among(others.iter().map(|grant| &grant.place));
    for (principal, assignment) in &plan.granted {
        if assignment.place == Place::Organization && !is_itself(&assignment.held) {
            may_give(&actor.at(None), &assignment.held, *principal, actor.now)?;
        }
    }
    let there = tx.reads().widened(actor.clone(), &places).await?;
    for grant in others {
        may_take(&there.at(grant.place.resource()), &grant.held, actor.now)?;
    }
    Ok(())
}
