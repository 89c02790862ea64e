//! Attempts to take a server down: by connections, by calls that never end, by memory. Most need no credential.

mod answers;
mod connections;
mod memory;
mod messages;
mod pages;

use std::sync::Arc;

use guildhall::config::ListenerLimits;
use guildhall::rpc::Rpc;
use tempfile::TempDir;

use crate::harness::{Database, ManualClock, TestApp, raw};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// Addresses of this machine; each is a source of its own.
const HERE: [&str; 4] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];

/// Starts a server with bounds of the test's own. Nothing of this depends on the database.
///
/// The client of the harness has presented a credential, and so does not count among those who have not.
async fn start(set: impl FnOnce(&mut ListenerLimits)) -> TestApp {
    let data_dir = Arc::new(TempDir::new().unwrap());
    let mut config = Database::Sqlite.config(data_dir.path()).await;
    set(&mut config.listener);
    let app = TestApp::start_with(config, data_dir, ManualClock::new()).await.expect("a server that starts");
    app.operator().list_catalogs(guildhall::proto::ListCatalogsRequest::default()).await.expect("a call");
    app
}

/// Opens a connection that the server has let in for good: it has answered a call.
async fn connect(app: &TestApp, from: &str) -> raw::Client {
    let mut client = raw::Client::connect_with(&h2::client::Builder::new(), app.app.grpc_address, from).await;
    check_health(&mut client).await;
    client
}

async fn check_health(client: &mut raw::Client) {
    let status = client.call(CHECK, &[], &tonic_health::pb::HealthCheckRequest::default()).await;
    assert_eq!(status.code(), tonic::Code::Ok, "{status:?}");
}

/// Makes a call with the operator's key.
async fn call_as_operator(client: &mut raw::Client, app: &TestApp) -> tonic::Status {
    let bearer = format!("Bearer {}", app.operator_key());
    let message = guildhall::proto::ListCatalogsRequest::default();
    client.call(Rpc::ListCatalogs.path(), &[("authorization", bearer.as_bytes())], &message).await
}
