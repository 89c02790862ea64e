//! Removals that are under way, what they touch, and the end of a membership and of a user.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement, Value,
};

use super::encoding::subject_columns;
use super::entity::{
    devices, invitations, membership_words, memberships, passwords, removals, sessions, user_emails, users,
};
use super::error::one_row;
use super::invitation::invitation;
use super::{OrgReads, Reads, Tx};
use crate::changelog::Change;
use crate::domain::error::Error;
use crate::domain::fact::{Fact, InvitationState, UserState};
use crate::domain::id::{InvitationId, MembershipId, OrganizationId, UserId};
use crate::domain::invitation::Invitation;
use crate::domain::place::{ResourceKey, Subject};
use crate::domain::removal::{Assets, Removal};
use crate::domain::time::Timestamp;

/// Where a page of removals begins: after this one.
pub type RemovalKey = (i64, uuid::Uuid);

impl OrgReads<'_> {
    /// Finds the removal of a membership.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn removal(&self, membership: MembershipId) -> Result<Option<Removal>, Error> {
        let row = removals::Entity::find_by_id(membership.0)
            .filter(removals::Column::OrganizationId.eq(self.organization.0))
            .one(&self.db)
            .await?;
        row.as_ref().map(removal).transpose()
    }

    /// Reads the removals of an organization, oldest first, at most `size`, from after `after` on.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn removal_page(&self, after: Option<RemovalKey>, size: u32) -> Result<Vec<Removal>, Error> {
        let mut query = removals::Entity::find().filter(removals::Column::OrganizationId.eq(self.organization.0));
        if let Some((requested_at, id)) = after {
            let later = Condition::all()
                .add(removals::Column::RequestedAt.eq(requested_at))
                .add(removals::Column::MembershipId.gt(id));
            query = query.filter(Condition::any().add(removals::Column::RequestedAt.gt(requested_at)).add(later));
        }
        let query = query.order_by_asc(removals::Column::RequestedAt).order_by_asc(removals::Column::MembershipId);
        let rows = query.limit(u64::from(size)).all(&self.db).await?;
        rows.iter().map(removal).collect()
    }

    /// Reads what stands below what a membership owns and is owned by others, each after what is owned of it; at most
    /// `limit`.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn owned_by_others_below(
        &self,
        membership: MembershipId,
        limit: u64,
    ) -> Result<Vec<(ResourceKey, ResourceKey)>, Error> {
        let sql = format!(
            "with recursive below as ( \
             select type as top_type, id as top_id, type, id, owner_id, 0 as depth from resources \
             where organization_id = $1 and owner_kind = 'membership' and owner_id = $2 \
             union all \
             select b.top_type, b.top_id, r.type, r.id, r.owner_id, b.depth + 1 from below b join resources r \
             on r.organization_id = $1 and r.parent_type = b.type and r.parent_id = b.id where b.depth < 8) \
             select top_type, top_id, type, id from below where owner_id is not null and owner_id <> $2 \
             order by top_type, top_id, type, id limit {limit}"
        );
        let values: [Value; 2] = [self.organization.0.into(), membership.0.into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        let mut found = Vec::new();
        for row in self.db.query_all_raw(statement).await? {
            let key = |kind: &str, id: &str| -> Result<ResourceKey, Error> {
                let (kind, id): (String, String) = (row.try_get("", kind)?, row.try_get("", id)?);
                Ok(ResourceKey { kind: kind.into(), id: id.into() })
            };
            found.push((key("top_type", "top_id")?, key("type", "id")?));
        }
        Ok(found)
    }

    /// Finds the open invitations of an organization that somebody answers for, in the order in which they were made, at
    /// most `limit` of them, from after `after` on.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn invitations_sponsored(
        &self,
        sponsor: Subject,
        now: Timestamp,
        after: Option<InvitationId>,
        limit: u64,
    ) -> Result<Vec<Invitation>, Error> {
        let (kind, id) = subject_columns(sponsor);
        let after = after.map(|after| invitations::Column::Id.gt(after.0));
        let rows = invitations::Entity::find()
            .filter(invitations::Column::OrganizationId.eq(self.organization.0))
            .filter(invitations::Column::SponsorKind.eq(kind))
            .filter(invitations::Column::SponsorId.eq(id))
            .filter(invitations::Column::State.eq(InvitationState::Open.word()))
            .filter(invitations::Column::ExpiresAt.gt(now.as_micros()))
            .filter(Condition::all().add_option(after))
            .order_by_asc(invitations::Column::Id)
            .limit(limit)
            .all(&self.db)
            .await?;
        rows.into_iter().map(invitation).collect()
    }
}

impl Reads<'_> {
    /// Names removals for which nobody is waited any more, at most `limit`.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn removals_due(&self, now: Timestamp, limit: u64) -> Result<Vec<(OrganizationId, MembershipId)>, Error> {
        let is_due =
            Condition::any().add(removals::Column::DueAt.lte(now.as_micros())).add(removals::Column::Awaiting.eq("[]"));
        let rows = removals::Entity::find()
            .filter(is_due)
            .order_by_asc(removals::Column::DueAt)
            .limit(limit)
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(|row| (row.organization_id.into(), row.membership_id.into())).collect())
    }

    /// Says whether a user holds anything above organizations.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn holds_above(&self, user: UserId) -> Result<bool, Error> {
        let sql =
            "select 1 as one from grants where scope = $1 and principal_kind = 'user' and principal_id = $2 limit 1";
        let values: [Value; 2] = [uuid::Uuid::nil().into(), user.0.into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        Ok(self.db.query_one_raw(statement).await?.is_some())
    }
}

impl Tx {
    /// Begins the removal of a membership of the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn removal_insert(&mut self, removal: &Removal) -> Result<(), Error> {
        let (assets, assets_to) = match removal.assets {
            Assets::Keep => ("keep", None),
            Assets::Transfer(to) => ("transfer", Some(to.0)),
            Assets::Delete => ("delete", None),
        };
        let row = removals::ActiveModel {
            membership_id: Set(removal.membership.0),
            organization_id: Set(self.organization().0),
            assets: Set(assets.to_owned()),
            assets_to: Set(assets_to),
            awaiting: Set(serde_json::to_string(&removal.awaiting).map_err(Error::internal)?),
            requested_at: Set(removal.requested_at.as_micros()),
            due_at: Set(removal.due_at.as_micros()),
        };
        removals::Entity::insert(row).exec_without_returning(&self.db).await?;
        self.change(Change::of(Fact::RemovalAwaiting {
            membership: removal.membership,
            awaiting: removal.awaiting.clone(),
        }));
        Ok(())
    }

    /// Writes who has yet to acknowledge a removal.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn removal_update(&mut self, removal: &Removal) -> Result<(), Error> {
        let row = removals::ActiveModel {
            awaiting: Set(serde_json::to_string(&removal.awaiting).map_err(Error::internal)?),
            ..Default::default()
        };
        let updated = removals::Entity::update_many()
            .set(row)
            .filter(removals::Column::MembershipId.eq(removal.membership.0))
            .filter(removals::Column::OrganizationId.eq(self.organization().0))
            .exec(&self.db)
            .await?;
        one_row(&updated)?;
        self.change(Change::of(Fact::RemovalAwaiting {
            membership: removal.membership,
            awaiting: removal.awaiting.clone(),
        }));
        Ok(())
    }

    /// Ends a membership of the locked organization for good; everything that hangs on it has gone before.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn membership_delete(&mut self, id: MembershipId) -> Result<(), Error> {
        let organization = self.organization().0;
        removals::Entity::delete_by_id(id.0)
            .filter(removals::Column::OrganizationId.eq(organization))
            .exec(&self.db)
            .await?;
        membership_words::Entity::delete_many()
            .filter(membership_words::Column::MembershipId.eq(id.0))
            .filter(membership_words::Column::OrganizationId.eq(organization))
            .exec(&self.db)
            .await?;
        memberships::Entity::delete_by_id(id.0)
            .filter(memberships::Column::OrganizationId.eq(organization))
            .exec(&self.db)
            .await?;
        self.change(Change::of(Fact::MembershipGone { id }));
        Ok(())
    }

    /// Withdraws what is still offered to a membership of the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn invitations_revoke(&mut self, membership: MembershipId) -> Result<(), Error> {
        let organization = self.organization().0;
        let open = invitations::Entity::find()
            .filter(invitations::Column::OrganizationId.eq(organization))
            .filter(invitations::Column::MembershipId.eq(membership.0))
            .filter(invitations::Column::State.eq(InvitationState::Open.word()))
            .all(&self.db)
            .await?;
        for row in open {
            let (id, expires_at) = (InvitationId(row.id), Timestamp::from_micros(row.expires_at));
            invitations::Entity::update_many()
                .col_expr(invitations::Column::State, Expr::value(InvitationState::Revoked.word()))
                .filter(invitations::Column::Id.eq(row.id))
                .filter(invitations::Column::OrganizationId.eq(organization))
                .exec(&self.db)
                .await?;
            let (state, membership) = (InvitationState::Revoked, Some(membership));
            self.change(Change::of(Fact::Invitation { id, membership, state, expires_at }));
        }
        Ok(())
    }

    /// Locks a user to the end of the transaction, so that what they belong to is decided once. On SQLite the
    /// transaction is the lock.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn user_lock(&self, user: UserId) -> Result<(), Error> {
        if self.db.get_database_backend() == DbBackend::Postgres {
            let values: [Value; 1] = [user.0.into()];
            let sql = "select id from users where id = $1 for no key update";
            self.db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
        }
        Ok(())
    }

    /// Ends a user: their name, addresses and password are forgotten, their sessions end.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn user_delete(&mut self, id: UserId) -> Result<(), Error> {
        let now = self.now().as_micros();
        passwords::Entity::delete_by_id(id.0).exec(&self.db).await?;
        user_emails::Entity::delete_many().filter(user_emails::Column::UserId.eq(id.0)).exec(&self.db).await?;
        devices::Entity::delete_many().filter(devices::Column::UserId.eq(id.0)).exec(&self.db).await?;
        let user = users::ActiveModel {
            id: Set(id.0),
            display_name: Set(String::new()),
            state: Set(UserState::Deleted.word().to_owned()),
            ..Default::default()
        };
        users::Entity::update(user).exec(&self.db).await?;
        let live = sessions::Entity::find()
            .filter(sessions::Column::UserId.eq(id.0))
            .filter(sessions::Column::EndedAt.is_null())
            .filter(sessions::Column::ExpiresAt.gt(now))
            .all(&self.db)
            .await?;
        sessions::Entity::update_many()
            .col_expr(sessions::Column::EndedAt, Expr::value(now))
            .filter(sessions::Column::UserId.eq(id.0))
            .filter(sessions::Column::EndedAt.is_null())
            .exec(&self.db)
            .await?;
        for row in live {
            let expires_at = Timestamp::from_micros(row.expires_at);
            self.change_installation(Fact::SessionEnded { id: row.id.into(), expires_at });
        }
        self.change_installation(Fact::User { id, state: UserState::Deleted });
        Ok(())
    }
}

fn removal(row: &removals::Model) -> Result<Removal, Error> {
    let assets = match (row.assets.as_str(), row.assets_to) {
        ("transfer", Some(to)) => Assets::Transfer(to.into()),
        ("delete", None) => Assets::Delete,
        _ => Assets::Keep,
    };
    Ok(Removal {
        membership: row.membership_id.into(),
        assets,
        awaiting: serde_json::from_str(&row.awaiting).map_err(Error::internal)?,
        requested_at: Timestamp::from_micros(row.requested_at),
        due_at: Timestamp::from_micros(row.due_at),
    })
}
