//! The schema of Guildhall, on PostgreSQL and SQLite.
//!
//! Each migration is one file in `sql/`, for both engines, with placeholders where the two differ. README.md describes how
//! a schema is changed while an older binary still runs (expand, then contract).

use sea_orm_migration::prelude::*;

mod template;

/// Takes a migration from its file. The database records it as `m` and the file's name.
macro_rules! migration {
    ($file:literal) => {
        Migration { name: concat!("m", $file), template: include_str!(concat!("../sql/", $file, ".sql")) }
    };
}

/// All migrations, oldest first.
const MIGRATIONS: &[Migration] = &[
    migration!("0001_walk"),
    migration!("0002_catalogs"),
    migration!("0003_groups"),
    migration!("0004_resources"),
    migration!("0005_members"),
    migration!("0006_seats"),
    migration!("0008_removals"),
    migration!("0010_refusals"),
    migration!("0180_offers"),
    migration!("0181_deliveries"),
];

/// Runs the migrations that a database lacks.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        MIGRATIONS.iter().map(|migration| -> Box<dyn MigrationTrait> { Box::new(*migration) }).collect()
    }
}

#[derive(Clone, Copy)]
struct Migration {
    name: &'static str,
    template: &'static str,
}

impl MigrationName for Migration {
    fn name(&self) -> &str {
        self.name
    }
}

/// There is no way down: the default `down` refuses.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let script = template::fill(self.template, manager.get_database_backend())
            .map_err(|fault| DbErr::Migration(format!("{}: {fault}", self.name)))?;
        manager.get_connection().execute_unprepared(&script).await?;
        Ok(())
    }

    /// All of it or none, on SQLite too.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use sea_orm_migration::sea_orm::DbBackend;

    use super::*;

    #[test]
    fn every_file_is_a_migration_and_they_are_in_order() {
        let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")).expect("the directory");
        let files: BTreeSet<String> =
            files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
        let listed: Vec<String> = MIGRATIONS.iter().map(|migration| format!("{}.sql", &migration.name[1..])).collect();
        assert_eq!(listed, Vec::from_iter(files));
    }

    #[test]
    fn every_template_can_be_filled_for_both_engines() {
        for migration in MIGRATIONS {
            for engine in [DbBackend::Postgres, DbBackend::Sqlite] {
                assert!(template::fill(migration.template, engine).is_ok(), "{} on {engine:?}", migration.name);
            }
        }
    }

    #[test]
    fn every_placeholder_is_used() {
        for placeholder in template::PLACEHOLDERS {
            let word = format!("{{{}}}", placeholder.name);
            assert!(MIGRATIONS.iter().any(|migration| migration.template.contains(&word)), "{word} is in no file");
        }
    }
}
