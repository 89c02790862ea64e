//! What stood when: every state that the logs have named, to hold an answer against at the pair of revisions it names.

use std::collections::HashMap;
use std::sync::Arc;

use guildhall::domain::fact::{InstallationFact, Scope};
use guildhall::domain::revision::{Position, Tag, Token};
use guildhall::domain::time::Timestamp;
use parking_lot::Mutex;

use super::ledger::Ledger;
use super::organization;
use crate::rule::histories::{History, Step};
use crate::rule::worlds::{Home, World};

/// How many histories have moved before a position came to be: those of a history that was cut off come before those of
/// the one that replaced it.
pub type Order = u64;

/// Every state that was ever committed.
#[derive(Default)]
pub struct Truth {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// By organization, and where its log stood: each tag is there once.
    here: HashMap<(usize, Tag), (Order, Arc<World>)>,
    /// By where the installation's log stood: what stood above each organization.
    above: HashMap<Tag, (Order, Vec<Arc<World>>)>,
    moves: Order,
}

impl Truth {
    /// Commits the beginnings of histories, each of one organization.
    pub fn found(&self, ledger: &Ledger, histories: &[History]) {
        let mut above = ledger.above().facts;
        for (number, history) in histories.iter().enumerate() {
            let (facts, facts_above) = history.initial();
            let tell = |position| self.tell_here(number, position, history);
            ledger.commit_and(scope(number), facts, history.world().facts(), tell);
            above.extend(facts_above);
        }
        let tell = |position| self.tell_above(position, histories);
        ledger.commit_and(Scope::Installation, above.clone(), above, tell);
    }

    /// Commits one step of a history, if it says anything.
    pub fn commit(
        &self,
        ledger: &Ledger,
        histories: &[History],
        number: usize,
        step: Step,
    ) -> Option<(Scope, Position)> {
        if !step.organization.is_empty() {
            let tell = |position| self.tell_here(number, position, &histories[number]);
            let state = histories[number].world().facts();
            let position = ledger.commit_and(scope(number), step.organization, state, tell);
            return Some((scope(number), position));
        }
        if step.installation.is_empty() {
            return None;
        }
        let above = histories.iter().flat_map(|history| history.world().facts_above());
        let state = operator_facts(ledger).chain(above).collect();
        let tell = |position| self.tell_above(position, histories);
        Some((Scope::Installation, ledger.commit_and(Scope::Installation, step.installation, state, tell)))
    }

    /// Commits a step of an organization in place of its last commit.
    pub fn rewrite(&self, ledger: &Ledger, history: &History, number: usize, step: Step) -> (Scope, Position) {
        let tell = |position| self.tell_here(number, position, history);
        (scope(number), ledger.rewrite(scope(number), 1, step.organization, history.world().facts(), tell))
    }

    fn tell_here(&self, number: usize, position: Position, history: &History) {
        let mut book = self.book.lock();
        book.moves += 1;
        let told = (book.moves, Arc::new(history.world().clone()));
        book.here.insert((number, position.tag), told);
    }

    fn tell_above(&self, position: Position, histories: &[History]) {
        let mut book = self.book.lock();
        book.moves += 1;
        let told = (book.moves, histories.iter().map(|history| Arc::new(history.world().clone())).collect());
        book.above.insert(position.tag, told);
    }

    /// Returns when the pair of revisions came to be.
    pub fn order(&self, number: usize, token: &Token) -> (Order, Order) {
        let book = self.book.lock();
        let here = book.here.get(&(number, token.position.tag)).expect("a revision that was committed");
        let above = book.above.get(&token.installation.tag).expect("a revision of the installation that was committed");
        (here.0, above.0)
    }

    /// Returns what stood at a pair of revisions, and at a time.
    pub fn at(&self, number: usize, token: &Token, now: Timestamp) -> World {
        let (here, above) = {
            let book = self.book.lock();
            let here = Arc::clone(&book.here[&(number, token.position.tag)].1);
            (here, Arc::clone(&book.above[&token.installation.tag].1[number]))
        };
        let mut world = World::clone(&here);
        world.users.clone_from(&above.users);
        world.grants_above.clone_from(&above.grants_above);
        for (id, machine) in above.service_accounts.iter().filter(|(_, machine)| machine.home == Home::Above) {
            world.service_accounts.insert(*id, *machine);
        }
        world.now = now;
        world
    }
}

/// Names the log of the organization of a history.
pub fn scope(number: usize) -> Scope {
    Scope::Organization(organization(number as u128))
}

/// What the ledger began its installation with.
fn operator_facts(ledger: &Ledger) -> impl Iterator<Item = InstallationFact> + use<> {
    ledger.above().facts.into_iter().take(2)
}
