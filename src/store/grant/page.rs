//! Grants by pages, and at places.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::changelog::scope_key;
use crate::domain::error::Error;
use crate::domain::fact::{Grant, Scope};
use crate::domain::id::GrantId;
use crate::domain::place::Principal;
use crate::domain::time::Timestamp;
use crate::store::OrgReads;
use crate::store::encoding::{grant, is_live, place_columns, principal_columns};
use crate::store::entity::grants;
use crate::store::place::{HeldAt, by_kind};

/// A page of grants, oldest first.
#[derive(Clone, Default, Debug)]
pub struct GrantPage {
    pub grants: Vec<Grant>,
    /// After which the next page begins, if there is one.
    pub next: Option<GrantId>,
}

impl GrantPage {
    /// Returns the first `size` grants of this page and of one that was looked for elsewhere.
    #[must_use]
    pub fn merged(self, other: Self, size: usize) -> Self {
        let mut grants = self.grants;
        grants.extend(other.grants);
        grants.sort_unstable_by_key(|grant| grant.id);
        let mut next = self.next.into_iter().chain(other.next).min();
        if let Some(next) = next {
            // Behind it, one of the two may hold more.
            grants.retain(|grant| grant.id <= next);
        }
        if grants.len() > size {
            grants.truncate(size);
            next = grants.last().map(|grant| grant.id);
        }
        Self { grants, next }
    }
}

impl OrgReads<'_> {
    /// Reads what is held at `now` in an organization, oldest first, at most `size` grants, from after `after` on.
    pub async fn grant_page(
        &self,
        (of, at): (Option<Principal>, HeldAt<'_>),
        now: Timestamp,
        after: Option<GrantId>,
        size: u32,
    ) -> Result<GrantPage, Error> {
        let scope = scope_key(Scope::Organization(self.organization));
        let mut found = grants::Entity::find().filter(grants::Column::Scope.eq(scope)).filter(is_live(now));
        if let Some(principal) = of {
            let (kind, id) = principal_columns(principal);
            found = found.filter(grants::Column::PrincipalKind.eq(kind)).filter(grants::Column::PrincipalId.eq(id));
        }
        if let Some(at) = held_at(at) {
            found = found.filter(at);
        }
        if let Some(after) = after {
            found = found.filter(grants::Column::Id.gt(after.0));
        }
        let mut rows = found.order_by_asc(grants::Column::Id).limit(u64::from(size) + 1).all(&self.db).await?;
        let has_more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let next = rows.last().filter(|_| has_more).map(|row| row.id.into());
        Ok(GrantPage { grants: rows.iter().map(grant).collect::<Result<_, _>>()?, next })
    }
}

pub(super) fn held_at(places: HeldAt<'_>) -> Option<Condition> {
    let (kind, resource_type, id) = (grants::Column::PlaceKind, grants::Column::PlaceType, grants::Column::PlaceId);
    match places {
        HeldAt::Anywhere => None,
        HeldAt::Place(place) => {
            let columns = place_columns(place);
            Some(Condition::all().add(kind.eq(columns.0)).add(resource_type.eq(columns.1)).add(id.eq(columns.2)))
        }
        HeldAt::Types(types) => {
            let of_types = Condition::all().add(kind.eq("resource")).add(resource_type.is_in(types));
            Some(Condition::any().add(kind.eq("organization")).add(of_types))
        }
        HeldAt::Resources(keys) => {
            let of_type = |(name, ids): (&str, Vec<&str>)| {
                Condition::all().add(kind.eq("resource")).add(resource_type.eq(name)).add(id.is_in(ids))
            };
            Some(by_kind(keys).into_iter().fold(Condition::any(), |any, of| any.add(of_type(of))))
        }
    }
}
