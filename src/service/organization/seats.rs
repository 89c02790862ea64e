//! How many seats there are, shown and set.

use crate::domain::access::Actor;
use crate::domain::catalog::{PermissionId, Verb};
use crate::domain::error::Error;
#[cfg(doc)]
use crate::domain::error::Reason;
use crate::domain::organization::seats::Seats;
use crate::domain::place::ResourceKey;
use crate::service::seats::policy_at;
use crate::service::{Authorize, Call, Mutation, Query};
use crate::store::Tx;

/// Shows how many seats there are and how many are taken: in the organization to a caller who may list its members, on the
/// list of a resource to one who may share it.
///
/// # Errors
/// - [`Reason::NotFound`], [`Reason::PermissionMissing`]; [`Reason::FeatureOff`] where seats are not counted.
#[derive(Debug)]
pub struct GetSeats {
    /// On the list of which resource; `None` for the organization.
    pub place: Option<ResourceKey>,
}

impl Authorize for GetSeats {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        let actor = call.visitor(self.place.as_slice()).await?;
        actor.must_see(self.place.as_ref())?;
        let kind = self.place.as_ref().and_then(|key| actor.catalog.resource_type(&key.kind));
        let permission = kind.map_or(PermissionId::MEMBER_LIST, |(kind, _)| PermissionId::of_type(kind, Verb::Share));
        actor.must_hold(permission, self.place.as_ref())?;
        Ok(actor)
    }
}

impl Query for GetSeats {
    type Output = Seats;

    async fn read(&self, call: &Call<'_>, actor: Actor) -> Result<Seats, Error> {
        let policy = policy_at(&actor.catalog, self.place.as_ref())?;
        match &self.place {
            Some(key) => call.reads.resource_seats(key, &actor.catalog, policy, actor.now).await,
            None => call.reads.seats(policy, actor.now).await,
        }
    }
}

/// Sets how many seats there are. Members who sit already stay.
///
/// # Errors
/// - [`Reason::OperatorRequired`], [`Reason::NotFound`]; [`Reason::FeatureOff`] where seats are not counted.
#[derive(Debug)]
pub struct SetSeatLimit {
    /// On the list of which resource; `None` for the organization.
    pub place: Option<ResourceKey>,
    /// `None` for no bound.
    pub limit: Option<u32>,
}

impl Authorize for SetSeatLimit {
    async fn authorize(&self, call: &Call<'_>) -> Result<Actor, Error> {
        call.operator().await
    }
}

impl Mutation for SetSeatLimit {
    type Output = Seats;

    async fn apply(&self, tx: &mut Tx, actor: Actor) -> Result<Seats, Error> {
        if let Some(key) = &self.place
            && tx.reads().resource(key).await?.is_none()
        {
            return Err(Error::not_found("resource", key));
        }
        let policy = policy_at(&actor.catalog, self.place.as_ref())?;
        if tx.reads().seat_limit(self.place.as_ref()).await? != self.limit {
            tx.seat_limit_set(self.place.as_ref(), self.limit).await?;
        }
        match &self.place {
            Some(key) => tx.reads().resource_seats(key, &actor.catalog, policy, tx.now()).await,
            None => tx.reads().seats(policy, tx.now()).await,
        }
    }
}
