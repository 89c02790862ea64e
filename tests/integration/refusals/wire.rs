//! Below the contract: messages that cannot be read, deadlines, headers.

use std::sync::Arc;
use std::time::Duration;

use guildhall::proto::authorization_service_client::AuthorizationServiceClient;
use guildhall::rpc::{Required, Rpc};
use prost::Message;
use tempfile::TempDir;
use tonic::{Code, Status};

use super::revision_of;
use crate::harness::messages::{check, get_organization, invite, item, register, sign_in};
use crate::harness::{ManualClock, PASSWORD, Person, TestApp, assert_refused, project, raw, reason, role};
use crate::on_both;
use crate::rule::rng::Rng;

async fn post(app: &TestApp, rpc: Rpc, person: &Person, message: &[u8]) -> Status {
    let credential = format!("Bearer {}", person.call.credential.as_ref().unwrap());
    raw::post(app.app.grpc_address, rpc.path(), &[("authorization", credential.as_bytes())], raw::framed(message)).await
}

on_both! {
    async fn a_message_that_cannot_be_read_is_the_callers_mistake(app) {
        let organization = app.found().await;
        let person = &organization.owner;
        for rpc in Rpc::ALL {
            // A key without a value, field number 0, a text longer than the message, one that is no UTF-8, a group.
            for bad in [
                &b"\x0a"[..],
                b"\x02\x01x",
                b"\x0a\x05a",
                b"\x0a\x02\xff\xfe\x12\x02\xff\xfe\x1a\x02\xff\xfe",
                b"\x0b",
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            ] {
                let status = post(&app, *rpc, person, bad).await;
                assert_eq!(
                    status.code(),
                    if rpc.required() == Required::Operator { Code::PermissionDenied } else { Code::InvalidArgument },
                    "{rpc:?} takes {bad:?}: {status:?}"
                );
            }
        }
        let body = raw::framed(&register(&organization.id, project("alpha")).encode_to_vec());
        let credential = format!("Bearer {}", person.call.credential.as_ref().unwrap());
        let headers = [("authorization", credential.as_bytes())];
        let send = async |body| raw::post(app.app.grpc_address, Rpc::RegisterResource.path(), &headers, body).await;
        let before = revision_of(&person.call, &organization.id).await;
        for bad in [bytes::Bytes::new(), body.slice(..3), body.slice(..body.len() - 1)] {
            let status = send(bad).await;
            assert!(!matches!(status.code(), Code::Ok | Code::Unknown), "{status:?}");
        }
        assert_eq!(revision_of(&person.call, &organization.id).await, before);
    }

    async fn a_message_over_one_mebibyte_is_refused_unread(app) {
        let organization = app.found().await;
        let person = &organization.owner;
        let before = revision_of(&person.call, &organization.id).await;
        for rpc in Rpc::ALL.iter().filter(|rpc| rpc.required() != Required::Operator) {
            let status = post(&app, *rpc, person, &vec![0; 1024 * 1024 + 1]).await;
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::InvalidArgument, "REQUEST_INVALID"),
                "{rpc:?}"
            );
        }
        assert_eq!(revision_of(&person.call, &organization.id).await, before);
    }

    /// Good messages with a few bytes altered: whatever they have become, it is answered, and never by a bug.
    async fn no_message_brings_the_server_to_say_internal(app) {
        let organization = app.found().await;
        let person = &organization.owner;
        let mut rng = Rng::new(7);
        let good = [
            register(&organization.id, project("alpha")).encode_to_vec(),
            invite(&organization.id, "new@example.test", vec![role("user")]).encode_to_vec(),
            check(&organization.id, item(&person.user_id, "project.view", None)).encode_to_vec(),
        ];
        for round in 0..200 {
            let rpc = rng.pick(Rpc::ALL).unwrap();
            let mut message = rng.pick(&good).unwrap();
            for _ in 0..rng.below(4) {
                let at = rng.below(message.len());
                message[at] = u8::try_from(rng.below(256)).unwrap();
            }
            message.truncate(rng.below(message.len()) + 1);
            let status = post(&app, rpc, person, &message).await;
            let is_bug = matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable);
            assert!(!is_bug, "round {round}: {rpc:?} answers {message:?} with {status:?}");
        }
        person.call.get_organization(get_organization(&organization.id)).await.expect("a server that is well");
    }

    async fn a_timeout_that_cannot_be_read_is_refused(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let credential = format!("Bearer {}", owner.credential.as_ref().unwrap());
        let before = revision_of(owner, &organization.id).await;
        let post = async |timeout: &[u8]| {
            let headers = [("authorization", credential.as_bytes()), ("grpc-timeout", timeout)];
            let message = register(&organization.id, project("alpha"));
            raw::post_message(app.app.grpc_address, Rpc::RegisterResource.path(), &headers, &message).await
        };
        for bad in [
            &b""[..],
            b"S",
            b"5",
            b"x",
            b"1D",
            b"123456789S",
            b"1.5S",
            b"-1S",
            b"+1S",
            b"1 S",
            b"1S ",
            b"0x1S",
            b"\xd9\xa3S",
            b"\xffS",
        ] {
            let status = post(bad).await;
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::InvalidArgument, "HEADER_MALFORMED"),
                "{bad:?}"
            );
        }
        assert_eq!(revision_of(owner, &organization.id).await, before);
        assert_eq!(post(b"99999999H").await.code(), Code::Ok);
    }
}

on_both! {
    async fn a_deadline_that_passes_is_reported_as_such(database: Database) {
        let data_dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let config = database.config(data_dir.path()).await;
        let app = TestApp::start_hashing(config, data_dir, ManualClock::new()).await.expect("a server that starts");
        let organization = app.found().await;
        // Hashing takes longer than any of these.
        for timeout in [&b"0n"[..], b"1n", b"1u", b"1m", b"5m"] {
            let message = sign_in(&organization.owner.email, PASSWORD);
            let headers = [("grpc-timeout", timeout)];
            let status = raw::post_message(app.app.grpc_address, Rpc::SignIn.path(), &headers, &message).await;
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
                "{timeout:?}"
            );
        }

        let owner = &organization.owner.call;
        let mut request = owner.request(tokio_stream::pending());
        request.set_timeout(Duration::from_millis(500));
        let mut client = AuthorizationServiceClient::new(owner.channel());
        let mut answers = client.stream_checks(request).await.unwrap().into_inner();
        assert_refused(answers.message().await, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
}
