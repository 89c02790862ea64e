//! The log as the server reads it: by the simulated clock, slowly, and sometimes not at all.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guildhall::changelog::{Continuity, Cursor, Lineage, Moved, Reading, Relation, Source, State};
use guildhall::clock::{Clock, Entropy, Monotonic};
use guildhall::domain::error::{Error, Reason};
use guildhall::domain::fact::{Commit, InstallationFact, OrganizationFact, Scope};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::place::Subject;
use guildhall::domain::revision::{Position, Revision, Tag};
use guildhall::domain::time::Timestamp;
use guildhall_client::Clock as _;

use super::super::time::SimulatedClock;
use super::super::{QUIET, RUN};
use super::history::{History, Log as Entry, Timed, wall};

/// Most commits of one reading, so that followers have to read on.
const COMMITS_MAX: usize = 3;

/// The log.
pub struct Log {
    pub history: Arc<History>,
    pub clock: SimulatedClock,
    pub random: Seeded,
}

impl Log {
    /// Reads something at a moment between asking and answering.
    async fn read<T>(&self, look: impl FnOnce(Duration) -> T) -> Result<T, Error> {
        self.travel().await;
        let now = self.clock.elapsed();
        let found = (!self.history.is_out(now)).then(|| look(now));
        self.travel().await;
        found.ok_or_else(|| Error::new(Reason::DatabaseUnavailable, "the log is away"))
    }

    /// Finds the commits of a log from a position on, as many as one reading takes.
    fn commits(&self, scope: Scope, from: Position, now: Duration) -> impl Iterator<Item = &Timed> {
        let commits = self.history.seen(now).iter().filter(move |it| it.scope == scope);
        commits.filter(move |it| it.position.revision >= from.revision).take(1 + COMMITS_MAX)
    }

    async fn travel(&self) {
        let is_quiet = self.clock.elapsed() + QUIET >= RUN;
        let millis = self.random.draw(|random| match random.u8(..60) {
            0 if !is_quiet => random.u64(..2_500),
            1..=30 => random.u64(..15),
            _ => 0,
        });
        if millis > 0 {
            guildhall_client::Clock::sleep(&self.clock, Duration::from_millis(millis)).await;
        }
    }
}

impl Source for Log {
    fn relation(&self, organization: OrganizationId, _: Subject) -> Reading<'_, Relation> {
        Box::pin(self.read(move |now| {
            let head = self.history.head(Scope::Organization(organization), now);
            Relation { catalog: head.map(|_| "of the log".to_owned()), is_here: true }
        }))
    }

    fn organization(&self, id: OrganizationId) -> Reading<'_, Option<State<OrganizationFact>>> {
        Box::pin(self.read(move |now| self.history.organization(Scope::Organization(id), now)))
    }

    fn installation(&self) -> Reading<'_, Option<State<InstallationFact>>> {
        Box::pin(self.read(move |now| self.history.installation(now)))
    }

    fn organization_commits(&self, id: OrganizationId, from: Position) -> Reading<'_, Vec<Commit<OrganizationFact>>> {
        Box::pin(self.read(move |now| {
            let commits = self.commits(Scope::Organization(id), from, now);
            let commit = |it: &Timed| match &it.log {
                Entry::Organization { news, .. } => Commit { position: it.position, facts: news.clone() },
                Entry::Installation { .. } => unreachable!("it is of another log"),
            };
            commits.map(commit).collect()
        }))
    }

    fn installation_commits(&self, from: Position) -> Reading<'_, Vec<Commit<InstallationFact>>> {
        Box::pin(self.read(move |now| {
            let commits = self.commits(Scope::Installation, from, now);
            let commit = |it: &Timed| match &it.log {
                Entry::Installation { news, .. } => Commit { position: it.position, facts: news.clone() },
                Entry::Organization { .. } => unreachable!("it is of another log"),
            };
            commits.map(commit).collect()
        }))
    }

    fn positions<'a>(&'a self, scopes: &'a [Scope], _: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>> {
        Box::pin(self.read(move |now| {
            let heads = scopes.iter().filter_map(|scope| self.history.head(*scope, now));
            heads.map(|head| (head.scope, head.position)).collect()
        }))
    }

    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>> {
        Box::pin(self.read(move |now| {
            let mut commits = self.history.seen(now).iter().filter(|it| it.scope == scope);
            commits.find(|it| it.position.revision == revision).map(|it| it.position.tag)
        }))
    }

    fn cursor(&self) -> Reading<'_, Cursor> {
        Box::pin(self.read(|now| cursor(self.history.seen(now).len())))
    }

    fn moved_since(&self, since: Cursor) -> Reading<'_, Moved> {
        Box::pin(self.read(move |now| {
            let seen = self.history.seen(now);
            let mut scopes: Vec<(Scope, Position)> = Vec::new();
            for it in &seen[usize::try_from(since.position).expect("a cursor of this log")..] {
                scopes.retain(|(scope, _)| *scope != it.scope);
                scopes.push((it.scope, it.position));
            }
            // The last one may be told of again.
            let again = self.random.draw(|random| random.usize(..2)).min(seen.len());
            let (cursor, continuity) = (cursor(seen.len() - again), Continuity::Unbroken);
            Moved { cursor, scopes, continuity, ..Moved::default() }
        }))
    }
}

/// Where so many commits of the one history have been seen.
fn cursor(commits: usize) -> Cursor {
    Cursor { lineage: Some(Lineage(1)), position: commits as u64 }
}

/// The server's clocks: the simulation's time.
pub struct ServerClock(pub SimulatedClock);

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        wall(self.0.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        // Some way from its origin, so that nothing is proven because it is zero.
        Monotonic(Duration::from_secs(1_000) + self.0.elapsed())
    }

    fn sleep_until(&self, instant: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.sleep(instant.since(self.now()))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.sleep(duration)
    }
}

/// Randomness of a seed.
pub struct Seeded(Mutex<fastrand::Rng>);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    pub fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.0.lock().unwrap())
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        self.draw(|random| random.fill(bytes));
    }
}
