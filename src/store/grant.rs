//! Grants.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::encoding::{held, held_column, place, place_columns, principal, principal_columns, state};
use super::entity::grants;
use super::{Reads, Tx};
use crate::changelog::{Change, scope_key};
use crate::domain::error::Error;
use crate::domain::fact::{Fact, Grant, GrantSource, Scope};
use crate::domain::id::OrganizationId;
use crate::domain::place::Principal;
use crate::domain::time::Timestamp;

impl Reads<'_> {
    /// Reads everything that some principals of an organization hold in it, oldest first.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn grants_of(&self, organization: OrganizationId, principals: &[Principal]) -> Result<Vec<Grant>, Error> {
        let ids = principals.iter().map(|principal| principal_columns(*principal).1);
        let rows = grants::Entity::find()
            .filter(grants::Column::Scope.eq(scope_key(Scope::Organization(organization))))
            .filter(grants::Column::PrincipalId.is_in(ids))
            .order_by_asc(grants::Column::Id)
            .all(&self.db)
            .await?;
        let grants = rows.iter().map(grant).collect::<Result<Vec<_>, _>>()?;
        Ok(grants.into_iter().filter(|grant| principals.contains(&grant.principal)).collect())
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

    /// Makes a grant at the installation.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn installation_grant_insert(&mut self, grant: &Grant) -> Result<(), Error> {
        self.grant_row_insert(Scope::Installation, grant).await?;
        self.change_installation(Fact::Grant(grant.clone()));
        Ok(())
    }

    async fn grant_row_insert(&self, scope: Scope, grant: &Grant) -> Result<(), Error> {
        let (principal_kind, principal_id) = principal_columns(grant.principal);
        let (place_kind, place_type, place_id) = place_columns(&grant.place);
        let row = grants::ActiveModel {
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
            created_at: Set(self.now().as_micros()),
        };
        grants::Entity::insert(row).exec_without_returning(&self.db).await?;
        Ok(())
    }

    /// Removes a grant of the locked organization.
    ///
    /// # Errors
    /// Only what the database says.
    pub async fn grant_delete(&mut self, grant: &Grant) -> Result<(), Error> {
        grants::Entity::delete_by_id(grant.id.0).exec(&self.db).await?;
        self.change(Change::of(Fact::GrantGone(grant.clone())));
        Ok(())
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
