//! Where sampled calls send their spans: a real collector's end, in the process that makes the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::Failure;

/// Counts the spans that come in.
#[derive(Clone, Debug, Default)]
pub struct Sink(Arc<AtomicU64>);

impl Sink {
    /// Listens on loopback, and gives the endpoint.
    ///
    /// # Errors
    /// If nothing can listen there.
    pub async fn listen(&self) -> Result<String, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self.clone()));
        // Ends with this process.
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(endpoint)
    }

    /// Says how many spans came in so far.
    pub fn spans(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
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
