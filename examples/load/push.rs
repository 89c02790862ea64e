//! Subscriptions under load: how long after a mutation was answered the decisions that it turned are pushed.
//!
//! Every mutation gives a role to one service account or takes it. Subscriptions are shared out among the accounts, so
//! each mutation turns some of them, and every one of those must be told, once and rightly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall::proto::authorization_service_client::AuthorizationServiceClient;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{Ping, StreamChecksRequest, StreamChecksResponse, SubscribeFrame, Subscription};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::Failure;
use crate::account::Accounts;
use crate::measure::{latencies, record};
use crate::target::Target;

/// How long the last pushes are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a stream is given a sign of life.
const PING_INTERVAL: Duration = Duration::from_millis(500);
/// Most subscriptions in a frame.
const FRAME_MAX: usize = 1_000;
/// Most accounts that are changed, one after the other.
const ACCOUNTS_MAX: usize = 100;

/// How much is subscribed to, and how often it turns.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Subscriptions over all streams.
    pub subscriptions: usize,
    /// Streams over all connections.
    pub streams: usize,
    /// Mutations a second.
    pub mutations: f64,
    /// For how long.
    pub length: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// From a mutation's answer to a push; a push that came before it counts as zero.
    pub after_answer: Histogram<u64>,
    /// From a mutation's call to a push.
    pub after_call: Histogram<u64>,
    /// From a mutation's call to its answer.
    pub mutation: Histogram<u64>,
    /// Pushes that came before the mutation's answer.
    pub early: u64,
    /// What went wrong.
    pub errors: Vec<String>,
}

/// A mutation that was answered.
#[derive(Clone, Copy, Debug)]
struct Mutation {
    number: usize,
    called_at: Instant,
    answered_at: Instant,
}

/// An answer that was pushed.
#[derive(Clone, Copy, Debug)]
struct Push {
    subscription: usize,
    is_allowed: bool,
    at: Instant,
}

/// Subscriptions that are held, and have been told their first answers.
pub struct Subscribed {
    plan: Plan,
    accounts: Arc<Accounts>,
    pushes: Arc<Mutex<Vec<Push>>>,
    streams: JoinSet<Result<(), String>>,
}

/// Makes an organization at `writer` and subscribes at `reader`, which may be another replica.
///
/// # Errors
/// What a server says to it.
pub async fn subscribe(writer: &Target, reader: &Target, plan: Plan) -> Result<Subscribed, Failure> {
    let accounts = Arc::new(Accounts::create(writer, plan.subscriptions.min(ACCOUNTS_MAX)).await?);
    let (pushes, mut streams) = (Arc::default(), JoinSet::new());
    for number in 0..plan.streams {
        let mine: Vec<usize> = (number..plan.subscriptions).step_by(plan.streams).collect();
        let (frames, answers) = open(reader, number, &accounts, &mine).await?;
        streams.spawn(read(frames, answers, Arc::clone(&pushes)));
    }
    // Nobody holds anything yet.
    wait_for(&pushes, plan.subscriptions).await;
    Ok(Subscribed { plan, accounts, pushes, streams })
}

impl Subscribed {
    /// Mutates, and notes what is pushed. What goes wrong is in the outcome.
    pub async fn turn(mut self) -> Pushed {
        let (mutations, mut errors) = mutate(&self.accounts, &self.plan).await;
        let turned = mutations.iter().flat_map(|it| subscriptions_of(&self.accounts, &self.plan, it.number)).count();
        wait_for(&self.pushes, self.plan.subscriptions + turned).await;
        while let Some(ended) = self.streams.try_join_next() {
            errors.push(format!("a stream ended: {ended:?}"));
        }
        self.streams.shutdown().await;
        let pushes = std::mem::take(&mut *self.pushes.lock());
        outcome(&self.accounts, &self.plan, &mutations, &pushes, errors)
    }
}

/// Returns the subscriptions that a mutation turns.
fn subscriptions_of(accounts: &Accounts, plan: &Plan, mutation: usize) -> impl Iterator<Item = usize> + use<> {
    (mutation % accounts.len()..plan.subscriptions).step_by(accounts.len())
}

/// Returns whether a mutation gives: the first of an account does, the next takes.
fn is_given(accounts: &Accounts, mutation: usize) -> bool {
    (mutation / accounts.len()).is_multiple_of(2)
}

type Frames = mpsc::Sender<StreamChecksRequest>;

async fn open(
    reader: &Target,
    number: usize,
    accounts: &Accounts,
    mine: &[usize],
) -> Result<(Frames, Streaming<StreamChecksResponse>), Failure> {
    let (frames, outgoing) = mpsc::channel(16);
    let mut client = AuthorizationServiceClient::new(reader.channel(number));
    let answers = client.stream_checks(reader.request(ReceiverStream::new(outgoing))).await?.into_inner();
    for chunk in mine.chunks(FRAME_MAX) {
        let subscriptions = chunk.iter().map(|subscription| Subscription {
            subscription_id: *subscription as u64,
            item: Some(accounts.question(subscription % accounts.len())),
            known_allowed: None,
        });
        let asked = Asked::Subscribe(SubscribeFrame {
            organization_id: accounts.organization.clone(),
            subscriptions: subscriptions.collect(),
            at_least: String::new(),
        });
        frames.send(StreamChecksRequest { frame: Some(asked) }).await?;
    }
    Ok((frames, answers))
}

/// Notes what is pushed, and gives signs of life, until the stream ends; that is an error.
async fn read(
    frames: Frames,
    mut answers: Streaming<StreamChecksResponse>,
    pushes: Arc<Mutex<Vec<Push>>>,
) -> Result<(), String> {
    let mut pings = tokio::time::interval(PING_INTERVAL);
    let mut number = 0;
    loop {
        tokio::select! {
            answer = answers.message() => {
                let at = Instant::now();
                match answer.map_err(|status| status.to_string())?.and_then(|answer| answer.frame) {
                    Some(Told::Changes(frame)) => {
                        pushes.lock().extend(frame.changes.into_iter().map(|change| Push {
                            subscription: usize::try_from(change.subscription_id).unwrap_or(usize::MAX),
                            is_allowed: change.decision.is_some_and(|decision| decision.allowed),
                            at,
                        }));
                    }
                    Some(Told::Progress(_)) => {}
                    other => return Err(format!("{other:?}")),
                }
            }
            _ = pings.tick() => {
                number += 1;
                let ping = Asked::Ping(Ping { number });
                frames.send(StreamChecksRequest { frame: Some(ping) }).await.map_err(|error| error.to_string())?;
            }
        }
    }
}

/// Waits until so many answers were pushed, or for as long as there is patience.
async fn wait_for(pushes: &Mutex<Vec<Push>>, count: usize) {
    let limit = Instant::now() + PATIENCE;
    while pushes.lock().len() < count && Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Mutates at a fixed rate; gives the mutations that were answered, and what was wrong with the others.
async fn mutate(accounts: &Arc<Accounts>, plan: &Plan) -> (Vec<Mutation>, Vec<String>) {
    let began_at = Instant::now();
    let (mut calls, mut errors) = (JoinSet::new(), Vec::new());
    for number in 0.. {
        let meant_after = Duration::from_secs_f64(number as f64 / plan.mutations);
        if meant_after >= plan.length {
            break;
        }
        tokio::time::sleep_until((began_at + meant_after).into()).await;
        let accounts = Arc::clone(accounts);
        calls.spawn(async move {
            let called_at = Instant::now();
            let changed = accounts.change(number % accounts.len(), is_given(&accounts, number)).await;
            changed.map_err(|error| error.to_string())?;
            Ok::<_, String>(Mutation { number, called_at, answered_at: Instant::now() })
        });
    }
    let mut mutations = Vec::new();
    while let Some(joined) = calls.join_next().await {
        match joined.map_err(|error| error.to_string()).flatten() {
            Ok(mutation) => mutations.push(mutation),
            Err(error) => errors.push(format!("a mutation: {error}")),
        }
    }
    mutations.sort_by_key(|mutation| mutation.number);
    (mutations, errors)
}

/// Puts each push beside the mutation that caused it: the first push after the first answer is of the first mutation.
fn outcome(
    accounts: &Accounts,
    plan: &Plan,
    mutations: &[Mutation],
    pushes: &[Push],
    mut errors: Vec<String>,
) -> Pushed {
    let mut told: Vec<Vec<Push>> = vec![Vec::new(); plan.subscriptions];
    for push in pushes {
        match told.get_mut(push.subscription) {
            Some(mine) => mine.push(*push),
            None => errors.push(format!("a push of a subscription that is not: {}", push.subscription)),
        }
    }
    let mut outcome = Pushed {
        after_answer: latencies(),
        after_call: latencies(),
        mutation: latencies(),
        early: 0,
        errors: Vec::new(),
    };
    let mut expected = vec![1; plan.subscriptions];
    for mutation in mutations {
        record(&mut outcome.mutation, mutation.answered_at - mutation.called_at);
        for subscription in subscriptions_of(accounts, plan, mutation.number) {
            let push = told[subscription].get(expected[subscription]);
            expected[subscription] += 1;
            match push.filter(|push| push.is_allowed == is_given(accounts, mutation.number)) {
                Some(push) => {
                    record(&mut outcome.after_call, push.at.saturating_duration_since(mutation.called_at));
                    record(&mut outcome.after_answer, push.at.saturating_duration_since(mutation.answered_at));
                    outcome.early += u64::from(push.at < mutation.answered_at);
                }
                None => {
                    errors.push(format!("subscription {subscription} was not told of mutation {}", mutation.number));
                }
            }
        }
    }
    let over = told.iter().zip(&expected).filter(|(told, expected)| told.len() != **expected).count();
    if over > 0 {
        errors.push(format!("{over} subscriptions were told more or less often than they turned"));
    }
    outcome.errors = errors;
    outcome
}
