//! A server that keeps to the contract of `StreamChecks` and otherwise behaves as badly as it may: it takes
//! subscriptions in late, echoes pings before, answers from a snapshot that lags, writes slowly, resets, drains and
//! ends.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use guildhall_client::{Clock, Question};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::listener::serve_on;
use super::time::SimulatedClock;
use super::truth::Truth;
use super::{LEASE, QUIET, RUN, Served};
use crate::proto::authorization_service_server::{AuthorizationService, AuthorizationServiceServer};
use crate::proto::stream_checks_request::Frame as Asked;
use crate::proto::stream_checks_response::Frame as Told;
use crate::proto::subject::Kind;
use crate::proto::{
    Change, ChangeFrame, CheckItem, Decision, Draining, OrganizationProgress, Progress, Reset, StreamChecksRequest,
    StreamChecksResponse,
};
use crate::server::ORGANIZATION;

/// Serves on `listener`; see [`super::Serve`].
pub fn serve(listener: turmoil::net::TcpListener, truth: Arc<Truth>, clock: SimulatedClock, seed: u64) -> Served {
    Box::pin(async move {
        let service = AuthorizationServiceServer::new(Scripted { truth, clock, seed, streams: AtomicU64::new(0) });
        serve_on(listener, service).await
    })
}

struct Scripted {
    truth: Arc<Truth>,
    clock: SimulatedClock,
    seed: u64,
    streams: AtomicU64,
}

#[tonic::async_trait]
impl AuthorizationService for Scripted {
    async fn stream_checks(
        &self,
        request: Request<Streaming<StreamChecksRequest>>,
    ) -> Result<Response<BoxStream<StreamChecksResponse>>, Status> {
        let (told, frames) = mpsc::channel(1);
        let number = self.streams.fetch_add(1, Ordering::SeqCst);
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_mul(1_000).wrapping_add(number));
        let now = self.clock.elapsed();
        let mut later = |millis: Range<u64>| now + Duration::from_millis(random.u64(millis));
        let dialogue = Dialogue {
            truth: Arc::clone(&self.truth),
            clock: self.clock.clone(),
            told,
            waiting: VecDeque::new(),
            held: BTreeMap::new(),
            ping: None,
            snapshot: now,
            stuck_until: now,
            reset_at: later(5_000..40_000),
            drain_at: later(1_000..40_000),
            end_at: later(1_000..40_000),
            random,
        };
        tokio::spawn(dialogue.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(frames))))
    }
}

/// One stream.
struct Dialogue {
    truth: Arc<Truth>,
    clock: SimulatedClock,
    random: fastrand::Rng,
    told: mpsc::Sender<Result<StreamChecksResponse, Status>>,
    /// Frames that were read, and when they are taken in.
    waiting: VecDeque<(Duration, Asked)>,
    /// The question and what was told last.
    held: BTreeMap<u64, (Question, Option<bool>)>,
    ping: Option<u64>,
    /// What most answers are computed from.
    snapshot: Duration,
    /// Until when the snapshot lags.
    stuck_until: Duration,
    reset_at: Duration,
    drain_at: Duration,
    end_at: Duration,
}

impl Dialogue {
    async fn run(mut self, mut inbound: Streaming<StreamChecksRequest>) {
        loop {
            let pause = Duration::from_millis(self.random.u64(1..60));
            tokio::select! {
                frame = inbound.message() => match frame {
                    Ok(Some(StreamChecksRequest { frame: Some(frame) })) => self.read(frame),
                    _ => return,
                },
                () = self.clock.sleep(pause) => {
                    if self.work().await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    fn read(&mut self, frame: Asked) {
        match frame {
            // At once, whatever waits.
            Asked::Ping(ping) => self.ping = Some(ping.number),
            frame => {
                let now = self.clock.elapsed();
                let loading = if now + QUIET < RUN && self.random.u8(..3) == 0 { 9_000 } else { 10 };
                let at = now + Duration::from_millis(self.random.u64(..loading));
                self.waiting.push_back((at, frame));
            }
        }
    }

    /// Returns what there is to say; `None` once the stream has ended.
    async fn work(&mut self) -> Option<()> {
        let now = self.clock.elapsed();
        if self.random.u8(..100) == 0 && now + QUIET < RUN {
            self.stuck_until = now + Duration::from_millis(self.random.u64(..4_000));
        }
        if self.random.u8(..3) == 0 && now >= self.stuck_until {
            self.snapshot = now;
        }
        self.take_in(now);
        if now + QUIET < RUN {
            self.misbehave(now).await?;
        }
        let changes = self.changes();
        if !changes.is_empty() {
            let (organization_id, revision) = (ORGANIZATION.to_owned(), self.revision());
            let age_ms = self.age();
            self.tell(Told::Changes(ChangeFrame { organization_id, changes, revision, age_ms })).await?;
        }
        // Computed again: writing took its time, and something may have turned meanwhile.
        if self.changes_wait() {
            return Some(());
        }
        if let Some(ping_number) = self.ping.take() {
            let organization_id = ORGANIZATION.to_owned();
            let organizations = vec![OrganizationProgress { organization_id, revision: self.revision() }];
            let lease_ms = u64::try_from(LEASE.as_millis()).unwrap();
            let age_ms = self.age();
            self.tell(Told::Progress(Progress { ping_number, organizations, age_ms, lease_ms })).await?;
        }
        Some(())
    }

    fn take_in(&mut self, now: Duration) {
        while let Some((at, frame)) = self.waiting.front() {
            if let Asked::Subscribe(frame) = frame {
                let at_least = frame.at_least.parse().unwrap_or(0);
                if *at > now || self.truth.revision(self.snapshot) < at_least {
                    return;
                }
            }
            match self.waiting.pop_front() {
                Some((_, Asked::Subscribe(frame))) => {
                    for it in frame.subscriptions {
                        self.held.insert(it.subscription_id, (asked(it.item), it.known_allowed));
                    }
                }
                Some((_, Asked::Unsubscribe(frame))) => {
                    frame.subscription_ids.iter().for_each(|id| drop(self.held.remove(id)));
                }
                _ => {}
            }
        }
    }

    async fn misbehave(&mut self, now: Duration) -> Option<()> {
        if now >= self.reset_at {
            self.reset_at = now + Duration::from_millis(self.random.u64(3_000..30_000));
            self.held.clear();
            let reasons = ["REVISION_VANISHED", "INDEX_LOADING", "PERMISSION_MISSING", "NOT_FOUND"];
            let reason = reasons[self.random.usize(..reasons.len())].to_owned();
            self.tell(Told::Reset(Reset { organization_id: ORGANIZATION.to_owned(), reason })).await?;
        }
        if now >= self.drain_at {
            self.drain_at = Duration::MAX;
            let grace_ms = self.random.u64(100..5_000);
            self.end_at = now + Duration::from_millis(grace_ms);
            self.tell(Told::Draining(Draining { grace_ms })).await?;
        }
        if now >= self.end_at {
            let _ = self.told.send(Err(Status::unavailable("it ends"))).await;
            return None;
        }
        Some(())
    }

    /// Computes what turned since it was told.
    fn changes(&mut self) -> Vec<Change> {
        let (truth, now, snapshot) = (&self.truth, self.clock.elapsed(), self.snapshot);
        let turned = self.held.iter_mut().filter_map(|(id, (question, last))| {
            let decision = decide(truth, question, now, snapshot);
            let has_turned = *last != Some(decision.allowed);
            *last = Some(decision.allowed);
            has_turned.then_some(Change { subscription_id: *id, decision: Some(decision) })
        });
        turned.collect()
    }

    fn changes_wait(&self) -> bool {
        let now = self.clock.elapsed();
        let differs = |(question, last): &(Question, Option<bool>)| {
            *last != Some(decide(&self.truth, question, now, self.snapshot).allowed)
        };
        self.held.values().any(differs)
    }

    fn age(&self) -> u64 {
        u64::try_from((self.clock.elapsed() - self.snapshot).as_millis()).unwrap() + 1
    }

    fn revision(&self) -> String {
        self.truth.revision(self.snapshot).to_string()
    }

    /// Writes a frame, some time after it was computed.
    async fn tell(&mut self, frame: Told) -> Option<()> {
        let is_late = self.random.u8(..16) == 0 && self.clock.elapsed() + QUIET < RUN;
        if is_late {
            self.clock.sleep(Duration::from_millis(self.random.u64(..3_000))).await;
        }
        self.told.send(Ok(StreamChecksResponse { frame: Some(frame) })).await.ok()?;
        // Late, and then nothing: what turned meanwhile is never told.
        (!is_late || self.random.u8(..4) > 0).then_some(())
    }
}

/// Finds the question in an item.
fn asked(item: Option<CheckItem>) -> Question {
    match item.and_then(|item| item.subject?.kind) {
        Some(Kind::UserId(user)) => crate::server::question(&user),
        kind => panic!("{kind:?} is not asked in the simulation"),
    }
}

/// Decides by the truth: for every other question its grants expire, which is known beforehand and needs no snapshot.
fn decide(truth: &Truth, question: &Question, now: Duration, snapshot: Duration) -> Decision {
    let expires = truth.expires(question);
    let allowed = truth.allows(question, if expires { now } else { snapshot });
    let left = truth.next_turn(question, now).filter(|_| expires && allowed).map(|turn| turn - now);
    let valid_for_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap());
    Decision { allowed, reason: i32::from(!allowed), valid_for_ms, malformed_field: 0 }
}
