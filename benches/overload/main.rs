//! More than the server can take (R6): `make overload`. Prints what becomes of the excess, and of what is accepted beside it.
//!
//! The real binary serves, on SQLite and, where `GUILDHALL_TEST_POSTGRES_URL` names a server, on PostgreSQL. One part is
//! writes of one organization, a few under way and then a thousand; the other a flood of sign-ins beside one writer. Nobody
//! heeds `RetryInfo`, so the refused come again at once. Clients and server share the machine: read the ratios.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the time")]

mod server;
mod times;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guildhall::proto;
use tonic::Status;

use self::server::{Database, Server};
use self::times::Times;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long each part is measured.
const MEASURED: Duration = Duration::from_secs(8);
/// Writers that the server can take.
const NORMAL: usize = 8;
/// Writers under way at once when it is overloaded.
const WRITERS: usize = 1_000;
/// Sign-ins under way at once.
const SIGN_INS: usize = 400;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    println!("{:<62} {:>8} {:>10} {:>10} {:>10} {:>7}", "what", "calls", "p50", "p99", "most", "ratio");
    for database in Database::all() {
        println!("\n{}", database.name());
        let server = Server::start(&database).await?;
        let organization = server.create_organization().await?;
        writes(&server, &organization).await?;
        sign_ins(&server, &organization).await?;
        println!("  lines logged {}, resident {} MiB", server.lines_logged(), server.resident_kib()? / 1_024);
        server.stop()?;
    }
    Ok(())
}

/// Measures writes of one organization, and prints what its own kind of load comes to beside a load that it can take.
async fn writes(server: &Server, organization: &str) -> Result<(), Failure> {
    let normal =
        under_way(NORMAL, |number, stop| writer(server.clone(), organization.to_owned(), number, stop)).await?;
    let normal = normal.print(&format!("{NORMAL} writes of one organization under way"), None);
    let over = under_way(WRITERS, |number, stop| writer(server.clone(), organization.to_owned(), number, stop)).await?;
    over.print(&format!("{WRITERS} writes of one organization under way"), normal);
    Ok(())
}

/// Measures one writer beside a flood of wrong passwords, each of an address of its own.
async fn sign_ins(server: &Server, organization: &str) -> Result<(), Failure> {
    let alone = under_way(1, |number, stop| writer(server.clone(), organization.to_owned(), number, stop)).await?;
    let alone = alone.print("one writer", None);
    let beside = under_way(SIGN_INS + 1, |number, stop| {
        let (server, organization) = (server.clone(), organization.to_owned());
        async move {
            match number {
                0 => writer(server, organization, number, stop).await,
                _ => stranger(server, number, stop).await,
            }
        }
    });
    beside.await?.print(&format!("one writer beside {SIGN_INS} sign-ins under way"), alone);
    Ok(())
}

/// Runs so many callers at once until the time is over, and gathers what their calls took.
async fn under_way<F>(count: usize, caller: impl Fn(usize, Arc<AtomicBool>) -> F) -> Result<Times, Failure>
where
    F: Future<Output = Result<Times, Failure>> + Send + 'static,
{
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers: tokio::task::JoinSet<_> = (0..count).map(|number| caller(number, Arc::clone(&stop))).collect();
    tokio::time::sleep(MEASURED).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Times::default();
    while let Some(times) = callers.join_next().await {
        all.add(times??);
    }
    Ok(all)
}

/// Registers resources, one after the other.
async fn writer(server: Server, organization: String, _: usize, stop: Arc<AtomicBool>) -> Result<Times, Failure> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut times = Times::default();
    while !stop.load(Ordering::Relaxed) {
        let id = format!("r-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let resource = proto::ResourceRef { r#type: "project".into(), id };
        let request = proto::RegisterResourceRequest {
            organization_id: organization.clone(),
            resource: Some(resource),
            ..Default::default()
        };
        let sent_at = Instant::now();
        let answer = server.register(request).await;
        times.note("written", answer, sent_at.elapsed());
    }
    Ok(times)
}

/// Tries a wrong password, again and again.
async fn stranger(server: Server, number: usize, stop: Arc<AtomicBool>) -> Result<Times, Failure> {
    let mut times = Times::default();
    while !stop.load(Ordering::Relaxed) {
        let request = proto::SignInRequest {
            email: format!("nobody-{number}@example.test"),
            password: "Wrong4Horse!".into(),
            ..Default::default()
        };
        let sent_at = Instant::now();
        let answer: Result<(), Status> = server.sign_in(request).await;
        times.note("signed in", answer, sent_at.elapsed());
    }
    Ok(times)
}
