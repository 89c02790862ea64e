//! Logs, spans and metrics: set up once, handles resolved once.

use std::io::IsTerminal;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use opentelemetry::global::BoxedTracer;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::rpc::Rpc;

/// How many spans wait to be sent; more are dropped, and the loss is logged. At 600 bytes each some 10 MB.
const SPANS_WAITING_MAX: usize = 16_384;
/// Most spans sent at once.
const SPANS_SENT_MAX: usize = 2_048;

/// What was set up of logs and spans; to be shut down last.
#[derive(Debug)]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends logs to standard error, filtered by `RUST_LOG` (default: info), and spans to `otlp_endpoint`, if there is
    /// one.
    ///
    /// # Errors
    /// If the exporter cannot be made, or logs were set up before.
    pub fn start(otlp_endpoint: Option<&str>) -> Result<Self, Box<dyn std::error::Error>> {
        let filter = EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new("info,sea_orm_migration=warn,sqlx::postgres::notice=warn"));
        let logs =
            fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).with_filter(filter);
        let spans = otlp_endpoint.map(exporter).transpose()?;
        // Not through `tracing`: its spans would be h2's and hyper's too, and ours at twice the cost.
        if let Some(provider) = &spans {
            opentelemetry::global::set_tracer_provider(provider.clone());
        }
        tracing_subscriber::registry().with(logs).try_init()?;
        Ok(Self { spans })
    }

    /// Sends what is left. Blocks for at most five seconds: not for an async thread.
    pub fn stop(self) {
        if let Some(spans) = self.spans
            && let Err(error) = spans.shutdown_with_timeout(Duration::from_secs(5))
        {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// Returns what makes spans; without an exporter they go nowhere.
#[must_use]
pub fn tracer() -> BoxedTracer {
    opentelemetry::global::tracer("guildhall")
}

fn exporter(endpoint: &str) -> Result<SdkTracerProvider, opentelemetry_otlp::ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(SPANS_WAITING_MAX)
        .with_max_export_batch_size(SPANS_SENT_MAX)
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
        // Whether a call has a span was decided before it was made.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(Resource::builder().with_service_name("guildhall").build())
        .build())
}

/// Names of the gRPC status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CallLabels {
    rpc: &'static str,
    code: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct WorkerLabels {
    worker: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RpcLabels {
    rpc: &'static str,
}

/// The metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Vec<RpcMetrics>,
    /// Organizations in memory.
    pub organizations: Gauge,
    /// What they take, in bytes.
    pub index_bytes: Gauge,
    /// Organizations that were given up for want of memory.
    pub evictions: Gauge,
    /// How often an overlay was laid out anew as a base.
    pub compactions: Gauge,
    /// Subscriptions that streams hold.
    pub subscriptions: Gauge,
    /// What these take, in bytes.
    pub subscription_bytes: Gauge,
    /// How long ago the poller proved everything current.
    pub log_age: Gauge<f64, AtomicU64>,
    /// How long ago the last full round of comparing memory with the database began.
    pub round_age: Gauge<f64, AtomicU64>,
    /// Histories that were found replaced by another.
    pub histories_replaced: Gauge,
    /// How often all connections to the database were replaced because it did not answer.
    pub connections_replaced: Gauge,
    /// How often another database was found to answer than before.
    pub databases_exchanged: Gauge,
    /// 1 if the database does not tell which history it has.
    pub history_withheld: Gauge,
    worker_silence: Family<WorkerLabels, Gauge<f64, AtomicU64>>,
    worker_stuck: Family<WorkerLabels, Gauge>,
    /// Streams of checks that are open.
    pub streams: Gauge,
    /// By how much the clock that time goes by is ahead of the time.
    pub clock_deviation: Gauge<f64, AtomicU64>,
    /// How often it was found set back.
    pub clock_steps_back: Gauge,
    /// How often it was found set forward.
    pub clock_steps_forward: Gauge,
    /// What becomes of connections.
    pub connections: Connections,
}

/// What is counted of the connections of both listeners.
#[derive(Debug)]
pub struct Connections {
    /// Those that are open.
    pub open: Gauge,
    /// Anonymous ones that were closed for others.
    pub evicted: Counter,
    /// Those that were refused.
    pub refused: Counter,
}

impl Connections {
    fn register(registry: &mut Registry) -> Self {
        let (open, evicted, refused) = (Gauge::default(), Counter::default(), Counter::default());
        registry.register("connections", "Open connections, of both listeners", open.clone());
        let help = "Connections without a credential closed for others";
        registry.register("connections_evicted", help, evicted.clone());
        registry.register("connections_refused", "Connections that there was no room for", refused.clone());
        Self { open, evicted, refused }
    }
}

#[derive(Debug)]
struct RpcMetrics {
    by_code: Vec<Counter>,
    seconds: Histogram,
}

impl Metrics {
    /// Makes all metrics, with a handle for each RPC and code.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("guildhall");
        let calls: Family<CallLabels, Counter> = Family::default();
        let bounds = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
        let seconds: Family<RpcLabels, Histogram, _> = Family::new_with_constructor(move || Histogram::new(bounds));
        registry.register("rpc_calls", "Calls, by RPC and status code", calls.clone());
        registry.register_with_unit(
            "rpc_duration",
            "Time from request to response headers",
            Unit::Seconds,
            seconds.clone(),
        );
        let handles = Rpc::ALL.iter().map(|rpc| {
            let rpc = rpc.path();
            let by_code = CODES.map(|code| calls.get_or_create(&CallLabels { rpc, code }).clone());
            RpcMetrics { by_code: by_code.to_vec(), seconds: seconds.get_or_create(&RpcLabels { rpc }).clone() }
        });
        let calls = handles.collect();

        let (organizations, log_age, clock_deviation) = (Gauge::default(), Gauge::default(), Gauge::default());
        let (histories_replaced, streams) = (Gauge::default(), Gauge::default());
        registry.register("index_organizations", "Organizations in memory", organizations.clone());
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let index_bytes = gauge("index_bytes", "Bytes that organizations in memory take, about");
        let evictions = gauge("index_evictions", "Organizations that were given up for want of memory");
        let compactions =
            gauge("index_compactions", "Times that the changes of an organization were laid out anew as a base");
        let subscriptions = gauge("subscriptions", "Subscriptions that streams hold");
        let clock_steps_back = gauge("clock_steps_back", "Steps back of the clock that time goes by");
        let clock_steps_forward = gauge("clock_steps_forward", "Steps forward of the clock that time goes by");
        let subscription_bytes = gauge("subscription_bytes", "Bytes that subscriptions take, about");
        let connections_replaced = gauge(
            "database_connections_replaced",
            "Times that all connections to the database were replaced: it did not answer",
        );
        let databases_exchanged = gauge("databases_exchanged", "Times that another database answered than before");
        let history_withheld = gauge("history_withheld", "Whether the database does not tell which history it has");
        let (round_age, worker_silence) = (Gauge::default(), Family::default());
        let worker_stuck: Family<WorkerLabels, Gauge> = Family::default();
        registry.register_with_unit(
            "round_age",
            "Time since the last full round of comparing memory with the database began",
            Unit::Seconds,
            round_age.clone(),
        );
        registry.register_with_unit(
            "worker_silence",
            "Time since a background task made progress",
            Unit::Seconds,
            worker_silence.clone(),
        );
        registry.register(
            "worker_stuck",
            "Whether a background task makes no progress, or has panicked",
            worker_stuck.clone(),
        );
        registry.register_with_unit(
            "log_age",
            "Time since everything in memory was proven current",
            Unit::Seconds,
            log_age.clone(),
        );
        registry.register_with_unit(
            "clock_deviation",
            "Time by which the clock that time goes by is ahead of the time, negative if behind",
            Unit::Seconds,
            clock_deviation.clone(),
        );
        registry.register(
            "histories_replaced",
            "Histories that were found replaced by another",
            histories_replaced.clone(),
        );
        registry.register("check_streams", "Open streams of checks", streams.clone());
        let connections = Connections::register(&mut registry);
        Self {
            registry,
            calls,
            organizations,
            index_bytes,
            evictions,
            compactions,
            subscriptions,
            subscription_bytes,
            log_age,
            round_age,
            histories_replaced,
            connections_replaced,
            databases_exchanged,
            history_withheld,
            worker_silence,
            worker_stuck,
            streams,
            clock_deviation,
            clock_steps_back,
            clock_steps_forward,
            connections,
        }
    }

    /// Counts one call.
    pub fn count(&self, rpc: Rpc, code: i32, took: Duration) {
        let Some(metrics) = self.calls.get(rpc as usize) else { return };
        if let Some(counter) = usize::try_from(code).ok().and_then(|code| metrics.by_code.get(code)) {
            counter.inc();
        }
        metrics.seconds.observe(took.as_secs_f64());
    }

    /// Takes in how a background task is.
    pub fn worker(&self, worker: &'static str, silence: Duration, is_stuck: bool) {
        let labels = WorkerLabels { worker };
        self.worker_silence.get_or_create(&labels).set(silence.as_secs_f64());
        self.worker_stuck.get_or_create(&labels).set(i64::from(is_stuck));
    }

    /// Writes everything in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
