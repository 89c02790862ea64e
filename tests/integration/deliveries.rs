//! Deliveries: a server takes the kinds that it knows, what a newer one has written waits for that, and what an older one
//! has left is carried out.

use std::time::Duration;

use migrations::Migrator;
use sea_orm::{ConnectionTrait, Database as Connection, DatabaseConnection, DbBackend, Statement};
use sea_orm_migration::MigratorTrait;
use tempfile::TempDir;

use crate::harness::{Database, cluster_url, execute, raw};
use crate::on_both;

/// Longer than any delivery is tried.
const LONG: Duration = Duration::from_hours(8 * 24);

/// Counts the deliveries of a kind that a newer binary knows which are as they were written.
const UNTOUCHED: &str =
    "select count(*) from deliveries where kind = 'webhook' and attempts = 0 and next_attempt_at = 1";

/// Returns an empty database, and what keeps it.
async fn empty(database: Database, name: &str) -> (DatabaseConnection, TempDir) {
    let directory = TempDir::new().expect("a temporary directory");
    let url = match database {
        Database::Sqlite => format!("sqlite://{}?mode=rwc", directory.path().join("guildhall.sqlite").display()),
        Database::Postgres => {
            let name = format!("guildhall_{}_{name}", std::process::id());
            execute(&format!("drop database if exists {name}")).await;
            execute(&format!("create database {name}")).await;
            cluster_url(&name)
        }
    };
    (Connection::connect(url).await.expect("a database"), directory)
}

async fn text(database: &DatabaseConnection, sql: &str) -> String {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let row = database.query_one_raw(statement).await.expect(sql).expect("a row");
    row.try_get_by_index(0).expect("a text")
}

on_both! {
    async fn a_delivery_of_a_kind_that_is_not_known_waits_untouched(app) {
        let past = app.past().await;
        let payload = if past.is_postgres { "'\\x00'" } else { "x'00'" };
        past.run(&format!(
            "insert into deliveries (id, kind, sealed_payload, attempts, next_attempt_at, created_at) \
             values ({}, 'webhook', {payload}, 0, 1, 1)",
            past.id()
        ))
        .await;

        // It stands before every mail, and is old enough to be given up.
        for founder in ["ada@example.test", "grace@example.test"] {
            app.clock.advance(LONG);
            // Whoever founds follows a link that was mailed.
            app.found_by(founder).await;
            assert_eq!(past.number(UNTOUCHED).await, 1);
        }
        let (_, detail) = raw::get(app.app.http_address, "/readyz").await;
        assert!(detail.contains("\nworker deliveries: progress "), "{detail}");
    }
}

on_both! {
    async fn what_waited_in_the_outbox_is_a_delivery_and_an_older_replica_goes_on(database: Database) {
        let (database, _directory) = empty(database, "outbox").await;
        let older = Migrator::migrations().iter().position(|migration| migration.name() == "m0181_deliveries");
        let older = u32::try_from(older.expect("the migration")).expect("a small number");
        Migrator::up(&database, Some(older)).await.expect("the schema of the release before");
        let is_postgres = database.get_database_backend() == DbBackend::Postgres;
        let mail = |id: u8| {
            let (id, payload) = if is_postgres {
                (format!("'00000000-0000-0000-0000-0000000000{id:02}'"), "'\\xaa'")
            } else {
                (format!("x'000000000000000000000000000000{id:02}'"), "x'aa'")
            };
            format!("insert into outbox (id, sealed_mail, attempts, next_attempt_at, created_at) \
                     values ({id}, {payload}, 3, 20, 10)")
        };
        database.execute_unprepared(&mail(1)).await.expect("a mail of the release before");

        Migrator::up(&database, None).await.expect("the schema of this release");
        let as_it_was = "select cast(count(*) as text) from deliveries \
                         where kind = 'mail' and attempts = 3 and next_attempt_at = 20 and created_at = 10";
        assert_eq!(text(&database, as_it_was).await, "1");

        // SQLite has one process at a time.
        if is_postgres {
            database.execute_unprepared(&mail(2)).await.expect("a mail of a replica that is still of the release before");
            assert_eq!(text(&database, as_it_was).await, "2");
            database.execute_unprepared("update outbox set attempts = 4").await.expect("it takes mails");
            database.execute_unprepared("delete from outbox where attempts = 4").await.expect("it sends them");
            assert_eq!(text(&database, as_it_was).await, "0");
        }
        database.close().await.expect("a connection that closes");
    }
}
