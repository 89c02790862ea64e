//! Where a person belongs: memberships across organizations.

use std::collections::HashMap;

use sea_orm::sea_query::SelectStatement;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use uuid::Uuid;

use crate::domain::error::Error;
use crate::domain::fact::{MemberState, OrganizationState};
use crate::domain::id::{MembershipId, UserId};
use crate::domain::member::Belonging;
use crate::domain::time::Timestamp;
use crate::store::Reads;
use crate::store::encoding::{self, is_live, member};
use crate::store::entity::{grants, memberships, organizations, user_emails};

impl Reads<'_> {
    /// Reads where a user is an ACTIVE member, and where a PENDING membership waits for an address that they have proven,
    /// in organizations that are ACTIVE, with the roles held there at `now`; by membership, from after `after` on.
    pub async fn places_of_user(
        &self,
        user: UserId,
        now: Timestamp,
        after: Option<MembershipId>,
        size: u32,
    ) -> Result<Vec<Belonging>, Error> {
        let addresses =
            user_emails::Entity::find().filter(user_emails::Column::UserId.eq(user.0)).all(&self.db).await?;
        let joined = Condition::all()
            .add(memberships::Column::UserId.eq(user.0))
            .add(memberships::Column::State.eq(MemberState::Active.word()));
        let offered = Condition::all()
            .add(memberships::Column::EmailKey.is_in(addresses.into_iter().map(|address| address.email_key)))
            .add(memberships::Column::State.eq(MemberState::Pending.word()));
        let mut rows = Vec::new();
        for mine in [joined, offered] {
            let after = after.map_or(Condition::all(), |id| Condition::all().add(memberships::Column::Id.gt(id.0)));
            let some = memberships::Entity::find()
                .filter(mine.add(after))
                .filter(memberships::Column::OrganizationId.in_subquery(active_organizations()))
                .order_by_asc(memberships::Column::Id)
                .limit(u64::from(size))
                .all(&self.db)
                .await?;
            rows.extend(some);
        }
        rows.sort_by_key(|row| row.id);
        rows.truncate(size as usize);

        let ids = rows.iter().map(|row| row.organization_id);
        let found = organizations::Entity::find().filter(organizations::Column::Id.is_in(ids)).all(&self.db).await?;
        let found: HashMap<Uuid, organizations::Model> = found.into_iter().map(|row| (row.id, row)).collect();
        let mut roles = self.roles_of(&rows, now).await?;
        let place = |row: memberships::Model| {
            let organization = found.get(&row.organization_id).cloned();
            let organization = organization.ok_or_else(|| Error::internal("a membership of no organization"))?;
            let roles = roles.remove(&row.id).unwrap_or_default();
            Ok(Belonging { organization: encoding::organization(organization)?, member: member(row, roles)? })
        };
        rows.into_iter().map(place).collect()
    }

    /// Reads the roles that memberships of several organizations hold at `now` directly at theirs, in alphabetical order.
    async fn roles_of(&self, rows: &[memberships::Model], now: Timestamp) -> Result<HashMap<Uuid, Vec<String>>, Error> {
        let held = grants::Entity::find()
            .filter(grants::Column::Scope.is_in(rows.iter().map(|row| row.organization_id)))
            .filter(grants::Column::PrincipalKind.eq("membership"))
            .filter(grants::Column::PrincipalId.is_in(rows.iter().map(|row| row.id)))
            .filter(grants::Column::PlaceKind.eq("organization"))
            .filter(is_live(now))
            .order_by_asc(grants::Column::Role)
            .all(&self.db)
            .await?;
        let mut roles: HashMap<Uuid, Vec<String>> = HashMap::new();
        for grant in held {
            roles.entry(grant.principal_id).or_default().push(grant.role);
        }
        Ok(roles)
    }
}

fn active_organizations() -> SelectStatement {
    organizations::Entity::find()
        .select_only()
        .column(organizations::Column::Id)
        .filter(organizations::Column::State.eq(OrganizationState::Active.word()))
        .into_query()
}
