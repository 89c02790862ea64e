//! What is in the database, whatever a server says of it: all rows, read past every server; and the mails that have
//! gone out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database as Connection, DatabaseConnection, DbBackend, Statement};

use crate::harness::{ManualClock, TestApp, eventually_finds, mails_in};

/// Beside what a call leaves: tries to sign in count also where they are refused, mails are counted as they go out, and
/// migrations are the schema's own.
const OTHER_TABLES: [&str; 4] = ["deliveries", "outbox", "refusals", "seaql_migrations"];
/// Written from time to time, beside all calls.
const OTHER_COLUMNS: [&str; 2] = ["last_active_at", "reached_at"];
/// In which what is new takes the place of what was there, or of nothing: that tells no two acts of one kind apart.
const COUNTS: [&str; 2] = ["devices", "mail_counts"];
/// After so many looks at a mail that does not go out, the lease that somebody let lapse is over.
const LOOKS: u32 = 100;
const LEASE: Duration = Duration::from_secs(61);

/// All that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// By table and content, how many rows there are.
    rows: BTreeMap<String, BTreeMap<String, usize>>,
    mails: usize,
}

/// What has changed between two states: by table, how many rows are gone and how many are new. Two acts of one kind
/// change as much, whatever their ids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    tables: BTreeMap<String, (usize, usize)>,
    mails: usize,
}

/// A connection of its own to a server's database.
pub struct Truth {
    connection: DatabaseConnection,
    mail_dir: PathBuf,
    clock: Arc<ManualClock>,
    /// Reads all rows.
    sql: String,
}

impl State {
    /// Returns what has changed since `before`.
    pub fn since(&self, before: &Self) -> Change {
        let mut change = Change { mails: self.mails - before.mails, ..Change::default() };
        let nothing = BTreeMap::new();
        for (table, rows) in &self.rows {
            let old = before.rows.get(table).unwrap_or(&nothing);
            let (gone, new) = (missing(old, rows), missing(rows, old));
            let gone = if new > 0 && COUNTS.contains(&table.as_str()) { 0 } else { gone };
            if gone + new > 0 {
                change.tables.insert(table.clone(), (gone, new));
            }
        }
        change
    }
}

/// Counts the rows of one that the other lacks.
fn missing(of: &BTreeMap<String, usize>, in_: &BTreeMap<String, usize>) -> usize {
    of.iter().map(|(row, count)| count.saturating_sub(in_.get(row).copied().unwrap_or(0))).sum()
}

impl Change {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Truth {
    /// Connects to the database at `url`, past every proxy.
    pub async fn of(app: &TestApp, url: &str) -> Self {
        let connection = Connection::connect(url).await.expect("the database");
        let sql = reading(&connection).await;
        Self { connection, mail_dir: app.config.mail_dir(), clock: Arc::clone(&app.clock), sql }
    }

    /// Waits until nothing is under way any more, and gives what is there.
    pub async fn state(&self) -> State {
        let mut looks = 0;
        eventually_finds("a database at rest", async || {
            looks += 1;
            if self.count("select count(*) as n from deliveries").await > 0 {
                if looks % LOOKS == 0 {
                    self.clock.advance(LEASE);
                }
                return None;
            }
            (self.under_way().await == 0).then_some(())
        })
        .await;
        let statement = Statement::from_string(self.connection.get_database_backend(), self.sql.as_str());
        let mut rows: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for found in self.connection.query_all_raw(statement).await.expect("all rows") {
            let table = rows.entry(found.try_get("", "name").expect("a name")).or_default();
            *table.entry(found.try_get("", "content").expect("a row")).or_default() += 1;
        }
        State { rows, mails: mails_in(&self.mail_dir, "").len() }
    }

    /// Counts the transactions of others.
    async fn under_way(&self) -> i64 {
        match self.connection.get_database_backend() {
            DbBackend::Postgres => {
                let sql = "select count(*) as n from pg_stat_activity where datname = current_database() \
                           and pid <> pg_backend_pid() and (state like 'idle in transaction%' or state = 'active')";
                self.count(sql).await
            }
            // What is not committed is seen by nobody, and has nowhere to go without its server.
            _ => 0,
        }
    }

    /// Returns the number `n` that a statement reads.
    pub async fn count(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.connection.get_database_backend(), sql);
        let row = self.connection.query_one_raw(statement).await.expect("a count").expect("a row");
        row.try_get("", "n").expect("a number")
    }
}

/// Writes the statement that reads every table there is.
async fn reading(connection: &DatabaseConnection) -> String {
    let (backend, columns) = match connection.get_database_backend() {
        DbBackend::Postgres => (
            DbBackend::Postgres,
            "select table_name::text as name, column_name::text as part from information_schema.columns \
             where table_schema = current_schema() order by table_name, ordinal_position",
        ),
        backend => (
            backend,
            "select m.name as name, c.name as part from sqlite_master m, pragma_table_info(m.name) c \
             where m.type = 'table' and m.name not like 'sqlite_%' order by m.name, c.cid",
        ),
    };
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in connection.query_all_raw(Statement::from_string(backend, columns)).await.expect("the columns") {
        let (name, part): (String, String) = (row.try_get("", "name").unwrap(), row.try_get("", "part").unwrap());
        if !OTHER_TABLES.contains(&name.as_str()) && !OTHER_COLUMNS.contains(&part.as_str()) {
            tables.entry(name).or_default().push(part);
        }
    }
    assert!(tables.len() > 10, "a schema: {tables:?}");
    let text = |part: &String| match backend {
        DbBackend::Postgres => format!("coalesce(\"{part}\"::text, '')"),
        _ => format!("quote(\"{part}\")"),
    };
    let select = |(name, parts): (&String, &Vec<String>)| {
        let content = parts.iter().map(text).collect::<Vec<_>>().join(" || '|' || ");
        format!("select '{name}' as name, {content} as content from \"{name}\"")
    };
    tables.iter().map(select).collect::<Vec<_>>().join(" union all ")
}
