//! Spans of calls: decided before they are made, and made without the log's machinery, which would cost as much again.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};
use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::rpc::Rpc;
use crate::telemetry::tracer;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes spans for the calls that are sampled: where the caller says so, and of the others a share.
pub(super) struct Spans {
    /// The share.
    ratio: f64,
    tracer: BoxedTracer,
    propagator: TraceContextPropagator,
}

impl Spans {
    /// Samples a share of the calls whose callers do not say.
    pub fn new(ratio: f64) -> Self {
        Self { ratio, tracer: tracer(), propagator: TraceContextPropagator::new() }
    }

    /// Begins the span of a call, if it is sampled. `now` is asked only then.
    ///
    /// The draw is the call id's: its bits are random, and are not drawn twice.
    pub fn begin(&self, rpc: Rpc, call_id: Uuid, headers: &HeaderMap, now: impl Fn() -> Timestamp) -> Option<Span> {
        let drawn = f64::from(u32::from_le_bytes(*call_id.as_bytes().last_chunk()?)) / f64::from(u32::MAX);
        let parent = if headers.contains_key(TRACEPARENT) {
            let parent = self.propagator.extract_with_context(&Context::new(), &Headers(headers));
            let said = parent.span().span_context().clone();
            if if said.is_valid() { !said.is_sampled() } else { drawn >= self.ratio } {
                return None;
            }
            parent
        } else {
            if drawn >= self.ratio {
                return None;
            }
            Context::new()
        };
        let began_at = now();
        let mut id = Uuid::encode_buffer();
        let id = StringValue::from(call_id.hyphenated().encode_lower(&mut id).to_owned());
        let path = rpc.path();
        let builder = self
            .tracer
            .span_builder(Cow::Borrowed(path))
            .with_kind(SpanKind::Server)
            .with_start_time(system_time(began_at))
            .with_attributes([
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.method", path),
                KeyValue::new("call_id", id),
            ]);
        Some(Span { span: self.tracer.build_with_context(builder, &parent), began_at })
    }
}

/// A span that has begun. Dropped with a call that is given up, it ends then.
pub(super) struct Span {
    span: BoxedSpan,
    began_at: Timestamp,
}

impl Span {
    /// Ends the span with the code of the answer.
    pub fn end(mut self, code: i32, took: Duration) {
        self.span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code)));
        // What the server did wrong; a caller's mistake is none of its errors.
        if matches!(code, 2 | 4 | 12 | 13 | 14 | 15) {
            self.span.set_status(Status::error(""));
        }
        self.span.end_with_timestamp(system_time(self.began_at) + took);
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.as_micros()).unwrap_or(0))
}

/// The headers of a request as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
