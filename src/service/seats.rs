//! Seats as every mutation that takes one counts them: before it, and after it.

use crate::domain::catalog::{Catalog, SeatPolicy};
use crate::domain::error::{Error, Reason};
use crate::domain::id::MembershipId;
use crate::domain::organization::seats::Seats;
use crate::domain::place::ResourceKey;
use crate::store::Tx;

/// Returns the policy by which seats are counted at a place; `None` is the organization.
///
/// # Errors
/// - [`Reason::FeatureOff`] where they are not counted.
pub(super) fn policy_at<'a>(catalog: &'a Catalog, place: Option<&ResourceKey>) -> Result<&'a SeatPolicy, Error> {
    counted_at(catalog, place).ok_or_else(|| {
        let message = "the organization's catalog counts no seats there";
        Error::new(Reason::FeatureOff, message).about("feature", "seats")
    })
}

fn counted_at<'a>(catalog: &'a Catalog, place: Option<&ResourceKey>) -> Option<&'a SeatPolicy> {
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
    pub async fn count(tx: &Tx, catalog: &Catalog, places: Vec<Option<ResourceKey>>) -> Result<Self, Error> {
        let mut counted = Self::default();
        for place in places {
            if counted.counted.iter().any(|(other, _)| *other == place) {
                continue;
            }
            if let Some(policy) = counted_at(catalog, place.as_ref())
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
            let Some(policy) = counted_at(catalog, place.as_ref()) else { continue };
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
