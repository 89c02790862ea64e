//! A client that spends as little as it can: it sends messages that were encoded before, and of the answers reads only what
//! it compares. Generated code on the client's side takes as much time as a fast server, and hides what that one saves.

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::frame::Rpc;

/// The tag of field 1 with a length, as in the frame of `StreamChecksRequest` and `StreamChecksResponse`.
const FIRST_MESSAGE: u64 = (1 << 3) | 2;
/// The tag of field 1 with a number, as in the number of a frame.
const FIRST_NUMBER: u64 = 1 << 3;

/// A message to send.
#[derive(Debug)]
pub struct Encoded {
    /// The number of the frame, on a stream.
    pub frame_id: Option<u64>,
    /// What was encoded before.
    pub body: Bytes,
}

/// Sends messages that are encoded, and hands answers out as they come.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawCodec;

impl Codec for RawCodec {
    type Encode = Encoded;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Encoded;
    type Error = Status;

    fn encode(&mut self, message: Encoded, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        if let Some(frame_id) = message.frame_id {
            let mut number = Vec::with_capacity(11);
            prost::encoding::encode_varint(FIRST_NUMBER, &mut number);
            prost::encoding::encode_varint(frame_id, &mut number);
            prost::encoding::encode_varint(FIRST_MESSAGE, buffer);
            prost::encoding::encode_varint((number.len() + message.body.len()) as u64, buffer);
            buffer.put_slice(&number);
        }
        buffer.put_slice(&message.body);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// What is read of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Which frame it answers; 0 but for streams.
    pub frame_id: u64,
    /// Whether each check is allowed, in order.
    pub allowed: Vec<bool>,
}

/// Reads an answer to an RPC.
///
/// # Errors
/// If it is none, or tells of an error.
pub fn read(rpc: Rpc, message: &[u8]) -> Result<Answer, String> {
    let mut answer = Answer::default();
    let unreadable = || "an answer that cannot be read".to_owned();
    let decisions = match rpc {
        Rpc::Check | Rpc::BatchCheck => 1,
        Rpc::StreamChecks => 2,
    };
    let mut rest = message;
    if rpc == Rpc::StreamChecks {
        match Field::next(&mut rest).ok_or_else(unreadable)? {
            Field { number: 1, value: Value::Bytes(frame) } => rest = frame,
            _ => return Err("another frame than decisions".to_owned()),
        }
    }
    while !rest.is_empty() {
        match Field::next(&mut rest).ok_or_else(unreadable)? {
            // A field is written in the order of numbers by every encoder that there is: `allowed` comes first.
            Field { number, value: Value::Bytes(decision) } if number == decisions => {
                answer.allowed.push(decision.starts_with(&[8, 1]));
            }
            Field { number: 1, value: Value::Number(number) } => answer.frame_id = number,
            Field { number: 5, value: Value::Bytes(error) } => return Err(String::from_utf8_lossy(error).into_owned()),
            _ => {}
        }
    }
    Ok(answer)
}

struct Field<'a> {
    number: u64,
    value: Value<'a>,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// Takes the next field off a message. `None` for what no field of the answers is written as.
    fn next(rest: &mut &'a [u8]) -> Option<Self> {
        let tag = prost::encoding::decode_varint(rest).ok()?;
        let value = match tag & 7 {
            0 => Value::Number(prost::encoding::decode_varint(rest).ok()?),
            2 => {
                let length = usize::try_from(prost::encoding::decode_varint(rest).ok()?).ok()?;
                let (value, after) = rest.split_at_checked(length)?;
                *rest = after;
                Value::Bytes(value)
            }
            _ => return None,
        };
        Some(Self { number: tag >> 3, value })
    }
}
