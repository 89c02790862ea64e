//! What calls leave behind, seen past the server: for asserting what must not have happened.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};

use super::{TestApp, eventually_finds, mails_in};

/// Whatever a call leaves shows in one of these: `commits` counts revisions, `deliveries` what has yet to go out.
const TABLES: [&str; 20] = [
    "api_keys",
    "barred_from_links",
    "catalogs",
    "commits",
    "contacts",
    "deliveries",
    "grants",
    "group_members",
    "groups",
    "idempotency_records",
    "invitations",
    "memberships",
    "organizations",
    "removals",
    "resources",
    "roles",
    "seat_limits",
    "service_accounts",
    "sessions",
    "users",
];

/// What calls have left behind so far. Two that are equal have nothing between them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traces {
    /// How many rows each table has.
    pub rows: BTreeMap<String, i64>,
    /// Whom mails have gone out to, in alphabetical order, once for each mail.
    pub mailed: Vec<String>,
}

impl TestApp {
    /// Waits until no mail is left to go out, those that tell of others included, and gives what is there.
    pub async fn traces(&self) -> Traces {
        let connection = Database::connect(self.config.database_url()).await.expect("the server's database");
        let rows = eventually_finds("no delivery", async || {
            let rows = count(&connection).await;
            (rows["deliveries"] == 0).then_some(rows)
        })
        .await;
        connection.close().await.expect("a connection that closes");

        let mails = mails_in(&self.config.mail_dir(), "");
        let recipient = |mail: &String| mail.lines().find_map(|line| line.strip_prefix("To: ")).map(str::to_owned);
        let mut mailed: Vec<String> = mails.iter().filter_map(recipient).collect();
        mailed.sort();
        Traces { rows, mailed }
    }
}

async fn count(connection: &DatabaseConnection) -> BTreeMap<String, i64> {
    let counts = TABLES.map(|table| format!("select '{table}' as name, count(*) as rows from {table}"));
    let statement = Statement::from_string(connection.get_database_backend(), counts.join(" union all "));
    let counts = connection.query_all_raw(statement).await.expect("counts");
    let count = |row: sea_orm::QueryResult| (row.try_get("", "name").unwrap(), row.try_get("", "rows").unwrap());
    counts.into_iter().map(count).collect()
}
