//! Offers of memberships.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invitations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub kind: String,
    pub membership_id: Option<Uuid>,
    pub email_key: Option<String>,
    pub email: Option<String>,
    pub assignments: Option<String>,
    pub token_hash: Vec<u8>,
    pub sponsor_kind: String,
    pub sponsor_id: Uuid,
    pub state: String,
    pub is_founding: bool,
    pub created_at: i64,
    pub expires_at: i64,
    pub revision: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
