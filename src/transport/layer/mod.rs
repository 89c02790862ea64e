//! The one layer before all services, written by hand: a stack of boxed layers would cost a third of the rate.
//!
//! In this order, and why: the call id first, since everything after names it; the deadline, since it counts from the
//! arrival; the credential; what the method option asks of it; the caller's share, so that one of them cannot take the
//! server from the others; then the service, with panics caught, so that a bug is one INTERNAL and not a lost
//! connection; and last the metrics, which see every outcome. Health and reflection pass by.

mod authenticator;
mod deadline;
mod share;
mod span;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderName, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use uuid::Uuid;

pub use authenticator::Authenticator;

use super::call::Call;
use super::source::Sources;
use super::status::status;
use crate::clock::{CallIds, Monotonic};
use crate::domain::error::{Error, Reason};
use crate::domain::place::Subject;
use crate::rpc::{Required, Rpc};
use crate::telemetry::Metrics;
use span::Spans;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The layer.
#[derive(Clone)]
pub struct HotPath {
    shared: Arc<Shared>,
}

struct Shared {
    authenticator: Authenticator,
    sources: Sources,
    metrics: Arc<Metrics>,
    call_ids: CallIds,
    spans: Option<Spans>,
}

impl std::fmt::Debug for HotPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HotPath")
    }
}

impl HotPath {
    /// Makes the layer. `trace_ratio` is the share of calls with a span where the caller does not say; without it, which
    /// means without an exporter, no span is made.
    #[must_use]
    pub fn new(
        authenticator: Authenticator,
        sources: Sources,
        metrics: Arc<Metrics>,
        trace_ratio: Option<f64>,
    ) -> Self {
        let call_ids = CallIds::new(&authenticator.services.world);
        let spans = trace_ratio.map(Spans::new);
        Self { shared: Arc::new(Shared { authenticator, sources, metrics, call_ids, spans }) }
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

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The service that was ready is the one to call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        match Rpc::from_path(request.uri().path()) {
            Some(rpc) => Box::pin(Arc::clone(&self.shared).run(inner, rpc, request)),
            None => Box::pin(inner.call(request)),
        }
    }
}

impl Shared {
    async fn run<S>(self: Arc<Self>, inner: S, rpc: Rpc, request: Request<Body>) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let world = &self.authenticator.services.world;
        let (call_id, began_at) = (self.call_ids.next(), world.clock.monotonic());
        let spans = self.spans.as_ref();
        let span = spans.and_then(|spans| spans.begin(rpc, call_id, request.headers(), || world.now()));
        let response = self.handle(inner, rpc, call_id, began_at, request).await?;
        let code = response.headers().get(GRPC_STATUS).and_then(|code| code.to_str().ok()?.parse().ok()).unwrap_or(0);
        let took = world.clock.monotonic().since(began_at);
        self.metrics.count(rpc, code, took);
        if let Some(span) = span {
            span.end(code, took);
        }
        Ok(response)
    }

    async fn handle<S>(
        &self,
        inner: S,
        rpc: Rpc,
        call_id: Uuid,
        began_at: Monotonic,
        request: Request<Body>,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let refuse = |error: &Error| Ok(status(error, rpc.path(), call_id).into_http());
        let passed = || Error::new(Reason::DeadlineExceeded, "the deadline has passed");
        match deadline::timeout(request.headers()) {
            Err(error) => refuse(&error),
            Ok(None) => self.serve(inner, rpc, call_id, None, request).await,
            Ok(Some(Duration::ZERO)) => refuse(&passed()),
            Ok(Some(timeout)) => {
                let deadline = Monotonic(began_at.0.saturating_add(timeout));
                let serve = self.serve(inner, rpc, call_id, Some(deadline), request);
                let clock = &*self.authenticator.services.world.clock;
                match deadline::within(serve, timeout, clock).await {
                    Some(response) => response,
                    None => refuse(&passed()),
                }
            }
        }
    }

    async fn serve<S>(
        &self,
        mut inner: S,
        rpc: Rpc,
        id: Uuid,
        deadline: Option<Monotonic>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let refuse = |error: &Error| Ok(status(error, rpc.path(), id).into_http());
        let admitted = self.authenticator.bearer(request.headers()).await.and_then(|bearer| {
            self.authenticator.admit(rpc, bearer.as_deref())?;
            let caller = bearer.as_ref().map(|bearer| *bearer.caller());
            Ok((caller, bearer.map(|bearer| self.share(rpc, bearer)).transpose()?))
        });
        let (caller, permit) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return refuse(&error),
        };
        let is_person = caller.is_some_and(|caller| matches!(caller.subject, Subject::User(_)));
        let activity = is_person.then(|| Arc::clone(&self.authenticator.services.activity));
        let is_operator = || caller.is_some_and(|caller| self.authenticator.is_operator(caller.subject));
        let is_public = rpc.required() == Required::Public;
        let source = is_public.then(|| self.sources.of(request.extensions(), request.headers(), is_operator)).flatten();
        request.extensions_mut().insert(Call { rpc, id, caller, deadline, activity, source });
        match AssertUnwindSafe(inner.call(request)).catch_unwind().await {
            Ok(Ok(response)) if is_unread(&response) => {
                refuse(&Error::new(Reason::RequestInvalid, "the message cannot be read, or is too large"))
            }
            Ok(Ok(response)) if rpc.is_streaming() => Ok(response.map(|body| share::held(body, permit))),
            Ok(response) => response,
            // What it says may hold anything; the panic hook has written it to the log.
            Err(_) => refuse(&Error::internal("a handler panicked")),
        }
    }
}

/// Says whether the transport below the handlers refused a message: as a bug of ours, or with a code that is not in the
/// contract. Every status of the handlers has details.
fn is_unread(response: &Response<Body>) -> bool {
    response.headers().contains_key(GRPC_STATUS)
        && Status::from_header_map(response.headers()).is_some_and(|status| {
            matches!(status.code(), Code::Internal | Code::OutOfRange) && status.details().is_empty()
        })
}
