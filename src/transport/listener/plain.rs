//! Plain HTTP/1: probes, metrics, keys. Small requests, and answers that are there at once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::accept;
use super::gate::{Admitted, Connected};
use super::{Listening, within};
use crate::clock::Clock;

/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a connection is kept for further requests. A client that takes its answer drop by drop has no longer.
const AGE_MAX: Duration = Duration::from_mins(2);

/// Serves `router` on `listener` until `stop`; then lets the requests under way end.
pub async fn serve_plain(listener: TcpListener, listening: Listening, router: Router, stop: CancellationToken) {
    let gate = listening.plain_gate();
    let (clock, patience) = (Arc::clone(&listening.clock), listening.limits.handshake_timeout);
    let connections_stop = stop.clone();
    let serve = {
        let clock = Arc::clone(&clock);
        move |stream: TcpStream, admitted: Admitted| {
            connection(stream, admitted, router.clone(), patience, Arc::clone(&clock), connections_stop.clone())
        }
    };
    accept::run(listener, &gate, &*clock, serve, stop).await;
}

async fn connection(
    stream: TcpStream,
    admitted: Admitted,
    router: Router,
    patience: Duration,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let connected: Arc<Connected> = Arc::clone(admitted.connected());
    let service = {
        let connected = Arc::clone(&connected);
        tower::service_fn(move |request| {
            let underway = connected.begin_call();
            let answer = tower::ServiceExt::oneshot(router.clone(), request);
            async move {
                let answer = answer.await;
                drop(underway);
                answer
            }
        })
    };
    // The time for a head counts from the end of the request before, too: silence is a head that does not come.
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut serving = pin!(serving);
    let ended = async {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = connected.evicted() => return,
            () = clock.sleep(AGE_MAX) => {}
            () = stop.cancelled() => {}
        }
        serving.as_mut().graceful_shutdown();
        let _ = within(serving.as_mut(), patience, &*clock).await;
    };
    ended.await;
}
