//! Removals that are under way: who is gone in every respect but the product's.

use sea_orm_migration::prelude::*;

use crate::sql;

/// The migration.
#[derive(Debug)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0008_removals"
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

/// Whoever has not acknowledged stands in `awaiting`, a JSON list of names.
const SCHEMA: &str = "
create table removals (
    membership_id {uuid} primary key references memberships (id),
    organization_id {uuid} not null references organizations (id),
    assets text not null,
    assets_to {uuid},
    awaiting text not null,
    requested_at bigint not null,
    due_at bigint not null
);
create index removals_by_organization on removals (organization_id, requested_at, membership_id);
create index removals_by_due on removals (due_at)
";
