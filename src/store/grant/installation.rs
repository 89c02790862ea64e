//! Grants above organizations.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement, Value};
use uuid::Uuid;

use crate::changelog::scope_key;
use crate::domain::catalog::OPERATOR;
use crate::domain::error::Error;
use crate::domain::fact::{Grant, Held, InstallationFact, Scope};
use crate::domain::id::UserId;
use crate::domain::place::{Place, Principal};
use crate::store::encoding::{grant, held_column, principal_columns};
use crate::store::entity::grants;
use crate::store::{Reads, Tx};

/// Above organizations nothing has an end: no RPC gives one, so nothing there expires.
impl Reads<'_> {
    /// Finds a grant at the installation or a product.
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

    /// Returns whether a user holds anything above organizations.
    pub async fn holds_above(&self, user: UserId) -> Result<bool, Error> {
        let sql =
            "select 1 as one from grants where scope = $1 and principal_kind = 'user' and principal_id = $2 limit 1";
        let values: [Value; 2] = [Uuid::nil().into(), user.0.into()];
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        Ok(self.db.query_one_raw(statement).await?.is_some())
    }
}

impl Tx {
    /// Makes a grant at the installation.
    pub async fn installation_grant_insert(&mut self, grant: &Grant) -> Result<(), Error> {
        self.grant_row_insert(Scope::Installation, grant).await?;
        self.change_installation(InstallationFact::Grant(grant.clone()));
        Ok(())
    }

    /// Removes a grant at the installation or a product.
    pub async fn installation_grant_delete(&mut self, grant: &Grant) -> Result<(), Error> {
        grants::Entity::delete_by_id(grant.id.0)
            .filter(grants::Column::Scope.eq(scope_key(Scope::Installation)))
            .exec(&self.db)
            .await?;
        self.change_installation(InstallationFact::GrantGone(grant.clone()));
        Ok(())
    }
}
