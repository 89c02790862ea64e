//! A server that does what a test tells it to, and clients of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use guildhall_client::{Builder, Guildhall, Question, Subject};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use crate::clock::{ManualClock, ms};
use crate::proto::authorization_service_server::{AuthorizationService, AuthorizationServiceServer};
use crate::proto::stream_checks_request::Frame as Asked;
use crate::proto::stream_checks_response::Frame as Told;
use crate::proto::{
    Change, ChangeFrame, CheckRequest, CheckResponse, Decision, Draining, OrganizationProgress, Progress, Reset,
    StreamChecksRequest, StreamChecksResponse, SubscribeFrame,
};

pub const ORGANIZATION: &str = "018f4e9a-7b3c-7def-8a12-0123456789ab";
pub const OTHER_ORGANIZATION: &str = "018f4e9a-7b3c-7def-8a12-0123456789ac";
/// The lease that streams tell unless a test wants another.
pub const LEASE: Duration = Duration::from_secs(5);

/// Waits for `future`, and fails the test rather than hang.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it happens within 20 seconds")
}

/// Waits until `condition` holds.
pub async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// May the user do this at the organization?
pub fn question(user: &str) -> Question {
    Question::new(ORGANIZATION, Subject::user(user), "project.view")
}

type Checking =
    Arc<dyn Fn(&CheckRequest, &tonic::metadata::MetadataMap) -> Result<CheckResponse, Status> + Send + Sync>;

#[derive(Clone)]
struct Script {
    streams: mpsc::UnboundedSender<Stream>,
    check: Checking,
}

#[tonic::async_trait]
impl AuthorizationService for Script {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        (self.check)(request.get_ref(), request.metadata()).map(Response::new)
    }

    async fn stream_checks(
        &self,
        request: Request<Streaming<StreamChecksRequest>>,
    ) -> Result<Response<BoxStream<StreamChecksResponse>>, Status> {
        let credential = request.metadata().get("authorization").map(|it| it.to_str().unwrap().to_owned());
        let (told, frames) = mpsc::channel(16);
        let stream = Stream { credential, inbound: request.into_inner(), told: Some(told), pings: 0 };
        self.streams.send(stream).map_err(|_| Status::unavailable("the test takes no more streams"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(frames))))
    }
}

/// A server that does what a test tells it to.
pub struct Server {
    pub uri: String,
    streams: mpsc::UnboundedReceiver<Stream>,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts one that refuses single checks.
    pub async fn start() -> Self {
        Self::start_with(|_, _| Err(Status::permission_denied("no single checks here"))).await
    }

    /// Starts one that answers single checks with `check`.
    pub async fn start_with(
        check: impl Fn(&CheckRequest, &tonic::metadata::MetadataMap) -> Result<CheckResponse, Status>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let (sender, streams) = mpsc::unbounded_channel();
        let script = Script { streams: sender, check: Arc::new(check) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let serve = tonic::transport::Server::builder()
            .add_service(AuthorizationServiceServer::new(script))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { serve.await.unwrap() }).abort_handle();
        Self { uri, streams, task }
    }

    /// Builds a client of it whose time a test moves; no margin, so that ends are exact.
    pub fn client(&self, clock: &ManualClock) -> Builder {
        Guildhall::builder(self.uri.clone())
            .credential("key")
            .clock(clock.clone())
            .lease_margin(Duration::ZERO)
            .call_timeout(Duration::from_hours(1))
            .seed(1)
    }

    /// Takes the next stream.
    pub async fn stream(&mut self) -> Stream {
        soon(self.streams.recv()).await.expect("the server runs")
    }

    pub fn has_stream(&self) -> bool {
        !self.streams.is_empty()
    }
}

/// One stream, from the server's side.
pub struct Stream {
    pub credential: Option<String>,
    inbound: Streaming<StreamChecksRequest>,
    told: Option<mpsc::Sender<Result<StreamChecksResponse, Status>>>,
    /// The newest ping that was read.
    pub pings: u64,
}

impl Stream {
    /// Reads the next frame; `None` if the client has ended the stream.
    pub async fn read(&mut self) -> Option<Asked> {
        let frame = soon(self.inbound.message()).await.ok()??.frame.expect("clients send no empty frames");
        if let Asked::Ping(ping) = &frame {
            assert!(ping.number > self.pings, "pings count up");
            self.pings = ping.number;
        }
        Some(frame)
    }

    /// Reads on to the next subscribe frame.
    pub async fn subscribed(&mut self) -> SubscribeFrame {
        loop {
            match self.read().await.expect("the client subscribes") {
                Asked::Subscribe(frame) => return frame,
                Asked::Ping(_) => {}
                frame => panic!("{frame:?}"),
            }
        }
    }

    /// Reads on to the next frame that lets go.
    pub async fn unsubscribed(&mut self) -> Vec<u64> {
        loop {
            match self.read().await.expect("the client lets go") {
                Asked::Unsubscribe(frame) => return frame.subscription_ids,
                Asked::Ping(_) => {}
                frame => panic!("{frame:?}"),
            }
        }
    }

    /// Reads on to a ping with at least this number, and gives it.
    pub async fn ping(&mut self, at_least: u64) -> u64 {
        while self.pings < at_least {
            let frame = self.read().await.expect("the client pings");
            assert!(matches!(frame, Asked::Ping(_)), "{frame:?}");
        }
        self.pings
    }

    /// Reads on until the client has ended the stream.
    pub async fn ended(&mut self) {
        while self.read().await.is_some() {}
    }

    pub async fn tell(&self, frame: Told) {
        let told = self.told.as_ref().expect("the stream is open");
        // The client may have gone.
        let _ = told.send(Ok(StreamChecksResponse { frame: Some(frame) })).await;
    }

    /// Tells answers of [`ORGANIZATION`], of no age.
    pub async fn answer(&self, revision: &str, answers: &[(u64, bool)]) {
        let decisions = answers.iter().map(|(id, allowed)| (*id, decision(*allowed)));
        self.change(revision, Duration::ZERO, decisions.collect()).await;
    }

    /// Tells decisions of [`ORGANIZATION`].
    pub async fn change(&self, revision: &str, age: Duration, decisions: Vec<(u64, Decision)>) {
        let changes = decisions.into_iter().map(|(subscription_id, it)| Change { subscription_id, decision: Some(it) });
        let (organization_id, revision) = (ORGANIZATION.to_owned(), revision.to_owned());
        let age_ms = u64::try_from(age.as_millis()).unwrap();
        self.tell(Told::Changes(ChangeFrame { organization_id, changes: changes.collect(), revision, age_ms })).await;
    }

    /// Echoes a ping.
    pub async fn progress(&self, ping_number: u64, age: Duration, lease: Duration) {
        self.progress_at(ping_number, age, lease, "").await;
    }

    /// Echoes a ping, and names a revision of [`ORGANIZATION`].
    pub async fn progress_at(&self, ping_number: u64, age: Duration, lease: Duration, revision: &str) {
        let only = OrganizationProgress { organization_id: ORGANIZATION.to_owned(), revision: revision.to_owned() };
        let [age_ms, lease_ms] = [age, lease].map(|it| u64::try_from(it.as_millis()).unwrap());
        self.tell(Told::Progress(Progress { ping_number, organizations: vec![only], age_ms, lease_ms })).await;
    }

    pub async fn reset(&self, organization: &str, reason: &str) {
        self.tell(Told::Reset(Reset { organization_id: organization.to_owned(), reason: reason.to_owned() })).await;
    }

    pub async fn draining(&self, grace: Duration) {
        self.tell(Told::Draining(Draining { grace_ms: u64::try_from(grace.as_millis()).unwrap() })).await;
    }

    /// Ends the stream with `status`.
    pub async fn end(&mut self, status: Status) {
        let _ = self.told.take().expect("the stream is open").send(Err(status)).await;
    }
}

pub fn decision(allowed: bool) -> Decision {
    Decision { allowed, reason: i32::from(!allowed), valid_for_ms: None, malformed_field: 0 }
}

/// A client that holds questions about users, a stream on which they were answered, and the ids of the subscriptions.
pub struct Holding {
    pub client: Guildhall,
    pub clock: ManualClock,
    pub server: Server,
    pub stream: Stream,
    pub held: Vec<guildhall_client::Held>,
    pub ids: Vec<u64>,
}

impl Holding {
    /// Holds one question for each user, allowed where it is said so, at revision `r1`, under a lease of [`LEASE`] that begins
    /// now. Ping 2 is echoed.
    pub async fn start(users: &[(&str, bool)]) -> Self {
        let (clock, mut server) = (ManualClock::new(), Server::start().await);
        let client = server.client(&clock).connect().await.unwrap();
        let held: Vec<_> = users.iter().map(|(user, _)| client.hold(&question(user)).unwrap()).collect();
        let mut stream = server.stream().await;
        let subscribed = stream.subscribed().await;
        let ids: Vec<_> = subscribed.subscriptions.iter().map(|it| it.subscription_id).collect();
        let answers: Vec<_> = ids.iter().copied().zip(users.iter().map(|(_, allowed)| *allowed)).collect();
        stream.answer("r1", &answers).await;
        clock.advance(ms(50));
        let ping = stream.ping(2).await;
        stream.progress_at(ping, Duration::ZERO, LEASE, "r1").await;
        let mut holding = Self { client, clock, server, stream, held, ids };
        for (held, (_, allowed)) in holding.held.iter_mut().zip(users) {
            assert_eq!(soon(held.answered()).await.is_ok(), *allowed);
        }
        until(|| holding.client.lease_left() == LEASE).await;
        holding
    }

    /// Waits until the client has taken in everything that was told on `stream` so far: tells the last held question to be
    /// denied, which is heard. It must have been allowed.
    pub async fn heard(stream: &Stream, id: u64, held: &guildhall_client::Held) {
        stream.answer("fence", &[(id, false)]).await;
        until(|| held.answer().is_some_and(|answer| answer.is_err())).await;
    }
}
