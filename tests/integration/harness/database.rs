//! A database for each test: a file of its own, or a database cloned from a migrated template.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use guildhall::auth::InstallationKey;
use guildhall::clock::Env;
use guildhall::config::Config;
use guildhall::domain::catalog::Catalogs;
use guildhall::store::{Beginning, Settings, Store};
use sea_orm::{ConnectionTrait, Database as Connection};
use tokio::sync::OnceCell;

/// Names the superuser's URL of a throwaway cluster; `scripts/postgres` sets it.
const CLUSTER: &str = "GUILDHALL_TEST_POSTGRES_URL";

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Which engine a test runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    /// Returns the settings of a server on an empty database of its own.
    pub async fn config(self, data_dir: &Path) -> Config {
        let mut config = Config::local(data_dir.to_owned());
        let key_file = data_dir.join("installation.key");
        InstallationKey::load_or_create(&key_file, &Env::system()).expect("a key of the test's own");
        config.installation_key_file = Some(key_file);
        config.database_connections = 6;
        // Unoptimized, many at once, on a machine that does other things besides: of that, what a lasting load leaves.
        config.write_wait = super::PATIENCE * 10;
        // A machine that is slow is no reason to refuse a sign-in of the tests.
        config.password_wait = super::PATIENCE;
        if self == Self::Postgres {
            config.database_url = Some(clone_template().await.into());
        }
        config
    }
}

/// Returns the URL of a database in the cluster of this run.
///
/// # Panics
/// Without a cluster: a test that cannot run fails.
pub fn cluster_url(database: &str) -> String {
    let url = std::env::var(CLUSTER).unwrap_or_else(|_| {
        panic!("{CLUSTER} is not set: run the tests with `make test`, or in `scripts/postgres run`")
    });
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{database}")
}

async fn clone_template() -> String {
    let template = TEMPLATE.get_or_init(make_template).await;
    let name = format!("{template}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    execute(&format!("create database {name} template {template}")).await;
    cluster_url(&name)
}

/// Makes a database with the schema in it; every test's is a copy.
async fn make_template() -> String {
    let name = format!("guildhall_{}", std::process::id());
    execute(&format!("drop database if exists {name}")).await;
    execute(&format!("create database {name}")).await;
    let settings = Settings {
        url: cluster_url(&name).into(),
        beginning: Beginning::Anywhere,
        connections_max: 2,
        patience: super::PATIENCE,
        write_wait: super::PATIENCE,
        sqlite_hook: None,
    };
    Store::open(&settings, Env::system(), Catalogs::default()).await.expect("a schema").close().await;
    name
}

/// Runs a statement on the cluster itself.
pub async fn execute(sql: &str) {
    let connection = Connection::connect(cluster_url("postgres")).await.expect("the cluster of this run");
    connection.execute_unprepared(sql).await.expect(sql);
    connection.close().await.expect("a connection that closes");
}
