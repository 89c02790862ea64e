//! Closed loops: so many calls or frames are under way at any time, and the next begins when one is answered. Shows the rate
//! that a server reaches, and how long answers take at that rate; never how long they would take at another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::frame::{Pool, Rpc};
use crate::measure::{Measured, Tally, Window, measure};
use crate::target::Target;

/// How much is under way at once.
#[derive(Clone, Copy, Debug)]
pub struct Pressure {
    /// Unary calls, over all connections.
    pub calls: usize,
    /// Streams, over all connections.
    pub streams: usize,
    /// Frames on each stream.
    pub frames: usize,
}

/// Keeps a target busy by one RPC for a window.
pub async fn run(target: &Arc<Target>, rpc: Rpc, pool: &Arc<Pool>, pressure: Pressure, window: Window) -> Measured {
    let mut tasks = JoinSet::new();
    let count = if rpc == Rpc::StreamChecks { pressure.streams } else { pressure.calls };
    for number in 0..count {
        let (target, pool) = (Arc::clone(target), Arc::clone(pool));
        // Each begins elsewhere, so that no two ask the same at once.
        let first = number * pool.len() / count;
        match rpc {
            Rpc::StreamChecks => tasks.spawn(stream(target, pool, number, first, pressure.frames, window)),
            Rpc::Check | Rpc::BatchCheck => tasks.spawn(calls(target, rpc, pool, number, first, window)),
        };
    }
    measure(target, window, tasks).await
}

/// Calls again and again.
async fn calls(
    target: Arc<Target>,
    rpc: Rpc,
    pool: Arc<Pool>,
    connection: usize,
    first: usize,
    window: Window,
) -> Tally {
    let (mut client, mut tally) = (target.client(connection), Tally::new());
    for number in first.. {
        let (frame, began_at) = (pool.frame(number), Instant::now());
        if began_at >= window.to {
            break;
        }
        let outcome = client.ask(&target, rpc, frame).await;
        let ended_at = Instant::now();
        match outcome {
            Ok(()) if window.has(ended_at) => tally.done(frame.items.len(), ended_at - began_at),
            Ok(()) => {}
            Err(error) => tally.failed(error),
        }
    }
    tally
}

/// Keeps some frames under way on one stream.
async fn stream(
    target: Arc<Target>,
    pool: Arc<Pool>,
    connection: usize,
    first: usize,
    frames: usize,
    window: Window,
) -> Tally {
    let mut tally = Tally::new();
    if let Err(error) = dialogue(&target, &pool, connection, first, frames, window, &mut tally).await {
        tally.failed(error);
    }
    tally
}

async fn dialogue(
    target: &Target,
    pool: &Pool,
    connection: usize,
    first: usize,
    frames: usize,
    window: Window,
    tally: &mut Tally,
) -> Result<(), String> {
    let (asking, mut answering) = target.client(connection).open(target, frames).await?;
    let mut waiting = VecDeque::with_capacity(frames);
    let mut numbers = first..;
    loop {
        while waiting.len() < frames
            && Instant::now() < window.to
            && let Some(number) = numbers.next()
        {
            waiting.push_back((number, Instant::now()));
            asking.ask(number as u64, pool.frame(number)).await?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let answers = answering.next().await?.ok_or("the stream ended")?;
        let ended_at = Instant::now();
        let at = waiting.iter().position(|(number, _)| *number as u64 == answers.frame_id());
        let (number, began_at) = at.and_then(|at| waiting.remove(at)).ok_or("an answer to what was not asked")?;
        let frame = pool.frame(number);
        match answers.verify(target, frame) {
            Ok(()) if window.has(ended_at) => tally.done(frame.items.len(), ended_at - began_at),
            Ok(()) => {}
            Err(error) => tally.failed(error),
        }
    }
}
