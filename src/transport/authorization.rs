//! `AuthorizationService`.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Call, Edge};
use super::convert::{answer, consistency, item, items, millis_up, parse_token, token};
use crate::authz::{Answer, Denial, ITEMS_MAX, Output, Stream, Update, View};
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::proto::authorization_service_server::AuthorizationService;
use crate::proto::stream_checks_request::Frame as Asked;
use crate::proto::stream_checks_response::Frame as Told;
use crate::proto::{
    BatchCheckRequest, BatchCheckResponse, Change, ChangeFrame, CheckItem, CheckRequest, CheckResponse, Consistency,
    DecisionFrame, ExplainCheckRequest, ExplainCheckResponse, OrganizationProgress, Progress, Reset,
    StreamChecksRequest, StreamChecksResponse,
};
use crate::service::Checked;

/// Serves checks.
pub(super) struct Authorization(pub Edge);

/// What a stream of checks gives.
type Frames = Pin<Box<dyn futures_util::Stream<Item = Result<StreamChecksResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AuthorizationService for Authorization {
    type StreamChecksStream = Frames;

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.check_one(&call, &message).await)
    }

    async fn batch_check(&self, request: Request<BatchCheckRequest>) -> Result<Response<BatchCheckResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(self.check_batch(&call, &message).await)
    }

    async fn explain_check(
        &self,
        request: Request<ExplainCheckRequest>,
    ) -> Result<Response<ExplainCheckResponse>, Status> {
        let (call, message) = Call::open(request)?;
        call.close(super::explain::explain(&self.0, &call, &message).await)
    }

    async fn stream_checks(
        &self,
        request: Request<Streaming<StreamChecksRequest>>,
    ) -> Result<Response<Frames>, Status> {
        let (call, inbound) = Call::open(request)?;
        let Some(caller) = call.caller else {
            return Err(call.refuse(&Error::new(Reason::CredentialMissing, "a credential is needed")));
        };
        let stream = Stream::new(Arc::clone(&self.0.services.engine), caller);
        let dialogue = Dialogue::new(self.0.clone(), call, inbound, stream);
        let frames = stream::unfold(Some(dialogue), |dialogue| async move {
            let mut dialogue = dialogue?;
            match dialogue.next().await {
                Ok(Some(frame)) => Some((Ok(frame), Some(dialogue))),
                Ok(None) => None,
                Err(error) => Some((Err(dialogue.call.refuse(&error)), None)),
            }
        });
        Ok(Response::new(Box::pin(frames)))
    }
}

impl Authorization {
    async fn check_one(&self, call: &Call, message: &CheckRequest) -> Result<CheckResponse, Error> {
        let item = message.item.as_ref();
        let item = item.ok_or_else(|| Error::invalid("item", Reason::FieldRequired, "is required"))?;
        let checked = self
            .answers(call, &message.organization_id, std::slice::from_ref(item), message.consistency.as_ref())
            .await?;
        let only = checked.answers.first().copied().unwrap_or(Answer::Denied(Denial::Malformed));
        if only == Answer::Denied(Denial::Stale) {
            return Err(Error::new(Reason::IndexStale, "the index is not proven fresh enough to allow")
                .retry_after(self.0.services.engine.settings().poll_interval));
        }
        Ok(CheckResponse {
            decision: Some(answer(only, checked.view.now())),
            revision: token(Some(checked.view.token())),
            age_ms: millis_up(checked.view.age),
        })
    }

    async fn check_batch(&self, call: &Call, message: &BatchCheckRequest) -> Result<BatchCheckResponse, Error> {
        if message.items.is_empty() || message.items.len() > ITEMS_MAX {
            let range = format!("must be from 1 to {ITEMS_MAX}");
            return Err(Error::invalid("items", Reason::OutOfRange, range));
        }
        let checked =
            self.answers(call, &message.organization_id, &message.items, message.consistency.as_ref()).await?;
        let now = checked.view.now();
        Ok(BatchCheckResponse {
            decisions: checked.answers.into_iter().map(|it| answer(it, now)).collect(),
            revision: token(Some(checked.view.token())),
            age_ms: millis_up(checked.view.age),
        })
    }

    async fn answers(
        &self,
        call: &Call,
        organization: &str,
        asked: &[CheckItem],
        freshness: Option<&Consistency>,
    ) -> Result<Checked, Error> {
        let organization = OrganizationId::parse("organization_id", organization)?;
        let services = &self.0.services;
        let requirement = consistency(freshness, services.engine.settings().staleness_bound)?;
        services.check(&call.reading(), organization, &items(asked), requirement).await
    }
}

/// One stream: frames in, frames out, one at a time and only when there is room to write.
struct Dialogue {
    edge: Edge,
    call: Call,
    inbound: Streaming<StreamChecksRequest>,
    stream: Stream,
    /// Whether the client has said all it had to say.
    is_half_closed: bool,
}

impl Dialogue {
    fn new(edge: Edge, call: Call, inbound: Streaming<StreamChecksRequest>, stream: Stream) -> Self {
        edge.metrics.streams.inc();
        Self { edge, call, inbound, stream, is_half_closed: false }
    }

    /// Gives the next frame; `None` once the client has half-closed and everything it asked is answered.
    async fn next(&mut self) -> Result<Option<StreamChecksResponse>, Error> {
        let clock = Arc::clone(&self.edge.world.clock);
        let deadline = self.call.deadline;
        loop {
            if self.is_half_closed && self.stream.is_idle() {
                return Ok(None);
            }
            let time_left = async {
                match deadline {
                    Some(deadline) => clock.sleep(deadline.since(clock.monotonic())).await,
                    None => std::future::pending().await,
                }
            };
            let may_read = !self.is_half_closed && self.stream.has_room();
            tokio::select! {
                () = self.edge.draining.cancelled() => {
                    return Err(Error::new(Reason::Draining, "the server is shutting down"));
                }
                () = time_left => return Err(Error::new(Reason::DeadlineExceeded, "the deadline has passed")),
                output = self.stream.next() => return Ok(Some(self.encode(output?))),
                frame = self.inbound.message(), if may_read => match frame {
                    Ok(Some(frame)) => self.take(frame)?,
                    Ok(None) => self.is_half_closed = true,
                    // Or the connection broke; then this is told to nobody.
                    Err(_) => {
                        let message = "a message of the stream cannot be read, or is too large";
                        return Err(Error::new(Reason::RequestInvalid, message));
                    }
                },
            }
        }
    }

    fn take(&mut self, frame: StreamChecksRequest) -> Result<(), Error> {
        let bound = self.edge.services.engine.settings().staleness_bound;
        must_hold_something(&frame)?;
        let update = match frame.frame {
            Some(Asked::Check(frame)) => Update::Check {
                frame: frame.frame_id,
                organization: OrganizationId::parse("check.organization_id", &frame.organization_id)?,
                items: items(&frame.items),
                requirement: consistency(frame.consistency.as_ref(), bound)?,
            },
            Some(Asked::Subscribe(frame)) => Update::Subscribe {
                organization: OrganizationId::parse("subscribe.organization_id", &frame.organization_id)?,
                subscriptions: frame
                    .subscriptions
                    .iter()
                    .map(|it| {
                        let question = it.item.as_ref().map_or(Err(Denial::Malformed), item);
                        (it.subscription_id, question, it.known_allowed)
                    })
                    .collect(),
                at_least: match frame.at_least.as_str() {
                    "" => None,
                    text => Some(parse_token("subscribe.at_least", text)?),
                },
            },
            Some(Asked::Unsubscribe(frame)) => Update::Unsubscribe(frame.subscription_ids),
            Some(Asked::Ping(ping)) => Update::Ping(ping.number),
            None => return Err(Error::invalid("frame", Reason::FieldRequired, "is required")),
        };
        self.stream.take(update)
    }

    fn encode(&self, output: Output) -> StreamChecksResponse {
        let told = match output {
            Output::Decisions { frame, answers: Ok((answers, view)) } => Told::Decisions(DecisionFrame {
                frame_id: frame,
                decisions: answers.into_iter().map(|it| answer(it, view.now())).collect(),
                revision: token(Some(view.token())),
                age_ms: millis_up(view.age),
                error: String::new(),
            }),
            Output::Decisions { frame, answers: Err(error) } => Told::Decisions(DecisionFrame {
                frame_id: frame,
                error: error.reason.name().to_owned(),
                ..DecisionFrame::default()
            }),
            Output::Changes { organization, changes, view } => {
                Told::Changes(change_frame(organization, changes, &view))
            }
            Output::Progress { ping, organizations, age } => Told::Progress(Progress {
                ping_number: ping,
                organizations: organizations
                    .into_iter()
                    .map(|it| OrganizationProgress {
                        organization_id: it.organization.to_string(),
                        revision: token(Some(it)),
                    })
                    .collect(),
                age_ms: millis_up(age),
                lease_ms: millis_up(self.edge.services.engine.settings().lease),
            }),
            Output::Reset { organization, reason } => {
                Told::Reset(Reset { organization_id: organization.to_string(), reason: reason.name().to_owned() })
            }
        };
        StreamChecksResponse { frame: Some(told) }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        self.edge.metrics.streams.dec();
    }
}

/// Asks that a frame is not empty; that it is not too large is asked by the stream.
fn must_hold_something(frame: &StreamChecksRequest) -> Result<(), Error> {
    let field = match &frame.frame {
        Some(Asked::Check(frame)) if frame.items.is_empty() => "check.items",
        Some(Asked::Subscribe(frame)) if frame.subscriptions.is_empty() => "subscribe.subscriptions",
        _ => return Ok(()),
    };
    Err(Error::invalid(field, Reason::OutOfRange, format!("must be from 1 to {ITEMS_MAX}")))
}

fn change_frame(organization: OrganizationId, changes: Vec<(u64, Answer)>, view: &View) -> ChangeFrame {
    ChangeFrame {
        organization_id: organization.to_string(),
        changes: changes
            .into_iter()
            .map(|(id, it)| Change { subscription_id: id, decision: Some(answer(it, view.now())) })
            .collect(),
        revision: token(Some(view.token())),
        age_ms: millis_up(view.age),
    }
}
