//! Spans: sent where the caller's context says so, and as a child of the caller's span.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::program::Site;
use crate::harness::messages::sign_in;
use crate::harness::{Database, eventually};

/// Takes spans and keeps them.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|it| it.scope_spans);
        self.0.lock().extend(spans.flat_map(|it| it.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Listens, and gives the endpoint.
async fn listen(sink: Sink) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(sink));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    endpoint
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sampled_call_with_a_credential_is_a_span_below_its_callers_and_others_are_none() {
    let sink = Sink::default();
    let mut site = Site::new(Database::Sqlite).await;
    site.config.otlp_endpoint = Some(listen(sink.clone()).await);
    site.config.trace_ratio = 0.0;
    let server = site.serve().await;

    let key = format!("Bearer {}", server.operator_key.as_ref().unwrap());
    // A caller without a credential can ask for no span, nor can one with a wrong one.
    let wrong = "Bearer ghk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
    for (trace, flags, credential) in
        [(1, "00", Some(&key)), (2, "01", Some(&key)), (3, "01", None), (4, "01", Some(&wrong))]
    {
        let mut request = Request::new(sign_in("ada@example.test", "Wrong4Horse!"));
        let parent = format!("00-{trace:032x}-00000000000000aa-{flags}");
        request.metadata_mut().insert("traceparent", parent.parse().unwrap());
        if let Some(credential) = credential {
            request.metadata_mut().insert("authorization", credential.parse().unwrap());
        }
        let mut client = guildhall::proto::session_service_client::SessionServiceClient::new(server.anyone().channel());
        client.sign_in(request).await.unwrap_err();
    }
    server.anyone().sign_in(sign_in("ada@example.test", "Wrong4Horse!")).await.unwrap_err();

    // What is left is sent at the end.
    assert_eq!(server.stop().await.code, Some(0));
    let spans = eventually("the span", || Some(sink.0.lock().clone()).filter(|spans| !spans.is_empty())).await;
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0].name, "/guildhall.v1.SessionService/SignIn");
    assert_eq!(spans[0].trace_id, 2_u128.to_be_bytes());
    assert_eq!(spans[0].parent_span_id, 0xaa_u64.to_be_bytes());
    assert!(!format!("{spans:?}").contains("example.test"), "no address in a span");
}
