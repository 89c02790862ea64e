//! Places of people in organizations.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "memberships")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub user_id: Option<Uuid>,
    pub email_key: String,
    pub email: String,
    pub display_name: String,
    pub state: String,
    pub created_at: i64,
    pub external_id: Option<String>,
    pub metadata: Option<String>,
    pub name_key: String,
    pub last_active_at: i64,
    pub is_made_here: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
