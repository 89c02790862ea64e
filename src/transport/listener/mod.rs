//! The listeners: who is let in, how long they may take, and what becomes of them where there is no room.
//!
//! `accept` takes connections, `gate` keeps the bounds, `connection` and `answer` are gRPC's HTTP/2, `plain` is the HTTP/1 of
//! probes and metrics. Both listeners have a gate of their own.

mod accept;
mod answer;
mod connection;
mod descriptors;
mod gate;
mod gated;
mod plain;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(super) use gate::{Connected, Place};
pub use plain::serve_plain;

use super::dispatch::Dispatch;
use super::layer::{HotPath, Share, within};
use super::source::Sources;
use crate::clock::{Clock, Monotonic};
use crate::config::ListenerLimits;
use crate::telemetry::Metrics;
use gate::{Admitted, Bounds, Gate};

/// Connections of plain HTTP from one source: so many times fewer than there may be in all.
const HTTP_SOURCES: usize = 4;

/// What a listener does with connections.
pub struct Listening {
    /// Without it, plaintext.
    pub tls: Option<TlsAcceptor>,
    /// After which time a connection takes no new calls: those under way end, and the client opens another, perhaps to
    /// another replica.
    pub connection_age: Duration,
    /// Bounds.
    pub limits: ListenerLimits,
    /// Whose connections are those of any number of users.
    pub proxies: Sources,
    /// By which connections are waited for. What a network does is no matter of rules, so tests do not move it.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Listening {
    fn gate(&self) -> Arc<Gate> {
        let limits = &self.limits;
        let number = |number: u32| number as usize;
        let bounds = Bounds {
            connections: descriptors::room_for(number(limits.connections)),
            anonymous: (number(limits.anonymous_connections), number(limits.anonymous_connections_per_source)),
            calls: (number(limits.anonymous_calls), number(limits.anonymous_calls_per_source)),
            per_credential: limits.connections_per_credential,
        };
        Gate::new(bounds, self.proxies.clone(), Arc::clone(&self.metrics))
    }

    /// Makes the gate of plain HTTP, where nobody presents a credential.
    fn plain_gate(&self) -> Arc<Gate> {
        let most = self.limits.http_connections as usize;
        let per_source = (most / HTTP_SOURCES).max(1);
        let bounds =
            Bounds { connections: most, anonymous: (most, per_source), calls: (most, per_source), per_credential: 0 };
        Gate::new(bounds, self.proxies.clone(), Arc::clone(&self.metrics))
    }
}

/// What every gRPC connection of a server works with.
struct Serving {
    hot_path: HotPath,
    dispatch: Dispatch,
    limits: ListenerLimits,
    connection_age: Duration,
    clock: Arc<dyn Clock>,
}

/// Serves gRPC on `listener` until `stop`; then lets the calls under way end.
pub(super) async fn serve_grpc(
    listener: TcpListener,
    listening: Listening,
    hot_path: HotPath,
    dispatch: Dispatch,
    stop: CancellationToken,
) {
    let gate = listening.gate();
    let Listening { tls, connection_age, limits, clock, .. } = listening;
    let serving = Arc::new(Serving { hot_path, dispatch, limits, connection_age, clock: Arc::clone(&clock) });
    let connections_stop = stop.clone();
    let serve = move |stream: TcpStream, admitted: Admitted| {
        open(stream, admitted, tls.clone(), Arc::clone(&serving), connections_stop.clone())
    };
    accept::run(listener, &gate, &*clock, serve, stop).await;
}

/// Shakes hands, and serves.
async fn open(
    stream: TcpStream,
    admitted: Admitted,
    tls: Option<TlsAcceptor>,
    serving: Arc<Serving>,
    stop: CancellationToken,
) {
    let now = serving.clock.monotonic();
    let patience = serving.limits.handshake_timeout;
    let deadline = Monotonic(now.0.saturating_add(patience));
    let connected = Arc::clone(admitted.connected());
    let Some(tls) = tls else {
        return connection::serve(stream, deadline, connected, serving, stop).await;
    };
    let shaken = tokio::select! {
        shaken = within(tls.accept(stream), patience, &*serving.clock) => shaken,
        () = connected.evicted() => None,
    };
    if let Some(Ok(stream)) = shaken {
        connection::serve(stream, deadline, connected, serving, stop).await;
    }
}

/// Prepares a connection that was taken; where it comes from.
fn prepare(stream: &TcpStream, address: std::net::SocketAddr) -> io::Result<IpAddr> {
    // Answers go out at once, without waiting for more.
    stream.set_nodelay(true)?;
    Ok(address.ip())
}
