//! Takes connections, as long as there are files for them.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::gate::{Admitted, Gate};
use super::prepare;
use crate::clock::{Backoff, Clock, Monotonic};

/// How long it pauses when the process can open no more files.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(10), most: Duration::from_secs(1) };
/// How often that is logged at the most.
const LOGGED: Duration = Duration::from_secs(10);

/// Takes connections until `stop`, each served in a task of its own; then waits until all of them have ended. Dropped, it cuts
/// them off.
pub(super) async fn run<F>(
    listener: TcpListener,
    gate: &std::sync::Arc<Gate>,
    clock: &dyn Clock,
    serve: impl Fn(TcpStream, Admitted) -> F,
    stop: CancellationToken,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut want = Want::default();
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            taken = listener.accept() => taken,
        };
        match taken.and_then(|(stream, address)| Ok((prepare(&stream, address)?, stream))) {
            Ok((address, stream)) => {
                want = Want { logged_at: want.logged_at, ..Want::default() };
                if let Some(admitted) = gate.admit(address) {
                    connections.spawn(serve(stream, admitted));
                }
            }
            Err(error) if is_want(&error) => {
                gate.evict_oldest();
                let pause = want.pause(clock.monotonic());
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = clock.sleep(pause) => {}
                }
            }
            // It was gone before it was taken.
            Err(_) => {}
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns whether there was nothing to take a connection with: it waits still, and would be found again at once.
fn is_want(error: &io::Error) -> bool {
    let numbers =
        [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOBUFS, rustix::io::Errno::NOMEM];
    error.raw_os_error().is_some_and(|number| numbers.iter().any(|errno| errno.raw_os_error() == number))
}

/// How long there has been nothing to take connections with.
#[derive(Default)]
struct Want {
    /// How often in a row.
    failures: u32,
    logged_at: Option<Monotonic>,
}

impl Want {
    fn pause(&mut self, now: Monotonic) -> Duration {
        if self.logged_at.is_none_or(|logged_at| now.since(logged_at) >= LOGGED) {
            self.logged_at = Some(now);
            tracing::warn!(
                "no more files can be opened for connections: raise the limit, or --connections is too high"
            );
        }
        self.failures = self.failures.saturating_add(1);
        PAUSES.after(self.failures)
    }
}
