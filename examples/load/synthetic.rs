//! The log of the synthetic organizations, before the log of a store that holds everything else.

use std::collections::HashMap;
use std::sync::Arc;

use guildhall::changelog::{Cursor, Lineage, Moved, Reading, Relation, Source, State};
use guildhall::domain::fact::{Commit, InstallationFact, OrganizationFact, Scope};
use guildhall::domain::id::OrganizationId;
use guildhall::domain::place::Subject;
use guildhall::domain::revision::{Position, Revision, Tag};

use crate::shape::Shape;

/// Where every synthetic organization stands, for good.
const POSITION: Position = Position { revision: Revision(1), tag: Tag(0x6775_696c_6468_616c) };

/// A store, and organizations that no database holds: they are made each time they are loaded, and never move.
pub struct Synthetic {
    store: Arc<dyn Source>,
    shape: Shape,
    numbers: HashMap<OrganizationId, u32>,
}

impl Synthetic {
    /// Puts the organizations of `shape` before a store.
    pub fn new(store: Arc<dyn Source>, shape: Shape) -> Self {
        let numbers = (0..shape.organizations).map(|number| (Shape::organization(number), number)).collect();
        Self { store, shape, numbers }
    }

    fn number(&self, scope: Scope) -> Option<u32> {
        match scope {
            Scope::Installation => None,
            Scope::Organization(id) => self.numbers.get(&id).copied(),
        }
    }
}

impl Source for Synthetic {
    fn relation(&self, organization: OrganizationId, subject: Subject) -> Reading<'_, Relation> {
        if self.numbers.contains_key(&organization) {
            return Box::pin(async { Ok(Relation { catalog: Some("synthetic".into()), is_here: true }) });
        }
        self.store.relation(organization, subject)
    }

    fn organization(&self, id: OrganizationId) -> Reading<'_, Option<State<OrganizationFact>>> {
        match self.numbers.get(&id) {
            Some(number) => {
                Box::pin(async move { Ok(Some(State { position: POSITION, facts: self.shape.facts(*number) })) })
            }
            None => self.store.organization(id),
        }
    }

    fn installation(&self) -> Reading<'_, Option<State<InstallationFact>>> {
        self.store.installation()
    }

    fn organization_commits(&self, id: OrganizationId, from: Position) -> Reading<'_, Vec<Commit<OrganizationFact>>> {
        if self.numbers.contains_key(&id) {
            // The commit itself, by which a reader sees that its history is still the one.
            return Box::pin(async { Ok(vec![Commit { position: POSITION, facts: Vec::new() }]) });
        }
        self.store.organization_commits(id, from)
    }

    fn installation_commits(&self, from: Position) -> Reading<'_, Vec<Commit<InstallationFact>>> {
        self.store.installation_commits(from)
    }

    fn positions<'a>(&'a self, scopes: &'a [Scope], of: Option<Lineage>) -> Reading<'a, Vec<(Scope, Position)>> {
        Box::pin(async move {
            let (mine, others): (Vec<Scope>, Vec<Scope>) =
                scopes.iter().partition(|scope| self.number(**scope).is_some());
            let mut positions = if others.is_empty() { Vec::new() } else { self.store.positions(&others, of).await? };
            positions.extend(mine.into_iter().map(|scope| (scope, POSITION)));
            Ok(positions)
        })
    }

    fn tag(&self, scope: Scope, revision: Revision) -> Reading<'_, Option<Tag>> {
        match self.number(scope) {
            Some(_) => Box::pin(async move { Ok((revision == POSITION.revision).then_some(POSITION.tag)) }),
            None => self.store.tag(scope, revision),
        }
    }

    fn cursor(&self) -> Reading<'_, Cursor> {
        self.store.cursor()
    }

    fn moved_since(&self, cursor: Cursor) -> Reading<'_, Moved> {
        self.store.moved_since(cursor)
    }
}
