//! Grants: what is held by whom and where.

mod installation;
mod page;
mod principal;

use std::collections::BTreeSet;

use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::encoding::{grant, held_column, is_live, place_columns, principal_columns};
use super::entity::grants;
use super::{HeldAt, OrgReads, Reads, Tx};
use crate::changelog::{Change, scope_key};
use crate::domain::error::Error;
use crate::domain::fact::{Grant, Held, OrganizationFact, Scope};
use crate::domain::id::{OrganizationId, ServiceAccountId};
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::time::Timestamp;
use page::held_at;

pub use page::GrantPage;
pub use principal::Principals;

/// What some principals hold, and what of theirs has expired and waits to be swept: that is held no more, and only who takes
/// its rows away asks for it.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// What is held, oldest first.
    pub live: Vec<Grant>,
    /// What has expired, oldest first.
    pub lapsed: Vec<Grant>,
}

impl Grants {
    /// Returns every row, what is held first: for whoever takes along what hangs on a principal that ends. At most `most`
    /// rows; of what has expired the sweep takes the rest.
    #[must_use]
    pub fn rows(self, most: usize) -> Vec<Grant> {
        let room = most.saturating_sub(self.live.len());
        self.live.into_iter().chain(self.lapsed.into_iter().take(room)).collect()
    }
}

/// Most rows that one statement writes: eleven columns each.
const ROWS_MAX: usize = 1_000;

impl OrgReads<'_> {
    /// Reads everything that some principals of an organization hold in it at `now`, and what of theirs has expired.
    pub async fn grants_of(&self, principals: &[Principal], now: Timestamp) -> Result<Grants, Error> {
        if principals.is_empty() {
            return Ok(Grants::default());
        }
        let rows = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(self.organization))))
            .filter(may_be_of(principals))
            .order_by_asc(grants::Column::Id)
            .all(&self.db)
            .await?;
        let grants = rows.iter().map(grant).collect::<Result<Vec<_>, _>>()?;
        let theirs = grants.into_iter().filter(|grant| principals.contains(&grant.principal));
        let (lapsed, live) = theirs.partition(|grant| grant.is_expired(now));
        Ok(Grants { live, lapsed })
    }

    /// Reads everything that is held at `now` at some resources of an organization, at most 100 of them, oldest first.
    pub async fn grants_on(&self, places: &[ResourceKey], now: Timestamp) -> Result<Vec<Grant>, Error> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let at = |key: &ResourceKey| {
            Condition::all()
                .add(grants::Column::PlaceKind.eq("resource"))
                .add(grants::Column::PlaceType.eq(&*key.kind))
                .add(grants::Column::PlaceId.eq(&*key.id))
        };
        let rows = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(self.organization))))
            .filter(places.iter().fold(Condition::any(), |any, key| any.add(at(key))))
            .filter(is_live(now))
            .order_by_asc(grants::Column::Id)
            .all(&self.db)
            .await?;
        rows.iter().map(grant).collect()
    }

    /// Reads what some principals hold at `now` at some places of an organization.
    pub async fn grants_held_at(
        &self,
        principals: &[Principal],
        at: HeldAt<'_>,
        now: Timestamp,
    ) -> Result<Vec<Grant>, Error> {
        let rows = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(self.organization))))
            .filter(may_be_of(principals))
            .filter(is_live(now))
            .filter(held_at(at).unwrap_or_else(Condition::all))
            .all(&self.db)
            .await?;
        let grants = rows.iter().map(grant).collect::<Result<Vec<_>, _>>()?;
        Ok(grants.into_iter().filter(|grant| principals.contains(&grant.principal)).collect())
    }

    /// Reads the grants of one thing that some principals hold at `now` at some places of an organization.
    pub async fn grants_of_one(
        &self,
        principals: &[Principal],
        places: &[Place],
        held: &Held,
        now: Timestamp,
    ) -> Result<Vec<Grant>, Error> {
        let rows = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(self.organization))))
            .filter(is_live(now))
            .filter(may_be_of(principals))
            .filter(grants::Column::PlaceId.is_in(places.iter().map(|it| place_columns(it).2)))
            .filter(grants::Column::Role.eq(held_column(held)));
        rows.all(&self.db).await?.iter().map(grant).collect()
    }

    /// Reads grants of an organization that expired at `before` or earlier, at most `limit`.
    pub async fn lapsed_grants(&self, before: Timestamp, limit: u64) -> Result<Vec<Grant>, Error> {
        let rows = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(self.organization))))
            .filter(grants::Column::ExpiresAt.lte(before.as_micros()))
            .order_by_asc(grants::Column::ExpiresAt)
            .limit(limit)
            .all(&self.db)
            .await?;
        rows.iter().map(grant).collect()
    }

    /// Reads everything that some service accounts hold in an organization, at whatever place.
    pub async fn grants_of_accounts(&self, accounts: &[ServiceAccountId]) -> Result<Vec<Grant>, Error> {
        let mut found = Vec::new();
        for chunk in accounts.chunks(5_000) {
            let rows = grants::Entity::find()
                .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(self.organization))))
                .filter(grants::Column::PrincipalKind.eq("service_account"))
                .filter(grants::Column::PrincipalId.is_in(chunk.iter().map(|id| id.0)))
                .all(&self.db)
                .await?;
            found.extend(rows.iter().map(grant).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }
}

impl Reads<'_> {
    /// Names organizations with grants that expired at `before` or earlier, at most `limit`.
    pub async fn organizations_with_lapsed_grants(
        &self,
        before: Timestamp,
        limit: u64,
    ) -> Result<Vec<OrganizationId>, Error> {
        let scopes: Vec<Uuid> = grants::Entity::find()
            .select_only()
            .column(grants::Column::Scope)
            .distinct()
            .filter(grants::Column::ExpiresAt.lte(before.as_micros()))
            .limit(limit)
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(scopes.into_iter().map(OrganizationId).collect())
    }
}

impl Tx {
    /// Makes a grant in the locked organization.
    pub async fn grant_insert(&mut self, grant: &Grant) -> Result<(), Error> {
        let scope = Scope::Organization(self.organization());
        self.grant_row_insert(scope, grant).await?;
        self.change(Change::of(OrganizationFact::Grant(grant.clone())));
        Ok(())
    }

    /// Makes grants in the locked organization.
    pub async fn grants_insert(&mut self, grants: &[Grant]) -> Result<(), Error> {
        let (scope, now) = (Scope::Organization(self.organization()), self.now());
        for grants in grants.chunks(ROWS_MAX) {
            let rows = grants.iter().map(|grant| row(scope, grant, now));
            grants::Entity::insert_many(rows).exec_without_returning(&self.db).await?;
        }
        for grant in grants {
            self.change(Change::of(OrganizationFact::Grant(grant.clone())));
        }
        Ok(())
    }

    async fn grant_row_insert(&self, scope: Scope, grant: &Grant) -> Result<(), Error> {
        let row = row(scope, grant, self.now());
        grants::Entity::insert(row).exec_without_returning(&self.db).await?;
        Ok(())
    }

    /// Removes grants of the locked organization.
    pub async fn grants_delete(&mut self, grants: &[Grant]) -> Result<(), Error> {
        let scope = scope_key(Scope::Organization(self.organization()));
        for grants in grants.chunks(ROWS_MAX) {
            grants::Entity::delete_many()
                .filter(grants::Column::Scope.eq(scope))
                .filter(grants::Column::Id.is_in(grants.iter().map(|grant| grant.id.0)))
                .exec(&self.db)
                .await?;
        }
        for grant in grants {
            self.change(Change::of(OrganizationFact::GrantGone(grant.clone())));
        }
        Ok(())
    }
}

/// Picks the grants of some principals, and perhaps of others with the same ids; by the kinds too, which an index begins
/// with.
fn may_be_of(principals: &[Principal]) -> Condition {
    let columns = principals.iter().map(|principal| principal_columns(*principal));
    let (kinds, ids): (BTreeSet<&str>, BTreeSet<Uuid>) = columns.unzip();
    Condition::all().add(grants::Column::PrincipalKind.is_in(kinds)).add(grants::Column::PrincipalId.is_in(ids))
}

/// Picks what is held at some places; nothing for everywhere.
/// Writes a row.
fn row(scope: Scope, grant: &Grant, now: Timestamp) -> grants::ActiveModel {
    let (principal_kind, principal_id) = principal_columns(grant.principal);
    let (place_kind, place_type, place_id) = place_columns(&grant.place);
    grants::ActiveModel {
        id: Set(grant.id.0),
        scope: Set(scope_key(scope)),
        principal_kind: Set(principal_kind.to_owned()),
        principal_id: Set(principal_id),
        place_kind: Set(place_kind.to_owned()),
        place_type: Set(place_type.to_owned()),
        place_id: Set(place_id.to_owned()),
        role: Set(held_column(&grant.held).to_owned()),
        expires_at: Set(grant.expires_at.map(Timestamp::as_micros)),
        source: Set(grant.source.word().to_owned()),
        created_at: Set(now.as_micros()),
    }
}
