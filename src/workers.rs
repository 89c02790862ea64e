//! The background workers of a server: one driver runs each [`Job`] turn by turn, and notes when it last made progress, so that
//! one that hangs or has panicked is seen: in the readiness detail, in the metrics, and once in the log.
//!
//! Progress is a turn that has ended, whether or not what it did has succeeded: what fails is logged by the job itself, and
//! is tried again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Monotonic};

/// How the background tasks of a server are.
pub struct Workers {
    clock: Arc<dyn Clock>,
    pulses: Mutex<Vec<Pulse>>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

/// One background task, as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Worker {
    /// What it is called.
    pub name: &'static str,
    /// How it is.
    pub condition: Condition,
    /// How long ago it made progress.
    pub silent_for: Duration,
}

/// How a background task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It has made progress within its bound.
    Working,
    /// It has not.
    Stuck,
    /// It is no more.
    Panicked,
}

/// Something that is done again and again beside the calls.
pub trait Job: Send + 'static {
    /// What it is called in metrics and in the log.
    const NAME: &'static str;
    /// After how long without progress it counts as stuck.
    const BOUND: Duration;
    /// Whether it takes a last turn once the server ends.
    const ENDS_WITH_A_TURN: bool = false;

    /// Returns how long to wait before the first turn.
    fn first_pause(&self) -> Duration;

    /// Does what there is to do, as much as one turn takes, and returns how long to pause. A turn that takes long notes in
    /// between that it makes progress.
    fn turn(&mut self, pulse: &Pulse) -> impl Future<Output = Duration> + Send;

    /// Ends a pause early.
    fn woken(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Runs a job turn by turn until `stop`.
pub async fn drive<J: Job>(mut job: J, clock: Arc<dyn Clock>, pulse: Pulse, stop: CancellationToken) {
    let mut pause = job.first_pause();
    loop {
        let is_last = if pause.is_zero() {
            stop.is_cancelled()
        } else {
            tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = job.woken() => false,
                () = clock.sleep(pause) => false,
            }
        };
        if is_last && !J::ENDS_WITH_A_TURN {
            return;
        }
        pause = job.turn(&pulse).await;
        pulse.beat();
        if is_last {
            return;
        }
    }
}

impl Workers {
    /// Makes a watch over no task yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, pulses: Mutex::default() }
    }

    /// Starts a job, which is driven until `stop`.
    pub fn start<J: Job>(&self, job: J, stop: &CancellationToken) -> JoinHandle<()> {
        let (clock, stop) = (Arc::clone(&self.clock), stop.clone());
        self.spawn(J::NAME, J::BOUND, |pulse| drive(job, clock, pulse, stop))
    }

    /// Starts a task that is stuck once it notes no progress for as long as `bound`.
    pub fn spawn<F>(&self, name: &'static str, bound: Duration, task: impl FnOnce(Pulse) -> F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let pulse = Pulse::new(name, bound, Arc::clone(&self.clock));
        self.pulses.lock().push(pulse.clone());
        let task = task(pulse.clone());
        tokio::spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                // What it says may hold anything; the panic hook has written it to the log.
                pulse.shared.has_panicked.store(true, Ordering::Release);
                tracing::error!(worker = name, "a background task panicked: restart the server");
            }
        })
    }

    /// Returns every task, as it is now.
    #[must_use]
    pub fn all(&self) -> Vec<Worker> {
        self.pulses.lock().iter().map(Pulse::look).collect()
    }

    /// Looks at every task, and logs those that have become stuck or go on since the last look.
    pub fn tell(&self) {
        let pulses = self.pulses.lock().clone();
        for pulse in pulses {
            let Worker { name, condition, silent_for } = pulse.look();
            let is_stuck = condition == Condition::Stuck;
            match (pulse.shared.is_told.swap(is_stuck, Ordering::AcqRel), is_stuck) {
                (false, true) => {
                    tracing::error!(worker = name, ?silent_for, "a background task makes no progress");
                }
                (true, false) if condition == Condition::Working => {
                    tracing::info!(worker = name, "a background task makes progress again");
                }
                _ => {}
            }
        }
    }
}

/// What a task notes its progress by.
#[derive(Clone)]
pub struct Pulse {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

struct Shared {
    name: &'static str,
    bound: Duration,
    /// In nanoseconds of the monotonic clock.
    beaten_at: AtomicU64,
    has_panicked: AtomicBool,
    is_told: AtomicBool,
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pulse").field(&self.shared.name).finish()
    }
}

impl Pulse {
    /// Makes the pulse of a task that is to make progress within `bound`, from now on.
    #[must_use]
    pub fn new(name: &'static str, bound: Duration, clock: Arc<dyn Clock>) -> Self {
        let (beaten_at, has_panicked, is_told) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let pulse = Self { shared: Arc::new(Shared { name, bound, beaten_at, has_panicked, is_told }), clock };
        pulse.beat();
        pulse
    }

    /// Notes that the task has made progress.
    pub fn beat(&self) {
        let nanos = u64::try_from(self.clock.monotonic().0.as_nanos()).unwrap_or(u64::MAX);
        self.shared.beaten_at.store(nanos, Ordering::Release);
    }

    fn look(&self) -> Worker {
        let beaten_at = Monotonic(Duration::from_nanos(self.shared.beaten_at.load(Ordering::Acquire)));
        let silent_for = self.clock.monotonic().since(beaten_at);
        let condition = match self.shared.has_panicked.load(Ordering::Acquire) {
            true => Condition::Panicked,
            false if silent_for > self.shared.bound => Condition::Stuck,
            false => Condition::Working,
        };
        Worker { name: self.shared.name, condition, silent_for }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::clock::testing::ManualClock;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_task_that_makes_no_progress_is_logged_once_and_once_when_it_goes_on() {
        let clock = ManualClock::still();
        let workers = Workers::new(clock.clone());
        let pulse = Mutex::new(None);
        let _task = workers.spawn("mail", Duration::from_secs(10), |given| {
            *pulse.lock() = Some(given);
            std::future::pending()
        });
        let pulse = pulse.lock().take().expect("a pulse");
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            for _second in 1..30 {
                clock.advance(Duration::from_secs(1));
                workers.tell();
            }
            pulse.beat();
            workers.tell();
            workers.tell();
        });
        let text = String::from_utf8(lines.0.lock().clone()).expect("text");
        let said: Vec<&str> = text.lines().collect();
        assert_eq!(said.len(), 2, "{text}");
        assert!(
            said[0].contains("ERROR") && said[0].contains("makes no progress") && said[0].contains("mail"),
            "{text}"
        );
        assert!(said[1].contains("INFO") && said[1].contains("makes progress again"), "{text}");
    }
}
