//! The codec and the hand-written service below a real client.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use guildhall::proto;
use guildhall::proto::authorization_service_client::AuthorizationServiceClient;
use guildhall::proto::authorization_service_server::{AuthorizationService, AuthorizationServiceServer};
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::transport::wire::read::{StreamFrame, SubjectView, stream_frame};
use guildhall::transport::wire::write::{DecisionFrame, DecisionOut};
use guildhall::transport::wire::{InPlace, Malformed, Outgoing, ServeStream};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codec::{BufferSettings, Streaming};
use tonic::server::NamedService;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};

use crate::harness::PATIENCE;

const MESSAGE_BYTES_MAX: usize = 4_096;

/// The rest of the service, by the generated code; its own stream must not be reached.
struct Rest;

type Never = Pin<Box<dyn Stream<Item = Result<proto::StreamChecksResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AuthorizationService for Rest {
    type StreamChecksStream = Never;

    async fn check(&self, request: Request<proto::CheckRequest>) -> Result<Response<proto::CheckResponse>, Status> {
        let revision = request.into_inner().organization_id;
        Ok(Response::new(proto::CheckResponse { revision, ..Default::default() }))
    }

    async fn batch_check(
        &self,
        _: Request<proto::BatchCheckRequest>,
    ) -> Result<Response<proto::BatchCheckResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn explain_check(
        &self,
        _: Request<proto::ExplainCheckRequest>,
    ) -> Result<Response<proto::ExplainCheckResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn list_permissions(
        &self,
        _: Request<proto::ListPermissionsRequest>,
    ) -> Result<Response<proto::ListPermissionsResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn list_resources(
        &self,
        _: Request<proto::ListResourcesRequest>,
    ) -> Result<Response<proto::ListResourcesResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn list_subjects(
        &self,
        _: Request<proto::ListSubjectsRequest>,
    ) -> Result<Response<proto::ListSubjectsResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn stream_checks(
        &self,
        _: Request<Streaming<proto::StreamChecksRequest>>,
    ) -> Result<Response<Never>, Status> {
        Err(Status::unimplemented("by the generated code"))
    }
}

/// Allows users and nobody else; answers a ping with progress, through the generated code.
struct AllowsUsers;

type Frame = DecisionFrame<Vec<DecisionOut>, String>;

impl AllowsUsers {
    fn answer(message: Result<Bytes, Status>) -> Result<Outgoing<proto::StreamChecksResponse, Frame>, Status> {
        let message = message?;
        let unreadable = |_| Status::invalid_argument("unreadable");
        match stream_frame(&message).map_err(unreadable)? {
            StreamFrame::Check(frame) => {
                let decision = |item: Result<_, Malformed>| {
                    let item: guildhall::transport::wire::read::ItemView<'_> = item?;
                    let allowed = matches!(item.subject, SubjectView::User(_));
                    Ok(DecisionOut { allowed, reason: i32::from(!allowed), ..DecisionOut::default() })
                };
                let decisions = frame.items.map(decision).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
                let revision = frame.organization_id.to_owned();
                Ok(Outgoing::Prepared(DecisionFrame::new(frame.frame_id, decisions, revision, 0, String::new())))
            }
            StreamFrame::Other => {
                let message = proto::StreamChecksRequest::decode(message);
                let message = message.map_err(|_| Status::invalid_argument("unreadable"))?;
                let Some(Asked::Ping(ping)) = message.frame else { return Err(Status::unimplemented("no ping")) };
                let progress = proto::Progress { ping_number: ping.number, ..Default::default() };
                Ok(Outgoing::Message(proto::StreamChecksResponse { frame: Some(Told::Progress(progress)) }))
            }
        }
    }
}

impl ServeStream for AllowsUsers {
    type Prepared = Frame;
    type Frames = Pin<Box<dyn Stream<Item = Result<Outgoing<proto::StreamChecksResponse, Frame>, Status>> + Send>>;

    async fn stream_checks(&self, frames: Request<Streaming<Bytes>>) -> Result<Response<Self::Frames>, Status> {
        Ok(Response::new(Box::pin(frames.into_inner().map(Self::answer))))
    }
}

async fn client() -> AuthorizationServiceClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = InPlace::new(AuthorizationServiceServer::new(Rest), AllowsUsers, MESSAGE_BYTES_MAX)
        .with_buffers(BufferSettings::new(1_024, 512));
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    AuthorizationServiceClient::connect(format!("http://{address}")).await.unwrap()
}

fn frame(frame_id: u64, subjects: &[proto::subject::Kind]) -> proto::StreamChecksRequest {
    let item = |kind: &proto::subject::Kind| proto::CheckItem {
        subject: Some(proto::Subject { kind: Some(kind.clone()) }),
        ..Default::default()
    };
    let items = subjects.iter().map(item).collect();
    let frame = proto::CheckFrame { frame_id, organization_id: "here".to_owned(), items, consistency: None };
    proto::StreamChecksRequest { frame: Some(Asked::Check(frame)) }
}

fn ping(number: u64) -> proto::StreamChecksRequest {
    proto::StreamChecksRequest { frame: Some(Asked::Ping(proto::Ping { number })) }
}

/// Asks everything at once and gives what is answered.
async fn answers(asked: Vec<proto::StreamChecksRequest>) -> Vec<Result<Told, Status>> {
    let told = client().await.stream_checks(stream::iter(asked)).await.unwrap().into_inner();
    let told = told.map(|it| it.map(|message| message.frame.expect("a frame"))).collect();
    tokio::time::timeout(PATIENCE, told).await.expect("answers in time")
}

#[tokio::test]
async fn a_generated_client_is_answered_in_order_by_both_kinds_of_message() {
    use proto::subject::Kind::{ServiceAccountId, UserId};
    let (user, account) = (UserId("somebody".to_owned()), ServiceAccountId("something".to_owned()));
    // More than a buffer holds, so that messages come in pieces.
    let many: Vec<_> = std::iter::repeat_n([user, account], 40).flatten().collect();
    let mut asked = Vec::new();
    for number in 0..50 {
        asked.extend([frame(number, &many), ping(number)]);
    }
    let told = answers(asked).await;
    assert_eq!(told.len(), 100);
    for (number, pair) in (0..).zip(told.chunks(2)) {
        let [Ok(Told::Decisions(decisions)), Ok(Told::Progress(progress))] = pair else { panic!("{pair:?}") };
        assert_eq!((decisions.frame_id, progress.ping_number), (number, number));
        assert_eq!(decisions.revision, "here");
        let allowed: Vec<bool> = decisions.decisions.iter().map(|it| it.allowed).collect();
        assert_eq!(allowed, [true, false].repeat(40));
    }
}

#[tokio::test]
async fn a_frame_is_answered_while_the_client_still_speaks() {
    let (asked, frames) = mpsc::channel(1);
    let mut told = client().await.stream_checks(ReceiverStream::new(frames)).await.unwrap().into_inner();
    for number in 0..3 {
        asked.send(ping(number)).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, told.message()).await.expect("an answer in time").unwrap();
        let Some(Told::Progress(progress)) = answer.and_then(|it| it.frame) else { panic!("no progress") };
        assert_eq!(progress.ping_number, number);
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_an_error_of_the_stream() {
    let of_size = |length: usize| {
        // The key and the length of the frame, and of the organization, stand before the text.
        let mut message = frame(0, &[]);
        let Some(Asked::Check(frame)) = &mut message.frame else { panic!("a frame of checks") };
        frame.organization_id = "x".repeat(length - 6);
        assert_eq!(message.encoded_len(), length);
        message
    };
    let told = answers(vec![of_size(MESSAGE_BYTES_MAX)]).await;
    assert!(matches!(&told[..], [Ok(Told::Decisions(it))] if it.revision.len() == MESSAGE_BYTES_MAX - 6), "{told:?}");
    let told = answers(vec![ping(1), of_size(MESSAGE_BYTES_MAX + 1)]).await;
    let [Ok(Told::Progress(_)), Err(status)] = &told[..] else { panic!("{told:?}") };
    // What the layer and the stream know as a message that is too large.
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.details().is_empty());
}

#[tokio::test]
async fn every_other_method_goes_to_the_generated_server() {
    let request = proto::CheckRequest { organization_id: "there".to_owned(), ..Default::default() };
    let answer = client().await.check(request).await.unwrap().into_inner();
    assert_eq!(answer.revision, "there");
    let name = |_: &AuthorizationServiceServer<Rest>| <InPlace<AuthorizationServiceServer<Rest>, AllowsUsers>>::NAME;
    assert_eq!(name(&AuthorizationServiceServer::new(Rest)), "guildhall.v1.AuthorizationService");
}
