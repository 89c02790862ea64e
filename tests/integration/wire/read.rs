//! What is read in place, against what prost reads.

use std::cell::Cell;

use guildhall::proto;
use guildhall::proto::consistency::Requirement;
use guildhall::proto::stream_checks_request::Frame;
use guildhall::proto::subject::Kind;
use guildhall::transport::wire::Malformed;
use guildhall::transport::wire::read::{
    ConsistencyView, ItemView, Items, StreamFrame, SubjectView, batch, check, stream_frame,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use prost::Message;

use super::messages;
use super::mutation::{altered, mutation};
use super::runner;

/// What both made of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Read,
    Refused,
    /// Left to the generated code.
    Left,
}

fn item_of(view: ItemView<'_>) -> proto::CheckItem {
    let kind = match view.subject {
        SubjectView::None => None,
        SubjectView::User(id) => Some(Kind::UserId(id.to_owned())),
        SubjectView::ServiceAccount(id) => Some(Kind::ServiceAccountId(id.to_owned())),
        SubjectView::AccessToken(token) => Some(Kind::AccessToken(token.to_owned())),
    };
    proto::CheckItem {
        subject: kind.map(|kind| proto::Subject { kind: Some(kind) }),
        permission: view.permission.to_owned(),
        resource: view.resource.map(|it| proto::ResourceRef { r#type: it.kind.to_owned(), id: it.id.to_owned() }),
    }
}

/// A subject that says nothing reads as none.
fn without_silent_subject(mut item: proto::CheckItem) -> proto::CheckItem {
    item.subject = item.subject.filter(|subject| subject.kind.is_some());
    item
}

fn consistency_of(view: ConsistencyView<'_>) -> proto::Consistency {
    let requirement = match view {
        ConsistencyView::Unspecified => None,
        ConsistencyView::MaxAge { seconds, nanos } => {
            Some(Requirement::MaxAge(prost_types::Duration { seconds, nanos }))
        }
        ConsistencyView::AtLeast(token) => Some(Requirement::AtLeast(token.to_owned())),
        ConsistencyView::Fresh(is_fresh) => Some(Requirement::Fresh(is_fresh)),
    };
    proto::Consistency { requirement }
}

/// Reads all items, and sees that it is known beforehand how many they are and whether they can be read.
fn items_of(items: Items<'_>) -> Result<Vec<proto::CheckItem>, Malformed> {
    let (length, verified) = (items.len(), items.verify());
    let read = items.map(|item| item.map(item_of)).collect::<Result<Vec<_>, _>>();
    assert_eq!(verified, read.as_ref().map(drop).map_err(|error| *error));
    assert!(read.as_ref().is_ok_and(|read| read.len() == length) || read.is_err(), "{length} items");
    read
}

fn stream_in_place(bytes: &[u8]) -> Result<Option<proto::CheckFrame>, Malformed> {
    let StreamFrame::Check(frame) = stream_frame(bytes)? else { return Ok(None) };
    Ok(Some(proto::CheckFrame {
        frame_id: frame.frame_id,
        organization_id: frame.organization_id.to_owned(),
        items: items_of(frame.items)?,
        consistency: frame.consistency.map(consistency_of),
    }))
}

fn batch_in_place(bytes: &[u8]) -> Result<proto::BatchCheckRequest, Malformed> {
    let batch = batch(bytes)?;
    Ok(proto::BatchCheckRequest {
        organization_id: batch.organization_id.to_owned(),
        items: items_of(batch.items)?,
        consistency: batch.consistency.map(consistency_of),
    })
}

fn check_in_place(bytes: &[u8]) -> Result<proto::CheckRequest, Malformed> {
    let check = check(bytes)?;
    Ok(proto::CheckRequest {
        organization_id: check.organization_id.to_owned(),
        item: check.item.map(item_of),
        consistency: check.consistency.map(consistency_of),
    })
}

fn stream_agrees(bytes: &[u8]) -> Result<Verdict, TestCaseError> {
    let generated = proto::StreamChecksRequest::decode(bytes).map(|message| message.frame);
    match (stream_in_place(bytes), generated) {
        (Ok(Some(frame)), Ok(Some(Frame::Check(mut generated)))) => {
            generated.items = generated.items.into_iter().map(without_silent_subject).collect();
            prop_assert_eq!(frame, generated);
            Ok(Verdict::Read)
        }
        (Ok(None), _) => Ok(Verdict::Left),
        (Err(Malformed), Err(_)) => Ok(Verdict::Refused),
        (ours, generated) => Err(TestCaseError::fail(format!("{ours:?} in place, {generated:?} by prost"))),
    }
}

fn unary_agree(bytes: &[u8]) -> Result<[Verdict; 2], TestCaseError> {
    let generated = proto::BatchCheckRequest::decode(bytes).map(|mut it| {
        it.items = it.items.into_iter().map(without_silent_subject).collect();
        it
    });
    let batch = agreement(batch_in_place(bytes), generated)?;
    let generated = proto::CheckRequest::decode(bytes).map(|mut it| {
        it.item = it.item.map(without_silent_subject);
        it
    });
    Ok([batch, agreement(check_in_place(bytes), generated)?])
}

fn agreement<T: PartialEq + std::fmt::Debug>(
    ours: Result<T, Malformed>,
    generated: Result<T, prost::DecodeError>,
) -> Result<Verdict, TestCaseError> {
    match (ours, generated) {
        (Ok(ours), Ok(generated)) => {
            prop_assert_eq!(ours, generated);
            Ok(Verdict::Read)
        }
        (Err(Malformed), Err(_)) => Ok(Verdict::Refused),
        (ours, generated) => Err(TestCaseError::fail(format!("{ours:?} in place, {generated:?} by prost"))),
    }
}

fn check_message(frame: proto::CheckFrame) -> Vec<u8> {
    proto::StreamChecksRequest { frame: Some(Frame::Check(frame)) }.encode_to_vec()
}

#[test]
fn a_valid_frame_of_checks_is_read_in_place_and_any_other_left() {
    let frame = messages::check_frame().prop_map(check_message);
    let read = runner(500).run(&frame, |bytes| {
        prop_assert_eq!(stream_agrees(&bytes)?, Verdict::Read);
        Ok(())
    });
    read.unwrap();
    let other = messages::other_frame().prop_map(|frame| proto::StreamChecksRequest { frame: Some(frame) });
    let left = runner(100).run(&other, |message| {
        prop_assert_eq!(stream_agrees(&message.encode_to_vec())?, Verdict::Left);
        Ok(())
    });
    left.unwrap();
    assert_eq!(stream_agrees(b"").unwrap(), Verdict::Left);
}

#[test]
fn a_valid_check_and_a_valid_batch_read_as_prost_reads_them() {
    let check = runner(500).run(&messages::check(), |message| {
        prop_assert_eq!(unary_agree(&message.encode_to_vec())?[1], Verdict::Read);
        Ok(())
    });
    check.unwrap();
    let batch = runner(500).run(&messages::batch(), |message| {
        prop_assert_eq!(unary_agree(&message.encode_to_vec())?[0], Verdict::Read);
        Ok(())
    });
    batch.unwrap();
}

#[test]
fn an_altered_message_is_read_or_refused_as_by_prost() {
    let (tried, read, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let altered = (messages::encoded(), vec(mutation(), 1..5)).prop_map(|(bytes, how)| altered(&bytes, &how));
    let agreed = runner(6_000).run(&altered, |bytes| {
        let [batch, check] = unary_agree(&bytes)?;
        for verdict in [stream_agrees(&bytes)?, batch, check] {
            tried.set(tried.get() + 1);
            read.set(read.get() + u32::from(verdict == Verdict::Read));
            refused.set(refused.get() + u32::from(verdict == Verdict::Refused));
        }
        Ok(())
    });
    agreed.unwrap();
    // Else it would show little.
    let (tried, read, refused) = (tried.get(), read.get(), refused.get());
    assert!(read > tried / 10 && refused > tried / 10, "of {tried}, {read} read and {refused} refused");
}

#[test]
fn any_bytes_are_read_or_refused_as_by_prost() {
    // Small numbers are keys, lengths and ends of groups; the others are what comes.
    let byte = prop_oneof![4 => 0..40_u8, 1 => any::<u8>()];
    let agreed = runner(6_000).run(&vec(byte, 0..48), |bytes| {
        unary_agree(&bytes)?;
        stream_agrees(&bytes)?;
        // And as the content of a frame and of an item.
        let mut frame = vec![0x0a, u8::try_from(bytes.len()).expect("a short message")];
        frame.extend(&bytes);
        stream_agrees(&frame)?;
        let mut item = vec![0x0a, u8::try_from(bytes.len() + 2).expect("a short message"), 0x1a];
        item.push(u8::try_from(bytes.len()).expect("a short message"));
        item.extend(&bytes);
        stream_agrees(&item)?;
        Ok(())
    });
    agreed.unwrap();
}

/// The corners that a random walk seldom finds, each by its name.
#[test]
fn the_corners_of_the_format_are_as_prost_has_them() {
    let group = |depth: usize| [vec![0x7b; depth], vec![0x7c; depth]].concat();
    let cases: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("an empty frame", vec![0x0a, 0], Verdict::Read),
        ("two frames", vec![0x0a, 0, 0x0a, 0], Verdict::Left),
        ("a frame and a ping", vec![0x0a, 0, 0x22, 0], Verdict::Left),
        ("an unknown frame", vec![0x32, 0], Verdict::Left),
        (
            "the largest number as frame id",
            b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(),
            Verdict::Read,
        ),
        ("a number of 65 bits", b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02".to_vec(), Verdict::Refused),
        (
            "a number of eleven bytes",
            b"\x0a\x0c\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00".to_vec(),
            Verdict::Refused,
        ),
        ("zero in ten bytes", b"\x0a\x0b\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00".to_vec(), Verdict::Read),
        ("a key in five bytes", b"\x0a\x06\x88\x80\x80\x80\x00\x07".to_vec(), Verdict::Read),
        ("a key of more than 32 bits", b"\x0a\x06\x88\x80\x80\x80\x10\x07".to_vec(), Verdict::Refused),
        ("field number zero", b"\x0a\x02\x00\x01".to_vec(), Verdict::Refused),
        ("wire type six", b"\x0a\x02\x7e\x01".to_vec(), Verdict::Refused),
        ("a text that ends inside a character", b"\x0a\x07\x1a\x05\x12\x01\xc3\x1a\x00".to_vec(), Verdict::Refused),
        ("a character shared by two texts", b"\x0a\x06\x1a\x04\x12\x01\xc3\xa9".to_vec(), Verdict::Refused),
        ("a text longer than its message", b"\x0a\x04\x1a\x02\x12\x05abcde".to_vec(), Verdict::Refused),
        ("a length of 64 bits", b"\x0a\x0b\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(), Verdict::Refused),
        ("an item after one of another type", b"\x0a\x04\x1a\x00\x18\x01".to_vec(), Verdict::Refused),
        ("the end of a group that never began", b"\x7c\x0a\x00".to_vec(), Verdict::Refused),
        ("groups as deep as may be", [group(100), vec![0x0a, 0]].concat(), Verdict::Read),
        ("groups a level deeper", [group(101), vec![0x0a, 0]].concat(), Verdict::Refused),
        ("groups as deep as may be in a frame", [vec![0x0a, 198, 1], group(99)].concat(), Verdict::Read),
        ("groups a level deeper in a frame", [vec![0x0a, 200, 1], group(100)].concat(), Verdict::Refused),
    ];
    for (what, bytes, verdict) in cases {
        assert_eq!(stream_agrees(&bytes).unwrap(), verdict, "{what}");
        unary_agree(&bytes).unwrap();
    }
}

#[test]
fn a_token_is_not_shown() {
    let subject = Some(proto::Subject { kind: Some(Kind::AccessToken("very-secret".to_owned())) });
    let item = proto::CheckItem { subject, ..Default::default() };
    let message = check_message(proto::CheckFrame { items: vec![item.clone()], ..Default::default() });
    let StreamFrame::Check(frame) = stream_frame(&message).unwrap() else { panic!("a frame of checks") };
    let check_request = proto::CheckRequest { item: Some(item), ..Default::default() }.encode_to_vec();
    let shown = format!("{frame:?} {:?} {:?}", frame.items.clone().next(), check(&check_request).unwrap());
    assert!(shown.contains("AccessToken") && !shown.contains("secret"), "{shown}");
}
