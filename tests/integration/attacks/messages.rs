//! Messages: too large, half, compressed, late.

use std::time::Duration;

use bytes::Bytes;
use guildhall::rpc::Rpc;
use prost::Message;
use tonic::{Code, Status};

use super::{CHECK, HERE, REFLECTION, WATCH, check_health, connect, start};
use crate::harness::messages::{item, list_groups, sign_in};
use crate::harness::{TestApp, raw, reason};

/// The header of a message of so many bytes, and none of them.
fn announced(bytes: u32) -> Bytes {
    Bytes::from([&[0], &bytes.to_be_bytes()[..]].concat())
}

/// What a call comes to of which this is all that is sent, and that never ends.
async fn status_of(client: &mut raw::Client, path: &str, headers: &[(&str, &[u8])], sent: Bytes) -> Status {
    let mut call = client.begin(path, headers).await.unwrap();
    if !sent.is_empty() {
        call.send(sent);
    }
    call.status().await
}

fn credential(app: &TestApp) -> String {
    format!("Bearer {}", app.operator_key())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_announces_too_much_is_refused_before_it_is_sent() {
    let app = start(|_| {}).await;
    let mut client = connect(&app, HERE[0]).await;
    let bearer = credential(&app);
    let known: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];
    let kib = 1_024;
    for (path, headers, most) in [
        (Rpc::SignIn.path(), &[][..], 8 * kib),
        (Rpc::AcceptInvitation.path(), &[], 8 * kib),
        (CHECK, &[], 4 * kib),
        (WATCH, &[], 4 * kib),
        (REFLECTION, &[], 4 * kib),
        (Rpc::SignIn.path(), &known, 1_024 * kib),
        (Rpc::ListGroups.path(), &known, 1_024 * kib),
        (Rpc::StreamChecks.path(), &known, 1_024 * kib),
        (Rpc::RegisterResources.path(), &known, 1_024 * kib),
    ] {
        for bytes in [most + 1, u32::MAX] {
            let status = status_of(&mut client, path, headers, announced(bytes)).await;
            assert_eq!(status.code(), Code::InvalidArgument, "{path}: {bytes}: {status:?}");
            assert_eq!(reason(&status), "REQUEST_INVALID", "{path}: {bytes}");
        }
    }
    // The largest is read, and refused for what is in it, which is nothing.
    let largest = raw::framed(&vec![0; 8 * 1_024]);
    let refused = client.begin(Rpc::SignIn.path(), &[]).await.unwrap().finish(largest).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    check_health(&mut client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_does_not_come_in_time_ends_its_call() {
    let app = start(|limits| limits.message_timeout = Duration::from_secs(1)).await;
    let mut client = connect(&app, HERE[0]).await;
    let bearer = credential(&app);
    let known: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];
    for (path, headers) in [
        (Rpc::SignIn.path(), &[][..]),
        (CHECK, &[]),
        (WATCH, &[]),
        (REFLECTION, &[]),
        (Rpc::ListGroups.path(), &known),
        (Rpc::StreamChecks.path(), &known),
        (Rpc::RegisterResources.path(), &known),
    ] {
        let streams = [REFLECTION, Rpc::StreamChecks.path(), Rpc::RegisterResources.path()];
        // A stream need not say anything; what it has begun it has to say.
        let halves = [&b""[..], b"\0\0", b"\0\0\0\0\x10", b"\0\0\0\0\x10half"];
        for half in &halves[usize::from(streams.contains(&path))..] {
            let status = status_of(&mut client, path, headers, Bytes::from_static(half)).await;
            assert_eq!(status.code(), Code::DeadlineExceeded, "{path}: {half:?}: {status:?}");
            assert_eq!(reason(&status), "DEADLINE_EXCEEDED", "{path}: {half:?}");
        }
    }
    check_health(&mut client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_may_come_in_any_pieces() {
    let app = start(|_| {}).await;
    let message = raw::framed(&sign_in("ada@example.test", "Wrong4Horse!").encode_to_vec());
    let mut client = connect(&app, HERE[0]).await;
    for size in [1, 2, 5, 6, 40] {
        let mut call = client.begin(Rpc::SignIn.path(), &[]).await.unwrap();
        for piece in message.chunks(size) {
            call.send(piece.to_vec());
            check_health(&mut client).await;
        }
        assert_eq!(reason(&call.finish(Bytes::new()).await), "SIGN_IN_REFUSED", "{size}");
    }
    for bad in [[&message[..], b"\0"].concat(), [&message[..], &message[..]].concat(), message[..9].to_vec()] {
        let refused = client.begin(Rpc::SignIn.path(), &[]).await.unwrap().finish(bad.into()).await;
        assert_eq!(reason(&refused), "REQUEST_INVALID");
    }

    // Frames of a stream: several in one piece, and one in several.
    let organization = app.found().await;
    let items = vec![item(&organization.owner.user_id, "member.list", None)];
    let frame = |frame_id| {
        let organization_id = organization.id.clone();
        let check = guildhall::proto::CheckFrame { frame_id, organization_id, items: items.clone(), consistency: None };
        let frame = guildhall::proto::stream_checks_request::Frame::Check(check);
        raw::framed(&guildhall::proto::StreamChecksRequest { frame: Some(frame) }.encode_to_vec())
    };
    let all: Vec<u8> = (1..=20).flat_map(|number| frame(number).to_vec()).collect();
    let bearer = credential(&app);
    for size in [all.len(), 700, 64, 7, 1] {
        let headers: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];
        let mut call = client.begin(Rpc::StreamChecks.path(), &headers).await.unwrap();
        for piece in all.chunks(size) {
            call.send(piece.to_vec());
        }
        let (answers, status) = call.finish_with_messages().await;
        let numbers = answers.iter().map(|answer| {
            match guildhall::proto::StreamChecksResponse::decode(answer.clone()).unwrap().frame {
                Some(guildhall::proto::stream_checks_response::Frame::Decisions(frame)) => frame.frame_id,
                other => panic!("expected decisions, got {other:?}"),
            }
        });
        assert_eq!((numbers.collect::<Vec<u64>>(), status.code()), ((1..=20).collect(), Code::Ok), "{size}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_compressed_is_unpacked() {
    let app = start(|_| {}).await;
    let mut client = connect(&app, HERE[0]).await;
    let compressed =
        Bytes::from_static(b"\x01\0\0\0\x15\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0");
    for path in [Rpc::SignIn.path(), CHECK, REFLECTION] {
        let refused = client.begin(path, &[("grpc-encoding", b"gzip")]).await.unwrap().finish(compressed.clone()).await;
        assert_eq!(refused.code(), Code::Unimplemented, "{path}");
        let unsaid = client.begin(path, &[]).await.unwrap().finish(compressed.clone()).await;
        assert!(matches!(unsaid.code(), Code::InvalidArgument | Code::Internal), "{path}: {unsaid:?}");
    }
    check_health(&mut client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_have_a_bound() {
    let app = start(|_| {}).await;
    let long = vec![b'x'; 17 * 1_024];
    let mut client = connect(&app, HERE[0]).await;
    let refused = match client.begin(CHECK, &[("x-long", &long)]).await {
        Ok(call) => call.finish(raw::framed(b"")).await.code() != Code::Ok,
        Err(_) => true,
    };
    assert!(refused, "headers of 17 KiB");
    check_health(&mut connect(&app, HERE[0]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_deadline_has_one_and_none_is_absurd_and_streams_have_none() {
    let app = start(|limits| {
        limits.message_timeout = Duration::from_secs(1_000);
        limits.default_deadline = Duration::from_secs(1);
        limits.longest_deadline = Duration::from_secs(2);
    })
    .await;
    let organization = app.found().await;
    let mut stream = organization.owner.call.stream().await.unwrap();
    stream.progress(1).await;

    let mut client = connect(&app, HERE[0]).await;
    let bearer = credential(&app);
    for (path, timeout) in [
        (Rpc::ListGroups.path(), None),
        (Rpc::ListGroups.path(), Some(&b"99999999H"[..])),
        (Rpc::ListGroups.path(), Some(b"1500m")),
        (Rpc::SignIn.path(), None),
    ] {
        let mut headers: Vec<(&str, &[u8])> = vec![("authorization", bearer.as_bytes())];
        headers.extend(timeout.map(|timeout| ("grpc-timeout", timeout)));
        let status = status_of(&mut client, path, &headers, Bytes::new()).await;
        assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "the deadline has passed"));
    }
    // All that time it was open.
    stream.progress(2).await;
    let organization_id = organization.id.as_str();
    organization.owner.call.list_groups(list_groups(organization_id)).await.expect_err("a feature that is off");
}
