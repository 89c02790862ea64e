//! Roles that organizations have made.

use std::sync::Arc;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect,
    Select, Statement, Value,
};
use uuid::Uuid;

use super::encoding::{grant, held, is_live, place, principal, state};
use super::entity::{grants, roles};
use super::error::one_row;
use super::{OrgReads, Reads, Tx};
use crate::changelog::{Change, scope_key};
use crate::domain::catalog::{Catalog, CustomRole, InUse};
use crate::domain::error::Error;
use crate::domain::fact::{Grant, MemberState, OrganizationFact, Scope};
use crate::domain::grant::assignment::Assignment;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::place::Principal;
use crate::domain::time::Timestamp;

impl OrgReads<'_> {
    /// Reads the roles that an organization has made, by name.
    pub async fn roles(&self) -> Result<Vec<CustomRole>, Error> {
        let rows = roles::Entity::find()
            .filter(roles::Column::OrganizationId.eq(self.organization.0))
            .order_by_asc(roles::Column::Name)
            .all(&self.db)
            .await?;
        rows.iter().map(|row| serde_json::from_str(&row.definition).map_err(Error::internal)).collect()
    }

    /// Returns the catalog under `key` with the roles that the organization has made.
    pub async fn catalog_of(&self, key: &str) -> Result<Arc<Catalog>, Error> {
        let catalog = self.above().catalog(key).await?;
        if !catalog.features().custom_roles {
            return Ok(catalog);
        }
        let roles = self.roles().await?;
        if roles.is_empty() { Ok(catalog) } else { Ok(Arc::new(catalog.extended(roles.iter().map(Some)))) }
    }

    /// Reads the grants of a role that are held at `now` in an organization, oldest first, at most `limit`.
    pub async fn grants_of_role(&self, role: &str, now: Timestamp, limit: u64) -> Result<Vec<Grant>, Error> {
        let held = of_role(self.organization, role).filter(is_live(now)).order_by_asc(grants::Column::Id).limit(limit);
        held.all(&self.db).await?.iter().map(grant).collect()
    }

    /// Reads the grants of a role in an organization that have expired by `now`, at most `limit`.
    pub async fn lapsed_grants_of_role(&self, role: &str, now: Timestamp, limit: u64) -> Result<Vec<Grant>, Error> {
        let lapsed =
            of_role(self.organization, role).filter(grants::Column::ExpiresAt.lte(now.as_micros())).limit(limit);
        lapsed.all(&self.db).await?.iter().map(grant).collect()
    }

    /// Reads who holds a role at `now` in an organization, wherever.
    pub async fn principals_of_role(&self, role: &str, now: Timestamp) -> Result<Vec<Principal>, Error> {
        let sql = "select distinct principal_kind, principal_id from grants where scope = $1 and role = $2 \
                   and (expires_at is null or expires_at > $3)";
        let rows =
            self.above().rows(sql, vec![self.organization.0.into(), role.into(), now.as_micros().into()]).await?;
        rows.iter()
            .map(|row| {
                let kind: String = row.try_get("", "principal_kind")?;
                principal(&kind, row.try_get("", "principal_id")?)
            })
            .collect()
    }

    /// Counts the memberships that hold each role at `now` directly at the organization, by their state.
    pub async fn role_holders(&self, now: Timestamp) -> Result<Vec<(Arc<str>, MemberState, i64)>, Error> {
        let sql = "select g.role, m.state, count(*) as holders from grants g join memberships m \
                   on m.id = g.principal_id where g.scope = $1 and g.principal_kind = 'membership' \
                   and g.place_kind = 'organization' and (g.expires_at is null or g.expires_at > $2) \
                   group by g.role, m.state";
        let mut held = Vec::new();
        for row in self.above().rows(sql, vec![self.organization.0.into(), now.as_micros().into()]).await? {
            let (role, word): (String, String) = (row.try_get("", "role")?, row.try_get("", "state")?);
            held.push((role.into(), state(MemberState::from_word, &word)?, row.try_get("", "holders")?));
        }
        Ok(held)
    }

    /// Returns whether an organization has a member who is ACTIVE.
    pub async fn has_active_member(&self) -> Result<bool, Error> {
        let sql = "select 1 as one from memberships where organization_id = $1 and state = $2 limit 1";
        let values = vec![self.organization.0.into(), MemberState::Active.word().into()];
        Ok(!self.above().rows(sql, values).await?.is_empty())
    }

    /// Finds memberships that hold no role at the organization at `now`, at most `limit`.
    pub async fn members_without_a_role(&self, now: Timestamp, limit: u32) -> Result<Vec<MembershipId>, Error> {
        let sql = "select m.id from memberships m where m.organization_id = $1 and not exists \
                   (select 1 from grants g where g.scope = $1 and g.principal_kind = 'membership' \
                   and g.principal_id = m.id and g.place_kind = 'organization' and g.role <> '' \
                   and (g.expires_at is null or g.expires_at > $2)) order by m.id limit $3";
        let values = vec![self.organization.0.into(), now.as_micros().into(), i64::from(limit).into()];
        let rows = self.above().rows(sql, values).await?;
        rows.iter().map(|row| Ok(row.try_get::<Uuid>("", "id")?.into())).collect()
    }

    /// Returns whether some membership holds none of some roles at the organization at `now`.
    pub async fn holds_none(&self, roles: &[String], now: Timestamp) -> Result<bool, Error> {
        let (mut values, names) = parameters(self.organization, roles);
        values.push(now.as_micros().into());
        let sql = format!(
            "select 1 as one from memberships m where m.organization_id = $1 and not exists \
             (select 1 from grants g where g.scope = $1 and g.principal_kind = 'membership' \
             and g.principal_id = m.id and g.place_kind = 'organization' and g.role in ({names}) \
             and (g.expires_at is null or g.expires_at > ${now})) limit 1",
            now = values.len(),
        );
        Ok(!self.above().rows(&sql, values).await?.is_empty())
    }

    /// Returns whether somebody holds more than one of some roles at one place, without end.
    pub async fn holds_several(&self, roles: &[String]) -> Result<bool, Error> {
        let (values, names) = parameters(self.organization, roles);
        let sql = format!(
            "select 1 as one from grants where scope = $1 and role in ({names}) and expires_at is null \
             group by principal_kind, principal_id, place_kind, place_type, place_id having count(*) > 1 limit 1"
        );
        Ok(!self.above().rows(&sql, values).await?.is_empty())
    }

    /// Returns whether somebody holds a role at `now` without another beside it at the same place.
    pub async fn holds_without(&self, role: &str, required: &str, now: Timestamp) -> Result<bool, Error> {
        let sql = "select 1 as one from grants g where g.scope = $1 and g.role = $2 \
                   and (g.expires_at is null or g.expires_at > $4) and not exists \
                   (select 1 from grants r where r.scope = $1 and r.role = $3 \
                   and (r.expires_at is null or r.expires_at > $4) \
                   and r.principal_kind = g.principal_kind and r.principal_id = g.principal_id \
                   and r.place_kind = g.place_kind and r.place_type = g.place_type and r.place_id = g.place_id) limit 1";
        let values = vec![self.organization.0.into(), role.into(), required.into(), now.as_micros().into()];
        Ok(!self.above().rows(sql, values).await?.is_empty())
    }

    /// Gathers what is held in an organization at `now` of the catalog it follows.
    pub async fn in_use(&self, now: Timestamp) -> Result<InUse, Error> {
        let mut in_use = InUse { roles: self.roles().await?, ..InUse::default() };
        let sql = "select role, principal_kind, place_kind, place_type, max(expires_at) as expires_at from grants \
                   where scope = $1 and (expires_at is null or expires_at > $2) \
                   group by role, principal_kind, place_kind, place_type, expires_at is null";
        for row in self.above().rows(sql, vec![self.organization.0.into(), now.as_micros().into()]).await? {
            let word = |column: &str| row.try_get::<String>("", column);
            let (principal_kind, place_kind) = (word("principal_kind")?, word("place_kind")?);
            let any = InUse::any_of(&word("place_type")?);
            let place = place(&place_kind, &any.kind, &any.id)?;
            let expires_at = row.try_get::<Option<i64>>("", "expires_at")?.map(Timestamp::from_micros);
            let assignment = Assignment { place, held: held(&word("role")?), expires_at };
            in_use.held.push((principal(&principal_kind, Uuid::nil())?, assignment));
        }
        let sql = "select 1 as one from groups where organization_id = $1 limit 1";
        in_use.has_groups = !self.above().rows(sql, vec![self.organization.0.into()]).await?.is_empty();
        let sql = "select distinct type, parent_type from resources where organization_id = $1";
        for row in self.above().rows(sql, vec![self.organization.0.into()]).await? {
            let parent = row.try_get::<Option<String>>("", "parent_type")?.map(Into::into);
            in_use.types.insert((row.try_get::<String>("", "type")?.into(), parent));
        }
        Ok(in_use)
    }
}

impl Reads<'_> {
    async fn rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, Error> {
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        Ok(self.db.query_all_raw(statement).await?)
    }
}

impl Tx {
    /// Makes a role of the locked organization.
    pub async fn role_insert(&mut self, role: &CustomRole) -> Result<(), Error> {
        let row = roles::ActiveModel {
            organization_id: Set(self.organization().0),
            name: Set(role.name.to_string()),
            definition: Set(serde_json::to_string(role).map_err(Error::internal)?),
            created_at: Set(self.now().as_micros()),
        };
        roles::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.change(Change::of(OrganizationFact::Role(role.clone())));
        Ok(())
    }

    /// Writes a role of the locked organization as it is in `role`.
    pub async fn role_update(&mut self, role: &CustomRole) -> Result<(), Error> {
        let definition = serde_json::to_string(role).map_err(Error::internal)?;
        let updated = roles::Entity::update_many()
            .set(roles::ActiveModel { definition: Set(definition), ..Default::default() })
            .filter(roles::Column::OrganizationId.eq(self.organization().0))
            .filter(roles::Column::Name.eq(&*role.name))
            .exec(&self.db)
            .await?;
        one_row(&updated)?;
        self.change(Change::of(OrganizationFact::Role(role.clone())));
        Ok(())
    }

    /// Removes a role of the locked organization, of which no grant is left, expired or not: its number is given to
    /// others.
    pub async fn role_delete(&mut self, name: &Arc<str>) -> Result<(), Error> {
        roles::Entity::delete_by_id((self.organization().0, name.to_string())).exec(&self.db).await?;
        self.change(Change::of(OrganizationFact::RoleGone { name: Arc::clone(name) }));
        Ok(())
    }
}

/// Returns the organization and the roles as values, and how a statement names the roles.
fn parameters(organization: OrganizationId, roles: &[String]) -> (Vec<Value>, String) {
    let values = std::iter::once(organization.0.into()).chain(roles.iter().map(|role| role.as_str().into()));
    let names: Vec<String> = (2..).take(roles.len()).map(|number| format!("${number}")).collect();
    (values.collect(), names.join(", "))
}

fn of_role(organization: OrganizationId, role: &str) -> Select<grants::Entity> {
    grants::Entity::find()
        .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(organization))))
        .filter(grants::Column::Role.eq(role))
}
