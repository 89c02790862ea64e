//! Catalogs of operators, and roles that organizations make.

use sea_orm_migration::prelude::*;

use crate::sql;

/// The migration.
#[derive(Debug)]
pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_catalogs"
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

const SCHEMA: &str = "
create table catalogs (
    catalog_key {key} primary key,
    name {key} not null,
    version bigint not null,
    yaml text not null,
    created_at bigint not null,
    unique (name, version)
);

create table roles (
    organization_id {uuid} not null references organizations (id),
    name {key} not null,
    definition text not null,
    created_at bigint not null,
    primary key (organization_id, name)
);
create index organizations_by_catalog on organizations (catalog);
create index grants_of_role on grants (scope, role)
";
