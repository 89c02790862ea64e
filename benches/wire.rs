//! What reading a check in place and writing a decision cost, beside the generated code: `cargo bench --bench wire`.
//!
//! One thread, everything warm, the best of several rounds; prints nanoseconds an item or a decision, and the ratio.

#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark reads the time and prints rates"
)]

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use guildhall::proto;
use guildhall::proto::stream_checks_request::Frame as Asked;
use guildhall::proto::stream_checks_response::Frame as Told;
use guildhall::transport::wire::read::{StreamFrame, stream_frame};
use guildhall::transport::wire::write::{DecisionFrame, DecisionOut};
use guildhall::transport::wire::{Malformed, Prepared};
use prost::Message;

/// Items in a frame.
const ITEMS: u32 = 100;
/// Frames in a round.
const FRAMES: u32 = 10_000;
const ROUNDS: u32 = 9;
/// As long as a revision token is.
const REVISION: &str = "AQAAAAAAAAABAZqxVK4HfqCGl0Zk7pB0oQAAAAAAAAB7AAAAAAAAABc";

fn main() -> Result<(), Malformed> {
    println!("frames of {ITEMS}; best of {ROUNDS} rounds of {FRAMES} frames");
    println!("{:<58} {:>8} {:>7}", "what", "ns each", "ratio");
    reading()?;
    writing();
    Ok(())
}

fn reading() -> Result<(), Malformed> {
    let received = Bytes::from(frame().encode_to_vec());
    println!("{} bytes an item", received.len() / ITEMS as usize);
    let generated = best(|| {
        let decoded = proto::StreamChecksRequest::decode(black_box(&received).clone());
        black_box(decoded).map(drop).map_err(|_| Malformed)
    })?;
    row("read by the generated code", generated, generated);
    let outlined = best(|| black_box(stream_frame(black_box(&received))).map(drop))?;
    row("found in place", outlined, generated);
    let read = best(|| read(black_box(&received), false))?;
    row("read in place", read, generated);
    let verified = best(|| self::read(black_box(&received), true))?;
    row("verified, and read in place", verified, generated);
    Ok(())
}

/// Reads a frame with all its items.
fn read(received: &[u8], is_verified: bool) -> Result<(), Malformed> {
    let StreamFrame::Check(frame) = stream_frame(received)? else { return Err(Malformed) };
    if is_verified {
        frame.items.verify()?;
    }
    for item in frame.items {
        black_box(&item?);
    }
    Ok(())
}

fn writing() {
    for (what, decisions) in [
        ("half of them allowed", (0..ITEMS).map(decision).collect::<Vec<_>>()),
        ("all of them expiring", (0..ITEMS).map(expiring).collect()),
    ] {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        let generated = best(|| {
            buffer.clear();
            let decisions = decisions.iter().map(|it| proto::Decision {
                allowed: it.allowed,
                reason: it.reason,
                valid_for_ms: it.valid_for_ms,
                malformed_field: it.malformed_field,
            });
            let message = proto::DecisionFrame {
                frame_id: 7,
                decisions: decisions.collect(),
                revision: REVISION.to_owned(),
                age_ms: 12,
                error: String::new(),
            };
            let message = proto::StreamChecksResponse { frame: Some(Told::Decisions(message)) };
            black_box(message).encode(black_box(&mut buffer))
        });
        let generated = generated.expect("a buffer that grows");
        row(&format!("written by the generated code, {what}"), generated, generated);
        let written = best(|| {
            buffer.clear();
            let frame = DecisionFrame::new(7, black_box(decisions.as_slice()), REVISION, 12, "");
            buffer.reserve(frame.encoded_len());
            frame.write(black_box(&mut buffer));
            Ok::<(), Malformed>(())
        });
        row(&format!("written in place, {what}"), written.expect("nothing that fails"), generated);
    }
}

/// Returns the nanoseconds an item of the fastest round.
fn best<E>(mut handle: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began_at = Instant::now();
        for _ in 0..FRAMES {
            handle()?;
        }
        let each = began_at.elapsed().as_nanos() as f64 / f64::from(FRAMES) / f64::from(ITEMS);
        best = best.min(each);
    }
    Ok(best)
}

fn row(what: &str, nanoseconds: f64, baseline: f64) {
    println!("{what:<58} {nanoseconds:>8.1} {:>7.2}", nanoseconds / baseline);
}

fn decision(number: u32) -> DecisionOut {
    // By a multiplier, so that no branch predictor learns it.
    let allowed = number.wrapping_mul(2_654_435_761) >> 31 == 0;
    DecisionOut { allowed, reason: i32::from(!allowed), ..DecisionOut::default() }
}

fn expiring(number: u32) -> DecisionOut {
    DecisionOut { allowed: true, reason: 0, valid_for_ms: Some(u64::from(number) * 40_503), malformed_field: 0 }
}

fn frame() -> proto::StreamChecksRequest {
    let item = |number: u32| proto::CheckItem {
        subject: Some(proto::Subject {
            kind: Some(proto::subject::Kind::UserId(format!("0198f3c2-7a10-7c44-b1de-{number:012x}"))),
        }),
        permission: "project.view".to_owned(),
        resource: Some(proto::ResourceRef { r#type: "project".to_owned(), id: format!("{number:012}") }),
    };
    proto::StreamChecksRequest {
        frame: Some(Asked::Check(proto::CheckFrame {
            frame_id: 7,
            organization_id: "0198f3c2-7a10-7c44-b1de-6a5b4c3d2e1f".to_owned(),
            items: (0..ITEMS).map(item).collect(),
            consistency: None,
        })),
    }
}
