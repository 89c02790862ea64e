//! A log that a vector holds: what an engine follows where no database is wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use guildhall::changelog::{Continuity, Cursor, Lineage, Moved, Reading, Relation, Source, State};
use guildhall::domain::error::{Error, Reason};
use guildhall::domain::fact::{Commit, Fact, Grant, GrantSource, Held, InstallationFact, OrganizationFact, Scope};
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
pub struct Book {
    organizations: HashMap<Scope, Log<OrganizationFact>>,
    installation: Log<InstallationFact>,
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
    organizations: HashMap<Scope, Log<OrganizationFact>>,
    installation: Log<InstallationFact>,
    commits: u64,
}

#[derive(Clone)]
pub struct Log<F> {
    commits: Vec<Commit<F>>,
    /// Everything that stands after them.
    state: Vec<F>,
    /// How many commits of all logs there were when this one moved last.
    moved_at: u64,
}

impl<F> Default for Log<F> {
    fn default() -> Self {
        Self { commits: Vec::new(), state: Vec::new(), moved_at: 0 }
    }
}

/// A fact, by the log that it stands in.
pub trait Kept: Fact {
    fn log(book: &Book, scope: Scope) -> Option<&Log<Self>>;

    /// Returns the log of a scope, a new one if need be.
    fn log_mut(book: &mut Book, scope: Scope) -> &mut Log<Self>;

    /// Takes a fact into what stands.
    fn stand(state: &mut Vec<Self>, fact: &Self);
}

impl Kept for OrganizationFact {
    fn log(book: &Book, scope: Scope) -> Option<&Log<Self>> {
        book.organizations.get(&scope)
    }

    fn log_mut(book: &mut Book, scope: Scope) -> &mut Log<Self> {
        book.organizations.entry(scope).or_default()
    }

    fn stand(state: &mut Vec<Self>, fact: &Self) {
        stand(state, fact);
    }
}

impl Kept for InstallationFact {
    fn log(book: &Book, _: Scope) -> Option<&Log<Self>> {
        Some(&book.installation)
    }

    fn log_mut(book: &mut Book, _: Scope) -> &mut Log<Self> {
        &mut book.installation
    }

    fn stand(state: &mut Vec<Self>, fact: &Self) {
        state.push(fact.clone());
    }
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
        let operator = InstallationFact::ServiceAccount { id: OPERATOR, is_enabled: true };
        let facts = vec![operator, InstallationFact::Grant(grant)];
        ledger.commit(Scope::Installation, facts);
        Arc::new(ledger)
    }

    /// Commits what only adds to or replaces what stands; the first commit founds the organization.
    pub fn commit<F: Kept>(&self, scope: Scope, facts: Vec<F>) -> Position {
        let mut book = self.book.lock();
        let log = F::log_mut(&mut book, scope);
        for fact in &facts {
            F::stand(&mut log.state, fact);
        }
        book.append(scope, facts)
    }

    /// Commits, `state` being what stands after. `tell` hears of the position before any reader can.
    pub fn commit_and<F: Kept>(
        &self,
        scope: Scope,
        facts: Vec<F>,
        state: Vec<F>,
        tell: impl FnOnce(Position),
    ) -> Position {
        let mut book = self.book.lock();
        F::log_mut(&mut book, scope).state = state;
        let position = book.append(scope, facts);
        tell(position);
        position
    }

    /// Lets the last `back` commits never have been, and commits others in their place.
    pub fn rewrite<F: Kept>(
        &self,
        scope: Scope,
        back: usize,
        facts: Vec<F>,
        state: Vec<F>,
        tell: impl FnOnce(Position),
    ) -> Position {
        let mut book = self.book.lock();
        let log = F::log_mut(&mut book, scope);
        log.commits.truncate(log.commits.len() - back);
        log.state = state;
        let position = book.append(scope, facts);
        tell(position);
        position
    }

    /// Copies all that is held.
    pub fn copy(&self) -> Copy {
        let book = self.book.lock();
        Copy {
            organizations: book.organizations.clone(),
            installation: book.installation.clone(),
            commits: book.commits,
        }
    }

    /// Lets another database answer from now on: what a copy holds, its counter so much further.
    pub fn exchange(&self, copy: &Copy, names: Names, ahead: u64) {
        let mut book = self.book.lock();
        (book.organizations, book.installation) = (copy.organizations.clone(), copy.installation.clone());
        (book.commits, book.names) = (copy.commits + ahead, names);
    }

    /// Returns from now on how much is told of which history it is.
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

    /// Returns all that stands in an organization.
    pub fn state(&self, scope: Scope) -> State<OrganizationFact> {
        self.state_in(scope).expect("an organization")
    }

    /// Returns all that stands in the installation.
    pub fn above(&self) -> State<InstallationFact> {
        self.state_in(Scope::Installation).expect("an installation")
    }

    fn state_in<F: Kept>(&self, scope: Scope) -> Option<State<F>> {
        let book = self.book.lock();
        F::log(&book, scope).map(|log| State { position: log.head(), facts: log.state.clone() })
    }

    /// Returns how far a log has come.
    pub fn head(&self, scope: Scope) -> Position {
        self.book.lock().head(scope).expect("a log")
    }

    /// Returns how often an organization was asked for.
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

    /// Returns how many loads are under way, and how many there were at the most.
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

    fn append<F: Kept>(&mut self, scope: Scope, facts: Vec<F>) -> Position {
        self.commits += 1;
        let commits = self.commits;
        let log = F::log_mut(self, scope);
        let before = log.head();
        // Of two commits in the same place, each has a tag of its own.
        let tag = Tag(mix(before.tag.0 ^ mix(commits)));
        let position = Position { revision: before.revision.next(), tag };
        log.commits.push(Commit { position, facts });
        log.moved_at = commits;
        position
    }

    fn head(&self, scope: Scope) -> Option<Position> {
        match scope {
            Scope::Installation => Some(self.installation.head()),
            Scope::Organization(_) => self.organizations.get(&scope).map(Log::head),
        }
    }

    /// Returns the logs that have moved since so many commits, and how far each has come.
    fn moved_since(&self, commits: u64) -> Vec<(Scope, Position)> {
        let above = (self.installation.moved_at > commits).then(|| (Scope::Installation, self.installation.head()));
        let organizations = self.organizations.iter().filter(|(_, log)| log.moved_at > commits);
        above.into_iter().chain(organizations.map(|(scope, log)| (*scope, log.head()))).collect()
    }

    fn commits_from<F: Kept>(&self, scope: Scope, from: Position) -> Vec<Commit<F>> {
        let commits = F::log(self, scope).map_or(&[][..], |log| &log.commits);
        let first = usize::try_from(from.revision.0.saturating_sub(1)).expect("is below a usize");
        commits.iter().skip(first).take(COMMITS_MAX).cloned().collect()
    }

    fn tag<F: Kept>(&self, scope: Scope, revision: Revision) -> Option<Tag> {
        let commits = F::log(self, scope).map_or(&[][..], |log| &log.commits);
        commits.iter().find(|commit| commit.position.revision == revision).map(|commit| commit.position.tag)
    }
}

impl<F> Log<F> {
    fn head(&self) -> Position {
        self.commits.last().map(|commit| commit.position).unwrap_or_default()
    }
}

/// Takes a fact into what stands.
fn stand(state: &mut Vec<OrganizationFact>, fact: &OrganizationFact) {
    let is_same = |other: &OrganizationFact| match (fact, other) {
        (OrganizationFact::Membership { id, .. }, OrganizationFact::Membership { id: other, .. }) => id == other,
        (
            OrganizationFact::Resource { key, .. } | OrganizationFact::ResourceGone { key },
            OrganizationFact::Resource { key: other, .. },
        ) => key == other,
        (OrganizationFact::GrantGone(grant), OrganizationFact::Grant(other)) => grant.id == other.id,
        (OrganizationFact::Organization { .. }, OrganizationFact::Organization { .. }) => true,
        (OrganizationFact::Role(role), OrganizationFact::Role(other)) => role.name == other.name,
        (OrganizationFact::RoleGone { name }, OrganizationFact::Role(other)) => *name == other.name,
        _ => false,
    };
    match state.iter().position(is_same) {
        Some(at)
            if matches!(
                fact,
                OrganizationFact::GrantGone(_)
                    | OrganizationFact::ResourceGone { .. }
                    | OrganizationFact::RoleGone { .. }
            ) =>
        {
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
            let catalog = book.organizations.contains_key(&scope).then(|| "of the ledger".to_owned());
            Ok(Relation { catalog, is_here: true })
        })
    }

    fn installation(&self) -> Reading<'_, Option<State<InstallationFact>>> {
        Box::pin(async move {
            self.pause().await;
            Ok(Some(self.above()))
        })
    }

    fn organization(&self, id: OrganizationId) -> Reading<'_, Option<State<OrganizationFact>>> {
        Box::pin(async move {
            self.pause().await;
            let scope = Scope::Organization(id);
            *self.book.lock().loads.entry(scope).or_default() += 1;
            let under_way = self.loading.fetch_add(1, Ordering::SeqCst) + 1;
            self.loading_most.fetch_max(under_way, Ordering::SeqCst);
            let (state, fails) = (self.state_in(scope), self.book.lock().failing.remove(&scope));
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

    fn organization_commits(&self, id: OrganizationId, from: Position) -> Reading<'_, Vec<Commit<OrganizationFact>>> {
        Box::pin(async move {
            self.pause().await;
            Ok(self.book.lock().commits_from(Scope::Organization(id), from))
        })
    }

    fn installation_commits(&self, from: Position) -> Reading<'_, Vec<Commit<InstallationFact>>> {
        Box::pin(async move {
            self.pause().await;
            Ok(self.book.lock().commits_from(Scope::Installation, from))
        })
    }

    fn positions<'a>(&'a self, scopes: &'a [Scope], _: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>> {
        Box::pin(async move {
            self.pause().await;
            self.heads.lock().push(scopes.len());
            let book = self.book.lock();
            book.must_be_there()?;
            Ok(scopes.iter().filter_map(|scope| Some((*scope, book.head(*scope)?))).collect())
        })
    }

    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>> {
        Box::pin(async move {
            self.pause().await;
            let book = self.book.lock();
            Ok(match scope {
                Scope::Installation => book.tag::<InstallationFact>(scope, revision),
                Scope::Organization(_) => book.tag::<OrganizationFact>(scope, revision),
            })
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
                let scopes = book.moved_since(cursor.position);
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
