//! Connections: those that say nothing, those that are too many, and what becomes of the others meanwhile.

use std::time::Duration;

use guildhall::rpc::Rpc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use super::{CHECK, HERE, WATCH, call_as_operator, check_health, connect, start};
use crate::harness::{Database, PATIENCE, raw, reason};
use crate::process::program::Site;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Empty settings.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// The beginning of headers that are to be 4096 bytes long.
const HALF_HEADERS: &[u8] = b"\0\x10\0\x01\x04\0\0\0\x01\x82";

/// Reads until the server closes the connection, well or not.
async fn ended(stream: &mut TcpStream, what: &str) {
    let read = async {
        let mut bytes = [0; 4_096];
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("who says {what} is kept"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_or_half_of_something_is_let_go() {
    let app = start(|limits| {
        limits.handshake_timeout = Duration::from_secs(1);
        limits.connection_idle = Duration::from_secs(5);
    })
    .await;
    let begun = [PREFACE, SETTINGS].concat();
    let half_headers = [PREFACE, SETTINGS, HALF_HEADERS].concat();
    let (grpc, http) = (app.app.grpc_address, app.app.http_address);
    let mut silent = Vec::new();
    for (address, said) in [
        (grpc, &b""[..]),
        (grpc, b"P"),
        (grpc, &PREFACE[..20]),
        (grpc, PREFACE),
        (grpc, &begun),
        (grpc, &half_headers),
        (http, b""),
        (http, b"G"),
        (http, b"GET /healthz HTTP/1.1\r\nhost: x\r\n"),
        // Answered, and silent then.
        (http, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said).await.unwrap();
        silent.push((stream, String::from_utf8_lossy(said).into_owned()));
    }
    for (stream, said) in &mut silent {
        ended(stream, &format!("{said:?}")).await;
    }
    assert_eq!(call_as_operator(&mut connect(&app, HERE[0]).await, &app).await.code(), Code::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_has_too_many_loses_its_oldest_without_a_call() {
    let app = start(|limits| limits.anonymous_connections_per_source = 3).await;
    let mut with_a_call = connect(&app, HERE[0]).await;
    let call = with_a_call.begin(Rpc::SignIn.path(), &[]).await.unwrap();
    check_health(&mut with_a_call).await;
    let (mut oldest, mut other) = (connect(&app, HERE[0]).await, connect(&app, HERE[0]).await);
    let mut elsewhere = connect(&app, HERE[1]).await;

    let mut newest = connect(&app, HERE[0]).await;
    oldest.closed().await;
    for kept in [&mut with_a_call, &mut other, &mut elsewhere, &mut newest] {
        check_health(kept).await;
    }
    let sign_in = crate::harness::messages::sign_in("ada@example.test", "Wrong4Horse!");
    let status = call.finish(raw::framed(&prost::Message::encode_to_vec(&sign_in))).await;
    assert_eq!(reason(&status), "SIGN_IN_REFUSED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_together_have_no_more_than_there_may_be() {
    let app = start(|limits| limits.anonymous_connections = 3).await;
    let mut first = connect(&app, HERE[0]).await;
    let mut later = [connect(&app, HERE[1]).await, connect(&app, HERE[2]).await];
    let mut newest = connect(&app, HERE[3]).await;
    first.closed().await;
    for kept in later.iter_mut().chain([&mut newest]) {
        check_health(kept).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_credential_is_never_let_go_for_one_who_has_none() {
    // One is the harness's own.
    let app = start(|limits| limits.connections = 4).await;
    let mut known = connect(&app, HERE[0]).await;
    assert_eq!(call_as_operator(&mut known, &app).await.code(), Code::Ok);
    let mut anonymous = connect(&app, HERE[1]).await;
    let mut second = connect(&app, HERE[2]).await;
    let mut third = connect(&app, HERE[3]).await;
    anonymous.closed().await;

    for becomes_known in [&mut second, &mut third] {
        assert_eq!(call_as_operator(becomes_known, &app).await.code(), Code::Ok);
    }
    let refused = raw::Client::try_connect_with(&h2::client::Builder::new(), app.app.grpc_address, HERE[0]).await;
    if let Ok(mut refused) = refused {
        refused.closed().await;
    }
    for kept in [&mut known, &mut second, &mut third] {
        assert_eq!(call_as_operator(kept, &app).await.code(), Code::Ok);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_has_only_so_many_connections() {
    // One is the harness's own.
    let app = start(|limits| limits.connections_per_credential = 2).await;
    let (mut first, mut second) = (connect(&app, HERE[0]).await, connect(&app, HERE[0]).await);
    assert_eq!(call_as_operator(&mut first, &app).await.code(), Code::Ok);
    assert_eq!(reason(&call_as_operator(&mut second, &app).await), "RATE_LIMITED");
    drop(first);
    crate::harness::eventually_finds("the place", async || {
        (call_as_operator(&mut second, &app).await.code() == Code::Ok).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_has_only_so_many_calls_without_a_credential_and_half_as_many_streams() {
    let app = start(|limits| limits.anonymous_calls_per_source = 4).await;
    let mut client = connect(&app, HERE[0]).await;
    let watch = async |client: &mut raw::Client| {
        let mut watch = client.begin(WATCH, &[]).await.unwrap();
        watch.outgoing.send_data(raw::framed(b""), true).unwrap();
        watch
    };
    let (first, second) = (watch(&mut client).await.untaken().await, watch(&mut client).await.untaken().await);
    assert_eq!(reason(&watch(&mut client).await.status().await), "RATE_LIMITED");

    let half = [client.begin(Rpc::SignIn.path(), &[]).await.unwrap(), client.begin(CHECK, &[]).await.unwrap()];
    // What comes before this has been taken in.
    assert_eq!(reason(&watch(&mut client).await.status().await), "RATE_LIMITED");
    let mut another = raw::Client::connect(app.app.grpc_address).await;
    let message = crate::harness::messages::sign_in("ada@example.test", "Wrong4Horse!");
    for path in [Rpc::SignIn.path(), CHECK, "/guildhall.v1.NoSuchService/Call"] {
        let refused = another.call(path, &[], &message).await;
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"), "{path}");
    }
    // Neither other sources nor who has a credential feel it.
    check_health(&mut connect(&app, HERE[1]).await).await;
    assert_eq!(call_as_operator(&mut another, &app).await.code(), Code::Ok);

    drop((first, second, half));
    drop(client);
    crate::harness::eventually_finds("the places", async || {
        (another.call(CHECK, &[], &tonic_health::pb::HealthCheckRequest::default()).await.code() == Code::Ok)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_nothing_but_give_up_calls_is_let_go() {
    let app = start(|_| {}).await;
    let mut client = connect(&app, HERE[0]).await;
    for number in 0..1_000 {
        let Ok(mut call) = client.begin(Rpc::SignIn.path(), &[]).await else { break };
        if number % 10 == 0 {
            // Let them begin before they are given up.
            let _ = client.call_if_open(CHECK, &tonic_health::pb::HealthCheckRequest::default()).await;
        }
        call.outgoing.send_reset(h2::Reason::CANCEL);
    }
    client.closed().await;
    check_health(&mut connect(&app, HERE[0]).await).await;
}

/// Waits in real time.
async fn pass(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_left_the_server_neither_spins_nor_forgets_who_is_in() {
    let site = Site::new(Database::Sqlite).await;
    let server = site.serve_with_files(100).await;
    let key = server.operator_key.clone().unwrap();
    let operator = server.with(&key);
    operator.list_catalogs(guildhall::proto::ListCatalogsRequest::default()).await.unwrap();

    // More than there can be, on both listeners.
    let mut crowd = Vec::new();
    for number in 0..400 {
        let address = if number % 2 == 0 { server.grpc } else { server.http };
        let connecting = raw::connect_from(address, HERE[number / 2 % 4]);
        // The queue of the system may be full, too.
        if let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), connecting).await {
            crowd.push(stream);
        }
    }
    let before = server.process.processor_time();
    pass(Duration::from_secs(2)).await;
    let spent = server.process.processor_time().saturating_sub(before);
    println!("processor time without a file left: {spent:?} of two seconds");
    assert!(spent < Duration::from_millis(500), "{spent:?} of two seconds");
    operator.list_catalogs(guildhall::proto::ListCatalogsRequest::default()).await.expect("a connection that was kept");

    drop(crowd);
    let mut client = raw::Client::connect(server.grpc).await;
    check_health(&mut client).await;
}
