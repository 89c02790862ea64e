//! Time in the simulation, and processes that are suspended in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use guildhall_client::{Clock, Moment, Spawned};

/// The simulation's time: true time, which runs whatever happens to hosts. Clones are the same clock.
#[derive(Clone, Default, Debug)]
pub struct SimulatedClock(Arc<AtomicU64>);

impl SimulatedClock {
    pub fn set(&self, elapsed: Duration) {
        self.0.store(u64::try_from(elapsed.as_nanos()).unwrap(), Ordering::SeqCst);
    }

    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

#[expect(clippy::disallowed_methods, reason = "the simulation moves the runtime's clock")]
impl Clock for SimulatedClock {
    fn now(&self) -> Moment {
        Moment::new(self.elapsed())
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Whether a process is suspended: its tasks are not run, while the world and its own clock go on.
#[derive(Clone, Default)]
pub struct Frozen(Arc<State>);

#[derive(Default)]
struct State {
    is_frozen: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Frozen {
    pub fn set(&self, is_frozen: bool) {
        self.0.is_frozen.store(is_frozen, Ordering::SeqCst);
        if !is_frozen {
            self.0.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
        }
    }

    /// Makes a task one of the process.
    pub fn freeze(&self, mut task: Spawned) -> impl Future<Output = ()> + Send + use<> {
        let state = Arc::clone(&self.0);
        std::future::poll_fn(move |context: &mut Context<'_>| {
            if state.is_frozen.load(Ordering::SeqCst) {
                state.waiting.lock().unwrap().push(context.waker().clone());
                return Poll::Pending;
            }
            task.as_mut().poll(context)
        })
    }
}
