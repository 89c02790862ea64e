//! Background tasks that hang or have panicked: readiness goes on, and its detail, the metrics and the answers say so.

use std::sync::Arc;
use std::time::Duration;

use guildhall::changelog::{Cursor, Lineage, Moved, Reading, Relation, Source, State};
use guildhall::domain::fact::{Commit, InstallationFact, OrganizationFact, Scope};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::place::Subject;
use guildhall::domain::revision::{Position, Revision, Tag};
use guildhall::store::Store;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::harness::{Database, ManualClock, TestApp, eventually_finds, raw};

/// What polls do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Polls {
    Answer,
    Hang,
    Panic,
}

/// A store whose polls do what a test tells them.
struct Told {
    store: Store,
    polls: watch::Receiver<Polls>,
}

impl Source for Told {
    fn relation(&self, organization: OrganizationId, subject: Subject) -> Reading<'_, Relation> {
        self.store.relation(organization, subject)
    }

    fn organization(&self, id: OrganizationId) -> Reading<'_, Option<State<OrganizationFact>>> {
        self.store.organization(id)
    }

    fn installation(&self) -> Reading<'_, Option<State<InstallationFact>>> {
        self.store.installation()
    }

    fn organization_commits(&self, id: OrganizationId, from: Position) -> Reading<'_, Vec<Commit<OrganizationFact>>> {
        self.store.organization_commits(id, from)
    }

    fn installation_commits(&self, from: Position) -> Reading<'_, Vec<Commit<InstallationFact>>> {
        self.store.installation_commits(from)
    }

    fn positions<'a>(&'a self, scopes: &'a [Scope], of: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>> {
        self.store.positions(scopes, of)
    }

    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>> {
        self.store.tag(scope, revision)
    }

    fn cursor(&self) -> Reading<'_, Cursor> {
        self.store.cursor()
    }

    fn moved_since(&self, cursor: Cursor) -> Reading<'_, Moved> {
        let mut polls = self.polls.clone();
        Box::pin(async move {
            let what = *polls.wait_for(|polls| *polls != Polls::Hang).await.expect("a test that runs");
            assert!(what != Polls::Panic, "as the test tells it");
            self.store.moved_since(cursor).await
        })
    }
}

async fn start() -> (TestApp, watch::Sender<Polls>) {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let config = Database::Sqlite.config(data_dir.path()).await;
    let polls = watch::Sender::new(Polls::Answer);
    let receiver = polls.subscribe();
    let source = |store| -> Arc<dyn Source> { Arc::new(Told { store, polls: receiver }) };
    let app = TestApp::start_over(config, data_dir, ManualClock::still(), source).await.expect("a server");
    (app, polls)
}

/// Waits until the readiness detail has a line that begins so, while time goes on step by step: in small ones, so that who
/// works has turns between them.
async fn detail_says(app: &TestApp, step: Duration, begins: &str) {
    eventually_finds(begins, async || {
        let (status, detail) = raw::get(app.app.http_address, "/readyz").await;
        assert_eq!((status, detail.lines().next()), (200, Some("ready")), "a replica that is taken out answers nobody");
        let is_said = detail.lines().any(|line| line.starts_with(begins));
        if !is_said {
            app.clock.advance(step);
        }
        is_said.then_some(())
    })
    .await;
}

async fn metric(app: &TestApp, name: &str) -> f64 {
    let (_, metrics) = raw::get(app.app.http_address, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("guildhall_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_not_followed_is_reported_until_it_is() {
    let (second, moment) = (Duration::from_secs(1), Duration::from_millis(50));
    let (app, polls) = start().await;
    detail_says(&app, moment, "worker log: progress").await;
    assert!(metric(&app, "worker_stuck{worker=\"log\"}").await < 0.5);

    polls.send_replace(Polls::Hang);
    detail_says(&app, second, "worker log: STUCK, no progress for").await;
    assert!(metric(&app, "worker_stuck{worker=\"log\"}").await > 0.5);
    assert!(metric(&app, "worker_silence_seconds{worker=\"log\"}").await > 15.0);
    assert!(metric(&app, "log_age_seconds").await > 15.0);
    detail_says(&app, second, "nothing is allowed").await;

    polls.send_replace(Polls::Answer);
    detail_says(&app, moment, "worker log: progress").await;
    detail_says(&app, moment, "memory proven current 0.").await;
    assert!(metric(&app, "worker_stuck{worker=\"log\"}").await < 0.5);
    assert!(metric(&app, "log_age_seconds").await < 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_panicked_is_reported() {
    let (app, polls) = start().await;
    polls.send_replace(Polls::Panic);
    detail_says(&app, Duration::from_millis(50), "worker log: PANICKED").await;
    assert!(metric(&app, "worker_stuck{worker=\"log\"}").await > 0.5);
    assert!(metric(&app, "worker_stuck{worker=\"deliveries\"}").await < 0.5);
}
