//! Valid messages of every shape.

use guildhall::proto;
use guildhall::proto::consistency::Requirement;
use guildhall::proto::stream_checks_request::Frame;
use guildhall::proto::subject::Kind;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just(String::new()),
        6 => "[a-z0-9._-]{1,40}",
        2 => "\\PC{1,12}",
        // Its length takes two bytes, which are no UTF-8.
        1 => "[a-z]{128,200}",
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..128_u64, any::<u64>()]
}

fn subject() -> impl Strategy<Value = proto::Subject> {
    let kind = prop_oneof![
        text().prop_map(Kind::UserId),
        text().prop_map(Kind::ServiceAccountId),
        text().prop_map(Kind::AccessToken)
    ];
    option::weighted(0.9, kind).prop_map(|kind| proto::Subject { kind })
}

fn resource() -> impl Strategy<Value = proto::ResourceRef> {
    (text(), text()).prop_map(|(r#type, id)| proto::ResourceRef { r#type, id })
}

pub fn item() -> impl Strategy<Value = proto::CheckItem> {
    (option::weighted(0.9, subject()), text(), option::weighted(0.8, resource()))
        .prop_map(|(subject, permission, resource)| proto::CheckItem { subject, permission, resource })
}

fn consistency() -> impl Strategy<Value = Option<proto::Consistency>> {
    let requirement = prop_oneof![
        (any::<i64>(), any::<i32>())
            .prop_map(|(seconds, nanos)| Requirement::MaxAge(prost_types::Duration { seconds, nanos })),
        text().prop_map(Requirement::AtLeast),
        any::<bool>().prop_map(Requirement::Fresh),
    ];
    option::of(option::weighted(0.9, requirement).prop_map(|requirement| proto::Consistency { requirement }))
}

pub fn check_frame() -> impl Strategy<Value = proto::CheckFrame> {
    (number(), text(), vec(item(), 0..6), consistency()).prop_map(|(frame_id, organization_id, items, consistency)| {
        proto::CheckFrame { frame_id, organization_id, items, consistency }
    })
}

pub fn check() -> impl Strategy<Value = proto::CheckRequest> {
    (text(), option::weighted(0.9, item()), consistency())
        .prop_map(|(organization_id, item, consistency)| proto::CheckRequest { organization_id, item, consistency })
}

pub fn batch() -> impl Strategy<Value = proto::BatchCheckRequest> {
    (text(), vec(item(), 0..6), consistency()).prop_map(|(organization_id, items, consistency)| {
        proto::BatchCheckRequest { organization_id, items, consistency }
    })
}

pub fn other_frame() -> impl Strategy<Value = Frame> {
    let subscription =
        (number(), option::of(item()), option::of(any::<bool>())).prop_map(|(subscription_id, item, known_allowed)| {
            proto::Subscription { subscription_id, item, known_allowed }
        });
    prop_oneof![
        (text(), vec(subscription, 0..4), text()).prop_map(|(organization_id, subscriptions, at_least)| {
            Frame::Subscribe(proto::SubscribeFrame { organization_id, subscriptions, at_least })
        }),
        vec(number(), 0..6)
            .prop_map(|subscription_ids| Frame::Unsubscribe(proto::UnsubscribeFrame { subscription_ids })),
        number().prop_map(|number| Frame::Ping(proto::Ping { number })),
    ]
}

/// Returns the bytes of a message that a client sends, mostly a frame of checks.
pub fn encoded() -> impl Strategy<Value = Vec<u8>> {
    let stream = |frame| proto::StreamChecksRequest { frame }.encode_to_vec();
    prop_oneof![
        4 => check_frame().prop_map(move |frame| stream(Some(Frame::Check(frame)))),
        1 => other_frame().prop_map(move |frame| stream(Some(frame))),
        2 => batch().prop_map(|batch| batch.encode_to_vec()),
        2 => check().prop_map(|check| check.encode_to_vec()),
    ]
}
