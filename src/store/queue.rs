//! One writer per log and process, first come, first served, *before* a connection is taken.
//!
//! Without it a hot organization would hold the whole pool while its writers wait for one row.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::domain::error::{Error, Reason};
use crate::domain::fact::Scope;

/// The lanes in which writers wait, one per log that is being written.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lanes: Arc<Mutex<HashMap<Scope, Lane>>>,
    waiting_max: usize,
}

#[derive(Debug, Default)]
struct Lane {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How many wait or write; the lane goes with the last of them.
    present: usize,
}

impl Queue {
    /// Makes a queue whose lanes take `waiting_max` writers each.
    pub fn new(waiting_max: usize) -> Self {
        Self { lanes: Arc::default(), waiting_max }
    }

    /// Waits for the turn in the lane of `scope`.
    ///
    /// # Errors
    /// - [`Reason::OrganizationBusy`] if as many wait as may.
    pub async fn enter(&self, scope: Scope) -> Result<Turn, Error> {
        let presence = self.join(scope)?;
        let guard = Arc::clone(&presence.turn).lock_owned().await;
        Ok(Turn { _guard: guard, _presence: presence })
    }

    fn join(&self, scope: Scope) -> Result<Presence, Error> {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(scope).or_default();
        if lane.present >= self.waiting_max {
            return Err(Error::new(Reason::OrganizationBusy, "too many writes wait for this organization")
                .retry_after(Duration::from_millis(500)));
        }
        lane.present += 1;
        Ok(Presence { scope, turn: Arc::clone(&lane.turn), lanes: Arc::clone(&self.lanes) })
    }
}

/// The right to write; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    // Before the presence: the lane must outlive the turn in it.
    _guard: OwnedMutexGuard<()>,
    _presence: Presence,
}

#[derive(Debug)]
struct Presence {
    scope: Scope,
    turn: Arc<tokio::sync::Mutex<()>>,
    lanes: Arc<Mutex<HashMap<Scope, Lane>>>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get_mut(&self.scope) {
            lane.present -= 1;
            if lane.present == 0 {
                lanes.remove(&self.scope);
            }
        }
    }
}
