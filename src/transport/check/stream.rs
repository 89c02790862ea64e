//! `StreamChecks`: frames in, frames out, one at a time and only when there is room to write.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use prost::Message;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::authz::{Asked, Denial, ITEMS_MAX, ItemFault, Output, Questions, Stream, Update, View};
use crate::clock::Monotonic;
use crate::domain::error::{Error, Reason};
use crate::domain::id::OrganizationId;
use crate::proto::stream_checks_request::Frame as Received;
use crate::proto::stream_checks_response::Frame as Told;
use crate::proto::{Draining, OrganizationProgress, Progress, Reset, StreamChecksRequest, StreamChecksResponse};
use crate::service::Services;
use crate::transport::convert::{
    Tokens, asked, consistency, consistency_view, decision_out, millis_up, parse_token, question, token,
};
use crate::transport::incoming::{Incoming, ServerState};
use crate::transport::wire::read::{CheckFrameView, StreamFrame, stream_frame};
use crate::transport::wire::write::{ChangeFrame, ChangeOut, DecisionFrame, DecisionOut};
use crate::transport::wire::{Malformed, Outgoing, Prepared, ServeStream};

/// Serves streams of checks.
pub(in crate::transport) struct Streams(pub ServerState);

/// How much memory the frames may take that wait, in bytes as they came. Past it no more is read.
const WAITING_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a stream of checks gives.
type Frames = Pin<Box<dyn stream::Stream<Item = Result<Answered, Status>> + Send>>;
type Answered = Outgoing<StreamChecksResponse, AnswerFrame>;

impl ServeStream for Streams {
    type Prepared = AnswerFrame;
    type Frames = Frames;

    async fn stream_checks(&self, frames: Request<Streaming<Bytes>>) -> Result<Response<Frames>, Status> {
        let (call, inbound) = Incoming::open(frames)?;
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

/// One frame that is written without the generated code.
#[derive(Debug)]
pub(in crate::transport) enum AnswerFrame {
    /// Answers to checks.
    Decisions(DecisionFrame<Vec<DecisionOut>, String>),
    /// What turned.
    Changes(ChangeFrame<Vec<ChangeOut>, String>),
}

impl Prepared for AnswerFrame {
    fn encoded_len(&self) -> usize {
        match self {
            Self::Decisions(frame) => frame.encoded_len(),
            Self::Changes(frame) => frame.encoded_len(),
        }
    }

    fn write(&self, to: &mut impl bytes::BufMut) {
        match self {
            Self::Decisions(frame) => frame.write(to),
            Self::Changes(frame) => frame.write(to),
        }
    }
}

/// A frame of checks as it was received, every item of which can be read.
#[derive(Debug)]
struct ReceivedChecks {
    message: Bytes,
    count: usize,
    tokens: Tokens,
    /// What the frames take that wait, this one among them.
    waiting: Arc<AtomicUsize>,
}

impl ReceivedChecks {
    fn new(
        message: &Bytes,
        frame: &CheckFrameView<'_>,
        services: &Services,
        waiting: &Arc<AtomicUsize>,
    ) -> Result<Self, Malformed> {
        // It stands or falls as a whole: nothing of it is answered if an item at its end cannot be read.
        frame.items.verify()?;
        let items = frame.items.clone().flatten();
        let (count, tokens) = (items.clone().count(), Tokens::verify(items, services));
        waiting.fetch_add(message.len(), Ordering::Relaxed);
        Ok(Self { message: message.clone(), count, tokens, waiting: Arc::clone(waiting) })
    }
}

impl Drop for ReceivedChecks {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.message.len(), Ordering::Relaxed);
    }
}

impl Questions for ReceivedChecks {
    fn count(&self) -> usize {
        self.count
    }

    fn asked(&self) -> impl Iterator<Item = Result<Asked<'_>, Denial>> {
        let items = match stream_frame(&self.message) {
            Ok(StreamFrame::Check(frame)) => Some(frame.items.flatten()),
            Ok(StreamFrame::Other) | Err(_) => None,
        };
        self.tokens.put_in(items.into_iter().flatten())
    }
}

/// Waits for what a stream says next; `None` at its end, which it has only if the client asks nothing more.
async fn next(stream: &mut Stream<ReceivedChecks>, is_last: bool) -> Result<Option<Output>, Error> {
    if is_last { stream.last().await } else { stream.next().await.map(Some) }
}

/// One stream.
struct Dialogue {
    server: ServerState,
    call: Incoming,
    inbound: Streaming<Bytes>,
    stream: Stream<ReceivedChecks>,
    /// What the frames of checks take that wait.
    waiting: Arc<AtomicUsize>,
    /// Whether the client has said all it had to say.
    is_half_closed: bool,
    /// When the stream has grown old.
    drains_at: Monotonic,
    /// When the stream ends, once that was told.
    ends_at: Option<Monotonic>,
}

impl Dialogue {
    fn new(server: ServerState, call: Incoming, inbound: Streaming<Bytes>, stream: Stream<ReceivedChecks>) -> Self {
        server.metrics.streams.inc();
        // Between a third and the whole of the age, so that many that began together do not end together.
        let age = server.env.jittered(server.stream_age * 2 / 3);
        let drains_at = Monotonic(server.env.clock.monotonic().0.saturating_add(age));
        let waiting = Arc::default();
        Self { server, call, inbound, stream, waiting, is_half_closed: false, drains_at, ends_at: None }
    }

    /// Returns the next frame; `None` once the client has half-closed and everything it asked is answered.
    async fn next(&mut self) -> Result<Option<Answered>, Error> {
        let clock = Arc::clone(&self.server.env.clock);
        let draining = self.server.draining.clone();
        loop {
            let is_last = self.is_half_closed;
            let has_room = self.stream.has_room() && self.waiting.load(Ordering::Relaxed) < WAITING_BYTES_MAX;
            let may_read = !self.is_half_closed && has_room;
            tokio::select! {
                () = draining.cancelled(), if self.ends_at.is_none() => return Ok(Some(self.drain())),
                () = until(&*clock, Some(self.drains_at)), if self.ends_at.is_none() => return Ok(Some(self.drain())),
                () = until(&*clock, self.ends_at) => {
                    return Err(Error::new(Reason::Draining, "the stream was to end: open another"));
                }
                () = until(&*clock, self.call.deadline) => {
                    return Err(Error::new(Reason::DeadlineExceeded, "the deadline has passed"));
                }
                output = next(&mut self.stream, is_last) => return Ok(output?.map(|output| self.encode(output))),
                frame = self.inbound.message(), if may_read => match frame {
                    Ok(Some(message)) => {
                        if let Some(answered) = self.take(&message)? {
                            return Ok(Some(answered));
                        }
                    }
                    Ok(None) => self.is_half_closed = true,
                    Err(status) if status.code() == Code::DeadlineExceeded => return Err(late()),
                    // Or the connection broke; then this is told to nobody.
                    Err(_) => return Err(unreadable()),
                },
            }
        }
    }

    /// Tells that the stream will end, so that the client opens another before it does.
    fn drain(&mut self) -> Answered {
        let grace = self.server.stream_grace;
        self.ends_at = Some(Monotonic(self.server.env.clock.monotonic().0 + grace));
        message(Told::Draining(Draining { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) }))
    }

    /// Takes a message in, or answers it if nothing has to be waited for.
    fn take(&mut self, message: &Bytes) -> Result<Option<Answered>, Error> {
        let bound = self.server.services.engine.settings().staleness_bound;
        let update = match stream_frame(message).map_err(|_| unreadable())? {
            StreamFrame::Check(frame) => {
                if let Some(answered) = self.check_at_once(&frame, bound)? {
                    return Ok(Some(answered));
                }
                self.checks(message, &frame, bound)?
            }
            StreamFrame::Other => {
                self.other(StreamChecksRequest::decode(message.clone()).map_err(|_| unreadable())?, bound)?
            }
        };
        self.stream.take(update)?;
        Ok(None)
    }

    /// Answers a frame of checks while it is being read, if nothing has to be waited for.
    fn check_at_once(&self, frame: &CheckFrameView<'_>, bound: Duration) -> Result<Option<Answered>, Error> {
        let count = frame.items.len();
        must_hold_something("check.items", count)?;
        if count > ITEMS_MAX {
            return Ok(None);
        }
        let organization = OrganizationId::parse("check.organization_id", frame.organization_id)?;
        let requirement = consistency_view(frame.consistency, bound)?;
        self.call.note(organization, &self.server.env);
        let is_broken = Cell::new(false);
        let services = &self.server.services;
        let asked = frame.items.clone().map(|item| match item {
            Ok(item) => asked(item, services),
            Err(Malformed) => {
                is_broken.set(true);
                Err(Denial::Malformed(ItemFault::Item))
            }
        });
        let mut decisions = Vec::with_capacity(count);
        let view = self.stream.check_at_once(organization, requirement, asked, |answer, now| {
            decisions.push(decision_out(answer, now));
        });
        // It stands or falls as a whole: nothing of it is answered if an item at its end cannot be read.
        if is_broken.get() {
            return Err(unreadable());
        }
        Ok(view.map(|view| match view {
            Ok(view) => decision_frame(frame.frame_id, decisions, &view),
            Err(error) => refused_frame(frame.frame_id, &error),
        }))
    }

    /// Reads a frame of checks where it stands.
    fn checks(
        &self,
        message: &Bytes,
        frame: &CheckFrameView<'_>,
        bound: Duration,
    ) -> Result<Update<ReceivedChecks>, Error> {
        let questions = ReceivedChecks::new(message, frame, &self.server.services, &self.waiting);
        let questions = questions.map_err(|_| unreadable())?;
        must_hold_something("check.items", questions.count)?;
        Ok(Update::Check {
            frame: frame.frame_id,
            organization: OrganizationId::parse("check.organization_id", frame.organization_id)?,
            questions,
            requirement: consistency_view(frame.consistency, bound)?,
        })
    }

    /// Reads a frame of another kind, or one that is written in an unusual way.
    fn other(&self, frame: StreamChecksRequest, bound: Duration) -> Result<Update<ReceivedChecks>, Error> {
        Ok(match frame.frame {
            Some(Received::Check(check)) => {
                must_hold_something("check.items", check.items.len())?;
                let organization = OrganizationId::parse("check.organization_id", &check.organization_id)?;
                let requirement = consistency(check.consistency.as_ref(), bound)?;
                let frame = check.frame_id;
                // Written anew, it is as usual as any.
                let message = StreamChecksRequest { frame: Some(Received::Check(check)) };
                let message = Bytes::from(message.encode_to_vec());
                let questions = match stream_frame(&message) {
                    Ok(StreamFrame::Check(frame)) => {
                        ReceivedChecks::new(&message, &frame, &self.server.services, &self.waiting)
                    }
                    Ok(StreamFrame::Other) | Err(_) => Err(Malformed),
                };
                Update::Check { frame, organization, questions: questions.map_err(|_| unreadable())?, requirement }
            }
            Some(Received::Subscribe(frame)) => {
                must_hold_something("subscribe.subscriptions", frame.subscriptions.len())?;
                let organization = OrganizationId::parse("subscribe.organization_id", &frame.organization_id)?;
                self.call.note(organization, &self.server.env);
                let subscription = |it: &crate::proto::Subscription| {
                    (it.subscription_id, question(it.item.as_ref(), &self.server.services), it.known_allowed)
                };
                Update::Subscribe {
                    organization,
                    subscriptions: frame.subscriptions.iter().map(subscription).collect(),
                    at_least: match frame.at_least.as_str() {
                        "" => None,
                        text => Some(parse_token("subscribe.at_least", text)?),
                    },
                }
            }
            Some(Received::Unsubscribe(frame)) => Update::Unsubscribe(frame.subscription_ids),
            Some(Received::Ping(ping)) => Update::Ping(ping.number),
            None => return Err(Error::invalid("frame", Reason::FieldRequired, "is required")),
        })
    }

    fn encode(&self, output: Output) -> Answered {
        match output {
            Output::Decisions { frame, answers: Ok((answers, view)) } => {
                let decisions = answers.into_iter().map(|it| decision_out(it, view.now())).collect();
                decision_frame(frame, decisions, &view)
            }
            Output::Decisions { frame, answers: Err(error) } => refused_frame(frame, &error),
            Output::Changes { organization, changes, view } => {
                let changes = changes
                    .into_iter()
                    .map(|(subscription_id, it)| ChangeOut { subscription_id, decision: decision_out(it, view.now()) });
                let (changes, revision) = (changes.collect(), token(Some(view.token())));
                let frame = ChangeFrame::new(organization.to_string(), changes, revision, millis_up(view.age));
                Outgoing::Prepared(AnswerFrame::Changes(frame))
            }
            Output::Progress { ping, organizations, age } => message(Told::Progress(Progress {
                ping_number: ping,
                organizations: organizations
                    .into_iter()
                    .map(|it| OrganizationProgress {
                        organization_id: it.organization.to_string(),
                        revision: token(Some(it)),
                    })
                    .collect(),
                age_ms: millis_up(age),
                lease_ms: millis_up(self.server.services.engine.settings().lease),
            })),
            Output::Reset { organization, reason } => message(Told::Reset(Reset {
                organization_id: organization.to_string(),
                reason: reason.name().to_owned(),
            })),
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        self.server.metrics.streams.dec();
    }
}

/// Waits until an instant, or for ever without one.
async fn until(clock: &dyn crate::clock::Clock, instant: Option<Monotonic>) {
    match instant {
        Some(instant) => clock.sleep(instant.since(clock.monotonic())).await,
        None => std::future::pending().await,
    }
}

fn decision_frame(frame: u64, decisions: Vec<DecisionOut>, view: &View) -> Answered {
    let revision = token(Some(view.token()));
    let frame = DecisionFrame::new(frame, decisions, revision, millis_up(view.age), String::new());
    Outgoing::Prepared(AnswerFrame::Decisions(frame))
}

fn refused_frame(frame: u64, error: &Error) -> Answered {
    let reason = error.reason.name().to_owned();
    Outgoing::Prepared(AnswerFrame::Decisions(DecisionFrame::new(frame, Vec::new(), String::new(), 0, reason)))
}

fn message(told: Told) -> Answered {
    Outgoing::Message(StreamChecksResponse { frame: Some(told) })
}

fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "a message of the stream did not arrive in time")
}

fn unreadable() -> Error {
    Error::new(Reason::RequestInvalid, "a message of the stream cannot be read, or is too large")
}

/// Ensures that a frame is not empty; that it is not too large is asked by the stream.
fn must_hold_something(field: &str, count: usize) -> Result<(), Error> {
    if count == 0 {
        return Err(Error::invalid(field, Reason::OutOfRange, format!("must be from 1 to {ITEMS_MAX}")));
    }
    Ok(())
}
