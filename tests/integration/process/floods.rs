//! What a flood of sign-ins does to everybody else: a measurement, for docs/reliability.md, and no promise.
//!
//! `cargo test --locked --test integration -- --ignored --nocapture a_flood_of_sign_ins`

#![expect(clippy::disallowed_methods, reason = "what is measured is real time")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tonic::Status;
use tonic_types::StatusExt;

use super::program::{Server, Site};
use crate::harness::messages::{register, sign_in};
use crate::harness::{Caller, Database, Organization, project, reason};

/// Sign-ins under way at once.
const UNDER_WAY: usize = 400;
/// How long mutations are measured, without the flood and with it.
const MEASURED: Duration = Duration::from_secs(8);

/// How long something took, each time.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, share: f64) -> Duration {
        self.0.sort();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
        #[expect(clippy::cast_precision_loss, reason = "a share of a short list")]
        let place = (share * (self.0.len().saturating_sub(1)) as f64) as usize;
        self.0.get(place).copied().unwrap_or_default()
    }

    fn told(&mut self) -> String {
        let (count, p50, p99, most) = (self.0.len(), self.at(0.5), self.at(0.99), self.at(1.0));
        format!("{count:>7} of them, p50 {p50:>9.1?}, p99 {p99:>9.1?}, most {most:>9.1?}")
    }
}

async fn mutations(organization: &Organization, mark: &str) -> Times {
    let (mut times, began_at) = (Times::default(), Instant::now());
    for number in 0.. {
        if began_at.elapsed() >= MEASURED {
            break;
        }
        let request = register(&organization.id, project(&format!("{mark}-{number}")));
        let sent_at = Instant::now();
        organization.owner.call.register_resource(request).await.expect("a resource");
        times.0.push(sent_at.elapsed());
    }
    times
}

/// Tries wrong passwords of one address, one after the other; at once, or when the refusal says that it may.
async fn flood(
    call: Caller,
    email: String,
    heeds: bool,
    stop: Arc<AtomicBool>,
    times: Arc<Mutex<BTreeMap<String, Times>>>,
) {
    while !stop.load(Ordering::Relaxed) {
        let sent_at = Instant::now();
        let refused: Result<_, Status> = call.sign_in(sign_in(&email, "Wrong4Horse!")).await;
        let took = sent_at.elapsed();
        let wait = refused.as_ref().err().and_then(|status| status.get_details_retry_info()?.retry_delay);
        let why = refused.map_or_else(|status| reason(&status), |_| "let in".into());
        times.lock().entry(why).or_default().0.push(took);
        if let Some(wait) = wait.filter(|_| heeds) {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Measures mutations beside a flood.
async fn beside(server: &Server, organization: &Organization, engine: &str, heeds: bool) {
    let (stop, times) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..UNDER_WAY {
        let email = format!("nobody-{heeds}-{number}@example.test");
        tries.spawn(flood(server.anyone(), email, heeds, Arc::clone(&stop), Arc::clone(&times)));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mark = if heeds { "heeding" } else { "heedless" };
    let mut beside = mutations(organization, mark).await;
    stop.store(true, Ordering::Relaxed);
    while tries.join_next().await.is_some() {}

    println!("{engine}: mutations beside a {mark:<8} flood {}", beside.told());
    for (why, times) in times.lock().iter_mut() {
        println!("{engine}: {why:<36} {}", times.told());
    }
}

async fn measure(server: &Server, engine: &str) {
    let organization = server.found(server.operator_key.as_deref().expect("a first start"), "ada@example.test").await;
    let mut alone = mutations(&organization, "alone").await;
    println!("{engine}: mutations alone                      {}", alone.told());
    beside(server, &organization, engine, false).await;
    beside(server, &organization, engine, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, which asserts nothing"]
async fn a_flood_of_sign_ins_beside_mutations() {
    for (database, engine) in [(Database::Sqlite, "SQLite"), (Database::Postgres, "PostgreSQL")] {
        let mut site = Site::new(database).await;
        site.config.password_wait = Duration::from_millis(500);
        let server = site.serve().await;
        measure(&server, engine).await;
        let logged = server.stop().await.errors;
        println!("{engine}: lines logged                         {:>7}", logged.lines().count());
    }
}
