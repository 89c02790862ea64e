//! The layer that guards another service.

use std::time::Duration;

use guildhall_client::{Guildhall, Question, Subject};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::clock::ManualClock;
use crate::proto::subject::Kind;
use crate::proto::{CheckResponse, Decision, DecisionReason};
use crate::server::{ORGANIZATION, Server};

/// A server of Guildhall for which a token says what is answered.
async fn guildhall() -> Server {
    Server::start_with(|request, _| {
        let Some(Kind::AccessToken(token)) = request.item.clone().unwrap().subject.unwrap().kind else { panic!() };
        let reason = match token.as_str() {
            "good" => DecisionReason::Unspecified,
            "expired" => DecisionReason::TokenExpired,
            "ended" => DecisionReason::SessionEnded,
            "forged" => DecisionReason::TokenInvalid,
            "lesser" => DecisionReason::NotGranted,
            "elsewhere" => return Err(Status::not_found("no such organization")),
            _ => return Err(Status::internal("a bug")),
        };
        let decision =
            Decision { allowed: token == "good", reason: reason.into(), valid_for_ms: None, malformed_field: 0 };
        Ok(CheckResponse { decision: Some(decision), ..CheckResponse::default() })
    })
    .await
}

/// Guards a health service, which serves `""`, and gives a call of it.
async fn guarded(guildhall: &Guildhall) -> HealthClient<Channel> {
    let guard = guildhall.guard(|call| {
        if call.metadata("x-public").is_some() {
            return Ok(None);
        }
        assert_eq!((call.path(), call.method()), ("/grpc.health.v1.Health/Check", "Check"));
        let subject = Subject::access_token(call.access_token()?);
        Ok(Some(Question::new(call.required("x-organization")?, subject, "project.view")))
    });
    let (_, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let serve = tonic::transport::Server::builder().layer(guard).add_service(health);
    tokio::spawn(serve.serve_with_incoming(TcpListenerStream::new(listener)));
    HealthClient::new(Endpoint::from_shared(uri).unwrap().connect().await.unwrap())
}

fn call(metadata: &[(&'static str, &str)]) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest::default());
    for (key, value) in metadata {
        request.metadata_mut().insert(*key, MetadataValue::try_from(*value).unwrap());
    }
    request.set_timeout(Duration::from_secs(20));
    request
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[tokio::test]
async fn only_what_is_allowed_gets_through_and_the_rest_is_told_why() {
    let server = guildhall().await;
    let mut guarded = guarded(&server.client(&ManualClock::new()).connect().await.unwrap()).await;

    let good = call(&[("authorization", "Bearer good"), ("x-organization", ORGANIZATION)]);
    assert_eq!(guarded.check(good).await.unwrap().into_inner().status, 1);

    for (token, code, why) in [
        ("Bearer lesser", Code::PermissionDenied, "PERMISSION_MISSING"),
        ("Bearer elsewhere", Code::PermissionDenied, "PERMISSION_MISSING"),
        ("Bearer expired", Code::Unauthenticated, "TOKEN_EXPIRED"),
        ("Bearer ended", Code::Unauthenticated, "SESSION_ENDED"),
        ("Bearer forged", Code::Unauthenticated, "CREDENTIAL_INVALID"),
        ("Basic YTpi", Code::Unauthenticated, "CREDENTIAL_MISSING"),
        ("Bearer ", Code::Unauthenticated, "CREDENTIAL_MISSING"),
        ("Bearer other", Code::Unavailable, "AUTHORIZATION_UNAVAILABLE"),
    ] {
        let refused = guarded.check(call(&[("authorization", token), ("x-organization", ORGANIZATION)])).await;
        let status = refused.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{token}");
        assert!(!status.message().contains("a bug"), "what is wrong with the server is nobody's business");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_an_invalid_argument() {
    let server = guildhall().await;
    let mut guarded = guarded(&server.client(&ManualClock::new()).connect().await.unwrap()).await;
    let status = guarded.check(call(&[("authorization", "Bearer good")])).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let malformed = call(&[("authorization", "Bearer good"), ("x-organization", "acme")]);
    let status = guarded.check(malformed).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REQUEST_INVALID"));
}

#[tokio::test]
async fn what_needs_nothing_is_not_asked() {
    let client = Guildhall::builder("http://127.0.0.1:1").connect_lazy().unwrap();
    let mut guarded = guarded(&client).await;
    assert_eq!(guarded.check(call(&[("x-public", "1")])).await.unwrap().into_inner().status, 1);
}

#[tokio::test]
async fn without_an_answer_nobody_gets_through() {
    let client = Guildhall::builder("http://127.0.0.1:1").connect_lazy().unwrap();
    let mut guarded = guarded(&client).await;
    let good = call(&[("authorization", "Bearer good"), ("x-organization", ORGANIZATION)]);
    let status = guarded.check(good).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
}
