//! The memory of the process itself, under what is sent to it. `--nocapture` prints the figures of docs/reliability.md.

use bytes::Bytes;
use guildhall::rpc::Rpc;
use prost::Message;
use tokio::io::AsyncWriteExt;

use super::{CHECK, HERE, REFLECTION, check_health};
use crate::harness::messages::{accept, create_group, create_organization_under, list_groups};
use crate::harness::{Database, eventually, raw};
use crate::process::program::{Server, Site};

/// By how many MiB the process may grow at the most, whatever is tried without a credential. It took gigabytes.
const ANONYMOUS: u64 = 80;
/// The same with one, which may have 64 MiB under way.
const KNOWN: u64 = 128;

/// Runs an attack on a process of its own; asserts that it does not grow by more than `most` while what is returned is kept.
async fn attack<T>(what: &str, server: &Server, most: u64, sent: impl AsyncFnOnce() -> T) {
    let before = server.process.resident_kib();
    server.process.forget_peak();
    let kept = sent().await;
    // The server has read all of it once it answers whoever comes after.
    check_health(&mut raw::Client::connect_with(&h2::client::Builder::new(), server.grpc, HERE[3]).await).await;
    let (mut last, mut same) = (0, 0);
    let peak = eventually("a process that grows no more", || {
        let now = server.process.peak_kib();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same > 200).then_some(now)
    })
    .await;
    println!("{what}: {} MiB, {} MiB", before / 1_024, peak / 1_024);
    assert!(peak.saturating_sub(before) < most * 1_024, "{what}: {before} KiB have become {peak}");
    drop(kept);
}

/// Makes calls of each of which only this is sent.
async fn begun(server: &Server, path: &str, headers: &[(&str, &[u8])], count: usize, sent: &Bytes) -> impl Sized {
    let mut client = raw::Client::connect(server.grpc).await;
    let mut calls = Vec::new();
    for _ in 0..count {
        let Ok(mut call) = client.begin(path, headers).await else { break };
        let _ = call.outgoing.send_data(sent.clone(), false);
        calls.push(call);
    }
    // Nothing comes after it has been read.
    let _ = client.call_if_open(CHECK, &tonic_health::pb::HealthCheckRequest::default()).await;
    (client, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_and_not_sent_takes_no_memory() {
    let site = Site::new(Database::Sqlite).await;
    let server = site.serve().await;
    let header = Bytes::from_static(b"\0\0\x10\0\0");
    for path in [Rpc::SignIn.path(), CHECK, REFLECTION] {
        let what = format!("1,000 calls of {path} that announce 1 MiB");
        attack(&what, &server, ANONYMOUS, async || begun(&server, path, &[], 1_000, &header).await).await;
    }
    let key = format!("Bearer {}", server.operator_key.clone().unwrap());
    let headers: [(&str, &[u8]); 1] = [("authorization", key.as_bytes())];
    let what = "1,000 calls with a credential that announce 1 MiB";
    attack(what, &server, KNOWN, async || begun(&server, Rpc::ListGroups.path(), &headers, 1_000, &header).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_messages_take_next_to_nothing_without_a_credential() {
    let site = Site::new(Database::Sqlite).await;
    let server = site.serve().await;
    let half = Bytes::from([&b"\0\0\0\x20\0"[..], &[0; 8_000]].concat());
    for path in [Rpc::SignIn.path(), REFLECTION] {
        let what = format!("100 connections, 100 calls of {path} on each, that send 8,000 bytes of 8 KiB");
        attack(&what, &server, ANONYMOUS, async || {
            let mut kept = Vec::new();
            for number in 0..100 {
                let settings = h2::client::Builder::new();
                // Not the last: it asks for the health.
                let mut client = raw::Client::connect_with(&settings, server.grpc, HERE[number % 3]).await;
                let mut calls = Vec::new();
                for _ in 0..100 {
                    let Ok(mut call) = client.begin(path, &[]).await else { break };
                    let _ = call.outgoing.send_data(half.clone(), false);
                    calls.push(call);
                }
                kept.push((client, calls));
            }
            kept
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_messages_take_what_a_credential_may_take() {
    let site = Site::new(Database::Sqlite).await;
    let server = site.serve().await;
    let key = format!("Bearer {}", server.operator_key.clone().unwrap());
    let headers: [(&str, &[u8]); 1] = [("authorization", key.as_bytes())];
    // 500 times 900 KB, of which the server keeps 64 MiB.
    let half = Bytes::from([&b"\0\0\x10\0\0"[..], &vec![0; 900 * 1_000]].concat());
    let what = "500 calls with a credential that send 900 KB of 1 MiB";
    attack(what, &server, KNOWN, async || begun(&server, Rpc::ListGroups.path(), &headers, 500, &half).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_take_little_and_are_few() {
    let site = Site::new(Database::Sqlite).await;
    let server = site.serve().await;
    let begun = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
    for (what, said) in [("say nothing", &b""[..]), ("say nothing but a preface", &begun)] {
        attack(&format!("2,000 connections, of four sources, that {what}"), &server, ANONYMOUS, async || {
            let mut crowd = Vec::new();
            for number in 0..2_000 {
                let mut stream = raw::connect_from(server.grpc, HERE[number % 4]).await;
                // It may be closed already.
                let _ = stream.write_all(said).await;
                crowd.push(stream);
            }
            crowd
        })
        .await;
    }

    // Requests one after the other, and none of the answers is read.
    let sign_in = raw::framed(&accept("ghi_none", "Wrong4Horse!").encode_to_vec());
    attack("200,000 calls on connections that read nothing", &server, ANONYMOUS, async || {
        let mut crowd = Vec::new();
        for number in 0..100 {
            let mut stream = raw::connect_from(server.grpc, HERE[number % 4]).await;
            let bytes = pipelined(&begun, Rpc::AcceptInvitation.path(), &sign_in, 2_000);
            let writing = stream.write_all(&bytes);
            let _ = tokio::time::timeout(std::time::Duration::from_millis(100), writing).await;
            crowd.push(stream);
        }
        crowd
    })
    .await;
}

/// Writes a connection's bytes by hand: its beginning, and so many whole requests.
fn pipelined(begun: &[u8], path: &str, message: &[u8], count: u32) -> Vec<u8> {
    let mut bytes = begun.to_vec();
    // HPACK: `:method: POST`, `:scheme: http` from the table; the others as they are.
    let mut headers = vec![0x83, 0x86];
    for (name, value) in
        [(":path", path), (":authority", "x"), ("content-type", "application/grpc"), ("te", "trailers")]
    {
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).unwrap());
            headers.extend(text.as_bytes());
        }
    }
    let mut frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        bytes.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
    };
    for number in 0..count {
        let stream = 2 * number + 1;
        frame(1, 4, stream, &headers);
        frame(0, 1, stream, message);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_are_bounded() {
    let site = Site::new(Database::Sqlite).await;
    let server = site.serve().await;
    let key = server.operator_key.clone().unwrap();
    let operator = server.with(&key);
    let request = create_organization_under("analytics-workspace", "Example", "ada@example.test");
    let id = operator.create_organization(request).await.unwrap().organization.unwrap().id;
    let owner = server.join("ada@example.test").await;
    for number in 0..200 {
        let group = create_group(&id, &format!("group {number}"));
        let group = guildhall::proto::CreateGroupRequest { metadata: Some(super::pages::large()), ..group };
        owner.call.create_group(group).await.unwrap();
    }

    let bearer = format!("Bearer {}", owner.call.credential.as_ref().unwrap());
    let headers: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];
    let mut message = list_groups(&id);
    message.page_size = 1_000;
    let message = raw::framed(&message.encode_to_vec());
    attack("200 calls of ListGroups whose answers are not taken", &server, KNOWN, async || {
        let mut settings = h2::client::Builder::new();
        settings.initial_window_size(1);
        let mut client = raw::Client::connect_with(&settings, server.grpc, HERE[0]).await;
        let mut answers = Vec::new();
        for _ in 0..200 {
            let mut call = client.begin(Rpc::ListGroups.path(), &headers).await.unwrap();
            call.outgoing.send_data(message.clone(), true).unwrap();
            answers.push(call.untaken().await);
        }
        (client, answers)
    })
    .await;
}
