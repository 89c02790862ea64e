//! Seats: how many people an organization, or the list of one of its resources, has room for.

use sea_orm_migration::prelude::*;

use crate::sql;

/// The migration.
#[derive(Debug)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_seats"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, SCHEMA).await
    }

    /// All of it or none, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Empty type and id stand for the organization itself. Who sits there is counted, never kept.
const SCHEMA: &str = "
create table seat_limits (
    organization_id {uuid} not null references organizations (id),
    type {key} not null,
    id {key} not null,
    seats bigint not null,
    primary key (organization_id, type, id)
)
";
