//! A database's clock that is set while a server goes by it.
//!
//! The server's own clocks stand until the test moves them; the database's says what the test wants. `process::clocks`
//! sets the machine's clock under the real program.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use guildhall::app::{App, Parts};
use guildhall::auth::PasswordCost;
use guildhall::changelog::{Cursor, Lineage, Moved, Reading, Relation, Source, State};
use guildhall::clock::{AnchoredClock, Clock, Env};
use guildhall::domain::error::Error;
use guildhall::domain::fact::{Commit, InstallationFact, OrganizationFact, Scope};
use guildhall::domain::id::{OrganizationId, SessionId, UserId};
use guildhall::domain::place::Subject;
use guildhall::domain::revision::{Position, Revision, Tag};
use guildhall::domain::time::Timestamp;
use guildhall::store::Store;
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::{Database, ManualClock, SeededEntropy};

const HOUR: i64 = 3_600_000_000;

/// A store whose database has a clock of the test's own: it goes with the machine's, as far off as it was set.
struct Setting {
    store: Store,
    machine: Arc<ManualClock>,
    /// What its clock said first, and the machine's then.
    first: OnceLock<(Timestamp, Timestamp)>,
    set_by: AtomicI64,
}

impl Source for Setting {
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
        Box::pin(async move {
            let moved = self.store.moved_since(cursor).await?;
            let said = moved.database_time.ok_or_else(|| Error::internal("a database without a clock"))?;
            let now = self.machine.now();
            let (first, then) = self.first.get_or_init(|| (said, now));
            let passed = now.as_micros() - then.as_micros() + self.set_by.load(Ordering::Relaxed);
            Ok(Moved { database_time: Some(Timestamp::from_micros(first.as_micros() + passed)), ..moved })
        })
    }
}

/// A server, and the clocks that it goes by.
struct Scene {
    app: App,
    machine: Arc<ManualClock>,
    database: Arc<Setting>,
    _data_dir: TempDir,
}

impl Scene {
    async fn start() -> Self {
        // Nobody but the poller pauses for less than half a second.
        let (data_dir, machine) = (TempDir::new().unwrap(), ManualClock::counting(Duration::from_millis(500)));
        let config = Database::Postgres.config(data_dir.path()).await;
        let clock = Arc::new(AnchoredClock::new(machine.clone()));
        let world = Env { clock, entropy: Arc::new(SeededEntropy::new(1)) };
        let slot = OnceLock::new();
        let source = Box::new(|store| {
            let setting =
                Setting { store, machine: machine.clone(), first: OnceLock::new(), set_by: AtomicI64::new(0) };
            Arc::clone(slot.get_or_init(|| Arc::new(setting))) as Arc<dyn Source>
        });
        let parts = Parts { source, password_cost: PasswordCost::LEAST, ..Parts::of(&config, world) };
        let app = App::start_of(&config, parts).await.unwrap();
        let database = slot.into_inner().expect("it was asked for");
        let scene = Self { app, machine, database, _data_dir: data_dir };
        scene.pass(Duration::from_secs(10)).await;
        scene
    }

    fn set(&self, micros: i64) {
        self.database.set_by.store(micros, Ordering::Relaxed);
    }

    /// Lets time pass, with a poll each second.
    async fn pass(&self, duration: Duration) {
        for _ in 0..duration.as_secs() {
            // The feed pauses again once it is done with the poll for which its pause has ended.
            let mut pauses = self.machine.pauses();
            let before = *pauses.wait_for(|pauses| *pauses > 0).await.unwrap();
            self.machine.advance(Duration::from_secs(1));
            pauses.wait_for(|pauses| *pauses > before).await.unwrap();
        }
    }

    fn now(&self) -> Timestamp {
        self.app.services().env.now()
    }

    fn steps(&self) -> (u64, u64) {
        let health = self.app.services().env.clock.health();
        (health.steps_back, health.steps_forward)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_databases_clock_is_followed_forward_after_a_minute_and_never_back() {
    let scene = Scene::start().await;
    let services = scene.app.services();
    let token = services.tokens.issue(UserId(Uuid::nil()), SessionId(Uuid::nil())).unwrap();
    let is_good = || services.tokens.verify(token.text()).is_ok();
    let began_at = scene.now();

    scene.set(HOUR);
    scene.pass(Duration::from_secs(59)).await;
    assert!(scene.now().since(began_at) < Duration::from_secs(61), "not followed yet");
    assert!(is_good());
    assert_eq!(scene.steps(), (0, 1));
    scene.pass(Duration::from_secs(4)).await;
    assert!(scene.now().since(began_at) > Duration::from_hours(1));
    assert!(!is_good());

    let before = scene.now();
    scene.set(0);
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.steps(), (1, 1));
    let passed = scene.now().since(before);
    assert!((29..=33).contains(&passed.as_secs()), "at half speed: {passed:?}");
    assert!(!is_good(), "what has expired stays so");
    let anew = services.tokens.issue(UserId(Uuid::nil()), SessionId(Uuid::nil())).unwrap();
    services.tokens.verify(anew.text()).expect("what is issued now is good now");
}
