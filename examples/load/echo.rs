//! What Guildhall is measured against: a server of the same messages that only decodes and encodes them.
//!
//! No layer stands before it, nobody is authenticated and nothing is looked up. Code generated from the contract reads every
//! field of every request; the answers have the shape and the length of Guildhall's, and allow everything.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use guildhall::domain::revision::{Position, Revision, Tag, Token};
use guildhall::proto::authorization_service_server::AuthorizationService;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{
    BatchCheckRequest, BatchCheckResponse, CheckRequest, CheckResponse, Decision, DecisionFrame, ExplainCheckRequest,
    ExplainCheckResponse, ListPermissionsRequest, ListPermissionsResponse, ListResourcesRequest, ListResourcesResponse,
    ListSubjectsRequest, ListSubjectsResponse, StreamChecksRequest, StreamChecksResponse,
};
use tonic::{Request, Response, Status, Streaming};

use crate::shape::Shape;

/// An age as Guildhall tells it between two polls, in milliseconds.
const AGE_MS: u64 = 120;
/// What every item is answered.
const ALLOWED: Decision = Decision { allowed: true, reason: 0, valid_for_ms: None, malformed_field: 0 };

/// Answers every message by itself.
#[derive(Clone)]
pub struct Echo {
    revision: String,
}

impl Echo {
    /// Makes the service, with a revision to tell that is as long as a real one.
    pub fn new() -> Self {
        let position = Position { revision: Revision(1), tag: Tag(1) };
        let token = Token { epoch: 1, organization: Shape::organization(0), position, installation: position };
        Self { revision: URL_SAFE_NO_PAD.encode(token.to_bytes()) }
    }

    fn answer(&self, request: StreamChecksRequest) -> Result<StreamChecksResponse, Status> {
        let Some(Asked::Check(frame)) = request.frame else {
            return Err(Status::unimplemented("the echo answers checks only"));
        };
        let told = Told::Decisions(DecisionFrame {
            frame_id: frame.frame_id,
            decisions: vec![ALLOWED; frame.items.len()],
            revision: self.revision.clone(),
            age_ms: AGE_MS,
            error: String::new(),
        });
        Ok(StreamChecksResponse { frame: Some(told) })
    }
}

#[tonic::async_trait]
impl AuthorizationService for Echo {
    type StreamChecksStream = futures_util::stream::BoxStream<'static, Result<StreamChecksResponse, Status>>;

    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let (decision, revision) = (Some(ALLOWED), self.revision.clone());
        Ok(Response::new(CheckResponse { decision, revision, age_ms: AGE_MS }))
    }

    async fn batch_check(&self, request: Request<BatchCheckRequest>) -> Result<Response<BatchCheckResponse>, Status> {
        let decisions = vec![ALLOWED; request.get_ref().items.len()];
        Ok(Response::new(BatchCheckResponse { decisions, revision: self.revision.clone(), age_ms: AGE_MS }))
    }

    async fn explain_check(&self, _: Request<ExplainCheckRequest>) -> Result<Response<ExplainCheckResponse>, Status> {
        Err(Status::unimplemented("not put under load"))
    }

    async fn list_permissions(
        &self,
        _: Request<ListPermissionsRequest>,
    ) -> Result<Response<ListPermissionsResponse>, Status> {
        Err(Status::unimplemented("not put under load"))
    }

    async fn list_resources(
        &self,
        _: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        Err(Status::unimplemented("not put under load"))
    }

    async fn list_subjects(&self, _: Request<ListSubjectsRequest>) -> Result<Response<ListSubjectsResponse>, Status> {
        Err(Status::unimplemented("not put under load"))
    }

    async fn stream_checks(
        &self,
        request: Request<Streaming<StreamChecksRequest>>,
    ) -> Result<Response<Self::StreamChecksStream>, Status> {
        let echo = self.clone();
        let answers = request.into_inner().map(move |frame| frame.and_then(|frame| echo.answer(frame)));
        Ok(Response::new(answers.boxed()))
    }
}
