//! How long an answer takes: from memory, in nanoseconds; and by a call, as a ratio. `cargo bench -p guildhall-client`.
//!
//! Client and server share the machine and one process. Prints a table; fails on nothing.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall_client::{Clock, Freshness, Guildhall, Question, Subject, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use proto::authorization_service_server::{AuthorizationService, AuthorizationServiceServer};
use proto::stream_checks_request::Frame as Asked;
use proto::stream_checks_response::Frame as Told;
use proto::{
    Change, ChangeFrame, CheckRequest, CheckResponse, Decision, Progress, StreamChecksRequest, StreamChecksResponse,
};

/// The messages and the server of `AuthorizationService`.
mod proto {
    #![allow(
        missing_docs,
        dead_code,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]
    include!(concat!(env!("OUT_DIR"), "/server/guildhall.v1.rs"));
}

const ORGANIZATION: &str = "018f4e9a-7b3c-7def-8a12-0123456789ab";
/// Questions that are held.
const HELD: usize = 50_000;
/// Answers from memory that are timed.
const ROUNDS: u32 = 2_000_000;
/// Calls at once.
const IN_FLIGHT: usize = 64;
/// How long calls are made.
const RUN: Duration = Duration::from_secs(2);

/// Allows whom it is asked about, but every other one.
struct Alternating;

#[tonic::async_trait]
impl AuthorizationService for Alternating {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let decision = Some(Decision { allowed: true, ..Decision::default() });
        Ok(Response::new(CheckResponse { decision, ..CheckResponse::default() }))
    }

    async fn stream_checks(
        &self,
        request: Request<Streaming<StreamChecksRequest>>,
    ) -> Result<Response<BoxStream<StreamChecksResponse>>, Status> {
        let mut inbound = request.into_inner();
        let (sender, frames) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok(Some(request)) = inbound.message().await {
                let told = match request.frame {
                    Some(Asked::Subscribe(frame)) => {
                        let change = |id: u64| Change {
                            subscription_id: id,
                            decision: Some(Decision { allowed: id.is_multiple_of(2), ..Decision::default() }),
                        };
                        let changes = frame.subscriptions.iter().map(|it| change(it.subscription_id)).collect();
                        let organization_id = frame.organization_id;
                        Told::Changes(ChangeFrame { organization_id, changes, ..ChangeFrame::default() })
                    }
                    Some(Asked::Ping(ping)) => {
                        Told::Progress(Progress { ping_number: ping.number, lease_ms: 5_000, ..Progress::default() })
                    }
                    _ => continue,
                };
                if sender.send(Ok(StreamChecksResponse { frame: Some(told) })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(frames))))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}", listener.local_addr()?);
    let server = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(AuthorizationServiceServer::new(Alternating))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let server = tokio::spawn(server);
    let guildhall = Guildhall::builder(uri).connect().await?;

    println!("{HELD} questions held, {ROUNDS} answers; {IN_FLIGHT} calls in flight for {} s", RUN.as_secs());
    let questions: Vec<_> = (0..HELD).map(question).collect();
    let began_at = Instant::now();
    let mut held = questions.iter().map(|it| guildhall.hold(it)).collect::<Result<Vec<_>, _>>()?;
    for held in &mut held {
        let _ = black_box(held.answered().await);
    }
    row("all subscribed and answered", began_at.elapsed() / u32::try_from(HELD)?, "a question");

    timed("reading the clock", |_| SystemClock.now());
    timed("held_answer, one question, denied", |_| guildhall.held_answer(&questions[0]));
    timed("held_answer, one question, allowed", |_| guildhall.held_answer(&questions[1]));
    timed("held_answer, a random question each", |at| guildhall.held_answer(&questions[at * 7_919 % HELD]));
    timed("the guard of a question", |_| held[1].is_allowed());
    let (organization, permission): (Arc<str>, Arc<str>) = (ORGANIZATION.into(), "project.view".into());
    timed("held_answer, with the question made for it", |at| {
        let user = Subject::user(user(at * 7_919 % HELD));
        let question = Question::new(Arc::clone(&organization), user, Arc::clone(&permission));
        guildhall.held_answer(&question.on("project", "alpha"))
    });
    contended(&guildhall, &questions);

    let began_at = Instant::now();
    let (mut calls, mut done) = (JoinSet::new(), 0_u32);
    while began_at.elapsed() < RUN {
        while calls.len() < IN_FLIGHT {
            let (guildhall, question) = (guildhall.clone(), questions[0].clone());
            calls.spawn(async move { guildhall.check(&question, Freshness::Default).await.is_ok() });
        }
        done += u32::from(matches!(calls.join_next().await, Some(Ok(true))));
    }
    row("check, by a call", began_at.elapsed() / done.max(1), "a call, client and server together");
    server.abort();
    Ok(())
}

fn user(number: usize) -> String {
    format!("018f4e9a-7b3c-7def-8a12-{number:012}")
}

fn question(number: usize) -> Question {
    Question::new(ORGANIZATION, Subject::user(user(number)), "project.view").on("project", "alpha")
}

fn row(what: &str, each: Duration, unit: &str) {
    println!("{what:<48} {:>8} ns {unit}", each.as_nanos());
}

/// Times one after the other.
fn timed<T>(what: &str, mut one: impl FnMut(usize) -> T) {
    let began_at = Instant::now();
    for at in 0..ROUNDS as usize {
        black_box(one(at));
    }
    row(what, began_at.elapsed() / ROUNDS, "an answer");
}

/// Asks on all cores at once.
fn contended(guildhall: &Guildhall, questions: &[Question]) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began_at = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for at in 0..ROUNDS as usize {
                    black_box(guildhall.held_answer(&questions[(at + thread) * 7_919 % HELD]));
                }
            });
        }
    });
    row(&format!("the same on {threads} threads at once"), began_at.elapsed() / ROUNDS, "an answer on each");
}
