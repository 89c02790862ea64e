//! Removals that are under way, and the end of a membership.

use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::changelog::Change;
use crate::domain::error::Error;
use crate::domain::fact::OrganizationFact;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::member::removal::{Assets, Removal};
use crate::domain::time::Timestamp;
use crate::store::entity::{membership_words, memberships, removals};
use crate::store::error::one_row;
use crate::store::{OrgReads, Reads, Tx};

/// Where a page of removals begins: after this one.
pub type RemovalKey = (i64, uuid::Uuid);

impl OrgReads<'_> {
    /// Finds the removal of a membership.
    pub async fn removal(&self, membership: MembershipId) -> Result<Option<Removal>, Error> {
        let row = removals::Entity::find_by_id(membership.0)
            .filter(removals::Column::OrganizationId.eq(self.organization.0))
            .one(&self.db)
            .await?;
        row.as_ref().map(removal).transpose()
    }

    /// Reads the removals of an organization, oldest first, at most `size`, from after `after` on.
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
}

impl Reads<'_> {
    /// Names removals for which nobody is waited any more, at most `limit`.
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
}

impl Tx {
    /// Begins the removal of a membership of the locked organization.
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
        self.change(Change::of(OrganizationFact::RemovalAwaiting {
            membership: removal.membership,
            awaiting: removal.awaiting.clone(),
        }));
        Ok(())
    }

    /// Writes who has yet to acknowledge a removal.
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
        self.change(Change::of(OrganizationFact::RemovalAwaiting {
            membership: removal.membership,
            awaiting: removal.awaiting.clone(),
        }));
        Ok(())
    }

    /// Ends a membership of the locked organization for good; everything that hangs on it has gone before.
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
        self.change(Change::of(OrganizationFact::MembershipGone { id }));
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
