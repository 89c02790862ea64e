//! Seats: limits as operators set them, and who sits, counted.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, Statement, Value};

use crate::changelog::Change;
use crate::domain::catalog::{Catalog, SeatPolicy, SeatState};
use crate::domain::error::Error;
use crate::domain::fact::OrganizationFact;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::organization::seats::Seats;
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;
use crate::store::entity::seat_limits;
use crate::store::{OrgReads, Reads, Tx};

impl OrgReads<'_> {
    /// Reads how many may sit in an organization, or on the list of a resource.
    pub async fn seat_limit(&self, place: Option<&ResourceKey>) -> Result<Option<u32>, Error> {
        let row = seat_limits::Entity::find_by_id(columns(self.organization, place)).one(&self.db).await?;
        row.map(|row| u32::try_from(row.seats).map_err(Error::internal)).transpose()
    }

    /// Counts who sits in an organization: memberships in the states that the policy names. Of those offered, the ones
    /// whose invitation is still open; one that is being removed keeps its seat.
    pub async fn seats(&self, policy: &SeatPolicy, now: Timestamp) -> Result<Seats, Error> {
        let limit = self.seat_limit(None).await?;
        let sql = format!(
            "select count(*) as used from memberships m where m.organization_id = $1 and {}",
            sits(policy, "$2")
        );
        let used = self.above().count(&sql, vec![self.organization.0.into(), now.as_micros().into()]).await?;
        Ok(Seats { limit, used })
    }

    /// Counts who sits on the list of a resource: the distinct memberships that are on it directly, through a group or as
    /// everyone.
    pub async fn resource_seats(
        &self,
        key: &ResourceKey,
        catalog: &Catalog,
        policy: &SeatPolicy,
        now: Timestamp,
    ) -> Result<Seats, Error> {
        let limit = self.seat_limit(Some(key)).await?;
        let mut values: Vec<Value> = vec![
            self.organization.0.into(),
            now.as_micros().into(),
            key.kind.to_string().into(),
            key.id.to_string().into(),
            "".into(),
        ];
        let mut listing = vec!["$5".to_owned()];
        for (_, role) in catalog.roles().filter(|(_, role)| role.as_member) {
            values.push(role.name.to_string().into());
            listing.push(format!("${}", values.len()));
        }
        let sql = format!(
            "select count(*) as used from memberships m where m.organization_id = $1 and {sits} and exists \
             (select 1 from grants g where g.scope = $1 and g.place_kind = 'resource' and g.place_type = $3 \
             and g.place_id = $4 and g.role in ({listing}) and (g.expires_at is null or g.expires_at > $2) and ( \
             (g.principal_kind = 'membership' and g.principal_id = m.id) \
             or (g.principal_kind = 'everyone' and m.state = 'active') \
             or (g.principal_kind = 'group' and exists (select 1 from group_members i \
             where i.group_id = g.principal_id and i.membership_id = m.id))))",
            sits = sits(policy, "$2"),
            listing = listing.join(", "),
        );
        let used = self.above().count(&sql, values).await?;
        Ok(Seats { limit, used })
    }

    /// Names the resources with a limit whose lists some memberships are on at `now` as everyone is, or by a group that they
    /// are in.
    pub async fn limited_lists_of(&self, members: &[MembershipId], now: Timestamp) -> Result<Vec<ResourceKey>, Error> {
        let mut values: Vec<Value> = vec![self.organization.0.into(), now.as_micros().into()];
        values.extend(members.iter().map(|member| Value::from(member.0)));
        let ids: Vec<String> = (3..=values.len()).map(|number| format!("${number}")).collect();
        let through_groups = if ids.is_empty() {
            String::new()
        } else {
            let ids = ids.join(", ");
            format!(
                " or (g.principal_kind = 'group' and exists (select 1 from group_members i \
                 where i.group_id = g.principal_id and i.membership_id in ({ids})))"
            )
        };
        let sql = format!(
            "select l.type, l.id from seat_limits l where l.organization_id = $1 and l.type <> '' and exists \
             (select 1 from grants g where g.scope = $1 and g.place_kind = 'resource' and g.place_type = l.type \
             and g.place_id = l.id and (g.expires_at is null or g.expires_at > $2) \
             and (g.principal_kind = 'everyone'{through_groups})) order by l.type, l.id"
        );
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let rows = self.db.query_all_raw(statement).await?;
        let key = |row: sea_orm::QueryResult| {
            let (kind, id): (String, String) = (row.try_get("", "type")?, row.try_get("", "id")?);
            Ok(ResourceKey { kind: kind.into(), id: id.into() })
        };
        rows.into_iter().map(key).collect()
    }
}

impl Reads<'_> {
    async fn count(&self, sql: &str, values: Vec<Value>) -> Result<u32, Error> {
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let row = self.db.query_one_raw(statement).await?;
        let used: i64 = row.map(|row| row.try_get("", "used")).transpose()?.unwrap_or_default();
        u32::try_from(used).map_err(Error::internal)
    }
}

impl Tx {
    /// Sets how many may sit in the locked organization, or on the list of a resource of it; nothing: no bound.
    pub async fn seat_limit_set(&mut self, place: Option<&ResourceKey>, limit: Option<u32>) -> Result<(), Error> {
        let (organization, kind, id) = columns(self.organization(), place);
        match limit {
            None => {
                seat_limits::Entity::delete_by_id((organization, kind, id)).exec(&self.db).await?;
            }
            Some(seats) => {
                let row = seat_limits::ActiveModel {
                    organization_id: Set(organization),
                    kind: Set(kind),
                    id: Set(id),
                    seats: Set(i64::from(seats)),
                };
                let key = [seat_limits::Column::OrganizationId, seat_limits::Column::Kind, seat_limits::Column::Id];
                let replace = OnConflict::columns(key).update_column(seat_limits::Column::Seats).to_owned();
                seat_limits::Entity::insert(row).on_conflict(replace).exec_without_returning(&self.db).await?;
            }
        }
        self.change(Change::of(OrganizationFact::SeatLimit { place: place.cloned(), limit }));
        Ok(())
    }
}

impl Tx {
    /// Forgets how many may sit on the lists of resources of the locked organization, which are about to go.
    pub(in crate::store) async fn seat_limits_delete(&mut self, kind: &str, ids: &[&str]) -> Result<(), Error> {
        let there = Condition::all()
            .add(seat_limits::Column::OrganizationId.eq(self.organization().0))
            .add(seat_limits::Column::Kind.eq(kind))
            .add(seat_limits::Column::Id.is_in(ids.iter().copied()));
        let rows = seat_limits::Entity::find().filter(there.clone()).all(&self.db).await?;
        if rows.is_empty() {
            return Ok(());
        }
        seat_limits::Entity::delete_many().filter(there).exec(&self.db).await?;
        for row in rows {
            let key = ResourceKey { kind: row.kind.into(), id: row.id.into() };
            self.change(Change::of(OrganizationFact::SeatLimit { place: Some(key), limit: None }));
        }
        Ok(())
    }
}

/// Says in SQL whether the membership `m` sits, at the instant that stands under `now`.
fn sits(policy: &SeatPolicy, now: &str) -> String {
    let mut ways = vec!["m.state = 'removing'".to_owned()];
    for state in &policy.counts {
        ways.push(match state {
            SeatState::Active => "m.state = 'active'".to_owned(),
            SeatState::Disabled => "m.state = 'disabled'".to_owned(),
            // One that was made by hand has no invitation.
            SeatState::Pending => format!(
                "(m.state = 'pending' and (not exists (select 1 from invitations o where o.membership_id = m.id) \
                 or exists (select 1 from invitations o where o.membership_id = m.id and o.state = 'open' \
                 and o.expires_at > {now})))"
            ),
        });
    }
    format!("({})", ways.join(" or "))
}

fn columns(organization: OrganizationId, place: Option<&ResourceKey>) -> (uuid::Uuid, String, String) {
    let (kind, id) = place.map_or(("", ""), |key| (&key.kind, &key.id));
    (organization.0, kind.to_owned(), id.to_owned())
}
