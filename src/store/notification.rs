//! Notifications about a resource: who is listed on it, and how many there were of late.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement, Value};

use super::entity::notification_windows;
use super::{OrgReads, Tx};
use crate::domain::error::Error;
use crate::domain::id::MembershipId;
use crate::domain::notification::Recipient;
use crate::domain::place::ResourceKey;
use crate::domain::time::Timestamp;

impl OrgReads<'_> {
    /// Reads the ACTIVE people who are listed on a resource itself, by address, at most `size` of them, from after the
    /// address key `after` on, each with that key. `roles` are those that list their holders.
    pub async fn listed_people(
        &self,
        key: &ResourceKey,
        roles: &[String],
        now: Timestamp,
        after: Option<&str>,
        size: u32,
    ) -> Result<Vec<(String, Recipient)>, Error> {
        let mut values: Vec<Value> = vec![
            self.organization.0.into(),
            key.kind.to_string().into(),
            key.id.to_string().into(),
            now.as_micros().into(),
            after.unwrap_or_default().to_owned().into(),
            i64::from(size).into(),
        ];
        let first = values.len() + 1;
        values.extend(roles.iter().map(|role| Value::from(role.clone())));
        // A list entry has no role's name.
        let numbers = (first..=values.len()).map(|number| format!("${number}"));
        let held = std::iter::once("''".to_owned()).chain(numbers).collect::<Vec<_>>().join(", ");
        let on = format!(
            "from grants g where g.scope = $1 and g.place_kind = 'resource' and g.place_type = $2 \
             and g.place_id = $3 and (g.expires_at is null or g.expires_at > $4) and g.role in ({held})"
        );
        let sql = format!(
            "select m.id, m.email, m.email_key, m.display_name from memberships m join users u on u.id = m.user_id \
             where m.organization_id = $1 and m.state = 'active' and u.state = 'active' and m.email_key > $5 and (\
             m.id in (select g.principal_id {on} and g.principal_kind = 'membership') \
             or m.id in (select x.membership_id from group_members x where x.organization_id = $1 \
             and x.group_id in (select g.principal_id {on} and g.principal_kind = 'group')) \
             or exists (select 1 {on} and g.principal_kind = 'everyone')) \
             order by m.email_key limit $6"
        );
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let rows = self.db.query_all_raw(statement).await?;
        let person = |row: sea_orm::QueryResult| {
            let id: uuid::Uuid = row.try_get("", "id")?;
            let recipient = Recipient {
                membership: Some(MembershipId(id)),
                contact: None,
                email: row.try_get("", "email")?,
                display_name: row.try_get("", "display_name")?,
            };
            Ok((row.try_get("", "email_key")?, recipient))
        };
        rows.into_iter().map(person).collect()
    }
}

impl Tx {
    /// Counts a notification about a resource, in a window that begins with the first; returns how many there were, this one
    /// among them, and when the window began.
    pub async fn notification_count(&self, key: &ResourceKey, window: Duration) -> Result<(u32, Timestamp), Error> {
        let found = notification_windows::Entity::find()
            .filter(notification_windows::Column::OrganizationId.eq(self.organization().0))
            .filter(notification_windows::Column::ResourceType.eq(&*key.kind))
            .filter(notification_windows::Column::ResourceId.eq(&*key.id))
            .one(&self.db)
            .await?;
        let began_before = self.now().minus(window).as_micros();
        let (started_at, count) = match &found {
            Some(row) if row.window_started_at > began_before => (row.window_started_at, row.notifications + 1),
            _ => (self.now().as_micros(), 1),
        };
        let row = notification_windows::ActiveModel {
            organization_id: Set(self.organization().0),
            resource_type: Set(key.kind.to_string()),
            resource_id: Set(key.id.to_string()),
            window_started_at: Set(started_at),
            notifications: Set(count),
        };
        let by_key = sea_orm::sea_query::OnConflict::columns([
            notification_windows::Column::OrganizationId,
            notification_windows::Column::ResourceType,
            notification_windows::Column::ResourceId,
        ])
        .update_columns([notification_windows::Column::WindowStartedAt, notification_windows::Column::Notifications])
        .to_owned();
        notification_windows::Entity::insert(row).on_conflict(by_key).exec_without_returning(&self.db).await?;
        Ok((u32::try_from(count).unwrap_or(u32::MAX), Timestamp::from_micros(started_at)))
    }

    /// Forgets the notifications about resources that go.
    pub(super) async fn notification_counts_delete(&self, kind: &str, ids: &[&str]) -> Result<(), Error> {
        notification_windows::Entity::delete_many()
            .filter(notification_windows::Column::OrganizationId.eq(self.organization().0))
            .filter(notification_windows::Column::ResourceType.eq(kind))
            .filter(notification_windows::Column::ResourceId.is_in(ids.iter().copied()))
            .exec(&self.db)
            .await?;
        Ok(())
    }
}
