//! Open loops: calls begin at a fixed rate, however long the answers take. A latency is counted from the instant at which the
//! call was meant to begin, so that a server that stands still for a moment pays for all who would have called in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::frame::{Pool, Rpc};
use crate::measure::{Measured, Tally, Window, measure};
use crate::target::{Answering, Target};

/// How long answers are waited for after the last call.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks frames of `pool` by one RPC at `rate` a second for a window.
pub async fn run(
    target: &Arc<Target>,
    rpc: Rpc,
    pool: &Arc<Pool>,
    rate: f64,
    streams: usize,
    window: Window,
) -> Measured {
    let mut tasks = JoinSet::new();
    match rpc {
        Rpc::Check | Rpc::BatchCheck => {
            tasks.spawn(calls(Arc::clone(target), rpc, Arc::clone(pool), rate, window));
        }
        Rpc::StreamChecks => {
            let mut tickets = Vec::new();
            for number in 0..streams {
                let (given, taken) = mpsc::unbounded_channel();
                tickets.push(given);
                tasks.spawn(stream(Arc::clone(target), Arc::clone(pool), number, taken, window));
            }
            // A stream that has failed has told so.
            pace(rate, window, move |number, meant_at| {
                let _ = tickets[number % streams].send((number, meant_at));
            });
        }
    }
    measure(target, window, tasks).await
}

/// Calls `begin` with each number and the instant that is meant for it, from a thread of its own: the runtime's timers
/// count in milliseconds.
fn pace(rate: f64, window: Window, mut begin: impl FnMut(usize, Instant) + Send + 'static) {
    let first_at = Instant::now();
    std::thread::spawn(move || {
        for number in 0.. {
            let meant_at = first_at + Duration::from_secs_f64(number as f64 / rate);
            if meant_at >= window.to {
                return;
            }
            std::thread::sleep(meant_at.saturating_duration_since(Instant::now()));
            begin(number, meant_at);
        }
    });
}

async fn calls(target: Arc<Target>, rpc: Rpc, pool: Arc<Pool>, rate: f64, window: Window) -> Tally {
    let (tally, calls) = (Arc::new(Mutex::new(Tally::new())), TaskTracker::new());
    let (runtime, tracker, shared) = (tokio::runtime::Handle::current(), calls.clone(), Arc::clone(&tally));
    let connections: Vec<_> = (0..target.connections()).map(|number| target.client(number)).collect();
    pace(rate, window, move |number, meant_at| {
        let (target, pool, tally) = (Arc::clone(&target), Arc::clone(&pool), Arc::clone(&shared));
        let mut client = connections[number % connections.len()].clone();
        let call = async move {
            let frame = pool.frame(number);
            let outcome = client.ask(&target, rpc, frame).await;
            let took = meant_at.elapsed();
            match outcome {
                Ok(()) if window.has(meant_at) => tally.lock().done(frame.items.len(), took),
                Ok(()) => {}
                Err(error) => tally.lock().failed(error),
            }
        };
        tracker.spawn_on(call, &runtime);
    });
    tokio::time::sleep_until(window.to.into()).await;
    calls.close();
    let is_late = tokio::time::timeout(PATIENCE, calls.wait()).await.is_err();
    let mut tally = tally.lock().clone();
    if is_late {
        tally.failed(format!("{} calls were not answered {PATIENCE:?} after the last began", calls.len()));
    }
    tally
}

/// What waits on a stream for its answer: when it was meant to begin, by its number.
type Waiting = Mutex<HashMap<u64, Instant>>;

async fn stream(
    target: Arc<Target>,
    pool: Arc<Pool>,
    connection: usize,
    mut tickets: mpsc::UnboundedReceiver<(usize, Instant)>,
    window: Window,
) -> Tally {
    let mut tally = Tally::new();
    let (asking, answering) = match target.client(connection).open(&target, 1).await {
        Ok(stream) => stream,
        Err(error) => {
            tally.failed(error);
            return tally;
        }
    };
    let waiting = Waiting::default();
    let ask = async {
        while let Some((number, meant_at)) = tickets.recv().await {
            waiting.lock().insert(number as u64, meant_at);
            asking.ask(number as u64, pool.frame(number)).await?;
        }
        // The server ends the stream once it has answered everything.
        drop(asking);
        Ok::<(), String>(())
    };
    let answers = collect(&target, &pool, answering, &waiting, window, &mut tally);
    let limit = window.to + PATIENCE;
    let ended = tokio::time::timeout_at(limit.into(), async { tokio::try_join!(ask, answers) }).await;
    match ended {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tally.failed(error),
        Err(_) => tally.failed(format!("{} frames were not answered in time", waiting.lock().len())),
    }
    tally
}

async fn collect(
    target: &Target,
    pool: &Pool,
    mut answering: Answering,
    waiting: &Waiting,
    window: Window,
    tally: &mut Tally,
) -> Result<(), String> {
    while let Some(answers) = answering.next().await? {
        let number = answers.frame_id();
        let meant_at = waiting.lock().remove(&number).ok_or("an answer to what was not asked")?;
        let took = meant_at.elapsed();
        let frame = pool.frame(usize::try_from(number).unwrap_or_default());
        match answers.verify(target, frame) {
            Ok(()) if window.has(meant_at) => tally.done(frame.items.len(), took),
            Ok(()) => {}
            Err(error) => tally.failed(error),
        }
    }
    match waiting.lock().len() {
        0 => Ok(()),
        left => Err(format!("the stream ended with {left} frames unanswered")),
    }
}
