//! `StreamChecks` through the codec of this room, around the generated server of its service.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Streaming};
use tonic::server::{Grpc, NamedService, StreamingService};
use tower::Service;

use super::codec::{Outgoing, Prepared, WireCodec};
use crate::proto::StreamChecksResponse;
use crate::rpc::Rpc;

/// Serves `StreamChecks` from messages as they came.
pub trait ServeStream: Send + Sync + 'static {
    /// An answer that is written without the generated code.
    type Prepared: Prepared + Send + 'static;
    /// What is answered.
    type Frames: Stream<Item = Result<Outgoing<StreamChecksResponse, Self::Prepared>, Status>> + Send + 'static;

    /// Opens a stream. A message that cannot be read is for the handler to refuse; one that is too large is an error of
    /// `frames`.
    fn stream_checks(
        &self,
        frames: tonic::Request<Streaming<Bytes>>,
    ) -> impl Future<Output = Result<tonic::Response<Self::Frames>, Status>> + Send;
}

/// A server of the whole service: `StreamChecks` goes to `H`, every other method to `S`, the generated server.
#[derive(Debug)]
pub struct InPlace<S, H> {
    generated: S,
    handler: Arc<H>,
    message_bytes_max: usize,
    settings: BufferSettings,
}

impl<S: Clone, H> Clone for InPlace<S, H> {
    fn clone(&self) -> Self {
        let (generated, handler) = (self.generated.clone(), Arc::clone(&self.handler));
        Self { generated, handler, message_bytes_max: self.message_bytes_max, settings: self.settings }
    }
}

impl<S, H> InPlace<S, H> {
    /// Puts `handler` before `generated`. Messages of a stream are at most `message_bytes_max` long.
    pub fn new(generated: S, handler: H, message_bytes_max: usize) -> Self {
        Self { generated, handler: Arc::new(handler), message_bytes_max, settings: BufferSettings::default() }
    }

    /// Returns how large the buffers of a stream are, and how much is gathered before it is sent.
    #[must_use]
    pub fn with_buffers(self, settings: BufferSettings) -> Self {
        Self { settings, ..self }
    }
}

impl<S: NamedService, H> NamedService for InPlace<S, H> {
    const NAME: &'static str = S::NAME;
}

impl<S, H> Service<Request<Body>> for InPlace<S, H>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
    H: ServeStream,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.generated.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() != Rpc::StreamChecks.path() {
            return Box::pin(self.generated.call(request));
        }
        let (handler, message_bytes_max) = (Handler(Arc::clone(&self.handler)), self.message_bytes_max);
        let codec = WireCodec::<StreamChecksResponse, H::Prepared>::new(self.settings);
        Box::pin(async move {
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(Some(message_bytes_max), None);
            Ok(grpc.streaming(handler, request).await)
        })
    }
}

/// A handler as tonic wants it.
struct Handler<H>(Arc<H>);

impl<H: ServeStream> StreamingService<Bytes> for Handler<H> {
    type Response = Outgoing<StreamChecksResponse, H::Prepared>;
    type ResponseStream = H::Frames;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<H::Frames>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        let handler = Arc::clone(&self.0);
        Box::pin(async move { handler.stream_checks(request).await })
    }
}
