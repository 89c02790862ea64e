//! One writer per log and process, first come, first served, *before* a connection is taken.
//!
//! Without it a hot organization would hold the whole pool while its writers wait for one row. The wait is bounded by time and
//! not by number: who would get the permit too late, by how long writes have taken lately, is refused at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::clock::{Env, Monotonic};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Scope;

/// A burst may queue up for as long as anybody waits; under a load that lasts everybody would wait that long, so then only
/// this part of it.
const LASTING_PART: u32 = 5;
/// What a write is taken to last at the most where none was seen: other organizations may be slow, or the database was.
const UNSEEN_MAX: Duration = Duration::from_millis(20);
/// When a refused writer may try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The lanes in which writers wait, one per log that is being written.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lanes: Arc<Mutex<Lanes>>,
    wait_max: Duration,
    env: Env,
}

#[derive(Debug, Default)]
struct Lanes {
    by_scope: HashMap<Scope, Lane>,
    /// How long a write took lately, in any lane: what a new lane begins with, up to [`UNSEEN_MAX`].
    write_time: Duration,
}

#[derive(Debug)]
struct Lane {
    permit: Arc<tokio::sync::Mutex<()>>,
    /// How many wait or write; the lane goes with the last of them.
    present: u32,
    /// Since when there was always somebody who waited.
    crowded_since: Option<Monotonic>,
    /// How long a write took here lately.
    write_time: Duration,
}

impl Queue {
    /// Makes a queue in whose lanes nobody waits longer than `wait_max`.
    pub fn new(wait_max: Duration, env: Env) -> Self {
        Self { lanes: Arc::default(), wait_max, env }
    }

    /// Waits for the permit to write to `scope`.
    ///
    /// # Errors
    /// - [`Reason::OrganizationBusy`] if it would come too late, or did not come in time.
    pub async fn enter(&self, scope: Scope) -> Result<WritePermit, Error> {
        let presence = self.join(scope)?;
        let permit = Arc::clone(&presence.permit).lock_owned();
        let guard = tokio::time::timeout(self.wait_max, permit).await.map_err(|_| busy())?;
        let began_at = self.env.clock.monotonic();
        Ok(WritePermit { began_at, _guard: guard, presence })
    }

    fn join(&self, scope: Scope) -> Result<Presence, Error> {
        let now = self.env.clock.monotonic();
        let mut lanes = self.lanes.lock();
        let write_time = lanes.write_time;
        let lane = lanes.by_scope.entry(scope).or_insert_with(|| Lane::new(write_time.min(UNSEEN_MAX)));
        if lane.write_time * lane.present > lane.wait_limit(self.wait_max, now) {
            return Err(busy());
        }
        if lane.present == 1 {
            lane.crowded_since = Some(now);
        }
        lane.present += 1;
        Ok(Presence { scope, permit: Arc::clone(&lane.permit), queue: self.clone() })
    }
}

impl Lane {
    fn new(write_time: Duration) -> Self {
        Self { permit: Arc::default(), present: 0, crowded_since: None, write_time }
    }

    fn wait_limit(&self, wait_max: Duration, now: Monotonic) -> Duration {
        match self.crowded_since {
            Some(since) if now.since(since) > wait_max => wait_max / LASTING_PART,
            _ => wait_max,
        }
    }

    fn leave(&mut self) {
        self.present -= 1;
        if self.present <= 1 {
            self.crowded_since = None;
        }
    }
}

/// The right to write; given back when dropped.
#[derive(Debug)]
pub(super) struct WritePermit {
    began_at: Monotonic,
    // Before the presence: the lane must outlive the permit in it.
    _guard: OwnedMutexGuard<()>,
    presence: Presence,
}

impl Drop for WritePermit {
    fn drop(&mut self) {
        let Presence { scope, queue, .. } = &self.presence;
        let took = queue.env.clock.monotonic().since(self.began_at);
        let mut lanes = queue.lanes.lock();
        lanes.write_time = averaged(lanes.write_time, took);
        if let Some(lane) = lanes.by_scope.get_mut(scope) {
            lane.write_time = averaged(lane.write_time, took);
        }
    }
}

#[derive(Debug)]
struct Presence {
    scope: Scope,
    permit: Arc<tokio::sync::Mutex<()>>,
    queue: Queue,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut lanes = self.queue.lanes.lock();
        if let Some(lane) = lanes.by_scope.get_mut(&self.scope) {
            lane.leave();
            if lane.present == 0 {
                lanes.by_scope.remove(&self.scope);
            }
        }
    }
}

/// Moves an average a little towards what was just seen.
fn averaged(average: Duration, seen: Duration) -> Duration {
    (average * 7 + seen) / 8
}

fn busy() -> Error {
    Error::new(Reason::OrganizationBusy, "too many writes wait for this organization").retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;
    use crate::clock::testing::ManualClock;

    const WAIT: Duration = Duration::from_secs(1);
    const WRITE: Duration = Duration::from_millis(10);

    /// Returns a queue that has seen many writes of 10 ms, and its clock.
    async fn seasoned() -> (Queue, Arc<ManualClock>) {
        let clock = ManualClock::still();
        let queue = Queue::new(WAIT, Env { clock: clock.clone(), entropy: Arc::new(SystemEntropy) });
        for _ in 0..200 {
            let permit = queue.enter(Scope::Installation).await.expect("nobody is before it");
            clock.advance(WRITE);
            drop(permit);
        }
        (queue, clock)
    }

    fn join_all(queue: &Queue, joined: &mut Vec<Presence>) {
        while let Ok(presence) = queue.join(Scope::Installation) {
            joined.push(presence);
        }
    }

    #[tokio::test]
    async fn a_burst_waits_for_a_second_and_a_lasting_load_for_a_fifth_of_it() {
        let (queue, clock) = seasoned().await;
        let mut joined = Vec::new();
        join_all(&queue, &mut joined);
        assert!((95..=105).contains(&joined.len()), "{} of a burst wait", joined.len());

        clock.advance(Duration::from_millis(1_001));
        joined.truncate(2);
        join_all(&queue, &mut joined);
        assert!((19..=23).contains(&joined.len()), "{} of a lasting load wait", joined.len());

        // Once nobody waits, the load is over.
        joined.truncate(1);
        join_all(&queue, &mut joined);
        assert!(joined.len() > 90, "{} of the next burst wait", joined.len());
        drop(joined);
        assert!(queue.lanes.lock().by_scope.is_empty());
    }

    #[tokio::test]
    async fn a_slow_organization_has_no_other_one_refused() {
        let (queue, clock) = seasoned().await;
        for _ in 0..200 {
            let permit = queue.enter(Scope::Installation).await.expect("nobody is before it");
            clock.advance(Duration::from_secs(6));
            drop(permit);
        }
        let other = Scope::Organization(uuid::Uuid::from_u128(1).into());
        let joined: Vec<Presence> = std::iter::from_fn(|| queue.join(other).ok()).collect();
        assert!(joined.len() > 40, "{} of a burst wait", joined.len());
    }

    #[tokio::test]
    async fn whose_permit_does_not_come_in_time_is_refused() {
        let clock = ManualClock::still();
        let env = Env { clock, entropy: Arc::new(SystemEntropy) };
        let queue = Queue::new(Duration::from_millis(10), env);
        let held = queue.enter(Scope::Installation).await.expect("nobody is before it");
        let refused = queue.enter(Scope::Installation).await.expect_err("it is held");
        assert_eq!(refused.reason, Reason::OrganizationBusy);
        drop(held);
        assert!(queue.enter(Scope::Installation).await.is_ok());
    }
}
