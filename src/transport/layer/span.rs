//! Spans of calls: decided before they are made, and made without the log's machinery, which would cost as much again.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};
use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use uuid::Uuid;

use crate::clock::Monotonic;
use crate::domain::time::Timestamp;
use crate::rpc::Rpc;
use crate::telemetry::tracer;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes spans for the calls that are sampled: where a caller with a credential asks for it, and of the others a share.
pub(super) struct Spans {
    /// The share.
    ratio: f64,
    /// How many callers may ask for in a second.
    asked_max: u32,
    /// The second that is counted, and how many were asked for in it.
    asked: AtomicU64,
    tracer: BoxedTracer,
    propagator: TraceContextPropagator,
}

impl Spans {
    /// Samples the share `ratio` of the calls whose callers do not say, and of the others at most `asked_max` in a second.
    pub fn new(ratio: f64, asked_max: u32) -> Self {
        let (tracer, propagator) = (tracer(), TraceContextPropagator::new());
        Self { ratio, asked_max, asked: AtomicU64::new(0), tracer, propagator }
    }

    /// Begins the span of a call that came in at `at`, if it is sampled. `began_at` is asked only then.
    ///
    /// The draw is the call id's: its bits are random, and are not drawn twice. Who has no credential (`is_known`) may ask
    /// that there is no span, and cannot ask for one.
    pub fn begin(
        &self,
        (rpc, call_id, at): (Rpc, Uuid, Monotonic),
        headers: &HeaderMap,
        is_known: bool,
        began_at: impl Fn() -> Timestamp,
    ) -> Option<Span> {
        let drawn = f64::from(u32::from_le_bytes(*call_id.as_bytes().last_chunk()?)) / f64::from(u32::MAX);
        let parent = if headers.contains_key(TRACEPARENT) {
            let parent = self.propagator.extract_with_context(&Context::new(), &Headers(headers));
            let said = parent.span().span_context().clone();
            let is_refused = said.is_valid() && !said.is_sampled();
            let is_asked = said.is_valid() && said.is_sampled() && is_known;
            if is_refused || drawn >= self.ratio && !(is_asked && self.may_ask(at)) {
                return None;
            }
            parent
        } else {
            if drawn >= self.ratio {
                return None;
            }
            Context::new()
        };
        let began_at = began_at();
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

    /// Counts a span that a caller asks for; returns whether there is one left in this second.
    fn may_ask(&self, at: Monotonic) -> bool {
        let second = at.0.as_secs() & u64::from(u32::MAX);
        let count = |asked: u64| {
            let so_far = if asked >> 32 == second { asked & u64::from(u32::MAX) } else { 0 };
            (so_far < u64::from(self.asked_max)).then_some(second << 32 | (so_far + 1))
        };
        self.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_may_ask_for_so_many_spans_in_a_second() {
        let spans = Spans::new(0.0, 3);
        let asked = |millis| (0..10).filter(|_| spans.may_ask(Monotonic(Duration::from_millis(millis)))).count();
        assert_eq!([asked(1_000), asked(1_999), asked(2_000), asked(9_000)], [3, 0, 3, 3]);
    }
}
