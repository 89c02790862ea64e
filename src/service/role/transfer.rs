//! Handing a role on: at one revision, from whoever holds it to one ACTIVE member (CE-19, CE-30..35, X18).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::access::{Actor, may_give, may_take};
use crate::domain::assignment::{Plan, plan_transfer};
use crate::domain::catalog::{Catalog, Role};
use crate::domain::error::{Error, Kind, Reason};
use crate::domain::fact::{Grant, GrantSource, Held, MemberState};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::Member;
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::mail::Mail;
use crate::service::apply::{Affected, Changed, apply};
use crate::service::call::must_be_operator;
use crate::service::{Context, Services, Written};
use crate::store::{Lock, Tx};

/// Asks for a role to change hands.
#[derive(Clone, Debug)]
pub struct TransferRole {
    /// Whose.
    pub organization: OrganizationId,
    /// One that changes hands by a transfer only.
    pub role: Arc<str>,
    /// Who gets it.
    pub to: MembershipId,
    /// Who loses it; nobody named: the caller, or, for an operator, its only holder.
    pub from: Option<MembershipId>,
    /// Why; operators say so.
    pub reason: String,
}

/// A role that has changed hands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transferred {
    /// Who held it, as they stand; nobody if it was without a holder.
    pub from: Option<Member>,
    /// Who holds it, as they stand.
    pub to: Member,
    /// What is new, and what anybody has lost by it.
    pub changed: Changed,
    /// What who held it holds still.
    pub kept: Vec<Grant>,
}

impl Services {
    /// Hands a role on.
    ///
    /// # Errors
    /// - [`Reason::NotFound`]; [`Reason::RoleNotGrantable`] for whoever neither holds the role nor is an operator.
    /// - [`Reason::RoleNotAssignable`] for a role that does not change hands by transfers; [`Reason::RoleUnknown`].
    /// - [`Reason::FieldRequired`] for an operator without a reason, or where several hold it and none is named.
    /// - [`Reason::MemberState`] if who is to get it is not ACTIVE; [`Reason::RoleCardinality`].
    pub async fn transfer_role(
        self: &Arc<Self>,
        context: &Context,
        request: TransferRole,
    ) -> Result<Written<Transferred>, Error> {
        let organization = request.organization;
        let reads = self.store.reads();
        let actor = reads.of(organization).actor(context.subject()?, &[], self.world.now()).await?;
        actor.must_see(None)?;
        let request = TransferRole { reason: text::reason("reason", &request.reason)?, ..request };
        let found = reads.of(organization).organization().await?;
        let name = found.map(|it| it.display_name).unwrap_or_default();

        let (call, sealer, world) = (context.clone(), self.sealer.clone(), self.world.clone());
        self.write(context, Lock::Organization(organization), move |tx| {
            let (call, request, name) = (call.clone(), request.clone(), name.clone());
            let (sealer, world) = (sealer.clone(), world.clone());
            async move {
                let (mut tx, transferred) = transfer(tx, call, request).await?;
                let people = [transferred.from.as_ref(), Some(&transferred.to)].into_iter().flatten();
                for member in people {
                    let mail = Mail::RoleTransferred {
                        to: member.email.clone(),
                        organization: name.clone(),
                        is_new_holder: member.id == transferred.to.id,
                    };
                    tx.mail_insert(tx.id(), mail.seal(&sealer, &world)).await?;
                }
                Ok((tx, transferred))
            }
        })
        .await
    }
}

async fn transfer(mut tx: Tx, context: Context, request: TransferRole) -> Result<(Tx, Transferred), Error> {
    let (organization, now) = (request.organization, tx.now());
    let holders = tx.reads().grants_of_role(&request.role, now, 1_000).await?;
    let actor = tx.reads().actor(context.subject()?, &[], tx.now()).await?;
    actor.must_see(None)?;
    let role = transferable(&actor.catalog, &request.role)?;
    let from = from_whom(&tx, &actor, &context, &request, &holders).await?;
    if !request.reason.is_empty() {
        tx.because(request.reason);
    }
    let to = tx.reads().membership(request.to, now).await?;
    let to = to.ok_or_else(|| Error::not_found("member", request.to))?;
    to.must_be(MemberState::Active, "given a role by a transfer")?;
    if from == Some(to.id) {
        return Err(Error::invalid("to_membership_id", Reason::OutOfRange, "holds the role already"));
    }
    let from = match from {
        Some(id) => tx.reads().membership(id, now).await?,
        None => None,
    };

    let people = [from.as_ref(), Some(&to)].into_iter().flatten();
    let people: Vec<Principal> = people.map(|it| Principal::Membership(it.id)).collect();
    let affected = Affected::read(&tx, organization, &actor.catalog, &people).await?;
    let (giver, taker) = (from.as_ref().map(|it| Principal::Membership(it.id)), Principal::Membership(to.id));
    let plan = plan_transfer(&actor.catalog, affected.before(now), role, giver, taker)?;
    must_be_under_the_ceiling(&tx, &actor, &context, &plan, role, taker).await?;
    let changed = apply(&mut tx, &actor.catalog, &plan, &affected, GrantSource::Manual, "role").await?;
    let changed = changed.told_to_caller(&tx, &context, organization, &actor).await?;

    let kept =
        affected.held.into_iter().filter(|grant| Some(grant.principal) == giver && plan.gone().all(|it| it != grant));
    let kept: Vec<Grant> =
        kept.chain(changed.granted.iter().filter(|it| Some(it.principal) == giver).cloned()).collect();
    let from = match from {
        Some(from) => tx.reads().membership(from.id, now).await?,
        None => None,
    };
    let to = tx.reads().membership(to.id, now).await?;
    let to = to.ok_or_else(|| Error::internal("a member who was there"))?;
    Ok((tx, Transferred { from, to, changed, kept }))
}

fn transferable<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Role, Error> {
    let Some(id) = catalog.role_id(name) else {
        return Err(Error::invalid("role", Reason::RoleUnknown, "names no role of the catalog"));
    };
    let role = catalog.role(id);
    if role.is_transfer_only {
        return Ok(role);
    }
    Err(Error::invalid("role", Reason::RoleNotAssignable, "names a role that is granted, not handed on"))
}

/// Finds who loses the role. Whoever holds it hands it on themselves; an operator does for others, and says why.
async fn from_whom(
    tx: &Tx,
    actor: &Actor,
    context: &Context,
    request: &TransferRole,
    holders: &[Grant],
) -> Result<Option<MembershipId>, Error> {
    let holders: Vec<MembershipId> = holders
        .iter()
        .filter_map(|grant| match grant.principal {
            Principal::Membership(id) => Some(id),
            _ => None,
        })
        .collect();
    let own = actor.standing.membership().filter(|own| actor.standing.is_in() && holders.contains(own));
    if let Some(own) = own.filter(|own| request.from.is_none_or(|from| from == *own)) {
        return Ok(Some(own));
    }
    match must_be_operator(tx.above(), context.subject()?).await {
        Err(error) if error.kind() == Kind::PermissionDenied => {
            let message = "only who holds the role hands it on";
            let refusal = Error::new(Reason::RoleNotGrantable, message).about("role", &request.role);
            return Err(refusal.with("role", &request.role).with("place", Place::Organization));
        }
        is_operator => is_operator?,
    }
    if request.reason.is_empty() {
        return Err(Error::invalid("reason", Reason::FieldRequired, "is required of an operator"));
    }
    match (request.from, holders.as_slice()) {
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

/// Asks the ceiling of what the transfer brings and takes beside the role itself, which its holder may hand on.
async fn must_be_under_the_ceiling(
    tx: &Tx,
    actor: &Actor,
    context: &Context,
    plan: &Plan,
    role: &Role,
    taker: Principal,
) -> Result<(), Error> {
    let is_itself = |held: &Held| matches!(held, Held::Role(name) if *name == role.name);
    let others: Vec<&Grant> = plan.revoked.iter().filter(|grant| grant.principal == taker).collect();
    let places: Vec<ResourceKey> = others.iter().filter_map(|grant| grant.place.resource().cloned()).collect();
    let there = tx.reads().actor(context.subject()?, &places, tx.now()).await?;
    let now: Timestamp = tx.now();
    for (principal, assignment) in &plan.granted {
        if assignment.place == Place::Organization && !is_itself(&assignment.held) {
            may_give(&actor.at(None), &assignment.held, *principal, now)?;
        }
    }
    for grant in others {
        may_take(&there.at(grant.place.resource()), &grant.held, now)?;
    }
    Ok(())
}
