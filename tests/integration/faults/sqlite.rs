//! SQLite that fails: at each commit, in the middle of each statement, for want of room.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use guildhall::proto;
use guildhall::store::SqliteHook;
use sea_orm::sqlx::{self, SqliteConnection};
use tempfile::TempDir;

use super::acts::{Act, Stage, table};
use super::trial::{Answer, Servers, make, remembered, trial};
use super::truth::Truth;
use super::{seed, unlimited};
use crate::harness::messages::{check, disable, get_resource, item, register};
use crate::harness::{Database, ManualClock, TestApp, project, reason, soak};
use crate::rule::rng::Rng;

/// After so many steps of SQLite's machine a statement may be interrupted.
const STEPS: i32 = 20;
/// How often each act is struck in a long run, a round.
const STRIKES_MAX: usize = 40;
/// Pages that are left to a database whose growth is bounded.
const PAGES_LEFT: i64 = 40;
/// How many writes fill them, at the very most.
const FILL_MAX: usize = 2_000;
/// How many are refused then.
const REFUSED: usize = 5;

/// What fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// The commit with this number.
    Commit(usize),
    /// The statement that is under way at this point.
    Statement(usize),
}

/// What all connections of a server share: it counts, and fails where it is told to.
#[derive(Default)]
struct Failing {
    commits: AtomicUsize,
    points: AtomicUsize,
    fails_at_commit: AtomicUsize,
    fails_at_point: AtomicUsize,
    /// Most pages of the database, if it is bounded.
    pages_max: AtomicI64,
}

impl Failing {
    fn hook(self: &Arc<Self>) -> SqliteHook {
        let failing = Arc::clone(self);
        SqliteHook(Arc::new(move |connection| Box::pin(Arc::clone(&failing).attend(connection))))
    }

    async fn attend(self: Arc<Self>, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let pages_max = self.pages_max.load(Ordering::SeqCst);
        if pages_max > 0 {
            let pragma = format!("pragma max_page_count = {pages_max}");
            sqlx::query(sqlx::AssertSqlSafe(pragma)).execute(&mut *connection).await?;
        }
        let mut handle = connection.lock_handle().await?;
        let at_commit = Arc::clone(&self);
        handle.set_commit_hook(move || goes_on(&at_commit.commits, &at_commit.fails_at_commit));
        handle.set_progress_handler(STEPS, move || goes_on(&self.points, &self.fails_at_point));
        Ok(())
    }

    /// Counts from nothing, and fails there.
    fn strike(&self, fault: Option<Fault>) {
        let (commit, point) = match fault {
            None => (0, 0),
            Some(Fault::Commit(at)) => (at, 0),
            Some(Fault::Statement(at)) => (0, at),
        };
        self.fails_at_commit.store(commit, Ordering::SeqCst);
        self.fails_at_point.store(point, Ordering::SeqCst);
        self.commits.store(0, Ordering::SeqCst);
        self.points.store(0, Ordering::SeqCst);
    }
}

/// Counts, and returns whether what is under way goes on.
fn goes_on(count: &AtomicUsize, fails_at: &AtomicUsize) -> bool {
    count.fetch_add(1, Ordering::SeqCst) + 1 != fails_at.load(Ordering::SeqCst)
}

/// A server that fails, and its file.
struct Site {
    app: TestApp,
    failing: Arc<Failing>,
    truth: Truth,
}

impl Site {
    async fn start() -> Self {
        let data_dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let config = unlimited(Database::Sqlite.config(data_dir.path()).await);
        let failing = Arc::new(Failing::default());
        let app = TestApp::start_hooked(config, data_dir, ManualClock::new(), failing.hook()).await;
        let app = app.expect("a server that starts");
        let truth = Truth::of(&app, &format!("{}?mode=ro", app.config.database_url())).await;
        Self { app, failing, truth }
    }

    async fn restart(self) -> Self {
        Self { app: self.app.restart_hooked(self.failing.hook()).await, ..self }
    }

    fn servers(&self) -> Servers<'_> {
        Servers { shaken: &self.app, steady: &self.app, truth: &self.truth }
    }
}

/// Picks what fails of a call that has so many commits and so many points.
fn faults(commits: usize, points: usize, rng: &mut Rng) -> Vec<Fault> {
    let point = |rng: &mut Rng| Fault::Statement(1 + rng.below(points));
    if soak() > 1 {
        let at_points = (0..STRIKES_MAX * usize::try_from(soak().div_ceil(25)).unwrap()).map(|_| point(rng));
        return (1..=commits).map(Fault::Commit).chain(at_points.collect::<Vec<_>>()).collect();
    }
    vec![Fault::Commit(1 + rng.below(commits)), point(rng)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_commit_or_statement_fails_what_is_answered_is_there_and_what_is_refused_is_not() {
    println!("GUILDHALL_SEED={}", seed());
    let (mut site, table, mut rng) = (Site::start().await, table(), Rng::new(seed()));
    let (mut wrong, mut kept, mut steps) = (String::new(), Vec::new(), 0);
    {
        let stage = Stage::of(&site.app, &table).await;
        for act in Act::all() {
            let call = stage.prepare(act).await;
            let before = site.truth.state().await;
            site.failing.strike(None);
            let answer = make(&site.app, &call).await;
            assert!(matches!(answer, Answer::Done(_)), "{act:?}: {answer:?}");
            let commits = site.failing.commits.load(Ordering::SeqCst).max(1);
            let points = site.failing.points.load(Ordering::SeqCst).max(1);
            let change = site.truth.state().await.since(&before);
            for fault in faults(commits, points, &mut rng) {
                steps += 1;
                let call = stage.prepare(act).await;
                let (shake, calm) = (|| site.failing.strike(Some(fault)), || site.failing.strike(None));
                match trial(site.servers(), (act, call), &change, shake, calm).await {
                    Ok((_, found)) => kept.extend(found),
                    Err(found) => wrong += &format!("{act:?}, {fault:?} of {commits} and {points}: {found}\n"),
                }
            }
        }
    }
    site = site.restart().await;
    wrong += &remembered(&site.app, &site.truth, &kept).await;
    println!("{steps} steps, {} answers asked for again after a restart", kept.len());
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The critical fault: one commit failed, and everything written after it was acknowledged and gone at the next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_commit_that_failed_what_is_written_is_there_and_stays() {
    let site = Site::start().await;
    let organization = site.app.found().await;
    let (owner, id) = (&organization.owner.call, organization.id.clone());
    let bob = site.app.invite_and_join(&id, owner, "bob@example.test", vec![]).await;
    let before = site.truth.state().await;
    site.failing.strike(Some(Fault::Commit(1)));
    owner.register_resource(register(&id, project("lost"))).await.expect_err("a commit that fails");
    site.failing.strike(None);
    assert!(site.truth.state().await.since(&before).is_nothing());

    owner.register_resource(register(&id, project("kept"))).await.unwrap();
    owner.disable_member(disable(&id, &bob.membership_id)).await.unwrap();
    assert!(!site.truth.state().await.since(&before).is_nothing(), "answered, and not in the file");
    let site = site.restart().await;
    let owner = site.app.sign_in("ada@example.test", "").await.call;
    owner.get_resource(get_resource(&id, project("kept"))).await.expect("what was answered");
    owner.get_resource(get_resource(&id, project("lost"))).await.expect_err("what was refused");
    let answer = owner.check(check(&id, item(&bob.user_id, "project.view", None))).await.unwrap();
    assert!(!answer.decision.unwrap().allowed, "who was shut out is let in");
}

/// The file may not grow any more, by SQLite's own bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_file_that_may_not_grow_what_is_answered_is_there_and_what_is_refused_is_not() {
    let site = Site::start().await;
    let id = site.app.found().await.id;
    let pages = site.truth.count("select page_count as n from pragma_page_count").await;
    site.failing.pages_max.store(pages + PAGES_LEFT, Ordering::SeqCst);
    let site = site.restart().await;
    let operator = site.app.operator();
    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    for number in 0..FILL_MAX {
        let display_name = "A name of some length".repeat(6);
        let id_of_it = format!("project-{number}");
        let request = proto::RegisterResourceRequest { display_name, ..register(&id, project(&id_of_it)) };
        match operator.register_resource(request).await {
            Ok(_) => answered.push(id_of_it),
            Err(status) => {
                assert_eq!(reason(&status), "DATABASE_UNAVAILABLE", "{status:?}");
                refused.push(id_of_it);
            }
        }
        if refused.len() == REFUSED {
            break;
        }
    }
    assert_eq!(refused.len(), REFUSED, "{} fit", answered.len());

    site.failing.pages_max.store(0, Ordering::SeqCst);
    let site = site.restart().await;
    let operator = site.app.operator();
    for name in &answered {
        operator.get_resource(get_resource(&id, project(name))).await.expect("what was answered");
    }
    for name in refused {
        operator.get_resource(get_resource(&id, project(&name))).await.expect_err("what was refused");
        operator.register_resource(register(&id, project(&name))).await.expect("a file that may grow");
    }
}
