//! What is written in place, against what prost writes.

use bytes::{BufMut, BytesMut};
use guildhall::proto;
use guildhall::proto::stream_checks_response::Frame;
use guildhall::transport::wire::Prepared;
use guildhall::transport::wire::write::{BatchAnswer, ChangeFrame, ChangeOut, CheckAnswer, DecisionFrame, DecisionOut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use prost::Message;

use super::runner;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..128_u64, 128..20_000_u64, any::<u64>(), (0..64_u32).prop_map(|bits| 1 << bits)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[A-Za-z0-9_-]{1,80}", "\\PC{100,200}"]
}

fn decision() -> impl Strategy<Value = DecisionOut> {
    let reason = prop_oneof![Just(0), 1..9_i32, 126..130_i32, any::<i32>()];
    let field = prop_oneof![4 => Just(0), 2 => 1..9_i32, 1 => any::<i32>()];
    (any::<bool>(), reason, option::of(number()), field).prop_map(|(allowed, reason, valid_for_ms, malformed_field)| {
        DecisionOut { allowed, reason, valid_for_ms, malformed_field }
    })
}

fn change() -> impl Strategy<Value = ChangeOut> {
    (number(), decision()).prop_map(|(subscription_id, decision)| ChangeOut { subscription_id, decision })
}

fn proto_decision(decision: &DecisionOut) -> proto::Decision {
    let DecisionOut { allowed, reason, valid_for_ms, malformed_field } = *decision;
    proto::Decision { allowed, reason, valid_for_ms, malformed_field }
}

/// Writes into a buffer that holds something, and sees that it took as much as it said.
fn written(prepared: &impl Prepared) -> Vec<u8> {
    let mut buffer = BytesMut::from(&b"before"[..]);
    prepared.write(&mut buffer);
    let written = buffer.split_off(6);
    assert_eq!(buffer, &b"before"[..]);
    assert_eq!(written.len(), prepared.encoded_len());
    // A slice has no room to spare, and gives none.
    let mut exact = vec![0; written.len()];
    let mut room = exact.as_mut_slice();
    prepared.write(&mut room);
    assert!(!room.has_remaining_mut());
    assert_eq!(exact, written);
    exact
}

fn in_a_stream(frame: Frame) -> Vec<u8> {
    proto::StreamChecksResponse { frame: Some(frame) }.encode_to_vec()
}

#[test]
fn a_frame_of_decisions_is_written_as_prost_writes_it() {
    let frame = (number(), vec(decision(), 0..40), text(), number(), text());
    let same = runner(1_000).run(&frame, |(frame_id, decisions, revision, age_ms, error)| {
        let ours = DecisionFrame::new(frame_id, decisions.as_slice(), revision.as_str(), age_ms, error.as_str());
        let ours = written(&ours);
        let decisions = decisions.iter().map(proto_decision).collect();
        let generated = proto::DecisionFrame { frame_id, decisions, revision, age_ms, error };
        prop_assert_eq!(ours, in_a_stream(Frame::Decisions(generated)));
        Ok(())
    });
    same.unwrap();
}

#[test]
fn a_frame_of_changes_is_written_as_prost_writes_it() {
    let frame = (text(), vec(change(), 0..40), text(), number());
    let same = runner(1_000).run(&frame, |(organization_id, changes, revision, age_ms)| {
        let ours = ChangeFrame::new(organization_id.clone(), changes.clone(), revision.clone(), age_ms);
        let change = |it: &ChangeOut| proto::Change {
            subscription_id: it.subscription_id,
            decision: Some(proto_decision(&it.decision)),
        };
        let changes = changes.iter().map(change).collect();
        let generated = proto::ChangeFrame { organization_id, changes, revision, age_ms };
        prop_assert_eq!(written(&ours), in_a_stream(Frame::Changes(generated)));
        Ok(())
    });
    same.unwrap();
}

#[test]
fn answers_of_a_check_and_a_batch_are_written_as_prost_writes_them() {
    let answer = (vec(decision(), 1..40), text(), number());
    let same = runner(1_000).run(&answer, |(decisions, revision, age_ms)| {
        let one = CheckAnswer { decision: decisions[0], revision: revision.as_str(), age_ms };
        let decision = Some(proto_decision(&decisions[0]));
        let generated = proto::CheckResponse { decision, revision: revision.clone(), age_ms };
        prop_assert_eq!(written(&one), generated.encode_to_vec());

        let all = BatchAnswer { decisions: decisions.clone(), revision: revision.clone(), age_ms };
        let decisions = decisions.iter().map(proto_decision).collect();
        let generated = proto::BatchCheckResponse { decisions, revision, age_ms };
        prop_assert_eq!(written(&all), generated.encode_to_vec());
        Ok::<(), TestCaseError>(())
    });
    same.unwrap();
}
