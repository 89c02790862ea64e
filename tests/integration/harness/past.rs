//! The database past the server: for rows that are too many to be made through it, and for what another server writes.

use sea_orm::{ConnectionTrait, Database as Connection, DatabaseConnection, DbBackend, Statement};

use super::TestApp;

/// The server's database, with a connection of the test's own.
pub struct Past {
    database: DatabaseConnection,
    pub is_postgres: bool,
}

impl TestApp {
    /// Opens the server's database past the server.
    pub async fn past(&self) -> Past {
        let database = Connection::connect(self.config.database_url()).await.expect("the server's database");
        let is_postgres = database.get_database_backend() == DbBackend::Postgres;
        Past { database, is_postgres }
    }
}

impl Past {
    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        self.database.execute_unprepared(sql).await.expect(sql);
    }

    /// Returns the only number that a statement finds.
    pub async fn number(&self, sql: &str) -> i64 {
        let row = self.database.query_one_raw(Statement::from_string(self.database.get_database_backend(), sql)).await;
        row.expect(sql).expect("a row").try_get_by_index(0).expect("a number")
    }

    /// Has `act` done with every commit of the server from now on, in its transaction.
    pub async fn with_every_commit(&self, act: &str) {
        if self.is_postgres {
            self.run(&format!(
                "create function beside() returns trigger language plpgsql as $$ begin {act}; return null; end $$"
            ))
            .await;
            self.run("create trigger beside after insert on commits for each row execute function beside()").await;
        } else {
            self.run(&format!("create trigger beside after insert on commits begin {act}; end")).await;
        }
    }

    /// Has nothing more done with the commits of the server.
    pub async fn without_more(&self) {
        self.run(if self.is_postgres { "drop trigger beside on commits" } else { "drop trigger beside" }).await;
    }

    /// Writes a common table `n` of the numbers `i` from 1 to `count`.
    pub fn numbers(&self, count: usize) -> String {
        if self.is_postgres {
            format!("with n(i) as (select generate_series(1, {count}))")
        } else {
            format!("with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})")
        }
    }

    /// Writes an id that nothing has, above all that the server makes.
    pub fn id(&self) -> &'static str {
        if self.is_postgres {
            "cast('f' || substr(cast(gen_random_uuid() as text), 2) as uuid)"
        } else {
            "cast(x'ff' || randomblob(15) as blob)"
        }
    }

    /// Writes an id of the server's.
    pub fn known(&self, id: &str) -> String {
        if self.is_postgres { format!("cast('{id}' as uuid)") } else { format!("x'{}'", id.replace('-', "")) }
    }
}
