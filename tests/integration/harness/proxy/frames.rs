//! Messages of the PostgreSQL protocol, as far as a proxy has to know them.
//!
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest message that is believed.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// How much of a statement names a message.
const LABEL_CHARS_MAX: usize = 72;
/// What asks for TLS or GSSAPI before the start.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// Ends of batches, which are answered with `ReadyForQuery`, and that answer.
const QUERY: u8 = b'Q';
const SYNC: u8 = b'S';
const READY: u8 = b'Z';
const COMMAND_COMPLETE: u8 = b'C';
const TERMINATE: u8 = b'X';

/// One message. What comes before the start has no kind.
#[derive(Clone, Debug)]
pub struct Frame {
    kind: u8,
    pub bytes: Bytes,
}

/// Takes messages out of what arrives.
pub struct Frames<R> {
    from: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(from: R) -> Self {
        Self { from, buffer: BytesMut::new() }
    }

    /// Waits for the next message; `None` at the end. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> Option<Frame> {
        self.take(1).await
    }

    /// As [`Frames::next`], of messages before the start.
    pub async fn next_before_start(&mut self) -> Option<Frame> {
        self.take(0).await
    }

    async fn take(&mut self, kind_bytes: usize) -> Option<Frame> {
        loop {
            if let Some(mut length) = self.buffer.get(kind_bytes..kind_bytes + 4) {
                let length = kind_bytes + length.get_u32() as usize;
                assert!(length <= FRAME_BYTES_MAX, "no message of PostgreSQL");
                if self.buffer.len() >= length {
                    let kind = if kind_bytes == 0 { 0 } else { self.buffer[0] };
                    return Some(Frame { kind, bytes: self.buffer.split_to(length).freeze() });
                }
            }
            match self.from.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

impl Frame {
    /// Makes a query of its own.
    pub fn query(sql: &str) -> Self {
        Self::new(QUERY, &[sql.as_bytes(), &[0]])
    }

    /// Makes a query that fails with an SQLSTATE.
    pub fn failing(sqlstate: &str) -> Self {
        Self::query(&format!("do $$ begin raise exception 'a fault of the test' using errcode = '{sqlstate}'; end $$"))
    }

    /// Makes the answer of a database that refuses with an SQLSTATE.
    pub fn refusal(severity: &str, sqlstate: &str) -> Self {
        let fields: [(u8, &str); 4] =
            [(b'S', severity), (b'V', severity), (b'C', sqlstate), (b'M', "a fault of the test")];
        let mut body = Vec::new();
        for (name, text) in fields {
            body.push(name);
            body.extend(text.as_bytes());
            body.push(0);
        }
        Self::new(b'E', &[&body, &[0]])
    }

    fn new(kind: u8, parts: &[&[u8]]) -> Self {
        let body = parts.concat();
        let mut bytes = BytesMut::with_capacity(5 + body.len());
        bytes.put_u8(kind);
        bytes.put_u32(4 + u32::try_from(body.len()).expect("a short message"));
        bytes.put_slice(&body);
        Self { kind, bytes: bytes.freeze() }
    }

    /// Returns whether this asks for a connection that is encrypted.
    pub fn asks_for_encryption(&self) -> bool {
        self.kind == 0 && self.bytes.get(4..8).is_some_and(|mut code| ENCRYPTION_REQUESTS.contains(&code.get_u32()))
    }

    /// Returns whether this begins the session.
    pub fn is_start(&self) -> bool {
        self.kind == 0
    }

    /// Returns whether the database answers with `ReadyForQuery`.
    pub fn ends_batch(&self) -> bool {
        [0, QUERY, SYNC].contains(&self.kind)
    }

    /// Returns whether this is that answer.
    pub fn is_ready(&self) -> bool {
        self.kind == READY
    }

    /// Returns whether a statement was done.
    pub fn is_complete(&self) -> bool {
        self.kind == COMMAND_COMPLETE
    }

    /// Returns whether this is a good-bye.
    pub fn is_end(&self) -> bool {
        self.kind == TERMINATE
    }

    /// Returns whether this commits a transaction that was begun.
    pub fn is_commit(&self) -> bool {
        self.kind == QUERY && text(&self.bytes[5..]).is_some_and(|(sql, _)| sql.eq_ignore_ascii_case("commit"))
    }
}

/// Keeps which statement the messages of a connection are about.
#[derive(Default)]
pub struct Statements {
    named: HashMap<String, String>,
    current: String,
}

impl Statements {
    /// Reads which statement a message is about, and returns it. A `Sync` alone is about the one before.
    pub fn about(&mut self, frame: &Frame) -> &str {
        let body = &frame.bytes[if frame.kind == 0 { 0 } else { 5 }..];
        match frame.kind {
            0 => self.current.clear(),
            QUERY => self.current = text(body).map(|(sql, _)| sql.to_owned()).unwrap_or_default(),
            b'P' => {
                if let Some((name, sql)) = text(body).and_then(|(name, rest)| Some((name, text(rest)?.0))) {
                    self.named.insert(name.to_owned(), sql.to_owned());
                    sql.clone_into(&mut self.current);
                }
            }
            b'B' => {
                let name = text(body).and_then(|(_, rest)| text(rest)).map(|(name, _)| name);
                self.current = name.and_then(|name| self.named.get(name)).cloned().unwrap_or_default();
            }
            _ => {}
        }
        &self.current
    }

    /// Names a message for whoever reads of a failure.
    pub fn label(&self, frame: &Frame) -> String {
        let kind = match frame.kind {
            0 => "Startup",
            QUERY => "Query",
            SYNC => "Sync",
            b'P' => "Parse",
            b'B' => "Bind",
            b'D' => "Describe",
            b'E' => "Execute",
            b'C' => "Close",
            b'H' => "Flush",
            _ => "message",
        };
        let sql: String = self.current.chars().take(LABEL_CHARS_MAX).collect();
        format!("{kind}: {sql}")
    }
}

/// Reads a text that ends with a zero byte, and returns what stands behind it.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}
