//! The clock of a server: the rule of `anchor` over the machine's clocks, with log lines and counts of what it meets.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::anchor::{Anchor, Course, Reading, Step};
use super::{Beginning, Clock, ClockHealth, Monotonic};
use crate::domain::time::Timestamp;

/// Who waits for an instant looks again after this at the latest: pauses do not count time in which the machine sleeps.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// A deviation from which on those who wait for an instant count anew.
const NOTICED: Duration = Duration::from_millis(10);
/// Steps in one direction come with at most one line in this time: an anchor may be two clocks that disagree.
const QUIET: Duration = Duration::from_secs(10);

/// Tells a time that never goes back, anchored at a clock that may.
pub struct AnchoredClock {
    shared: Arc<Shared>,
}

struct Shared {
    machine: Arc<dyn Clock>,
    keeping: Mutex<Keeping>,
    /// How time runs now; what `keeping` says of it.
    course: ArcSwap<Course>,
    /// The latest that was told: a course that was just replaced may have told more than the next one does.
    latest: AtomicI64,
    /// Wakes those who wait for an instant when it comes at another moment than was thought.
    turned: Notify,
}

struct Keeping {
    anchor: Anchor,
    /// Whether the anchor is the database's clock; else it is the machine's.
    is_databases: bool,
    steps_back: u64,
    steps_forward: u64,
    /// When a step back, and one forward, was last told.
    told_back_at: Option<Monotonic>,
    told_forward_at: Option<Monotonic>,
    /// Whether the last step forward was told.
    is_told: bool,
}

impl std::fmt::Debug for AnchoredClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnchoredClock").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl AnchoredClock {
    /// Makes a clock that is anchored at the wall clock of `machine`, and counts by its monotonic one.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        let anchor = Anchor::new(read(&*machine));
        let shared = Shared {
            course: ArcSwap::from_pointee(anchor.course()),
            latest: AtomicI64::new(i64::MIN),
            turned: Notify::new(),
            keeping: Mutex::new(Keeping {
                anchor,
                is_databases: false,
                steps_back: 0,
                steps_forward: 0,
                told_back_at: None,
                told_forward_at: None,
                is_told: false,
            }),
            machine,
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Clock for AnchoredClock {
    fn now(&self) -> Timestamp {
        self.shared.now()
    }

    fn monotonic(&self) -> Monotonic {
        self.shared.machine.monotonic()
    }

    fn sleep_until(&self, instant: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            loop {
                let mut turned = pin!(shared.turned.notified());
                // Before the course is read, so that no turn is missed.
                turned.as_mut().enable();
                if shared.now() >= instant {
                    return;
                }
                let left = shared.course.load().until(instant, shared.machine.monotonic());
                tokio::select! {
                    () = turned => {}
                    () = shared.machine.sleep(left.min(PAUSE_MAX)) => {}
                }
            }
        })
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.shared.machine.sleep(duration)
    }

    fn begin(&self, beginning: &Beginning) {
        let shared = &self.shared;
        let mut keeping = shared.keeping.lock();
        keeping.is_databases = beginning.database.is_some();
        let reading = beginning.database.unwrap_or_else(|| read(&*shared.machine));
        keeping.anchor = match beginning.recorded {
            Some(recorded) if beginning.may_go_back => Anchor::by_the_anchor(reading, recorded),
            Some(recorded) => Anchor::not_before(reading, recorded, beginning.unrecorded),
            None => Anchor::new(reading),
        };
        // What was told before is of no consequence: nothing has been issued or verified by it.
        shared.latest.store(i64::MIN, Ordering::Relaxed);
        shared.follow(&keeping.anchor, true);
        if let Some(behind) = keeping.anchor.behind_record(reading.answered_at) {
            let (clock, seconds) = (keeping.whose(), behind.as_secs_f64());
            if beginning.may_go_back {
                tracing::warn!(
                    clock,
                    seconds,
                    "the clock is before the newest commit, and followed as was asked for: what has expired since counts \
                     again",
                );
            } else {
                tracing::warn!(
                    clock,
                    seconds,
                    "the clock is before the newest commit: time goes on from there, at half speed until the clock has \
                     caught up",
                );
            }
        }
    }

    fn observe(&self, database: Option<Reading>) {
        let shared = &self.shared;
        let mut keeping = shared.keeping.lock();
        let reading = match (keeping.is_databases, database) {
            (true, Some(reading)) => reading,
            (true, None) => return,
            (false, _) => read(&*shared.machine),
        };
        let now = shared.machine.monotonic();
        let step = keeping.anchor.observe(reading, now);
        shared.follow(&keeping.anchor, step.is_some());
        if let Some(step) = step {
            keeping.report(step, now);
        }
    }

    fn health(&self) -> ClockHealth {
        let keeping = self.shared.keeping.lock();
        ClockHealth {
            deviation_micros: keeping.anchor.deviation(),
            steps_back: keeping.steps_back,
            steps_forward: keeping.steps_forward,
            behind_record: keeping.anchor.behind_record(self.shared.machine.monotonic()),
        }
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        let time = self.course.load().at(self.machine.monotonic()).as_micros();
        Timestamp::from_micros(self.latest.fetch_max(time, Ordering::Relaxed).max(time))
    }

    /// Goes by the course that the anchor sets from now on; `has_turned` if it is another one altogether.
    fn follow(&self, anchor: &Anchor, has_turned: bool) {
        self.course.store(Arc::new(anchor.course()));
        if has_turned || u128::from(anchor.deviation().unsigned_abs()) > NOTICED.as_micros() {
            self.turned.notify_waiters();
        }
    }
}

impl Keeping {
    fn whose(&self) -> &'static str {
        if self.is_databases { "the database's" } else { "this machine's" }
    }

    /// Counts a step, and says what is done about it.
    fn report(&mut self, step: Step, now: Monotonic) {
        let clock = self.whose();
        match step {
            Step::Back(by) => {
                self.steps_back += 1;
                if is_due(&mut self.told_back_at, now) {
                    tracing::warn!(
                        clock,
                        seconds = by.as_secs_f64(),
                        "the clock was set back: not followed, time runs at half speed until the clock has caught up",
                    );
                }
            }
            Step::Forward(by) => {
                self.steps_forward += 1;
                self.is_told = is_due(&mut self.told_forward_at, now);
                if self.is_told {
                    tracing::warn!(
                        clock,
                        seconds = by.as_secs_f64(),
                        "the clock was set forward: followed once it has said so for a minute",
                    );
                }
            }
            Step::Followed(by) => tracing::warn!(clock, seconds = by.as_secs_f64(), "the step forward is followed"),
            Step::Withdrawn if self.is_told => {
                tracing::warn!(clock, "the step forward was taken back and is not followed");
            }
            Step::Withdrawn => {}
        }
    }
}

/// Returns whether something that was last told then may be told now, and notes that it is.
fn is_due(told_at: &mut Option<Monotonic>, now: Monotonic) -> bool {
    let is_due = told_at.is_none_or(|told_at| now.since(told_at) >= QUIET);
    if is_due {
        *told_at = Some(now);
    }
    is_due
}

/// Reads a machine's wall clock.
fn read(machine: &dyn Clock) -> Reading {
    let asked_at = machine.monotonic();
    let time = machine.now();
    Reading { time, asked_at, answered_at: machine.monotonic() }
}

#[cfg(test)]
mod tests;
