//! A PostgreSQL that does not tell its clients which one it is.

use std::sync::Arc;

use guildhall::changelog::{Continuity, Source};
use sea_orm::{ConnectionTrait, Database as Connection};
use tempfile::TempDir;

use super::Scene;
use crate::harness::messages::{change, membership, revoke};
use crate::harness::{Database, ManualClock, TestApp, as_member, eventually, eventually_finds, project, raw};

/// A role that owns nothing and is no superuser.
const ROLE: &str = "guildhall_withheld";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_server_withholds_its_name_memory_is_followed_by_comparing() {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let mut config = Database::Postgres.config(data_dir.path()).await;
    let url = config.database_url();
    let db = Connection::connect(&url).await.unwrap();
    // Another run may make it at the same time.
    let _ = db.execute_unprepared(&format!("create role {ROLE} login")).await;
    for sql in [
        format!("grant all on all tables in schema public to {ROLE}"),
        "revoke execute on function pg_catalog.pg_control_system() from public".to_owned(),
    ] {
        db.execute_unprepared(&sql).await.unwrap();
    }
    db.close().await.unwrap();
    config.database_url = Some(url.replace("postgres@", &format!("{ROLE}@")).into());

    let app = TestApp::start_with(config, data_dir, ManualClock::new()).await.expect("a server");
    let scene = Scene::new(&app).await;
    let mut lost = scene.lose(&app).await;
    let moved = app.app.services().store.moved_since(guildhall::changelog::Cursor::default()).await.unwrap();
    assert_eq!((moved.cursor.lineage, moved.continuity), (None, Continuity::Unknown));
    let engine = &app.app.services().engine;
    eventually("a poll", || engine.is_history_withheld().then_some(())).await;
    eventually("a proof", || (engine.log_age() < std::time::Duration::from_millis(400)).then_some(())).await;

    // What another server commits is found as ever.
    let other = app.replica().await;
    let owner = other.with(scene.organization.owner.call.credential.as_deref().unwrap());
    let unlisted = revoke(membership(&scene.bob.membership_id), as_member(project("alpha")));
    owner.change_grants(change(&scene.organization.id, vec![unlisted])).await.unwrap();
    eventually_finds("a denial", async || (!scene.allows(&scene.backend).await.unwrap()).then_some(())).await;
    assert_eq!(lost.stream.changes().await, [(1, false)].into());
    assert_eq!((engine.histories_replaced(), engine.databases_exchanged()), (0, 0));

    let (status, detail) = raw::get(app.app.http_address, "/readyz").await;
    assert!(status == 200 && detail.contains("does not tell which one it is"), "{detail}");
    let (_, metrics) = raw::get(app.app.http_address, "/metrics").await;
    assert!(metrics.contains("\nguildhall_history_withheld 1\n"), "{metrics}");
}
