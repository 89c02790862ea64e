//! `AuthorizationService` spoken by the server's own stream, as its transport speaks it: frames in, frames out, one at a time
//! and only when there is room to write. What is sent is looked at on its way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;
use guildhall::authz::{
    Answer, Caller, Denial, Engine, Item, ItemFault, Output, Question, Requirement, Stream, Update, may_ask,
};
use guildhall::clock::Clock as _;
use guildhall::domain::error::{Error, Kind, Reason};
use guildhall::domain::id::{OrganizationId, UserId};
use guildhall::domain::place::{ResourceKey, Subject};
use guildhall::domain::revision::Token;
use guildhall::domain::time::Timestamp;
use tonic::codegen::BoxStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use super::source::{Seeded, ServerClock};
use super::witness::{Court, Witness};
use super::world::CALLER;
use crate::proto::authorization_service_server::AuthorizationService;
use crate::proto::consistency::Requirement as AskedRequirement;
use crate::proto::stream_checks_request::Frame as Asked;
use crate::proto::stream_checks_response::Frame as Told;
use crate::proto::subject::Kind as SubjectKind;
use crate::proto::{
    Change, ChangeFrame, CheckItem, CheckRequest, CheckResponse, Consistency, Decision, DecisionFrame, DecisionReason,
    Draining, OrganizationProgress, Progress, Reset, StreamChecksRequest, StreamChecksResponse,
};

const ME: Caller = Caller { subject: Subject::ServiceAccount(CALLER), session: None, key: None, expires_at: None };

/// One server process.
#[derive(Clone)]
pub struct Service {
    pub engine: Arc<Engine>,
    pub court: Court,
    pub clock: Arc<ServerClock>,
    pub random: Arc<Seeded>,
    /// From then on no stream is drained.
    pub quiet_from: Duration,
}

#[tonic::async_trait]
impl AuthorizationService for Service {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let answer = async {
            let organization = OrganizationId::parse("organization_id", &request.organization_id)?;
            let requirement = requirement(request.consistency.as_ref())?;
            let view = self.engine.view(organization, requirement, ME.subject).await?;
            let item = question(request.item.as_ref());
            self.engine.must_be_alive(&ME)?;
            may_ask(&view, ME.subject, std::iter::once(item.as_ref().map(Question::asked).map_err(|it| *it)))?;
            let answer = item.map_or_else(Answer::Denied, |question| view.answer(&question));
            Ok(CheckResponse {
                decision: Some(decision(answer, view.now())),
                revision: token(&view.token()),
                age_ms: millis_up(view.age),
            })
        };
        answer.await.map(Response::new).map_err(|error: Error| refuse(&error))
    }

    async fn stream_checks(
        &self,
        request: Request<Streaming<StreamChecksRequest>>,
    ) -> Result<Response<BoxStream<StreamChecksResponse>>, Status> {
        let drain_after = self.random.draw(|random| Duration::from_millis(random.u64(2_000..60_000)));
        let drains_at = Some(self.clock.0.elapsed() + drain_after).filter(|at| *at < self.quiet_from);
        let dialogue = Dialogue {
            stream: Stream::new(Arc::clone(&self.engine), ME),
            service: self.clone(),
            inbound: request.into_inner(),
            is_half_closed: false,
            drains_at,
            ends_at: None,
            witness: Witness::new(self.court.clone()),
        };
        let frames = stream::unfold(Some(dialogue), |dialogue| async move {
            let mut dialogue = dialogue?;
            match dialogue.next().await {
                Ok(Some(frame)) => Some((Ok(StreamChecksResponse { frame: Some(frame) }), Some(dialogue))),
                Ok(None) => None,
                Err(error) => Some((Err(refuse(&error)), None)),
            }
        });
        Ok(Response::new(Box::pin(frames)))
    }
}

/// One stream.
struct Dialogue {
    service: Service,
    inbound: Streaming<StreamChecksRequest>,
    stream: Stream<Vec<Item>>,
    is_half_closed: bool,
    drains_at: Option<Duration>,
    ends_at: Option<Duration>,
    witness: Witness,
}

impl Dialogue {
    async fn next(&mut self) -> Result<Option<Told>, Error> {
        let clock = Arc::clone(&self.service.clock);
        loop {
            if self.is_half_closed && self.stream.is_idle() {
                return Ok(None);
            }
            let may_read = !self.is_half_closed && self.stream.has_room();
            tokio::select! {
                () = until(&clock, self.drains_at) => return Ok(Some(self.drain())),
                () = until(&clock, self.ends_at) => {
                    return Err(Error::new(Reason::Draining, "the server is shutting down"));
                }
                output = self.stream.next() => return Ok(Some(self.tell(output?))),
                frame = self.inbound.message(), if may_read => match frame {
                    Ok(Some(StreamChecksRequest { frame: Some(frame) })) => {
                        self.witness.takes(&frame);
                        self.stream.take(update(frame)?)?;
                    }
                    Ok(None) => self.is_half_closed = true,
                    Ok(Some(_)) | Err(_) => return Err(Error::new(Reason::RequestInvalid, "cannot be read")),
                },
            }
        }
    }

    fn drain(&mut self) -> Told {
        let grace_ms = self.service.random.draw(|random| random.u64(100..5_000));
        self.drains_at = None;
        self.ends_at = Some(self.service.clock.0.elapsed() + Duration::from_millis(grace_ms));
        Told::Draining(Draining { grace_ms })
    }

    fn tell(&mut self, output: Output) -> Told {
        match output {
            Output::Decisions { frame, answers } => Told::Decisions(match answers {
                Ok((answers, view)) => DecisionFrame {
                    frame_id: frame,
                    decisions: answers.into_iter().map(|it| decision(it, view.now())).collect(),
                    revision: self.token(&view.token()),
                    age_ms: millis_up(view.age),
                    error: String::new(),
                },
                Err(error) => {
                    DecisionFrame { frame_id: frame, error: error.reason.name().to_owned(), ..DecisionFrame::default() }
                }
            }),
            Output::Changes { organization, changes, view } => {
                let revision = self.token(&view.token());
                self.witness.must_take_in(organization, view.age);
                let changes = changes.into_iter().map(|(subscription_id, answer)| {
                    let decision = decision(answer, view.now());
                    self.witness.hears_change(subscription_id, &decision, view.age);
                    Change { subscription_id, decision: Some(decision) }
                });
                Told::Changes(ChangeFrame {
                    organization_id: organization.to_string(),
                    changes: changes.collect(),
                    revision,
                    age_ms: millis_up(view.age),
                })
            }
            Output::Progress { ping, organizations, age } => {
                let organizations = organizations.into_iter().map(|it| OrganizationProgress {
                    organization_id: it.organization.to_string(),
                    revision: self.token(&it),
                });
                let organizations = organizations.collect();
                self.witness.hears_progress(ping, age);
                let lease_ms = millis_up(self.service.engine.settings().lease);
                Told::Progress(Progress { ping_number: ping, organizations, age_ms: millis_up(age), lease_ms })
            }
            Output::Reset { organization, reason } => {
                self.witness.hears_reset(organization);
                Told::Reset(Reset { organization_id: organization.to_string(), reason: reason.name().to_owned() })
            }
        }
    }

    /// Writes a revision that is told.
    fn token(&mut self, told: &Token) -> String {
        self.witness.hears_revision(told);
        token(told)
    }
}

async fn until(clock: &ServerClock, at: Option<Duration>) {
    match at {
        Some(at) => clock.sleep(at.saturating_sub(clock.0.elapsed())).await,
        None => std::future::pending().await,
    }
}

fn update(frame: Asked) -> Result<Update<Vec<Item>>, Error> {
    Ok(match frame {
        Asked::Check(frame) => Update::Check {
            frame: frame.frame_id,
            organization: OrganizationId::parse("check.organization_id", &frame.organization_id)?,
            questions: frame.items.iter().map(|item| question(Some(item))).collect(),
            requirement: requirement(frame.consistency.as_ref())?,
        },
        Asked::Subscribe(frame) => Update::Subscribe {
            organization: OrganizationId::parse("subscribe.organization_id", &frame.organization_id)?,
            subscriptions: frame
                .subscriptions
                .iter()
                .map(|it| (it.subscription_id, question(it.item.as_ref()), it.known_allowed))
                .collect(),
            at_least: match frame.at_least.as_str() {
                "" => None,
                text => Some(parse_token(text)?),
            },
        },
        Asked::Unsubscribe(frame) => Update::Unsubscribe(frame.subscription_ids),
        Asked::Ping(ping) => Update::Ping(ping.number),
    })
}

fn question(item: Option<&CheckItem>) -> Item {
    let item = item.ok_or(Denial::Malformed(ItemFault::Item))?;
    let subject = match item.subject.as_ref().and_then(|subject| subject.kind.as_ref()) {
        Some(SubjectKind::UserId(id)) => {
            Subject::User(UserId::parse("", id).map_err(|_| Denial::Malformed(ItemFault::UserId))?)
        }
        _ => return Err(Denial::Malformed(ItemFault::Subject)),
    };
    let target = item.resource.as_ref().map(|it| ResourceKey::parse("", &it.r#type, &it.id)).transpose();
    let target = target.map_err(|_| Denial::Malformed(ItemFault::ResourceId))?;
    Ok(Question { subject, session: None, permission: item.permission.as_str().into(), target })
}

fn decision(answer: Answer, now: Timestamp) -> Decision {
    let reason = match answer {
        Answer::Allowed { until } => {
            let valid_for_ms = until.map(|until| u64::try_from(until.since(now).as_millis()).unwrap());
            return Decision {
                allowed: true,
                reason: DecisionReason::Unspecified.into(),
                valid_for_ms,
                malformed_field: 0,
            };
        }
        Answer::Denied(Denial::Stale) => DecisionReason::IndexStale,
        Answer::Denied(Denial::NotGranted) => DecisionReason::NotGranted,
        Answer::Denied(denial) => panic!("{denial:?} is not asked in the simulation"),
    };
    Decision { allowed: false, reason: reason.into(), valid_for_ms: None, malformed_field: 0 }
}

fn requirement(consistency: Option<&Consistency>) -> Result<Requirement, Error> {
    Ok(match consistency.and_then(|it| it.requirement.as_ref()) {
        Some(AskedRequirement::Fresh(true)) => Requirement::Fresh,
        Some(AskedRequirement::AtLeast(text)) => Requirement::AtLeast(parse_token(text)?),
        _ => Requirement::MaxAge(None),
    })
}

fn token(token: &Token) -> String {
    URL_SAFE_NO_PAD.encode(token.to_bytes())
}

/// Reads a revision token.
pub fn parse_token(text: &str) -> Result<Token, Error> {
    let token = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Token::from_bytes(&bytes));
    token.ok_or_else(|| Error::new(Reason::RevisionInvalid, "is not a revision of this service"))
}

/// Writes milliseconds, rounded up: an age is never told as less than it is.
fn millis_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap()
}

fn refuse(error: &Error) -> Status {
    let code = match error.kind() {
        Kind::Unavailable => Code::Unavailable,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        kind => panic!("{kind:?}: {error:?} is no answer of the simulation"),
    };
    let details = ErrorDetails::with_error_info(error.reason.name(), "guildhall", HashMap::new());
    Status::with_error_details(code, error.message.clone(), details)
}
