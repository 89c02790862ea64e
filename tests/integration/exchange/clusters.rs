//! PostgreSQL clusters are exchanged behind an address: a standby that was promoted with loss, and a copy that has the
//! original's names. Either's counter has overtaken the poller's, and no poll fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use guildhall::changelog::Source;
use tempfile::TempDir;

use super::Scene;
use super::cluster::Cluster;
use super::proxy::{Patient, Proxy};
use crate::harness::{Database, ManualClock, TestApp, eventually_finds};

/// Which cluster takes the place of the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Successor {
    /// A standby, promoted: it begins a timeline.
    Standby,
    /// A copy that was simply started: cluster, database and timeline are those of the original.
    Copy,
}

/// Starts a server on a database of its own behind a proxy.
async fn serve(cluster: &Cluster, proxy: &Proxy, database: &str) -> (TestApp, Arc<AtomicUsize>) {
    cluster.create(database).await;
    let data_dir = Arc::new(TempDir::new().unwrap());
    let mut config = Database::Sqlite.config(data_dir.path()).await;
    config.database_url = Some(format!("postgres://postgres@{}/{database}", proxy.address).into());
    let hidden = Arc::new(AtomicUsize::new(0));
    let patient = Arc::clone(&hidden);
    let source = move |store| -> Arc<dyn Source> { Arc::new(Patient { source: Arc::new(store), hidden: patient }) };
    let app = TestApp::start_over(config, data_dir, ManualClock::new(), source).await.expect("a server");
    (app, hidden)
}

async fn succeed(first: &Cluster, successor: Successor) {
    let proxy = Proxy::to(first.port).await;
    let (app, hidden) = serve(first, &proxy, &format!("{successor:?}").to_lowercase()).await;
    let scene = Scene::new(&app).await;
    let mut second = first.copy(successor == Successor::Standby);
    let lost = scene.lose(&app).await;
    let counter = first.counter().await;

    second.start().await;
    match successor {
        Successor::Standby => {
            second.promote().await;
            second.pass(counter + 100).await;
        }
        Successor::Copy => {
            second.stop().await;
            second.set_counter(counter + 100);
            second.start().await;
        }
    }
    let timeline = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)";
    let names = (second.ask("select system_identifier from pg_control_system()").await, second.ask(timeline).await);
    let original = (first.ask("select system_identifier from pg_control_system()").await, first.ask(timeline).await);
    assert_eq!(names == original, successor == Successor::Copy);
    assert!(second.counter().await > counter);

    proxy.switch(second.port);
    // The pool's other connections are cut as well: whoever calls may be told so.
    let operator = app.operator();
    eventually_finds("connections to the other cluster", async || {
        let request = crate::harness::messages::get_organization(&scene.organization.id);
        for _ in 0..2 * app.config.database_connections {
            operator.get_organization(request.clone()).await.ok()?;
        }
        Some(())
    })
    .await;
    scene.must_have_lost(&app, lost).await;
    let exchanged = app.app.services().engine.databases_exchanged();
    assert_eq!(exchanged, u64::from(successor == Successor::Standby), "{} were hidden", hidden.load(Ordering::Relaxed));
    app.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_takes_the_place_of_another_is_noticed_though_its_counter_has_overtaken_and_no_poll_fails() {
    let first = Cluster::new().await;
    succeed(&first, Successor::Standby).await;
    succeed(&first, Successor::Copy).await;
}
