//! The schema of Guildhall, on PostgreSQL and SQLite.
//!
//! One list of migrations, each written once in SQL with the few types that differ filled in. See README.md for how a
//! schema is changed while an older binary still runs (expand, then contract).

use sea_orm_migration::prelude::*;

mod m0001_walk;
mod sql;

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_walk::Migration)]
    }
}
