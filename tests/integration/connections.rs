//! Connections to PostgreSQL: what they begin with, and what callers see when they are cut.

use std::sync::Arc;

use guildhall::config::Config;
use tempfile::TempDir;

use crate::harness::messages::register;
use crate::harness::{Database, ManualClock, TestApp, execute, project, reason};

/// Returns the name of a server's database.
fn name(config: &Config) -> String {
    config.database_url().rsplit_once('/').expect("a URL with a database").1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_whose_transactions_only_read_by_default_takes_writes() {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let config = Database::Postgres.config(data_dir.path()).await;
    execute(&format!("alter database {} set default_transaction_read_only = on", name(&config))).await;

    let app = TestApp::start_with(config, data_dir, ManualClock::new()).await.expect("a server that starts");
    app.found().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_refuse_one_call_each_at_most() {
    let app = TestApp::start(Database::Postgres).await;
    let organization = app.found().await;
    let of_the_server = format!("from pg_stat_activity where datname = '{}'", name(&app.config));
    execute(&format!("select pg_terminate_backend(pid, 5000) {of_the_server}")).await;

    for attempt in 0..=app.config.database_connections {
        let resource = register(&organization.id, project(&format!("p{attempt}")));
        match organization.owner.call.register_resource(resource).await {
            Ok(_) => return,
            Err(status) => assert_eq!(reason(&status), "DATABASE_UNAVAILABLE"),
        }
    }
    panic!("the server keeps connections that were cut");
}
