//! Nodes of the organizations' trees.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "resources")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    #[sea_orm(column_name = "type")]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub parent_type: Option<String>,
    pub parent_id: Option<String>,
    pub owner_kind: Option<String>,
    pub owner_id: Option<Uuid>,
    pub created_at: i64,
    pub display_name: String,
    pub metadata: String,
    pub service_account_id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
