//! An engine over organizations that no database holds, and a log that is written by hand.

use std::collections::HashMap;
use std::sync::Arc;

use guildhall::authz::{Engine, Requirement, Settings};
use guildhall::changelog::{Continuity, Cursor, Lineage, Moved, Reading, Relation, Source, State};
use guildhall::clock::Env;
use guildhall::domain::catalog::Catalogs;
use guildhall::domain::fact::{Commit, Grant, GrantSource, Held, InstallationFact, OrganizationFact, Scope};
use guildhall::domain::id::{GrantId, OrganizationId, ServiceAccountId};
use guildhall::domain::place::{Place, Principal, Subject};
use guildhall::domain::revision::{Position, Revision, Tag};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::Failure;
use crate::shape::Shape;

/// Who asks: an operator's service account, which may ask in every organization.
pub const CALLER: ServiceAccountId = ServiceAccountId(Uuid::from_u128(1));

/// Organizations of one shape, and what was committed since.
pub struct Organizations {
    shape: Shape,
    numbers: HashMap<OrganizationId, u32>,
    log: Mutex<HashMap<OrganizationId, Vec<Commit<OrganizationFact>>>>,
}

impl Organizations {
    pub fn new(shape: Shape) -> Self {
        let numbers = (0..shape.organizations).map(|number| (Shape::organization(number), number)).collect();
        Self { shape, numbers, log: Mutex::default() }
    }

    /// Commits, and tells where that is.
    pub fn commit(&self, organization: OrganizationId, facts: Vec<OrganizationFact>) -> Position {
        let mut log = self.log.lock();
        let commits = log.entry(organization).or_default();
        let position = position(commits.len() as u64 + 2);
        commits.push(Commit { position, facts });
        position
    }
}

fn position(revision: u64) -> Position {
    Position { revision: Revision(revision), tag: Tag(revision) }
}

fn installation() -> State<InstallationFact> {
    let grant = Grant {
        id: GrantId(Uuid::from_u128(2)),
        principal: Principal::ServiceAccount(CALLER),
        place: Place::Installation,
        held: Held::Role("operator".into()),
        expires_at: None,
        source: GrantSource::Manual,
    };
    let facts = vec![InstallationFact::ServiceAccount { id: CALLER, is_enabled: true }, InstallationFact::Grant(grant)];
    State { position: position(1), facts }
}

impl Source for Organizations {
    fn relation(&self, organization: OrganizationId, _: Subject) -> Reading<'_, Relation> {
        let catalog = self.numbers.contains_key(&organization).then(|| "synthetic".to_owned());
        Box::pin(async move { Ok(Relation { catalog, is_here: true }) })
    }

    fn installation(&self) -> Reading<'_, Option<State<InstallationFact>>> {
        Box::pin(async { Ok(Some(installation())) })
    }

    fn organization(&self, id: OrganizationId) -> Reading<'_, Option<State<OrganizationFact>>> {
        let number = self.numbers.get(&id);
        let state = number.map(|number| State { position: position(1), facts: self.shape.facts(*number) });
        Box::pin(async move { Ok(state) })
    }

    fn organization_commits(&self, id: OrganizationId, from: Position) -> Reading<'_, Vec<Commit<OrganizationFact>>> {
        Box::pin(async move {
            let log = self.log.lock();
            let commits = log.get(&id).map_or(&[][..], |commits| commits);
            let itself = Commit { position: from, facts: Vec::new() };
            let after = usize::try_from(from.revision.0 - 1).unwrap_or(usize::MAX).min(commits.len());
            Ok(std::iter::once(itself).chain(commits[after..].iter().take(1_000).cloned()).collect())
        })
    }

    fn installation_commits(&self, from: Position) -> Reading<'_, Vec<Commit<InstallationFact>>> {
        Box::pin(async move { Ok(vec![Commit { position: from, facts: Vec::new() }]) })
    }

    fn positions<'a>(&'a self, scopes: &'a [Scope], _: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>> {
        Box::pin(async move {
            let log = self.log.lock();
            let at = |scope: &Scope| match scope {
                Scope::Organization(id) => log.get(id).and_then(|commits| commits.last()).map(|commit| commit.position),
                Scope::Installation => None,
            };
            Ok(scopes.iter().map(|scope| (*scope, at(scope).unwrap_or(position(1)))).collect())
        })
    }

    fn tag(&self, _: Scope, revision: Revision) -> Reading<'_, Option<Tag>> {
        Box::pin(async move { Ok(Some(Tag(revision.0))) })
    }

    fn cursor(&self) -> Reading<'_, Cursor> {
        Box::pin(async { Ok(Cursor { lineage: Some(Lineage(1)), position: 0 }) })
    }

    fn moved_since(&self, cursor: Cursor) -> Reading<'_, Moved> {
        Box::pin(async move { Ok(Moved { cursor, continuity: Continuity::Unbroken, ..Moved::default() }) })
    }
}

/// Settings under which nothing is given up, and nothing grows too old while it is measured.
fn settings() -> Settings {
    let day = std::time::Duration::from_hours(24);
    Settings { bytes_max: usize::MAX / 8, staleness_bound: day, ..Settings::default() }
}

/// Makes an engine over a source.
pub async fn engine_over(source: Arc<Organizations>) -> Result<Arc<Engine>, Failure> {
    Ok(Engine::start(source, Catalogs::default(), Env::system(), settings(), 1).await?)
}

/// Makes an engine with every organization of the shape in memory.
pub async fn engine(shape: Shape) -> Result<Arc<Engine>, Failure> {
    let engine = engine_over(Arc::new(Organizations::new(shape))).await?;
    for number in 0..shape.organizations {
        let caller = Subject::ServiceAccount(CALLER);
        engine.view(Shape::organization(number), Requirement::MaxAge(None), caller).await?;
    }
    Ok(engine)
}
