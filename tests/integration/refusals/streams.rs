//! Streams: a bad item is answered by itself, a breach of the protocol ends the stream.

use std::collections::BTreeMap;

use guildhall::proto::authorization_service_client::AuthorizationServiceClient;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::proto::{self, CheckItem};
use guildhall::rpc::Rpc;
use tonic::{Code, Status};

use super::assert_violates;
use super::checks::{mixed_items, said};
use crate::harness::messages::item;
use crate::harness::{Caller, assert_refused, raw, reason};
use crate::on_both;

fn check_frame(organization: &str, items: Vec<CheckItem>) -> Asked {
    Asked::Check(proto::CheckFrame { frame_id: 7, organization_id: organization.into(), items, consistency: None })
}

/// Sends one frame, and gives what the stream says to it.
async fn say(call: &Caller, frame: Asked) -> Result<Option<Told>, Status> {
    let mut stream = call.stream().await?;
    stream.send(frame).await;
    stream.receive().await
}

on_both! {
    async fn a_bad_item_in_a_frame_is_answered_by_itself(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let mixed = mixed_items(&organization.owner);
        let items: Vec<CheckItem> = mixed.iter().map(|(item, ..)| item.clone()).collect();
        let mut stream = owner.stream().await.unwrap();

        stream.send(check_frame(id, items.clone())).await;
        let Some(Told::Decisions(frame)) = stream.receive().await.unwrap() else { panic!("not decisions") };
        assert_eq!((frame.frame_id, frame.error.as_str(), frame.decisions.len()), (7, "", mixed.len()));
        for ((item, allowed, reason), decision) in mixed.iter().zip(&frame.decisions) {
            assert_eq!(said(decision), (*allowed, *reason), "{item:?}");
        }

        stream.subscribe(id, items).await;
        let changes = stream.change_frame().await.changes;
        let told: BTreeMap<u64, _> =
            changes.iter().map(|it| (it.subscription_id, said(it.decision.as_ref().unwrap()))).collect();
        let expected: BTreeMap<u64, _> =
            (1..).zip(mixed.iter().map(|(_, allowed, reason)| (*allowed, *reason))).collect();
        assert_eq!(told, expected);
        stream.progress(1).await;
    }

    async fn a_frame_over_the_limit_ends_the_stream(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let items = |count| vec![item(&organization.owner.user_id, "project.view", None); count];
        let subscribe = |count: usize| {
            let subscriptions = (1..).zip(items(count)).map(|(subscription_id, item)| proto::Subscription {
                subscription_id,
                item: Some(item),
                known_allowed: None,
            });
            let subscriptions = subscriptions.collect();
            Asked::Subscribe(proto::SubscribeFrame {
                organization_id: id.into(),
                subscriptions,
                at_least: String::new(),
            })
        };
        for frame in [check_frame(id, items(1_001)), subscribe(1_001)] {
            assert_refused(say(owner, frame).await, Code::ResourceExhausted, "FRAME_TOO_LARGE");
        }
        for frame in [check_frame(id, items(1_000)), subscribe(1_000)] {
            let Some(Told::Decisions(_) | Told::Changes(_)) = say(owner, frame).await.unwrap() else {
                panic!("no answer")
            };
        }
    }

    async fn an_empty_frame_ends_the_stream(app) {
        let organization = app.found().await;
        let (owner, id) = (&organization.owner.call, organization.id.as_str());
        let subscribe = proto::SubscribeFrame { organization_id: id.into(), ..Default::default() };
        assert_violates(say(owner, check_frame(id, vec![])).await, &[("check.items", "OUT_OF_RANGE")]);
        assert_violates(say(owner, Asked::Subscribe(subscribe)).await, &[("subscribe.subscriptions", "OUT_OF_RANGE")]);
    }

    async fn a_message_without_a_frame_ends_the_stream(app) {
        let organization = app.found().await;
        let owner = &organization.owner.call;
        let empty = owner.request(tokio_stream::iter([proto::StreamChecksRequest { frame: None }]));
        let mut answers =
            AuthorizationServiceClient::new(owner.channel()).stream_checks(empty).await.unwrap().into_inner();
        assert_violates(answers.message().await, &[("frame", "FIELD_REQUIRED")]);
        assert!(matches!(answers.message().await, Ok(None)), "nothing comes after the end");
    }

    async fn a_message_that_cannot_be_read_ends_the_stream_and_says_so(app) {
        let organization = app.found().await;
        let credential = format!("Bearer {}", organization.owner.call.credential.as_ref().unwrap());
        let headers = [("authorization", credential.as_bytes())];
        let post = async |body| raw::post(app.app.grpc_address, Rpc::StreamChecks.path(), &headers, body).await;
        let too_long = vec![0_u8; 1024 * 1024 + 1];
        for message in [&b"\xff\xff\xff"[..], b"\x0a\xff", b"\x0a\x04\x12\x02\xff\xfe", &too_long] {
            let status = post(raw::framed(message)).await;
            assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REQUEST_INVALID"));
        }
        assert_eq!(post(raw::framed(b"\x22\x02\x08\x01")).await.code(), Code::Ok, "a ping, and the end");
    }
}
