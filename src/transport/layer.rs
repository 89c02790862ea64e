//! The one layer before all services, written by hand: a stack of boxed layers would cost a third of the rate.
//!
//! In this order, and why: the call id first, since everything after names it; the deadline, since it counts from the
//! arrival; the credential; what the method option asks of it; then the service, with panics caught, so that a bug is
//! one INTERNAL and not a lost connection; and last the metrics, which see every outcome. Health and reflection pass by.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use quick_cache::sync::Cache;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use super::call::Call;
use super::status::status;
use crate::auth::hash_of;
use crate::clock::Monotonic;
use crate::domain::catalog::{Catalog, RoleId};
use crate::domain::error::{Error, Reason};
use crate::domain::fact::Held;
use crate::domain::place::{Place, Subject};
use crate::rpc::{Required, Rpc};
use crate::service::{Caller, Services};
use crate::telemetry::{Metrics, SPAN_TARGET};

/// How many verified credentials are remembered.
const REMEMBERED_MAX: usize = 100_000;
/// How much earlier than the transport around it, which says CANCELLED, this layer answers that the deadline has passed:
/// a tenth of the time, but no less than timers take to tell two instants apart, and no more than need be.
const DEADLINE_MARGIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(5));

/// Turns a credential into its caller, and remembers what was verified by the credential's hash.
///
/// What is remembered is asked again of the installation's index at every call: an ended session or a revoked key is
/// refused at once all the same.
pub struct Authenticator {
    services: Arc<Services>,
    remembered: Cache<[u8; 32], Caller>,
    catalog: Arc<Catalog>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticator")
    }
}

impl Authenticator {
    /// Makes an authenticator; `catalog` is any, for the name of the built-in role.
    #[must_use]
    pub fn new(services: Arc<Services>, catalog: Arc<Catalog>) -> Self {
        Self { services, remembered: Cache::new(REMEMBERED_MAX), catalog }
    }

    /// Finds who calls; nobody without a credential.
    async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Error> {
        let Some(header) = headers.get(http::header::AUTHORIZATION) else { return Ok(None) };
        let text = header.to_str().ok().and_then(|text| text.split_once(' '));
        let Some((_, credential)) = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
            return Err(invalid());
        };
        let hash = hash_of(credential);
        let caller = match self.remembered.get(&hash) {
            Some(caller) => caller,
            None => {
                let caller = self.services.authenticate(credential).await?;
                self.remembered.insert(hash, caller);
                caller
            }
        };
        self.services.engine.must_be_alive(&caller).inspect_err(|_| {
            self.remembered.remove(&hash);
        })?;
        Ok(Some(caller))
    }

    /// Asks what the method option asks of whoever calls, as far as it needs no message.
    fn admit(&self, rpc: Rpc, caller: Option<&Caller>) -> Result<(), Error> {
        match (rpc.required(), caller) {
            (Required::Public, _) | (Required::Authenticated | Required::Permission { .. }, Some(_)) => Ok(()),
            (Required::Operator, Some(caller)) if self.is_operator(caller.subject) => Ok(()),
            (Required::Operator, Some(_)) => Err(Error::new(Reason::OperatorRequired, "only operators may call this")),
            (_, None) => Err(Error::new(Reason::CredentialMissing, "a credential is needed")),
        }
    }

    fn is_operator(&self, subject: Subject) -> bool {
        let now = self.services.world.now();
        let operator = &self.catalog.role(RoleId::OPERATOR).name;
        self.services.engine.installation().held_above(subject).any(|grant| {
            grant.place == Place::Installation
                && !grant.is_expired(now)
                && matches!(&grant.held, Held::Role(role) if role == operator)
        })
    }
}

fn invalid() -> Error {
    Error::new(Reason::CredentialInvalid, "the credential is not one of this service")
}

/// The layer.
#[derive(Clone)]
pub struct HotPath {
    shared: Arc<Shared>,
}

struct Shared {
    authenticator: Authenticator,
    metrics: Arc<Metrics>,
    rpcs: HashMap<&'static str, Rpc>,
    /// The share of calls with a span where the caller does not say; none without an exporter.
    trace_ratio: Option<f64>,
    propagator: TraceContextPropagator,
}

impl std::fmt::Debug for HotPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HotPath")
    }
}

impl HotPath {
    /// Makes the layer. Without a `trace_ratio` no span is made.
    #[must_use]
    pub fn new(authenticator: Authenticator, metrics: Arc<Metrics>, trace_ratio: Option<f64>) -> Self {
        let rpcs = Rpc::ALL.iter().map(|rpc| (rpc.path(), *rpc)).collect();
        let propagator = TraceContextPropagator::new();
        Self { shared: Arc::new(Shared { authenticator, metrics, rpcs, trace_ratio, propagator }) }
    }
}

impl<S> Layer<S> for HotPath {
    type Service = HotPathService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HotPathService { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A service behind the layer.
#[derive(Clone)]
pub struct HotPathService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> std::fmt::Debug for HotPathService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HotPathService")
    }
}

impl<S> Service<Request<Body>> for HotPathService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The service that was ready is the one to call.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        match self.shared.rpcs.get(request.uri().path()) {
            Some(rpc) => Box::pin(Arc::clone(&self.shared).run(inner, *rpc, request)),
            None => {
                let mut inner = inner;
                Box::pin(inner.call(request))
            }
        }
    }
}

impl Shared {
    async fn run<S>(self: Arc<Self>, inner: S, rpc: Rpc, request: Request<Body>) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let world = &self.authenticator.services.world;
        let (call_id, began_at) = (world.id::<Uuid>(), world.clock.monotonic());
        let span = self.span(rpc, call_id, request.headers());
        let handled = self.handle(inner, rpc, call_id, began_at, request);
        let response = match span {
            Some(span) => handled.instrument(span).await,
            None => handled.await,
        }?;
        let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok());
        self.metrics.count(rpc, code.unwrap_or(0), world.clock.monotonic().since(began_at));
        Ok(response)
    }

    async fn handle<S>(
        &self,
        mut inner: S,
        rpc: Rpc,
        call_id: Uuid,
        began_at: Monotonic,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let refuse = |error: Error| Ok(status(&error, rpc.path(), call_id).into_http());
        let timeout = match timeout(request.headers()) {
            Ok(timeout) => timeout,
            Err(error) => return refuse(error),
        };
        let passed = || Error::new(Reason::DeadlineExceeded, "the deadline has passed");
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return refuse(passed());
        }
        let deadline = timeout.map(|timeout| Monotonic(began_at.0.saturating_add(timeout)));
        let serve = async {
            let caller = match self.authenticator.caller(request.headers()).await {
                Ok(caller) => caller,
                Err(error) => return refuse(error),
            };
            if let Err(error) = self.authenticator.admit(rpc, caller.as_ref()) {
                return refuse(error);
            }
            request.extensions_mut().insert(Call { rpc, id: call_id, caller, deadline });
            match AssertUnwindSafe(inner.call(request)).catch_unwind().await {
                Ok(Ok(response)) if is_unread(&response) => {
                    refuse(Error::new(Reason::RequestInvalid, "the message cannot be read, or is too large"))
                }
                Ok(response) => response,
                // What it says may hold anything; the panic hook has written it to the log.
                Err(_) => refuse(Error::internal("a handler panicked")),
            }
        };
        let Some(timeout) = timeout else { return serve.await };
        let world = &self.authenticator.services.world;
        tokio::select! {
            response = serve => response,
            () = world.clock.sleep(timeout) => refuse(passed()),
        }
    }

    /// Makes the span of a call that is sampled: where the caller says so, and of the others a share.
    fn span(&self, rpc: Rpc, call_id: Uuid, headers: &HeaderMap) -> Option<tracing::Span> {
        let ratio = self.trace_ratio?;
        let parent = self.propagator.extract(&Headers(headers));
        let context = parent.span().span_context().clone();
        let draw = || f64::from(u32::from_le_bytes(self.authenticator.services.world.random())) / f64::from(u32::MAX);
        let is_sampled = if context.is_valid() { context.is_sampled() } else { draw() < ratio };
        if !is_sampled {
            return None;
        }
        let path = rpc.path();
        let span = tracing::info_span!(target: SPAN_TARGET, "rpc", otel.name = path, otel.kind = "server",
            rpc.system = "grpc", rpc.method = path, %call_id);
        if context.is_valid() {
            // Fails only without an exporter, and then there is no ratio.
            let _ = span.set_parent(parent);
        }
        Some(span)
    }
}

/// Says whether the transport below the handlers refused a message: as a bug of ours, or with a code that is not in the
/// contract. Every status of the handlers has details.
fn is_unread(response: &Response<Body>) -> bool {
    Status::from_header_map(response.headers())
        .is_some_and(|status| matches!(status.code(), Code::Internal | Code::OutOfRange) && status.details().is_empty())
}

/// Reads how long the caller waits, less the margin in which this layer answers first.
///
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>: at most 8 digits and a unit.
///
/// # Errors
/// - [`Reason::HeaderMalformed`].
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(header) = headers.get("grpc-timeout") else { return Ok(None) };
    let refuse = || Error::new(Reason::HeaderMalformed, "the header grpc-timeout cannot be read");
    let text = header.to_str().map_err(|_| refuse())?;
    let unit = text.chars().last().ok_or_else(refuse)?;
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(refuse());
    }
    let number: u64 = digits.parse().map_err(|_| refuse())?;
    let timeout = match unit {
        'H' => Duration::from_secs(number * 3_600),
        'M' => Duration::from_secs(number * 60),
        'S' => Duration::from_secs(number),
        'm' => Duration::from_millis(number),
        'u' => Duration::from_micros(number),
        'n' => Duration::from_nanos(number),
        _ => return Err(refuse()),
    };
    let margin = (timeout / 10).clamp(DEADLINE_MARGIN.0, DEADLINE_MARGIN.1);
    Ok(Some(timeout.saturating_sub(margin)))
}

/// The headers of a request as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
