//! The client on a simulated network, against a server whose truth is a list of timed changes.
//!
//! One run is one seed: delays, lost and held connections, resets by the server, a client host that is suspended,
//! crashed and bounced. After every step of 5 simulated milliseconds the invariant is asked of every handle that was
//! ever made, also of those whose host is gone: `held_answer` says "allow" only if the truth did at some instant not
//! longer than the lease ago; and where the grants expire, only if it does now.
//!
//! The server is a function that serves on a listener of the simulated network ([`Serve`]), so that another one can
//! stand in its place: it is given the truth, the time and a seed, and must keep to the contract. `GUILDHALL_SOAK`
//! multiplies the number of seeds;
//! `GUILDHALL_SEED` runs one.

use std::cell::{Cell, RefCell};
use std::env;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use guildhall_client::{Clock as _, Freshness, Guildhall, Question};
use hyper_util::rt::TokioIo;
use tonic::transport::{Endpoint, Uri};

mod listener;
mod real;
mod scripted;
mod time;
mod truth;

use time::{Frozen, SimulatedClock};
use truth::Truth;

/// The lease that the server tells.
pub const LEASE: Duration = Duration::from_secs(5);
/// How long one run is.
const RUN: Duration = Duration::from_secs(70);
/// In the end nothing disturbs, so that the client must find back.
const QUIET: Duration = Duration::from_secs(30);
/// Seeds of one run of the test.
const SEEDS: u64 = 40;
/// The step of the simulation.
const TICK: Duration = Duration::from_millis(5);
/// How long a message takes on a network that is well, at the most.
const LATENCY: Duration = Duration::from_millis(20);
const PORT: u16 = 50_051;
/// What may be on its way to the client on one stream.
const WINDOW_BYTES: u32 = 1_024;

/// What a server ends with.
pub type Served = Pin<Box<dyn Future<Output = Result<(), Box<dyn std::error::Error>>>>>;

/// Serves `AuthorizationService` on this listener of the simulated network, until it is dropped.
pub trait Serve: Fn(turmoil::net::TcpListener, Arc<Truth>, SimulatedClock, u64) -> Served + Clone + 'static {}

impl<F: Fn(turmoil::net::TcpListener, Arc<Truth>, SimulatedClock, u64) -> Served + Clone + 'static> Serve for F {}

#[test]
fn no_allow_outlives_its_lease_whatever_happens_to_network_and_processes() {
    let mut total = Tally::default();
    for seed in seeds(SEEDS) {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let truth = Truth::new(&mut random, RUN - QUIET / 2);
        let tally = run(seed, random, truth, false, scripted::serve);
        println!("seed {seed}: {tally:?}");
        total.add(&tally);
    }
    // Or it would say "nothing" all the time, and never be wrong.
    assert!(total.allowed > 10_000 && total.lapsed > 100 && total.disturbed > 10, "{total:?}");
}

/// Returns the seeds to run.
fn seeds(count: u64) -> Vec<u64> {
    match env::var("GUILDHALL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => {
            let times = env::var("GUILDHALL_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
            (1..=count * times).collect()
        }
    }
}

/// What was seen in a run, in pairs of questions and steps.
#[derive(Default, Debug)]
struct Tally {
    /// Allowed from memory.
    allowed: u64,
    /// Allowed from memory although it no longer was, within the lease.
    behind: u64,
    /// Allowed in truth and not known from memory.
    lapsed: u64,
    /// Things done to network and hosts.
    disturbed: u64,
    /// Calls that were answered.
    asked: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.behind += other.behind;
        self.lapsed += other.lapsed;
        self.disturbed += other.disturbed;
        self.asked += other.asked;
    }
}

/// What is done to network and hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Disturbance {
    Partition,
    PartitionToServer,
    PartitionToClient,
    Hold,
    Slow,
    /// The client runs now and then only, so that it reads slowly.
    Dawdle,
    Suspend,
    CrashClient,
    CrashServer,
}

const DISTURBANCES: [Disturbance; 9] = [
    Disturbance::Partition,
    Disturbance::PartitionToServer,
    Disturbance::PartitionToClient,
    Disturbance::Hold,
    Disturbance::Slow,
    Disturbance::Dawdle,
    Disturbance::Suspend,
    Disturbance::CrashClient,
    Disturbance::CrashServer,
];

/// Those after which nothing reaches the client that is not on its way.
const CUTS: [Disturbance; 4] =
    [Disturbance::Partition, Disturbance::PartitionToClient, Disturbance::CrashServer, Disturbance::CrashClient];

/// Runs one seed against a server, which answers calls as well if the client is to make any.
fn run(seed: u64, mut random: fastrand::Rng, truth: Truth, makes_calls: bool, serve: impl Serve) -> Tally {
    let (truth, asked) = (Arc::new(truth), Rc::new(Cell::new(0)));
    let (clock, frozen) = (SimulatedClock::default(), Frozen::default());
    let latency = [LATENCY, Duration::from_millis(1_500), Duration::from_secs(3)][random.usize(..3)];
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(RUN * 2)
        .tick_duration(TICK)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(latency)
        .tcp_capacity(4_096)
        .build();

    sim.host("server", {
        let (truth, clock) = (Arc::clone(&truth), clock.clone());
        move || {
            let (serve, truth, clock) = (serve.clone(), Arc::clone(&truth), clock.clone());
            async move {
                let listener = turmoil::net::TcpListener::bind(("0.0.0.0", PORT)).await?;
                serve(listener, truth, clock, seed).await
            }
        }
    });
    // Every handle that was ever made, with the guards that keep its questions held.
    let handles: Rc<RefCell<Vec<Guildhall>>> = Rc::default();
    sim.host("client", {
        let (truth, clock, frozen, handles) = (Arc::clone(&truth), clock.clone(), frozen.clone(), Rc::clone(&handles));
        let asked = Rc::clone(&asked);
        move || {
            let (clock, frozen, handles) = (clock.clone(), frozen.clone(), Rc::clone(&handles));
            let (truth, asked) = (Arc::clone(&truth), Rc::clone(&asked));
            let questions = truth.questions();
            async move {
                let client = connect(&clock, &frozen, seed);
                handles.borrow_mut().push(client.clone());
                let _held: Vec<_> = questions.iter().map(|it| client.hold(it)).collect::<Result<_, _>>()?;
                if makes_calls { ask(&client, &truth, &clock, &asked).await } else { std::future::pending().await }
            }
        }
    });

    let mut tally = Tally::default();
    let mut until = Duration::ZERO;
    let mut disturbance = None;
    let mut is_healed = false;
    while clock.elapsed() < RUN {
        let now = clock.elapsed();
        if now >= until || (disturbance.is_some() && now + QUIET >= RUN) {
            if let Some(last) = disturbance.take() {
                mend(&mut sim, &frozen, last, latency);
                until = now + Duration::from_millis(random.u64(..1_000));
            } else if now + QUIET < RUN && is_well(&handles.borrow(), &truth) {
                let next = DISTURBANCES[random.usize(..DISTURBANCES.len())];
                disturb(&mut sim, &frozen, next);
                disturbance = Some(next);
                tally.disturbed += 1;
                let longest = if random.bool() { 2_000 } else { 12_000 };
                until = now + Duration::from_millis(random.u64(50..longest));
            }
        }
        if disturbance == Some(Disturbance::Dawdle) {
            frozen.set(random.u8(..60) > 0);
        }
        if !is_healed && now + QUIET >= RUN {
            // As slow as it may be before, a connection need not last: then whoever has lost it last has not found back yet.
            sim.set_link_max_message_latency("client", "server", LATENCY);
            is_healed = true;
        }
        if let Err(error) = sim.step() {
            panic!("seed {seed}, {:?}: {error}", clock.elapsed());
        }
        clock.set(sim.elapsed());
        let behind = tally.behind;
        let judge = |client: &Guildhall, is_newest| judge(client, &truth, &clock, is_newest, &mut tally);
        if let ControlFlow::Break(what) = judge_all(&handles.borrow(), judge) {
            panic!("seed {seed}, {:?}, {disturbance:?}: {what}", clock.elapsed());
        }
        if tally.behind > behind && disturbance.is_none() && now + QUIET < RUN && random.u8(..4) == 0 {
            // The worst moment: something was taken away, and the client does not know. From now on it hears nothing new.
            let next = CUTS[random.usize(..CUTS.len())];
            disturb(&mut sim, &frozen, next);
            disturbance = Some(next);
            tally.disturbed += 1;
            until = now + Duration::from_millis(random.u64(6_000..9_000));
        }
    }
    tally.asked = asked.get();
    let handles = handles.borrow();
    let last = handles.last().expect("the client host has run");
    for question in truth.questions() {
        let told = last.held_answer(&question);
        assert_eq!(told, Some(truth.allows(&question, clock.elapsed())), "seed {seed}: {question:?} at the end");
    }
    tally
}

fn judge_all(
    handles: &[Guildhall],
    mut judge: impl FnMut(&Guildhall, bool) -> ControlFlow<String>,
) -> ControlFlow<String> {
    handles.iter().enumerate().try_for_each(|(at, client)| judge(client, at + 1 == handles.len()))
}

/// Returns whether the newest client knows all there is to know: what is disturbed before, is disturbed in vain.
fn is_well(handles: &[Guildhall], truth: &Truth) -> bool {
    let knows_all = |client: &Guildhall| truth.questions().iter().all(|it| client.held_answer(it).is_some());
    handles.last().is_some_and(|client| client.lease_left() > LEASE / 2 && knows_all(client))
}

/// Asks one handle about everything.
fn judge(
    client: &Guildhall,
    truth: &Truth,
    clock: &SimulatedClock,
    is_newest: bool,
    tally: &mut Tally,
) -> ControlFlow<String> {
    let now = clock.elapsed();
    for question in truth.questions() {
        let is_allowed = truth.allows(&question, now);
        match client.held_answer(&question) {
            Some(true) if truth.is_known_to_be_denied(&question, now) => {
                return ControlFlow::Break(format!("{question:?} has expired"));
            }
            Some(true) => {
                tally.allowed += 1;
                tally.behind += u64::from(!is_allowed);
                if !truth.may_be_told(&question, true, now.saturating_sub(LEASE), now) {
                    return ControlFlow::Break(format!("{question:?} was not allowed for longer than the lease"));
                }
            }
            None if is_newest && is_allowed => tally.lapsed += 1,
            Some(false) | None => {}
        }
    }
    ControlFlow::Continue(())
}

/// Makes calls, whose answers are what was true at some instant between question and answer.
async fn ask(
    client: &Guildhall,
    truth: &Truth,
    clock: &SimulatedClock,
    asked: &Cell<u64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let questions = truth.questions();
    for question in questions.iter().cycle() {
        clock.sleep(Duration::from_millis(700)).await;
        let since = clock.elapsed();
        // Where there is no answer, none is wrong.
        let Ok(checked) = client.check(question, Freshness::Fresh).await else { continue };
        asked.set(asked.get() + 1);
        if !truth.may_be_told(question, checked.answer.is_ok(), since, clock.elapsed()) {
            return Err(format!("{question:?} was asked at {since:?} and answered {:?}", checked.answer).into());
        }
    }
    Ok(())
}

fn disturb(sim: &mut turmoil::Sim<'_>, frozen: &Frozen, what: Disturbance) {
    match what {
        Disturbance::Partition => sim.partition("client", "server"),
        Disturbance::PartitionToServer => sim.partition_oneway("client", "server"),
        Disturbance::PartitionToClient => sim.partition_oneway("server", "client"),
        Disturbance::Hold => sim.hold("client", "server"),
        Disturbance::Slow => sim.set_link_max_message_latency("client", "server", Duration::from_secs(3)),
        Disturbance::Dawdle | Disturbance::Suspend => frozen.set(true),
        Disturbance::CrashClient => sim.crash("client"),
        Disturbance::CrashServer => sim.crash("server"),
    }
}

fn mend(sim: &mut turmoil::Sim<'_>, frozen: &Frozen, what: Disturbance, latency: Duration) {
    match what {
        Disturbance::Partition | Disturbance::PartitionToServer | Disturbance::PartitionToClient => {
            sim.repair("client", "server");
        }
        Disturbance::Hold => sim.release("client", "server"),
        Disturbance::Slow => sim.set_link_max_message_latency("client", "server", latency),
        Disturbance::Dawdle | Disturbance::Suspend => frozen.set(false),
        Disturbance::CrashClient => sim.bounce("client"),
        Disturbance::CrashServer => sim.bounce("server"),
    }
}

/// Builds a client whose connections lead through the simulated network, and all of whose tasks can be suspended.
fn connect(clock: &SimulatedClock, frozen: &Frozen, seed: u64) -> Guildhall {
    let connector = tower::service_fn(|uri: Uri| async move {
        let address = (uri.host().unwrap_or_default().to_owned(), PORT);
        Ok::<_, std::io::Error>(TokioIo::new(turmoil::net::TcpStream::connect(address).await?))
    });
    let frozen = frozen.clone();
    // So little fits into what is on its way that a server has to wait for a client that does not read.
    Guildhall::builder(Endpoint::from_static("http://server:50051").initial_stream_window_size(WINDOW_BYTES))
        .clock(clock.clone())
        .seed(seed)
        .lease_margin(Duration::ZERO)
        .refused_retry(Duration::from_secs(2))
        .spawn_with(move |task| drop(tokio::spawn(frozen.freeze(task))))
        .connect_with(connector)
        .expect("a client is built")
}

/// A question of the simulation.
pub fn question(number: usize) -> Question {
    crate::server::question(&format!("user-{number}"))
}
