//! The latest positions of a log, so that a revision which a caller names is recognised without a statement.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::domain::revision::{Position, Revision};

/// How many positions are kept of one log.
const RECENT_MAX: usize = 256;

/// The latest positions of one log.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<Position>>);

impl Recent {
    /// Adds the newest position.
    pub fn push(&self, position: Position) {
        let mut positions = self.0.lock();
        if positions.len() == RECENT_MAX {
            positions.pop_front();
        }
        positions.push_back(position);
    }

    /// Finds the position that the log had at `revision`, if it is kept.
    pub fn at(&self, revision: Revision) -> Option<Position> {
        self.0.lock().iter().rev().find(|position| position.revision == revision).copied()
    }

    /// Drops all of them: they are of a history that was replaced.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}
