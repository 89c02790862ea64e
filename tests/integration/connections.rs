//! Connections to PostgreSQL: what they begin with.

use std::sync::Arc;

use guildhall::config::Config;
use tempfile::TempDir;

use crate::harness::{Database, ManualClock, TestApp, execute};

/// Gives the name of a server's database.
fn name(config: &Config) -> &str {
    let url = config.database_url.as_deref().expect("a database of PostgreSQL");
    url.rsplit_once('/').expect("a URL with a database").1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_whose_transactions_only_read_by_default_takes_writes() {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let config = Database::Postgres.config(data_dir.path()).await;
    execute(&format!("alter database {} set default_transaction_read_only = on", name(&config))).await;

    let app = TestApp::start_with(config, data_dir, ManualClock::new(), 1).await.expect("a server that starts");
    app.found().await;
}
