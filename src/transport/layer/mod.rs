//! The one layer before all services, written by hand: a stack of boxed layers would cost a third of the rate.
//!
//! In this order, and why: the call id first, since everything after names it; the deadline, since it counts from the
//! arrival; the credential; what the method option asks of it; the caller's share, so that one of them cannot take the
//! server from the others; the span, which only who has a credential may ask for; the message, so that it costs no more
//! than what has arrived of it; then the service, with panics caught, so that a bug is one INTERNAL and not a lost
//! connection; and last the metrics, which see every outcome. Health and reflection have a shorter way, in `beside`.

mod authenticator;
mod beside;
mod deadline;
mod message;
mod pieces;
mod share;
mod span;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use h2::RecvStream;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::{Code, Status};
use uuid::Uuid;

pub use authenticator::Authenticator;
pub(super) use deadline::within;
pub(super) use share::{Room, Share};

use super::dispatch::Dispatch;
use super::incoming::Incoming;
use super::listener::Connected;
use super::source::Sources;
use super::status::status;
use crate::clock::{CallIds, Monotonic};
use crate::config::ListenerLimits;
use crate::domain::error::{Error, Reason};
use crate::domain::place::Subject;
use crate::rpc::{Required, Rpc};
use crate::service::Bearer;
use crate::telemetry::Metrics;
use deadline::Deadlines;
use message::{Bounds, Messages};
use span::{Span, Spans};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Largest message that is taken, in bytes. Our own limits, in items, come first.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Largest message of a caller without a credential. None of theirs needs more than a few texts.
const PUBLIC_MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// How many API keys are looked up in the database at once: whoever makes keys up does not take it from the others.
const LOOKUPS_MAX: usize = 4;

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
    deadlines: Deadlines,
    message_timeout: Duration,
    lookups: Semaphore,
    room: Arc<Room>,
}

impl std::fmt::Debug for HotPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HotPath")
    }
}

/// What a call is answered with.
pub(super) struct Answer {
    pub response: Response<Body>,
    /// What the call takes; to be kept until the answer has been written.
    pub share: Option<Share>,
    pub of: Kind,
    /// For the status of what becomes of it later.
    pub rpc: &'static str,
    pub id: Uuid,
}

/// What kind of call is answered, as far as the answer goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// One message, which may be refused when it is too much.
    Read,
    /// One message, about something that was done.
    Write,
    /// Any number of messages.
    Stream,
}

/// One call of an RPC of ours.
struct Begun {
    rpc: Rpc,
    id: Uuid,
    at: Monotonic,
    span: Option<Span>,
}

impl Begun {
    fn answer(&self, response: Response<Body>, share: Option<Share>) -> Answer {
        let of = match self.rpc {
            rpc if rpc.is_streaming() => Kind::Stream,
            rpc if rpc.is_read() => Kind::Read,
            _ => Kind::Write,
        };
        Answer { response, share, of, rpc: self.rpc.path(), id: self.id }
    }

    fn refuse(&self, error: &Error) -> Answer {
        self.answer(status(error, self.rpc.path(), self.id).into_http(), None)
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
        limits: &ListenerLimits,
    ) -> Self {
        let bytes = |mib: u32| (mib as usize) << 20;
        let shared = Shared {
            sources,
            metrics,
            call_ids: CallIds::new(&authenticator.services.env),
            spans: trace_ratio.map(|ratio| Spans::new(ratio, limits.forced_traces_per_second)),
            deadlines: Deadlines { default: limits.default_deadline, longest: limits.longest_deadline },
            message_timeout: limits.message_timeout,
            lookups: Semaphore::new(LOOKUPS_MAX),
            room: Arc::new(Room::new(bytes(limits.call_memory_mib), bytes(limits.call_memory_per_credential_mib))),
            authenticator,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the memory that answers are counted against.
    pub(super) fn room(&self) -> &Arc<Room> {
        &self.shared.room
    }

    /// Has a request answered.
    pub(super) async fn answer(
        &self,
        dispatch: &Dispatch,
        connected: &Connected,
        request: Request<RecvStream>,
    ) -> Answer {
        match Rpc::from_path(request.uri().path()) {
            Some(rpc) => self.shared.run(dispatch, connected, rpc, request).await,
            None => self.shared.beside(dispatch, connected, request).await,
        }
    }
}

impl Shared {
    async fn run(&self, dispatch: &Dispatch, connected: &Connected, rpc: Rpc, request: Request<RecvStream>) -> Answer {
        let clock = &self.authenticator.services.env.clock;
        let mut call = Begun { rpc, id: self.call_ids.next(), at: clock.monotonic(), span: None };
        let answer = self.handle(dispatch, connected, &mut call, request).await;
        let code = answer.response.headers().get(GRPC_STATUS);
        let code = code.and_then(|code| code.to_str().ok()?.parse().ok()).unwrap_or(0);
        let took = clock.monotonic().since(call.at);
        self.metrics.count(rpc, code, took);
        if let Some(span) = call.span {
            span.end(code, took);
        }
        answer
    }

    async fn handle(
        &self,
        dispatch: &Dispatch,
        connected: &Connected,
        call: &mut Begun,
        request: Request<RecvStream>,
    ) -> Answer {
        let asked = match deadline::timeout(request.headers()) {
            Ok(asked) => asked,
            Err(error) => return call.refuse(&error),
        };
        let passed = Error::new(Reason::DeadlineExceeded, "the deadline has passed");
        match self.deadlines.of(call.rpc.is_streaming(), asked) {
            None => self.serve(dispatch, connected, call, None, request).await,
            Some(Duration::ZERO) => call.refuse(&passed),
            Some(timeout) => {
                let deadline = Monotonic(call.at.0.saturating_add(timeout));
                let serve = self.serve(dispatch, connected, call, Some(deadline), request);
                let clock = &*self.authenticator.services.env.clock;
                match deadline::within(serve, timeout, clock).await {
                    Some(answer) => answer,
                    None => call.refuse(&passed),
                }
            }
        }
    }

    async fn serve(
        &self,
        dispatch: &Dispatch,
        connected: &Connected,
        call: &mut Begun,
        deadline: Option<Monotonic>,
        request: Request<RecvStream>,
    ) -> Answer {
        let (rpc, id) = (call.rpc, call.id);
        let (mut parts, body) = request.into_parts();
        let bearer = self.bearer(connected, &parts.headers).await;
        call.span = self.span(call, &parts.headers, matches!(bearer, Ok(Some(_))));
        let admitted = bearer.and_then(|bearer| {
            self.authenticator.admit(rpc, bearer.as_deref())?;
            let caller = bearer.as_ref().map(|bearer| *bearer.caller());
            let share = match bearer {
                Some(bearer) => self.share(rpc, bearer)?,
                None => Share::of_source(connected.anonymous_call()?),
            };
            Ok((caller, share))
        });
        let (caller, mut share) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return call.refuse(&error),
        };
        let bytes_max = if caller.is_some() { MESSAGE_BYTES_MAX } else { PUBLIC_MESSAGE_BYTES_MAX };
        let body = if rpc.takes_stream() {
            let refuse = move |error: &Error| status(error, rpc.path(), id);
            let clock = Arc::clone(&self.authenticator.services.env.clock);
            Body::new(Messages::new(body, self.bounds(bytes_max), clock, refuse))
        } else {
            match self.message(body, bytes_max, &mut share).await {
                Ok(message) => message,
                Err(error) => return call.refuse(&error),
            }
        };
        let is_person = caller.is_some_and(|caller| matches!(caller.subject, Subject::User(_)));
        let activity = is_person.then(|| Arc::clone(&self.authenticator.services.activity));
        let is_operator = || caller.is_some_and(|caller| self.authenticator.is_operator(caller.subject));
        let is_public = rpc.required() == Required::Public;
        let source = is_public.then(|| self.sources.of(connected.peer(), &parts.headers, is_operator)).flatten();
        parts.extensions.insert(Incoming { rpc, id, caller, deadline, activity, source });
        match AssertUnwindSafe(dispatch.answer(Request::from_parts(parts, body))).catch_unwind().await {
            Ok(response) if is_unread(&response) => {
                call.refuse(&Error::new(Reason::RequestInvalid, "the message cannot be read, or is too large"))
            }
            Ok(response) => call.answer(response, Some(share)),
            // What it says may hold anything; the panic hook has written it to the log.
            Err(_) => call.refuse(&Error::internal("a handler panicked")),
        }
    }

    /// Finds who calls; nobody without a credential. One that is not known yet is an anonymous call while it is looked up.
    ///
    /// # Errors
    /// What the credential is refused with, and [`Reason::RateLimited`].
    async fn bearer(&self, connected: &Connected, headers: &HeaderMap) -> Result<Option<Arc<Bearer>>, Error> {
        let Some(credential) = Authenticator::presented(headers)? else { return Ok(None) };
        let services = &self.authenticator.services;
        let bearer = match services.recognized(credential)? {
            Some(bearer) => bearer,
            None => {
                let _place = connected.anonymous_call()?;
                let _lookup = self.lookups.acquire().await.map_err(Error::internal)?;
                // Another call with it may have had it looked up meanwhile.
                services.authenticate(credential).await?
            }
        };
        connected.present(&bearer)?;
        Ok(Some(bearer))
    }

    fn span(&self, call: &Begun, headers: &HeaderMap, is_known: bool) -> Option<Span> {
        let env = &self.authenticator.services.env;
        let began_at = || env.now().minus(env.clock.monotonic().since(call.at));
        self.spans.as_ref()?.begin((call.rpc, call.id, call.at), headers, is_known, began_at)
    }

    fn bounds(&self, bytes: usize) -> Bounds {
        Bounds { bytes, patience: self.message_timeout }
    }

    /// Reads the one message of a request.
    ///
    /// # Errors
    /// - [`Reason::RequestInvalid`], [`Reason::RateLimited`], [`Reason::DeadlineExceeded`].
    async fn message(&self, mut body: RecvStream, bytes_max: usize, share: &mut Share) -> Result<Body, Error> {
        let clock = &*self.authenticator.services.env.clock;
        let gather = message::gather(&mut body, bytes_max, share, &self.room);
        let message = within(gather, self.message_timeout, clock).await.unwrap_or_else(|| Err(message::late()))?;
        Ok(Body::new(Full::new(message)))
    }
}

/// Returns whether the generated code refused a message: as a bug of ours, or with a code that is not in the contract. Every
/// status of the handlers has details.
fn is_unread(response: &Response<Body>) -> bool {
    response.headers().contains_key(GRPC_STATUS)
        && Status::from_header_map(response.headers()).is_some_and(|status| {
            matches!(status.code(), Code::Internal | Code::OutOfRange) && status.details().is_empty()
        })
}
