//! One open call of `StreamChecks`: frames out by a short queue, frames in.

use std::future::{Future, pending};
use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::Context;
use super::session::Session;
use crate::proto::authorization_service_client::AuthorizationServiceClient;
use crate::proto::stream_checks_response::Frame as Told;
use crate::proto::{StreamChecksRequest, StreamChecksResponse};

/// Frames that are made and not taken by the connection yet. Few: what waits longer is better made later.
const QUEUE: usize = 4;

type Opening = Pin<Box<dyn Future<Output = Result<Streaming<StreamChecksResponse>, Status>> + Send>>;

/// How far the call is.
enum Inbound {
    Opening(Opening),
    Open(Box<Streaming<StreamChecksResponse>>),
}

/// One open call, and the dialogue on it. Dropped, the call is cancelled.
pub(super) struct Link {
    pub(super) session: Session,
    frames: mpsc::Sender<StreamChecksRequest>,
    inbound: Inbound,
    /// Whether the server has said that it will end.
    pub(super) is_draining: bool,
}

impl Link {
    /// Begins a call on `channel`.
    pub(super) fn open(channel: Channel, credential: Option<&MetadataValue<Ascii>>, session: Session) -> Self {
        let (frames, outbound) = mpsc::channel(QUEUE);
        let mut request = Request::new(ReceiverStream::new(outbound));
        if let Some(credential) = credential {
            request.metadata_mut().insert("authorization", credential.clone());
        }
        let mut client = AuthorizationServiceClient::new(channel);
        let opening = Box::pin(async move { Ok(client.stream_checks(request).await?.into_inner()) });
        Self { session, frames, inbound: Inbound::Opening(opening), is_draining: false }
    }

    /// Waits for the next frame. Safe to drop while it waits.
    ///
    /// # Errors
    /// Returns the status with which the stream has ended.
    pub(super) async fn next(&mut self) -> Result<Told, Status> {
        loop {
            match &mut self.inbound {
                Inbound::Opening(opening) => self.inbound = Inbound::Open(Box::new(opening.await?)),
                Inbound::Open(inbound) => match inbound.message().await? {
                    Some(StreamChecksResponse { frame: Some(frame) }) => return Ok(frame),
                    // Of a newer server, and none of what this client asked for.
                    Some(StreamChecksResponse { frame: None }) => {}
                    None => return Err(Status::new(Code::Unavailable, "the server has ended the stream")),
                },
            }
        }
    }

    /// Says everything that is to be said and there is room for.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) {
        while self.frames.capacity() > 0
            && let Some(frame) = self.session.next_frame(cx)
        {
            // A queue whose call has ended takes nothing; the end is heard next.
            if self.frames.try_send(StreamChecksRequest { frame: Some(frame) }).is_err() {
                break;
            }
        }
    }

    /// Returns what waits for room, if there is something to say.
    pub(super) fn room(&self, cx: &Context<'_>) -> Option<impl Future<Output = ()> + use<>> {
        let frames = self.session.has_frame(cx).then(|| self.frames.clone())?;
        Some(async move {
            if frames.reserve().await.is_err() {
                pending::<()>().await;
            }
        })
    }
}
