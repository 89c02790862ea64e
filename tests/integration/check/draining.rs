//! A server that stops tells its streams before, answers them meanwhile, and ends them in the end.

use std::sync::Arc;
use std::time::Duration;

use guildhall::proto::stream_checks_response::Frame as Told;
use tempfile::TempDir;
use tonic::Code;

use super::{scene, subscribe_to};
use crate::harness::messages::item;
use crate::harness::{Checks, Database, ManualClock, Organization, Person, TestApp, assert_refused, project};
use crate::on_both;

/// What a stream is told to be left: half of what the server takes to stop.
const GRACE: Duration = Duration::from_secs(5);

fn alpha(bob: &Person) -> guildhall::proto::CheckItem {
    item(&bob.user_id, "project.view", Some(project("alpha")))
}

/// A server whose clocks stand still, so that no grace runs out by itself, with a stream that holds something.
async fn still(database: Database) -> (TestApp, Organization, Person, Checks) {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let config = database.config(data_dir.path()).await;
    let app = TestApp::start_with(config, data_dir, ManualClock::still()).await.unwrap();
    let (organization, bob) = scene(&app).await;
    let mut stream = app.backend(&organization).await.stream().await.unwrap();
    subscribe_to(&stream, &organization.id, 1, alpha(&bob), None, "").await;
    stream.change_frame().await;
    (app, organization, bob, stream)
}

/// Waits for the word that the server stops.
async fn told(stream: &mut Checks) {
    match stream.receive().await.unwrap() {
        Some(Told::Draining(draining)) => assert_eq!(Duration::from_millis(draining.grace_ms), GRACE),
        other => panic!("expected to be told, got {other:?}"),
    }
}

on_both! {
    async fn a_stream_is_told_is_answered_still_and_ended_when_its_grace_is_over(database: Database) {
        let (app, organization, bob, mut stream) = still(database).await;
        let (clock, stopped) = (Arc::clone(&app.clock), tokio::spawn(app.app.stop()));
        told(&mut stream).await;
        assert_eq!(stream.check(&organization.id, vec![alpha(&bob)]).await, [true]);
        clock.advance_short_of(GRACE);
        assert_eq!(stream.check(&organization.id, vec![alpha(&bob)]).await, [true]);
        assert!(stream.progress(1).await.lease_ms > 0);
        clock.tick();
        assert_refused(stream.receive().await, Code::Unavailable, "DRAINING");
        stopped.await.unwrap();
    }

    async fn a_stream_that_has_grown_old_is_told_and_ended_while_the_server_goes_on(database: Database) {
        let (app, organization, _, mut stream) = still(database).await;
        let backend = app.backend(&organization).await;
        app.clock.advance(Duration::from_hours(1));
        told(&mut stream).await;
        app.clock.advance(GRACE);
        assert_refused(stream.receive().await, Code::Unavailable, "DRAINING");
        backend.stream().await.unwrap().progress(1).await;
    }

    async fn a_stream_that_is_half_closed_in_its_grace_ends_well(database: Database) {
        let (app, organization, bob, mut stream) = still(database).await;
        let stopped = tokio::spawn(app.app.stop());
        told(&mut stream).await;
        assert_eq!(stream.check(&organization.id, vec![alpha(&bob)]).await, [true]);
        stream.half_close();
        assert_eq!(stream.receive().await.unwrap(), None);
        stopped.await.unwrap();
    }
}
