//! Plain HTTP beside gRPC: signs of life, metrics, and the public keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::incoming::ServerState;
use crate::workers::{Condition, Workers};

/// Whether the server takes calls: not before the first load, and not while it drains.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    /// Returns whether the server takes calls from now on.
    pub fn set(&self, is_ready: bool) {
        self.0.store(is_ready, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Clone)]
struct Endpoints {
    server: ServerState,
    health: Health,
    workers: Arc<Workers>,
}

/// Makes the router of /healthz, /readyz, /metrics and /.well-known/jwks.json.
pub fn router(server: ServerState, health: Health, workers: Arc<Workers>) -> Router {
    Router::new()
        // Liveness depends on nothing: a database that is away is no reason to be restarted.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/.well-known/jwks.json", get(jwks))
        .with_state(Endpoints { server, health, workers })
}

/// Answers whether the server takes calls, and below that how it is. Nothing of the detail changes the status: a
/// replica that is taken out because the database is away answers nobody.
async fn ready(State(endpoints): State<Endpoints>) -> (StatusCode, String) {
    let is_ready = endpoints.health.is_ready();
    let (status, word) =
        if is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (status, format!("{word}\n{}", detail(&endpoints)))
}

fn detail(endpoints: &Endpoints) -> String {
    let engine = &endpoints.server.services.engine;
    let mut lines = vec![
        format!("memory proven current {:.1} s ago", engine.log_age().as_secs_f64()),
        format!("memory compared with the database {:.1} s ago", engine.round_age().as_secs_f64()),
    ];
    if engine.is_stale() {
        lines.push("nothing is allowed: too long nothing was proven current".into());
    }
    if engine.is_history_withheld() {
        lines.push("the database does not tell which one it is: only comparing proves anything current".into());
    }
    lines.extend(endpoints.server.env.clock.health().warning());
    lines.extend(endpoints.workers.all().into_iter().map(|worker| {
        let seconds = worker.silent_for.as_secs_f64();
        match worker.condition {
            Condition::Working => format!("worker {}: progress {seconds:.1} s ago", worker.name),
            Condition::Stuck => format!("worker {}: STUCK, no progress for {seconds:.1} s", worker.name),
            Condition::Panicked => format!("worker {}: PANICKED, restart the server", worker.name),
        }
    }));
    lines.into_iter().map(|line| line + "\n").collect()
}

async fn metrics(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    let (metrics, engine) = (&endpoints.server.metrics, &endpoints.server.services.engine);
    let clock = endpoints.server.env.clock.health();
    let (subscriptions, subscription_bytes) = engine.subscriptions();
    let gauges = [
        (&metrics.organizations, engine.organizations() as u64),
        (&metrics.index_bytes, engine.bytes() as u64),
        (&metrics.evictions, engine.evictions()),
        (&metrics.compactions, engine.compactions()),
        (&metrics.subscriptions, subscriptions as u64),
        (&metrics.subscription_bytes, subscription_bytes as u64),
        (&metrics.histories_replaced, engine.histories_replaced()),
        (&metrics.connections_replaced, endpoints.server.services.store.connections_replaced()),
        (&metrics.databases_exchanged, engine.databases_exchanged()),
        (&metrics.history_withheld, u64::from(engine.is_history_withheld())),
        (&metrics.clock_steps_back, clock.steps_back),
        (&metrics.clock_steps_forward, clock.steps_forward),
    ];
    for (gauge, value) in gauges {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    metrics.clock_deviation.set(clock.deviation_seconds());
    metrics.log_age.set(engine.log_age().as_secs_f64());
    metrics.round_age.set(engine.round_age().as_secs_f64());
    for worker in endpoints.workers.all() {
        metrics.worker(worker.name, worker.silent_for, worker.condition != Condition::Working);
    }
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], metrics.render())
}

async fn jwks(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, endpoints.server.services.tokens.jwks().to_string())
}
