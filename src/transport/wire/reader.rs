//! The wire format itself: varints, keys, lengths, and how what is unknown is passed over.
//!
//! <https://protobuf.dev/programming-guides/encoding/>. Where that leaves a choice, it is made as prost makes it.

use std::{fmt, str};

/// How deep messages and groups may stand in each other.
const DEPTH_MAX: u32 = 100;

/// Wire type of a number of variable length.
pub const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
/// Wire type of a text, of bytes, and of a message.
pub const LENGTH_DELIMITED: u32 = 2;
const GROUP_START: u32 = 3;
const GROUP_END: u32 = 4;
const FIXED_32: u32 = 5;

/// Returns the key of field `number` with wire type `wire`.
pub const fn key(number: u32, wire: u32) -> u64 {
    ((number << 3) | wire) as u64
}

/// The bytes are not a message of the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the message cannot be read")]
pub struct Malformed;

/// Reads one message from its first byte to its last; messages inside have readers of their own.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Up to the end of the message.
    bytes: &'a [u8],
    /// From the first of `bytes` and at least as far, if all of it is UTF-8: then no text in it is looked at again.
    text: Option<&'a str>,
    at: usize,
    /// How many levels may stand below.
    depth_left: u32,
}

/// Without the bytes, which may hold a secret.
impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).field("end", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// Begins a message that stands in no other.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, text: None, at: 0, depth_left: DEPTH_MAX }
    }

    /// Looks whether everything that is left is UTF-8.
    ///
    /// It mostly is, numbers and lengths below 128 included, and one pass over all of it costs a fraction of a pass
    /// over each text. Where it is not, each text is looked at by itself.
    pub fn with_text(mut self) -> Self {
        self.bytes = self.bytes.get(self.at..).unwrap_or_default();
        self.at = 0;
        self.text = str::from_utf8(self.bytes).ok();
        self
    }

    /// Returns how many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Returns the same message between two of its fields' ends.
    pub fn between(&self, from: usize, to: usize) -> Self {
        Self { bytes: self.bytes.get(..to).unwrap_or_default(), at: from, ..*self }
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Malformed)?;
            self.at += 1;
            // Of the tenth byte, one bit is within 64.
            if shift == 63 && byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// Reads a length, and passes over as many bytes; gives where they begin and end.
    #[inline]
    fn length_delimited(&mut self) -> Result<(usize, usize), Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        let from = self.at;
        if length > self.bytes.len() - from {
            return Err(Malformed);
        }
        self.at = from + length;
        Ok((from, self.at))
    }

    /// Passes over a field of a length; what stands in it is not looked at.
    #[inline]
    pub fn pass_over(&mut self) -> Result<(), Malformed> {
        self.length_delimited().map(drop)
    }

    #[inline]
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let (from, to) = self.length_delimited()?;
        match self.text {
            // Not UTF-8 by itself, if it begins or ends inside a character.
            Some(text) => text.get(from..to).ok_or(Malformed),
            None => self.lone_text(from, to),
        }
    }

    fn lone_text(&self, from: usize, to: usize) -> Result<&'a str, Malformed> {
        str::from_utf8(&self.bytes[from..to]).map_err(|_| Malformed)
    }

    /// Enters the message that begins here.
    #[inline]
    pub fn message(&mut self) -> Result<Self, Malformed> {
        let depth_left = self.depth_left.checked_sub(1).ok_or(Malformed)?;
        let (from, to) = self.length_delimited()?;
        Ok(Self { bytes: &self.bytes[..to], text: self.text, at: from, depth_left })
    }

    /// Passes over a field that is not of the contract, after its key.
    ///
    /// Fields up to `known` are of it: they come here with a wire type that is not theirs.
    #[cold]
    pub fn unknown(&mut self, key: u64, known: u32) -> Result<(), Malformed> {
        let (number, wire) = split(key)?;
        if number <= known { Err(Malformed) } else { self.skip(number, wire, self.depth_left) }
    }

    /// Passes over a field after its key, of the contract or not.
    #[cold]
    pub fn any(&mut self, key: u64) -> Result<(), Malformed> {
        let (number, wire) = split(key)?;
        self.skip(number, wire, self.depth_left)
    }

    fn skip(&mut self, number: u32, wire: u32, depth_left: u32) -> Result<(), Malformed> {
        let below = depth_left.checked_sub(1).ok_or(Malformed)?;
        match wire {
            VARINT => self.varint().map(drop),
            FIXED_64 => self.fixed(8),
            FIXED_32 => self.fixed(4),
            LENGTH_DELIMITED => self.pass_over(),
            GROUP_START => loop {
                let (inner, wire) = split(self.varint()?)?;
                match wire {
                    GROUP_END if inner == number => return Ok(()),
                    GROUP_END => return Err(Malformed),
                    _ => self.skip(inner, wire, below)?,
                }
            },
            _ => Err(Malformed),
        }
    }

    fn fixed(&mut self, width: usize) -> Result<(), Malformed> {
        if width > self.bytes.len() - self.at {
            return Err(Malformed);
        }
        self.at += width;
        Ok(())
    }
}

/// Splits a key into the number of the field and its wire type.
fn split(key: u64) -> Result<(u32, u32), Malformed> {
    let key = u32::try_from(key).map_err(|_| Malformed)?;
    let (number, wire) = (key >> 3, key & 7);
    if number == 0 || wire > FIXED_32 { Err(Malformed) } else { Ok((number, wire)) }
}
