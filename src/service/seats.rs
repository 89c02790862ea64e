//! Seats: set by operators, shown, and asked for by every act that takes one.

use std::sync::Arc;

use super::call::must_be_operator;
use super::{Context, Read, Services, Written};
use crate::domain::catalog::{Catalog, PermissionId, SeatPolicy, Verb};
use crate::domain::error::{Error, Reason};
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::place::ResourceKey;
use crate::domain::seats::Seats;
use crate::store::{Lock, Tx};

impl Services {
    /// Shows how many may sit and how many do: in the organization to whoever may list its members, on the list of a
    /// resource to whoever may share it.
    ///
    /// # Errors
    /// - [`Reason::NotFound`], [`Reason::PermissionMissing`]; [`Reason::FeatureOff`] where seats are not counted.
    pub async fn seats(
        &self,
        context: &Context,
        organization: OrganizationId,
        place: Option<&ResourceKey>,
    ) -> Result<Read<Seats>, Error> {
        let token = self.token_before_reading(organization).await?;
        let (reads, now) = (self.store.reads(), self.world.now());
        let places: Vec<ResourceKey> = place.into_iter().cloned().collect();
        let actor = reads.of(organization).actor(context.subject()?, &places, self.world.now()).await?;
        actor.must_see(None)?;
        actor.must_see(place)?;
        let permission = match place.and_then(|key| actor.catalog.resource_type(&key.kind)) {
            Some((kind, _)) => PermissionId::of_type(kind, Verb::Share),
            None => PermissionId::MEMBER_LIST,
        };
        actor.must_hold(permission, place)?;
        let policy = must_be_counted(&actor.catalog, place)?;
        let seats = match place {
            Some(key) => reads.of(organization).resource_seats(key, &actor.catalog, policy, now).await?,
            None => reads.of(organization).seats(policy, now).await?,
        };
        Ok(Read { value: seats, token })
    }

    /// Sets how many may sit; nothing: no bound. Who sits already stays.
    ///
    /// # Errors
    /// - [`Reason::OperatorRequired`], [`Reason::NotFound`]; [`Reason::FeatureOff`] where seats are not counted.
    pub async fn set_seat_limit(
        self: &Arc<Self>,
        context: &Context,
        organization: OrganizationId,
        place: Option<ResourceKey>,
        limit: Option<u32>,
    ) -> Result<Written<Seats>, Error> {
        context.subject()?;
        let call = context.clone();
        self.write(context, Lock::Organization(organization), move |tx| {
            set_limit(tx, call.clone(), organization, place.clone(), limit)
        })
        .await
    }
}

async fn set_limit(
    mut tx: Tx,
    context: Context,
    organization: OrganizationId,
    place: Option<ResourceKey>,
    limit: Option<u32>,
) -> Result<(Tx, Seats), Error> {
    must_be_operator(tx.above(), context.subject()?).await?;
    let found = tx.reads().organization().await?;
    let found = found.ok_or_else(|| Error::not_found("organization", organization))?;
    let catalog = tx.reads().catalog_of(&found.catalog).await?;
    if let Some(key) = &place
        && tx.reads().resource(key).await?.is_none()
    {
        return Err(Error::not_found("resource", key));
    }
    let policy = must_be_counted(&catalog, place.as_ref())?;
    if tx.reads().seat_limit(place.as_ref()).await? != limit {
        tx.seat_limit_set(place.as_ref(), limit).await?;
    }
    let seats = match &place {
        Some(key) => tx.reads().resource_seats(key, &catalog, policy, tx.now()).await?,
        None => tx.reads().seats(policy, tx.now()).await?,
    };
    Ok((tx, seats))
}

/// Finds the policy by which seats are counted at a place.
fn must_be_counted<'a>(catalog: &'a Catalog, place: Option<&ResourceKey>) -> Result<&'a SeatPolicy, Error> {
    policy_at(catalog, place).ok_or_else(|| {
        let message = "the organization's catalog counts no seats there";
        Error::new(Reason::FeatureOff, message).about("feature", "seats")
    })
}

fn policy_at<'a>(catalog: &'a Catalog, place: Option<&ResourceKey>) -> Option<&'a SeatPolicy> {
    let policy = catalog.seats()?;
    let is_counted = match place {
        None => policy.per_organization,
        Some(key) => catalog.resource_type(&key.kind).is_some_and(|(id, _)| policy.per_types.contains(&id)),
    };
    is_counted.then_some(policy)
}

/// How many sat where an act may take seats, before it.
#[derive(Debug, Default)]
pub(super) struct SeatsBefore {
    counted: Vec<(Option<ResourceKey>, Seats)>,
    /// Lists that the act does not name, and that who acts may not see: a refusal does not name them either.
    unnamed: Vec<ResourceKey>,
}

impl SeatsBefore {
    /// Counts before some come into the organization, or count in it again, with grants at `places`: there, and on every
    /// list that they come onto as everyone does or by a group that they are in.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn of_members(
        tx: &Tx,
        catalog: &Catalog,
        members: &[MembershipId],
        places: &[ResourceKey],
    ) -> Result<Self, Error> {
        let has_lists = catalog.seats().is_some_and(|policy| !policy.per_types.is_empty());
        let mut unnamed = if has_lists { tx.reads().limited_lists_of(members, tx.now()).await? } else { Vec::new() };
        unnamed.retain(|key| !places.contains(key));
        let named = std::iter::once(None).chain(places.iter().cloned().map(Some));
        let all = named.chain(unnamed.iter().cloned().map(Some)).collect();
        Ok(Self { unnamed, ..Self::count(tx, catalog, all).await? })
    }

    /// Counts, before an act that may take seats at `places` (the organization is `None`). Asks the database nothing
    /// where the catalog counts none, and does not count where there is no limit.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn count(tx: &Tx, catalog: &Catalog, places: Vec<Option<ResourceKey>>) -> Result<Self, Error> {
        let mut counted = Self::default();
        for place in places {
            if counted.counted.iter().any(|(other, _)| *other == place) {
                continue;
            }
            if let Some(policy) = policy_at(catalog, place.as_ref())
                && tx.reads().seat_limit(place.as_ref()).await?.is_some()
            {
                let seats = now_at(tx, catalog, policy, place.as_ref()).await?;
                counted.counted.push((place, seats));
            }
        }
        Ok(counted)
    }

    /// Asks, after the act, that it took no seat that was not there.
    ///
    /// # Errors
    /// - [`Reason::SeatsExhausted`].
    pub async fn must_suffice(self, tx: &Tx, catalog: &Catalog) -> Result<(), Error> {
        for (place, before) in self.counted {
            let Some(policy) = policy_at(catalog, place.as_ref()) else { continue };
            let after = now_at(tx, catalog, policy, place.as_ref()).await?;
            let judged = after.must_be_there(before, place.as_ref());
            if place.is_some_and(|key| self.unnamed.contains(&key)) {
                let message = "all seats are taken on a list that comes with it";
                judged.map_err(|_| Error::new(Reason::SeatsExhausted, message))?;
            } else {
                judged?;
            }
        }
        Ok(())
    }
}

async fn now_at(tx: &Tx, catalog: &Catalog, policy: &SeatPolicy, place: Option<&ResourceKey>) -> Result<Seats, Error> {
    match place {
        Some(key) => tx.reads().resource_seats(key, catalog, policy, tx.now()).await,
        None => tx.reads().seats(policy, tx.now()).await,
    }
}
