//! A log that a vector holds: what an engine follows where no database is wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use guildhall::changelog::{Continuity, Cursor, Lineage, Moved, Reading, Relation, Source, State};
use guildhall::domain::error::{Error, Reason};
use guildhall::domain::fact::{Commit, Fact, Grant, GrantSource, Held, Scope};
use guildhall::domain::id::{GrantId, OrganizationId, ServiceAccountId};
use guildhall::domain::place::{Place, Principal, Subject};
use guildhall::domain::revision::{Position, Revision, Tag};
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::rule::rng::{Rng, mix};

/// Who asks: an operator's machine, which may ask in every organization.
pub const OPERATOR: ServiceAccountId = ServiceAccountId(Uuid::from_u128(1));
/// Most commits that one reading gives: few, so that followers have to read on.
const COMMITS_MAX: usize = 8;

/// The logs of an installation and of its organizations.
pub struct Ledger {
    book: Mutex<Book>,
    /// Whether loads go through; else they wait.
    is_open: watch::Sender<bool>,
    loading: AtomicUsize,
    loading_most: AtomicUsize,
    is_slow: AtomicBool,
    /// How many heads were read, each time that any were.
    heads: Mutex<Vec<usize>>,
}

#[derive(Default)]
struct Book {
    logs: HashMap<Scope, Log>,
    /// Commits of all logs together.
    commits: u64,
    names: Names,
    epoch: Option<u32>,
    /// Whether nothing can be asked.
    is_away: bool,
    /// How often each was asked for.
    loads: HashMap<Scope, usize>,
    /// How often it was asked how somebody stands to each.
    relations: HashMap<Scope, usize>,
    failing: HashSet<Scope>,
    delays: Option<Rng>,
}

/// How much the ledger tells of which history it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// Its name.
    History(u128),
    /// Nothing: the name is withheld.
    Withheld,
    /// Nothing, and its commits have no order either.
    Nothing,
}

impl Default for Names {
    fn default() -> Self {
        Self::History(1)
    }
}

/// All that a ledger held at a moment.
pub struct Copy {
    logs: HashMap<Scope, Log>,
    commits: u64,
}

#[derive(Clone, Default)]
struct Log {
    commits: Vec<Commit>,
    /// Everything that stands after them.
    state: Vec<Fact>,
    /// How many commits of all logs there were when this one moved last.
    moved_at: u64,
}

impl Ledger {
    /// Begins with an installation that knows its operator.
    pub fn new() -> Arc<Self> {
        let ledger = Self {
            book: Mutex::default(),
            is_open: watch::Sender::new(true),
            loading: AtomicUsize::new(0),
            loading_most: AtomicUsize::new(0),
            is_slow: AtomicBool::new(false),
            heads: Mutex::default(),
        };
        let grant = Grant {
            id: GrantId(Uuid::from_u128(2)),
            principal: Principal::ServiceAccount(OPERATOR),
            place: Place::Installation,
            held: Held::Role("operator".into()),
            expires_at: None,
            source: GrantSource::Manual,
        };
        let facts = vec![Fact::ServiceAccount { id: OPERATOR, is_enabled: true }, Fact::Grant(grant)];
        ledger.commit(Scope::Installation, facts);
        Arc::new(ledger)
    }

    /// Commits what only adds to or replaces what stands; the first commit founds the organization.
    pub fn commit(&self, scope: Scope, facts: Vec<Fact>) -> Position {
        let mut book = self.book.lock();
        let log = book.logs.entry(scope).or_default();
        for fact in &facts {
            stand(&mut log.state, fact);
        }
        book.append(scope, facts)
    }

    /// Commits, `state` being what stands after. `tell` hears of the position before any reader can.
    pub fn commit_and(
        &self,
        scope: Scope,
        facts: Vec<Fact>,
        state: Vec<Fact>,
        tell: impl FnOnce(Position),
    ) -> Position {
        let mut book = self.book.lock();
        book.logs.entry(scope).or_default().state = state;
        let position = book.append(scope, facts);
        tell(position);
        position
    }

    /// Lets the last `back` commits never have been, and commits others in their place.
    pub fn rewrite(
        &self,
        scope: Scope,
        back: usize,
        facts: Vec<Fact>,
        state: Vec<Fact>,
        tell: impl FnOnce(Position),
    ) -> Position {
        let mut book = self.book.lock();
        let log = book.logs.get_mut(&scope).expect("a log");
        log.commits.truncate(log.commits.len() - back);
        log.state = state;
        let position = book.append(scope, facts);
        tell(position);
        position
    }

    /// Copies all that is held.
    pub fn copy(&self) -> Copy {
        let book = self.book.lock();
        Copy { logs: book.logs.clone(), commits: book.commits }
    }

    /// Lets another database answer from now on: what a copy holds, its counter so much further.
    pub fn exchange(&self, copy: &Copy, names: Names, ahead: u64) {
        let mut book = self.book.lock();
        (book.logs, book.commits, book.names) = (copy.logs.clone(), copy.commits + ahead, names);
    }

    /// Says from now on how much is told of which history it is.
    pub fn name(&self, names: Names) {
        self.book.lock().names = names;
    }

    /// Counts another restore.
    pub fn raise_epoch(&self, epoch: u32) {
        self.book.lock().epoch = Some(epoch);
    }

    /// Lets nothing be asked, or again.
    pub fn go_away(&self, is_away: bool) {
        self.book.lock().is_away = is_away;
    }

    /// Takes how many heads were read, each time that any were.
    pub fn heads_read(&self) -> Vec<usize> {
        std::mem::take(&mut self.heads.lock())
    }

    /// Gives all that stands in a scope.
    pub fn state(&self, scope: Scope) -> State {
        let book = self.book.lock();
        let log = &book.logs[&scope];
        State { position: log.head(), facts: log.state.clone() }
    }

    /// Says how often an organization was asked for.
    pub fn loads(&self, id: OrganizationId) -> usize {
        self.book.lock().loads.get(&Scope::Organization(id)).copied().unwrap_or(0)
    }

    /// Returns how often it was asked how somebody stands to an organization.
    pub fn relations(&self, id: OrganizationId) -> usize {
        self.book.lock().relations.get(&Scope::Organization(id)).copied().unwrap_or(0)
    }

    /// Lets the next load of an organization fail.
    pub fn fail(&self, id: OrganizationId) {
        self.book.lock().failing.insert(Scope::Organization(id));
    }

    /// Lets loads of organizations wait, or go on.
    pub fn hold(&self, hold: bool) {
        self.is_open.send_replace(!hold);
    }

    /// Says how many loads are under way, and how many there were at the most.
    pub fn loading(&self) -> (usize, usize) {
        (self.loading.load(Ordering::SeqCst), self.loading_most.load(Ordering::SeqCst))
    }

    /// From now on every reading takes its time, by a seed.
    pub fn hesitate(&self, seed: u64) {
        self.book.lock().delays = Some(Rng::new(seed));
        self.is_slow.store(true, Ordering::SeqCst);
    }

    async fn pause(&self) {
        if self.is_slow.load(Ordering::SeqCst) {
            let turns = self.book.lock().delays.as_mut().map_or(0, |rng| rng.below(12));
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Book {
    fn cursor(&self) -> Cursor {
        let lineage = match self.names {
            Names::History(name) => Some(Lineage(name)),
            Names::Withheld | Names::Nothing => None,
        };
        Cursor { lineage, position: self.commits }
    }

    fn must_be_there(&self) -> Result<(), Error> {
        if self.is_away {
            return Err(Error::new(Reason::DatabaseUnavailable, "the ledger does not answer"));
        }
        Ok(())
    }

    fn append(&mut self, scope: Scope, facts: Vec<Fact>) -> Position {
        self.commits += 1;
        let log = self.logs.get_mut(&scope).expect("a log");
        let before = log.head();
        // Of two commits in the same place, each has a tag of its own.
        let tag = Tag(mix(before.tag.0 ^ mix(self.commits)));
        let position = Position { revision: before.revision.next(), tag };
        log.commits.push(Commit { position, facts });
        log.moved_at = self.commits;
        position
    }
}

impl Log {
    fn head(&self) -> Position {
        self.commits.last().map(|commit| commit.position).unwrap_or_default()
    }
}

/// Takes a fact into what stands.
fn stand(state: &mut Vec<Fact>, fact: &Fact) {
    let is_same = |other: &Fact| match (fact, other) {
        (Fact::Membership { id, .. }, Fact::Membership { id: other, .. }) => id == other,
        (Fact::Resource { key, .. } | Fact::ResourceGone { key }, Fact::Resource { key: other, .. }) => key == other,
        (Fact::GrantGone(grant), Fact::Grant(other)) => grant.id == other.id,
        (Fact::Organization { .. }, Fact::Organization { .. }) => true,
        (Fact::Role(role), Fact::Role(other)) => role.name == other.name,
        (Fact::RoleGone { name }, Fact::Role(other)) => *name == other.name,
        _ => false,
    };
    match state.iter().position(is_same) {
        Some(at) if matches!(fact, Fact::GrantGone(_) | Fact::ResourceGone { .. } | Fact::RoleGone { .. }) => {
            drop(state.swap_remove(at));
        }
        Some(at) => state[at] = fact.clone(),
        None => state.push(fact.clone()),
    }
}

impl Source for Ledger {
    fn relation(&self, organization: OrganizationId, _: Subject) -> Reading<'_, Relation> {
        Box::pin(async move {
            self.pause().await;
            let scope = Scope::Organization(organization);
            let mut book = self.book.lock();
            *book.relations.entry(scope).or_default() += 1;
            let catalog = book.logs.contains_key(&scope).then(|| "of the ledger".to_owned());
            Ok(Relation { catalog, is_here: true })
        })
    }

    fn load(&self, scope: Scope) -> Reading<'_, Option<State>> {
        Box::pin(async move {
            self.pause().await;
            if scope == Scope::Installation {
                return Ok(Some(self.state(scope)));
            }
            *self.book.lock().loads.entry(scope).or_default() += 1;
            let under_way = self.loading.fetch_add(1, Ordering::SeqCst) + 1;
            self.loading_most.fetch_max(under_way, Ordering::SeqCst);
            let (fails, state) = {
                let mut book = self.book.lock();
                let state = book.logs.get(&scope).map(|log| State { position: log.head(), facts: log.state.clone() });
                (book.failing.remove(&scope), state)
            };
            // What it found is old by the time that it is told. The ledger outlives its engine.
            let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
            self.pause().await;
            self.loading.fetch_sub(1, Ordering::SeqCst);
            if fails {
                return Err(Error::new(Reason::DatabaseUnavailable, "the ledger does not answer"));
            }
            Ok(state)
        })
    }

    fn read_from(&self, scope: Scope, from: Position) -> Reading<'_, Vec<Commit>> {
        Box::pin(async move {
            self.pause().await;
            let book = self.book.lock();
            let commits = book.logs.get(&scope).map_or(&[][..], |log| &log.commits);
            let first = usize::try_from(from.revision.0.saturating_sub(1)).expect("is below a usize");
            Ok(commits.iter().skip(first).take(COMMITS_MAX).cloned().collect())
        })
    }

    fn positions<'a>(&'a self, scopes: &'a [Scope], _: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>> {
        Box::pin(async move {
            self.pause().await;
            self.heads.lock().push(scopes.len());
            let book = self.book.lock();
            book.must_be_there()?;
            Ok(scopes.iter().filter_map(|scope| Some((*scope, book.logs.get(scope)?.head()))).collect())
        })
    }

    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>> {
        Box::pin(async move {
            self.pause().await;
            let book = self.book.lock();
            let commits = book.logs.get(&scope).map_or(&[][..], |log| &log.commits);
            let found = commits.iter().find(|commit| commit.position.revision == revision);
            Ok(found.map(|commit| commit.position.tag))
        })
    }

    fn cursor(&self) -> Reading<'_, Cursor> {
        Box::pin(async move { Ok(self.book.lock().cursor()) })
    }

    fn moved_since(&self, cursor: Cursor) -> Reading<'_, Moved> {
        Box::pin(async move {
            let moved = {
                let book = self.book.lock();
                book.must_be_there()?;
                let moved = book.logs.iter().filter(|(_, log)| log.moved_at > cursor.position);
                let scopes = moved.map(|(scope, log)| (*scope, log.head())).collect();
                let continuity = book.cursor().continuity_after(&cursor);
                let moved = Moved { cursor: book.cursor(), scopes, continuity, epoch: book.epoch, ..Moved::default() };
                match book.names {
                    Names::Nothing => Moved { scopes: Vec::new(), continuity: Continuity::Unknown, ..moved },
                    Names::History(_) | Names::Withheld => moved,
                }
            };
            // What it found is old by the time that it is told.
            self.pause().await;
            Ok(moved)
        })
    }
}
