//! Grants.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement, Value,
};
use uuid::Uuid;

use super::encoding::{held, held_column, place, place_columns, principal, principal_columns, state};
use super::entity::grants;
use super::{OrgReads, Reads, Tx};
use crate::changelog::{Change, scope_key};
use crate::domain::catalog::OPERATOR;
use crate::domain::error::Error;
use crate::domain::fact::{Fact, Grant, GrantSource, Held, Scope};
use crate::domain::id::{GrantId, OrganizationId, ServiceAccountId, UserId};
use crate::domain::place::{Place, Principal, ResourceKey};
use crate::domain::time::Timestamp;

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

/// Where grants are looked for, and service accounts by what they are bound to.
#[derive(Clone, Copy, Debug)]
pub enum HeldAt<'a> {
    /// Everywhere.
    Anywhere,
    /// At one place itself.
    Place(&'a Place),
    /// At the organization itself, and at every resource of these types.
    Types(&'a [String]),
    /// At these resources, at most 1,000.
    Resources(&'a [ResourceKey]),
}

/// A page of grants, oldest first.
#[derive(Clone, Default, Debug)]
pub struct GrantPage {
    /// In order.
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

/// Most rows that one statement writes: eleven columns each.
const ROWS_MAX: usize = 1_000;

impl OrgReads<'_> {
    /// Reads everything that some principals of an organization hold in it at `now`, and what of theirs has expired.
    ///
    /// # Errors
    /// Only what the database says.
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
    ///
    /// # Errors
    /// Only what the database says.
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

    /// Reads what is held at `now` in an organization, oldest first, at most `size` grants, from after `after` on.
    ///
    /// # Errors
    /// Only what the database says.
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

    /// Reads what some principals hold at `now` at some places of an organization.
    ///
    /// # Errors
    /// Only what the database says.
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
    ///
    /// # Errors
    /// Only what the database says.
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
    ///
    /// # Errors
    /// Only what the database says.
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
    ///
    /// # Errors
    /// Only what the database says.
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
    ///
    /// # Errors
    /// Only what the database says.
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

/// Above organizations nothing has an end: no RPC gives one, so nothing there expires.
impl Reads<'_> {
    /// Finds a grant at the installation or a product.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn installation_grant(&self, holder: Principal, at: &Place, what: &Held) -> Result<Option<Grant>, Error> {
        let rows = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Installation)))
            .filter(grants::Column::PrincipalId.eq(principal_columns(holder).1))
            .filter(grants::Column::Role.eq(held_column(what)))
            .all(&self.db)
            .await?;
        let grants = rows.iter().map(grant).collect::<Result<Vec<_>, _>>()?;
        Ok(grants.into_iter().find(|grant| grant.principal == holder && grant.place == *at))
    }

    /// Counts the operators: who holds the built-in role and is not shut out.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn operator_count(&self) -> Result<i64, Error> {
        let sql = "select count(*) as operators from grants g left join users u on u.id = g.principal_id \
                   left join service_accounts s on s.id = g.principal_id \
                   where g.scope = $1 and g.place_kind = 'installation' and g.role = $2 \
                   and (u.state = 'active' or s.state = 'enabled')";
        let values: [Value; 2] = [scope_key(Scope::Installation).into(), OPERATOR.into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let row = self.db.query_one_raw(statement).await?;
        Ok(row.map(|row| row.try_get("", "operators")).transpose()?.unwrap_or_default())
    }

    /// Says whether a user holds anything above organizations.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn holds_above(&self, user: UserId) -> Result<bool, Error> {
        let sql =
            "select 1 as one from grants where scope = $1 and principal_kind = 'user' and principal_id = $2 limit 1";
        let values: [Value; 2] = [Uuid::nil().into(), user.0.into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        Ok(self.db.query_one_raw(statement).await?.is_some())
    }
}

impl Tx {
    /// Makes a grant in the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn grant_insert(&mut self, grant: &Grant) -> Result<(), Error> {
        let scope = Scope::Organization(self.organization());
        self.grant_row_insert(scope, grant).await?;
        self.change(Change::of(Fact::Grant(grant.clone())));
        Ok(())
    }

    /// Makes grants in the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn grants_insert(&mut self, grants: &[Grant]) -> Result<(), Error> {
        let (scope, now) = (Scope::Organization(self.organization()), self.now());
        for grants in grants.chunks(ROWS_MAX) {
            let rows = grants.iter().map(|grant| row(scope, grant, now));
            grants::Entity::insert_many(rows).exec_without_returning(&self.db).await?;
        }
        for grant in grants {
            self.change(Change::of(Fact::Grant(grant.clone())));
        }
        Ok(())
    }

    /// Makes a grant at the installation.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn installation_grant_insert(&mut self, grant: &Grant) -> Result<(), Error> {
        self.grant_row_insert(Scope::Installation, grant).await?;
        self.change_installation(Fact::Grant(grant.clone()));
        Ok(())
    }

    /// Removes a grant at the installation or a product.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn installation_grant_delete(&mut self, grant: &Grant) -> Result<(), Error> {
        grants::Entity::delete_by_id(grant.id.0)
            .filter(grants::Column::Scope.eq(scope_key(Scope::Installation)))
            .exec(&self.db)
            .await?;
        self.change_installation(Fact::GrantGone(grant.clone()));
        Ok(())
    }

    async fn grant_row_insert(&self, scope: Scope, grant: &Grant) -> Result<(), Error> {
        let row = row(scope, grant, self.now());
        grants::Entity::insert(row).exec_without_returning(&self.db).await?;
        Ok(())
    }

    /// Removes grants of the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
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
            self.change(Change::of(Fact::GrantGone(grant.clone())));
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
fn held_at(places: HeldAt<'_>) -> Option<Condition> {
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
            let mut by_type: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for key in keys {
                by_type.entry(&key.kind).or_default().push(&key.id);
            }
            let of_type = |(name, ids): (&str, Vec<&str>)| {
                Condition::all().add(kind.eq("resource")).add(resource_type.eq(name)).add(id.is_in(ids))
            };
            Some(by_type.into_iter().fold(Condition::any(), |any, of| any.add(of_type(of))))
        }
    }
}

/// Picks what has not expired by `now`.
pub(super) fn is_live(now: Timestamp) -> Condition {
    Condition::any().add(grants::Column::ExpiresAt.is_null()).add(grants::Column::ExpiresAt.gt(now.as_micros()))
}

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

/// Reads a row.
pub(super) fn grant(row: &grants::Model) -> Result<Grant, Error> {
    Ok(Grant {
        id: row.id.into(),
        principal: principal(&row.principal_kind, row.principal_id)?,
        place: place(&row.place_kind, &row.place_type, &row.place_id)?,
        held: held(&row.role),
        expires_at: row.expires_at.map(Timestamp::from_micros),
        source: state(GrantSource::from_word, &row.source)?,
    })
}
