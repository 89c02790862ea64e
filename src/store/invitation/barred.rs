//! Who does not come back by a link: whoever was removed after it was made, known by marks.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::open_links;
use crate::domain::error::Error;
use crate::domain::invitation::Invitation;
use crate::domain::throttle::Key;
use crate::domain::time::Timestamp;
use crate::store::entity::{barred_from_links, invitations};
use crate::store::{OrgReads, Store, Tx};

impl OrgReads<'_> {
    /// Returns whether somebody with one of these marks was removed from the organization after a link to it was made.
    pub async fn is_barred_from_link(&self, link: &Invitation, marks: &[Key]) -> Result<bool, Error> {
        let link = invitations::Entity::find_by_id(link.id.0)
            .filter(invitations::Column::OrganizationId.eq(self.organization.0))
            .one(&self.db)
            .await?;
        let made_at = link.map(|row| row.revision);
        let barred = barred_from_links::Entity::find()
            .filter(barred_from_links::Column::OrganizationId.eq(self.organization.0))
            .filter(barred_from_links::Column::Mark.is_in(marks.iter().map(|mark| mark.0.to_vec())))
            .filter(barred_from_links::Column::Revision.gt(made_at))
            .one(&self.db)
            .await?;
        Ok(barred.is_some())
    }
}

impl Tx {
    /// Bars whoever has one of these marks from the links of the locked organization that are open: by those made later they
    /// may come. It is remembered until the last of the links lapses, and not at all where there is none.
    pub async fn bar_from_open_links(&self, marks: &[Key]) -> Result<(), Error> {
        let organization = self.organization();
        let last = open_links(organization, self.now()).order_by_desc(invitations::Column::ExpiresAt);
        let Some(last) = last.one(&self.db).await? else { return Ok(()) };
        let row = |mark: &Key| barred_from_links::ActiveModel {
            organization_id: Set(organization.0),
            mark: Set(mark.0.to_vec()),
            revision: Set(self.revision()),
            expires_at: Set(last.expires_at),
        };
        let key = [barred_from_links::Column::OrganizationId, barred_from_links::Column::Mark];
        let written = [barred_from_links::Column::Revision, barred_from_links::Column::ExpiresAt];
        barred_from_links::Entity::insert_many(marks.iter().map(row))
            .on_conflict(OnConflict::columns(key).update_columns(written).to_owned())
            .exec_without_returning(&self.db)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Deletes who was barred from links that have lapsed.
    pub(in crate::store) async fn bars_forget(&self, now: Timestamp) -> Result<(), Error> {
        barred_from_links::Entity::delete_many()
            .filter(barred_from_links::Column::ExpiresAt.lte(now.as_micros()))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}
