//! Answers, written in the wire format: lengths first, then every byte once, where it is sent from.
//!
//! The bytes are those that the generated code writes for the same values: fields in the order of their numbers, and
//! nothing for what has its default.

use bytes::BufMut;

use super::codec::Prepared;
use super::reader::{LENGTH_DELIMITED, VARINT, key};

const DECISIONS: u8 = text_key(1);
const CHANGES: u8 = text_key(2);
/// Longest decision inside an answer: its key and length, and its four fields.
const DECISION_BYTES_MAX: usize = 2 + 2 + 11 + 11 + 11;
/// Longest change: its key and length, its subscription's number, and its decision.
const CHANGE_BYTES_MAX: usize = 2 + 11 + DECISION_BYTES_MAX;

/// `guildhall.v1.Decision`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DecisionOut {
    /// Whether it is allowed.
    pub allowed: bool,
    /// A `DecisionReason`.
    pub reason: i32,
    /// How long the decision counts, in milliseconds, if it hangs on an expiry.
    pub valid_for_ms: Option<u64>,
    /// A `MalformedField`.
    pub malformed_field: i32,
}

/// `guildhall.v1.Change`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChangeOut {
    /// The client's number for the subscription.
    pub subscription_id: u64,
    /// What is decided now.
    pub decision: DecisionOut,
}

/// A `guildhall.v1.StreamChecksResponse` with decisions.
///
/// `D` is a list of them, owned or borrowed, and `S` a text, so that nothing has to be copied to be sent.
#[derive(Clone, Debug)]
pub struct DecisionFrame<D, S> {
    frame_id: u64,
    decisions: D,
    revision: S,
    age_ms: u64,
    error: S,
    /// Bytes of the frame, without the key and the length before it.
    content_len: usize,
}

impl<D: AsRef<[DecisionOut]>, S: AsRef<str>> DecisionFrame<D, S> {
    /// Prepares the answer to frame `frame_id`; `error` is the reason if it could not be answered, and else empty.
    pub fn new(frame_id: u64, decisions: D, revision: S, age_ms: u64, error: S) -> Self {
        let content_len = number_len(frame_id)
            + decisions.as_ref().iter().map(decision_field_len).sum::<usize>()
            + text_len(revision.as_ref())
            + number_len(age_ms)
            + text_len(error.as_ref());
        Self { frame_id, decisions, revision, age_ms, error, content_len }
    }
}

impl<D: AsRef<[DecisionOut]>, S: AsRef<str>> Prepared for DecisionFrame<D, S> {
    fn encoded_len(&self) -> usize {
        1 + varint_len(self.content_len as u64) + self.content_len
    }

    fn write(&self, to: &mut impl BufMut) {
        to.put_u8(DECISIONS);
        put_varint(to, self.content_len as u64);
        put_number(to, 1, self.frame_id);
        put_decisions(to, 2, self.decisions.as_ref());
        put_text(to, 3, self.revision.as_ref());
        put_number(to, 4, self.age_ms);
        put_text(to, 5, self.error.as_ref());
    }
}

/// A `guildhall.v1.StreamChecksResponse` with changes.
#[derive(Clone, Debug)]
pub struct ChangeFrame<C, S> {
    organization_id: S,
    changes: C,
    revision: S,
    age_ms: u64,
    /// Bytes of the frame, without the key and the length before it.
    content_len: usize,
}

impl<C: AsRef<[ChangeOut]>, S: AsRef<str>> ChangeFrame<C, S> {
    /// Prepares changes in one organization.
    pub fn new(organization_id: S, changes: C, revision: S, age_ms: u64) -> Self {
        let content_len = text_len(organization_id.as_ref())
            + changes.as_ref().iter().map(change_field_len).sum::<usize>()
            + text_len(revision.as_ref())
            + number_len(age_ms);
        Self { organization_id, changes, revision, age_ms, content_len }
    }
}

impl<C: AsRef<[ChangeOut]>, S: AsRef<str>> Prepared for ChangeFrame<C, S> {
    fn encoded_len(&self) -> usize {
        1 + varint_len(self.content_len as u64) + self.content_len
    }

    fn write(&self, to: &mut impl BufMut) {
        to.put_u8(CHANGES);
        put_varint(to, self.content_len as u64);
        put_text(to, 1, self.organization_id.as_ref());
        for change in self.changes.as_ref() {
            let mut piece = Piece::<CHANGE_BYTES_MAX>::new();
            piece.byte(text_key(2));
            piece.length(change_len(change));
            piece.number(1, change.subscription_id);
            piece.decision(2, &change.decision);
            to.put_slice(piece.written());
        }
        put_text(to, 3, self.revision.as_ref());
        put_number(to, 4, self.age_ms);
    }
}

/// A `guildhall.v1.CheckResponse`.
#[derive(Clone, Copy, Debug)]
pub struct CheckAnswer<S> {
    /// What is decided.
    pub decision: DecisionOut,
    /// The revision token.
    pub revision: S,
    /// The age of what it was decided on, in milliseconds.
    pub age_ms: u64,
}

impl<S: AsRef<str>> Prepared for CheckAnswer<S> {
    fn encoded_len(&self) -> usize {
        decision_field_len(&self.decision) + text_len(self.revision.as_ref()) + number_len(self.age_ms)
    }

    fn write(&self, to: &mut impl BufMut) {
        put_decisions(to, 1, std::slice::from_ref(&self.decision));
        put_text(to, 2, self.revision.as_ref());
        put_number(to, 3, self.age_ms);
    }
}

/// A `guildhall.v1.BatchCheckResponse`.
#[derive(Clone, Copy, Debug)]
pub struct BatchAnswer<D, S> {
    /// What is decided, in the order of the questions.
    pub decisions: D,
    /// The revision token.
    pub revision: S,
    /// The age of what it was decided on, in milliseconds.
    pub age_ms: u64,
}

impl<D: AsRef<[DecisionOut]>, S: AsRef<str>> Prepared for BatchAnswer<D, S> {
    fn encoded_len(&self) -> usize {
        self.decisions.as_ref().iter().map(decision_field_len).sum::<usize>()
            + text_len(self.revision.as_ref())
            + number_len(self.age_ms)
    }

    fn write(&self, to: &mut impl BufMut) {
        put_decisions(to, 1, self.decisions.as_ref());
        put_text(to, 2, self.revision.as_ref());
        put_number(to, 3, self.age_ms);
    }
}

/// Returns the key of a text or a message; all of these answers have fields below 16, whose keys are a byte.
const fn text_key(number: u8) -> u8 {
    (number << 3) | 2
}

/// How many bytes a number takes as a varint: one for each seven bits, and one for zero.
fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// How many bytes a number takes as a field.
fn number_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_len(value) }
}

/// How many bytes a text takes as a field.
fn text_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { 1 + varint_len(text.len() as u64) + text.len() }
}

/// How many bytes a decision takes, without a key and a length before it.
#[inline]
fn decision_len(decision: &DecisionOut) -> usize {
    2 * usize::from(decision.allowed)
        + number_len(enum_bits(decision.reason))
        + decision.valid_for_ms.map_or(0, |ms| 1 + varint_len(ms))
        + number_len(enum_bits(decision.malformed_field))
}

/// How many bytes a decision takes as a field: its length is a byte.
#[inline]
fn decision_field_len(decision: &DecisionOut) -> usize {
    2 + decision_len(decision)
}

fn change_len(change: &ChangeOut) -> usize {
    number_len(change.subscription_id) + decision_field_len(&change.decision)
}

fn change_field_len(change: &ChangeOut) -> usize {
    2 + change_len(change)
}

/// Returns the bits of an enum's value; negative ones are written with all 64.
fn enum_bits(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

fn put_varint(to: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8(low_byte(value) | 0x80);
        value >>= 7;
    }
    to.put_u8(low_byte(value));
}

fn put_number(to: &mut impl BufMut, number: u8, value: u64) {
    if value != 0 {
        to.put_u8(number << 3);
        put_varint(to, value);
    }
}

fn put_text(to: &mut impl BufMut, number: u8, text: &str) {
    if !text.is_empty() {
        to.put_u8(text_key(number));
        put_varint(to, text.len() as u64);
        to.put_slice(text.as_bytes());
    }
}

fn put_decisions(to: &mut impl BufMut, number: u8, decisions: &[DecisionOut]) {
    for decision in decisions {
        match *decision {
            // Nearly all of them are one of these.
            DecisionOut { allowed: true, reason: 0, valid_for_ms: None, malformed_field: 0 } => {
                to.put_slice(&[text_key(number), 2, 1 << 3, 1]);
            }
            DecisionOut { allowed: false, reason: reason @ 1..0x80, valid_for_ms: None, malformed_field: 0 } => {
                to.put_slice(&[text_key(number), 2, 2 << 3, low_byte(enum_bits(reason))]);
            }
            _ => {
                let mut piece = Piece::<DECISION_BYTES_MAX>::new();
                piece.decision(number, decision);
                to.put_slice(piece.written());
            }
        }
    }
}

fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// A few bytes that go out together: the buffer is asked for room once, and not for each.
struct Piece<const ROOM: usize> {
    bytes: [u8; ROOM],
    len: usize,
}

impl<const ROOM: usize> Piece<ROOM> {
    fn new() -> Self {
        Self { bytes: [0; ROOM], len: 0 }
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Writes the length of a message; none here is over 127 bytes long.
    fn length(&mut self, len: usize) {
        self.byte(low_byte(len as u64));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(low_byte(value) | 0x80);
            value >>= 7;
        }
        self.byte(low_byte(value));
    }

    fn number(&mut self, number: u8, value: u64) {
        if value != 0 {
            self.byte(number << 3);
            self.varint(value);
        }
    }

    fn decision(&mut self, number: u8, decision: &DecisionOut) {
        self.byte(text_key(number));
        self.length(decision_len(decision));
        self.number(1, u64::from(decision.allowed));
        self.number(2, enum_bits(decision.reason));
        // Told even if it is zero: it is there, and says that the decision has run out.
        if let Some(ms) = decision.valid_for_ms {
            self.byte(3 << 3);
            self.varint(ms);
        }
        self.number(4, enum_bits(decision.malformed_field));
    }
}

// The keys of both directions are made by one rule.
const _: () = assert!(text_key(5) as u64 == key(5, LENGTH_DELIMITED) && (5 << 3) == key(5, VARINT));
