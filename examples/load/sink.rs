//! Where sampled calls send their spans: a real collector's end, in the process that makes the load, on a thread of its
//! own, so that what it takes is not taken for the cost of a call.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::Failure;
use crate::process::cpu_time_of;

/// The directory of the collector's thread in /proc, once there is one.
static THREAD: OnceLock<PathBuf> = OnceLock::new();

/// Counts the spans that come in.
#[derive(Clone, Debug, Default)]
pub struct Sink(Arc<AtomicU64>);

impl Sink {
    /// Listens on loopback, and gives the endpoint.
    ///
    /// # Errors
    /// If nothing can listen there.
    pub fn listen(&self) -> Result<String, Failure> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self.clone()));
        // Ends with this process.
        std::thread::spawn(move || {
            if let Ok(thread) = std::fs::read_link("/proc/thread-self") {
                THREAD.get_or_init(|| PathBuf::from("/proc").join(thread));
            }
            let outcome: Result<(), Failure> = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                Ok(server.serve_with_incoming(TcpListenerStream::new(listener)).await?)
            });
            if let Err(error) = outcome {
                eprintln!("load: the collector of spans: {error}");
            }
        });
        Ok(endpoint)
    }

    /// Returns how many spans came in so far.
    pub fn spans(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns the processor time that the collector has taken in this process.
pub fn cpu_time() -> Duration {
    THREAD.get().and_then(|thread| cpu_time_of(thread)).unwrap_or_default()
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
        self.0.fetch_add(spans as u64, Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
