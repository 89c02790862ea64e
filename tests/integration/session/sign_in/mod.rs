//! Signing in under attack: what may be tried, what it costs everybody else, and who gets in all the same.

mod devices;
mod floods;
mod limits;
mod recorder;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use guildhall::config::Config;
use guildhall::proto;
use guildhall::proto::sign_in_response::Outcome;
use sea_orm::{ConnectionTrait, Database as Connection, Statement};
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::messages::sign_in;
use crate::harness::{Caller, Database, ManualClock, PASSWORD, TestApp, reason};

const WRONG: &str = "Wrong4Horse!";

/// Starts a server with some settings of the test's own.
async fn start(database: Database, set: impl FnOnce(&mut Config)) -> TestApp {
    start_by(ManualClock::new(), database, set).await
}

async fn start_by(clock: Arc<ManualClock>, database: Database, set: impl FnOnce(&mut Config)) -> TestApp {
    let data_dir = Arc::new(TempDir::new().expect("a temporary directory"));
    let mut config = database.config(data_dir.path()).await;
    set(&mut config);
    TestApp::start_with(config, data_dir, clock).await.expect("a server that starts")
}

/// As [`start`], with passwords that cost what they cost.
async fn start_hashing(database: Database, set: impl FnOnce(&mut Config)) -> TestApp {
    let data_dir = Arc::new(TempDir::new().expect("a temporary directory"));
    let mut config = database.config(data_dir.path()).await;
    set(&mut config);
    TestApp::start_hashing(config, data_dir, ManualClock::new()).await.expect("a server that starts")
}

async fn attempt(call: &Caller, email: &str, password: &str) -> Result<proto::SignedIn, Status> {
    attempt_on(call, "", email, password).await
}

/// Tries on a device that shows a token.
async fn attempt_on(call: &Caller, device: &str, email: &str, password: &str) -> Result<proto::SignedIn, Status> {
    let request = proto::SignInRequest { device_token: device.into(), ..sign_in(email, password) };
    let Some(Outcome::SignedIn(signed_in)) = call.sign_in(request).await?.outcome else {
        panic!("the sign-in asks for more")
    };
    Ok(signed_in)
}

async fn get_in(call: &Caller, email: &str) -> proto::SignedIn {
    attempt(call, email, PASSWORD).await.expect("a sign-in")
}

async fn fail(call: &Caller, email: &str) {
    let refused = attempt(call, email, WRONG).await.expect_err("a wrong password");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "SIGN_IN_REFUSED"), "{email}");
}

/// Returns by which limit a call was refused, and how long it is to wait.
#[track_caller]
fn limited<T: std::fmt::Debug>(result: Result<T, Status>) -> (String, Duration) {
    let status = result.expect_err("a refusal");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"), "{status:?}");
    let quota = status.get_details_quota_failure().expect("it names the limit");
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("it says how long to wait");
    (quota.violations[0].subject.clone(), delay)
}

/// Reads one number from the server's database.
async fn number(app: &TestApp, sql: &str) -> i64 {
    let connection = Connection::connect(app.config.database_url()).await.expect("the server's database");
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.expect(sql).expect("a row");
    connection.close().await.expect("a connection that closes");
    row.try_get_by_index::<Option<i64>>(0).expect("a number").unwrap_or_default()
}
