//! The schema of Guildhall, on PostgreSQL and SQLite.
//!
//! One list of migrations, each written once in SQL with the few types that differ filled in. See README.md for how a
//! schema is changed while an older binary still runs (expand, then contract).

use sea_orm_migration::prelude::*;

mod sql;

/// Declares the migrations, oldest first, a line each.
macro_rules! migrations {
    ($($name:ident;)+) => {
        $(mod $name;)+

        /// All migrations, oldest first.
        #[derive(Debug)]
        pub struct Migrator;

        #[async_trait::async_trait]
        impl MigratorTrait for Migrator {
            fn migrations() -> Vec<Box<dyn MigrationTrait>> {
                vec![$(Box::new($name::Migration)),+]
            }
        }
    };
}

migrations! {
    m0001_walk;
    m0002_catalogs;
    m0003_groups;
    m0004_resources;
    m0005_members;
    m0006_seats;
    m0008_removals;
    m0010_refusals;
    m0180_offers;
}
