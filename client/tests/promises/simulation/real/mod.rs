//! The same simulation against the server's own engine and stream, which follow a log of timed commits.
//!
//! Beside what the client promises, the server is held to what it tells: no answer on a stream is of an older revision than one
//! before it, and whatever age it tells, everything that was committed by then is in what it has told.

use std::sync::Arc;
use std::time::Duration;

use guildhall::authz::{Engine, Settings};
use guildhall::clock::{Clock as _, Env};
use guildhall::domain::catalog::Catalogs;
use guildhall::domain::fact::Scope;
use guildhall::jobs::LogPoller;
use guildhall::workers::{Pulse, drive};

use super::listener::serve_on;
use super::time::SimulatedClock;
use super::{LEASE, QUIET, RUN, Served, Tally, run, seeds};
use crate::proto::authorization_service_server::AuthorizationServiceServer;
use history::History;
use service::Service;
use source::{Log, Seeded, ServerClock};
use witness::{Breaches, Court};

mod history;
mod service;
mod source;
mod witness;
mod world;

/// Seeds of one run of the test.
const SEEDS: u64 = 20;
/// Past this age the server allows nothing.
const STALENESS_BOUND: Duration = Duration::from_secs(6);

#[test]
fn the_servers_own_stream_and_the_client_keep_the_lease_together() {
    let mut total = Tally::default();
    for seed in seeds(SEEDS) {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut history = History::new(&mut random, RUN - QUIET / 2);
        history.draw_questions(&mut random);
        let history = Arc::new(history);
        let truth = history.truth();
        let breaches = Breaches::default();
        let serve = {
            let (history, breaches) = (Arc::clone(&history), Arc::clone(&breaches));
            move |listener, truth, clock: SimulatedClock, seed| {
                let (history, breaches) = (Arc::clone(&history), Arc::clone(&breaches));
                serve(listener, Court { history, truth, clock, breaches }, seed)
            }
        };
        let tally = run(seed, random, truth, true, serve);
        println!("seed {seed}: {tally:?}, {} commits", history.commits.len());
        assert_eq!(*breaches.lock().unwrap(), [""; 0], "seed {seed}");
        total.add(&tally);
    }
    let is_one = seeds(SEEDS).len() == 1;
    assert!(
        is_one || total.allowed > 10_000 && total.lapsed > 100 && total.disturbed > 10 && total.asked > 100,
        "{total:?}"
    );
    println!("{total:?}");
}

/// Starts a process of the server on `listener`: an engine that knows nothing yet, and whoever keeps it up to date.
fn serve(listener: turmoil::net::TcpListener, court: Court, seed: u64) -> Served {
    Box::pin(async move {
        let (history, clock) = (Arc::clone(&court.history), court.clock.clone());
        let started_at = clock.elapsed();
        // Another process is as random as this one, and not the same.
        let seed = seed.wrapping_mul(1_000).wrapping_add(u64::try_from(started_at.as_millis())?);
        let source = Log { history: Arc::clone(&history), clock: clock.clone(), random: Seeded::new(seed) };
        let source = Arc::new(source);
        let world = Env { clock: Arc::new(ServerClock(clock.clone())), entropy: Arc::new(Seeded::new(!seed)) };
        let settings = Settings { lease: LEASE, staleness_bound: STALENESS_BOUND, ..Settings::default() };
        let engine = loop {
            match Engine::start(Arc::clone(&source) as _, Catalogs::default(), world.clone(), settings, 1).await {
                Ok(engine) => break engine,
                Err(_) => world.clock.sleep(Duration::from_millis(300)).await,
            }
        };
        let pulse = Pulse::new("log", Duration::MAX, Arc::clone(&world.clock));
        let stop = tokio_util::sync::CancellationToken::new();
        tokio::spawn(drive(LogPoller(engine.poller()), Arc::clone(&world.clock), pulse, stop));
        tokio::spawn(commit(Arc::clone(&engine), Arc::clone(&history), clock.clone()));
        let service = Service {
            engine,
            court,
            clock: Arc::new(ServerClock(clock)),
            random: Arc::new(Seeded::new(seed ^ 1)),
            quiet_from: RUN - QUIET,
        };
        serve_on(listener, AuthorizationServiceServer::new(service)).await
    })
}

/// Tells the engine of what its own process commits.
async fn commit(engine: Arc<Engine>, history: Arc<History>, clock: SimulatedClock) {
    let clock = ServerClock(clock);
    let from = clock.0.elapsed();
    for it in history.commits.iter().filter(|it| it.is_own && it.at > from) {
        while clock.0.elapsed() < it.at {
            clock.sleep(it.at - clock.0.elapsed()).await;
        }
        let (engine, position) = (Arc::clone(&engine), it.position);
        let (organization, installation) = match it.scope {
            Scope::Organization(id) => (Some((id, position)), None),
            Scope::Installation => (None, Some(position)),
        };
        // Each call by itself, however long the log takes.
        tokio::spawn(async move { engine.committed(organization, installation).await });
    }
}
