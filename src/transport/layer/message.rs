//! The messages of a request, read before the generated code sees them.
//!
//! tonic makes room for a message as soon as its length is announced, and the allocator's huge pages make that room real
//! memory: five bytes cost a mebibyte. Here a message costs what has arrived of it. It goes on when it is whole, and has to be
//! within a time.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::RecvStream;
use http_body::Frame;
use tonic::Status;

use super::pieces::Pieces;
use super::share::{Room, Share};
use crate::clock::Clock;
use crate::domain::error::{Error, Reason};

/// What stands before each message: whether it is compressed, and its length.
const HEADER_BYTES: usize = 5;

/// Messages above this are counted against the memory of who sends them, for as long as the call takes.
const COUNTED_BYTES: usize = 4 * 1024;

/// How much may be sent as one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// At most so many bytes.
    pub bytes: usize,
    /// From the first byte to the last. Of a request with one message: from its headers to its end.
    pub patience: Duration,
}

/// Reads the message of a request that has one, to the request's end. Returns it in its frame, or nothing at all.
///
/// # Errors
/// - [`Reason::RequestInvalid`] for one that is too large, for more than one, and for a part of one.
/// - [`Reason::RateLimited`] if the caller's messages take as much as they may.
pub(super) async fn gather(
    body: &mut RecvStream,
    bytes_max: usize,
    share: &mut Share,
    room: &Arc<Room>,
) -> Result<Bytes, Error> {
    let Some(first) = next(body).await? else { return Ok(Bytes::new()) };
    // Nearly always: all of it in one piece.
    let (mut whole, mut pieces) = (None, Pieces::default());
    match frame_bytes(&first, bytes_max)? {
        Some(length) if length == first.len() => whole = Some(first),
        length => pieces.put(&first, length),
    }
    let mut counted = 0;
    while !body.is_end_stream() {
        let Some(chunk) = next(body).await? else { break };
        let length = frame_bytes(pieces.head(), bytes_max)?;
        if whole.is_some() || length.is_some_and(|length| length < pieces.len() + chunk.len()) {
            return Err(unreadable());
        }
        pieces.put(&chunk, length);
        if pieces.capacity() > COUNTED_BYTES.max(counted) {
            share.charge(room, pieces.capacity() - counted)?;
            counted = pieces.capacity();
        }
        if frame_bytes(pieces.head(), bytes_max)? == Some(pieces.len()) {
            whole = Some(std::mem::take(&mut pieces).join());
        }
    }
    let whole = whole.ok_or_else(unreadable)?;
    if whole.len() > COUNTED_BYTES && counted == 0 {
        share.charge(room, whole.len())?;
    }
    Ok(whole)
}

/// Reads another piece, and makes room for as much more.
async fn next(body: &mut RecvStream) -> Result<Option<Bytes>, Error> {
    poll_fn(|cx| poll_next(body, cx)).await
}

fn poll_next(body: &mut RecvStream, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
    loop {
        let Some(chunk) = ready!(body.poll_data(cx)) else { return Poll::Ready(Ok(None)) };
        // Or the client has gone; then this is read by nobody.
        let chunk = chunk.map_err(|_| unreadable())?;
        // It fails only for more than was received.
        let _ = body.flow_control().release_capacity(chunk.len());
        if !chunk.is_empty() {
            return Poll::Ready(Ok(Some(chunk)));
        }
    }
}

/// Returns how long the message is that `bytes` begin, with its header; `None` if that is not to be seen yet.
fn frame_bytes(bytes: &[u8], bytes_max: usize) -> Result<Option<usize>, Error> {
    let Some(mut header) = bytes.get(..HEADER_BYTES) else { return Ok(None) };
    header.advance(1);
    let length = usize::try_from(header.get_u32()).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(unreadable());
    }
    Ok(Some(HEADER_BYTES + length))
}

fn unreadable() -> Error {
    Error::new(Reason::RequestInvalid, "the message cannot be read, or is too large")
}

pub(super) fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the message did not arrive in time")
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The messages of a request that streams them: each goes on when it is whole.
pub(super) struct Messages<F> {
    body: RecvStream,
    bounds: Bounds,
    /// How long there may be no message; for ever if nothing.
    idle: Option<Duration>,
    clock: Arc<dyn Clock>,
    refuse: F,
    /// What has arrived of a message that is not whole.
    partial: Pieces,
    /// What came behind a message that is.
    rest: Bytes,
    /// Of a message that has begun, or of one that is waited for.
    timer: Option<(bool, Timer)>,
}

impl<F> Messages<F> {
    /// Reads `body`; `refuse` makes the status of what is refused.
    pub fn new(body: RecvStream, bounds: Bounds, clock: Arc<dyn Clock>, refuse: F) -> Self {
        let (partial, rest) = (Pieces::default(), Bytes::new());
        Self { body, bounds, idle: None, clock, refuse, partial, rest, timer: None }
    }

    /// Asks for a message within every `idle`.
    pub fn with_idle(self, idle: Duration) -> Self {
        Self { idle: Some(idle), ..self }
    }

    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if let Some(whole) = self.take_whole()? {
                self.timer = None;
                return Poll::Ready(Ok(Some(whole)));
            }
            match poll_next(&mut self.body, cx) {
                Poll::Ready(Ok(Some(chunk))) => self.rest = chunk,
                Poll::Ready(Ok(None)) if self.partial.is_empty() => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(None)) => return Poll::Ready(Err(unreadable())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        let has_begun = !self.partial.is_empty();
        let patience = if has_begun { Some(self.bounds.patience) } else { self.idle };
        let Some(patience) = patience else { return Poll::Pending };
        let timer = match self.timer.take() {
            Some((of_begun, timer)) if of_begun == has_begun => timer,
            _ => self.clock.sleep(patience),
        };
        let (_, timer) = self.timer.insert((has_begun, timer));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(late()))
    }

    /// Returns how long the message is that `bytes` begin. One that is compressed is refused: of a stream, the service may not
    /// say so.
    fn frame_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        if bytes.first().is_some_and(|flag| *flag != 0) {
            return Err(unreadable());
        }
        frame_bytes(bytes, self.bounds.bytes)
    }

    /// Takes as many whole messages out of what has arrived as there are, and keeps the rest as a part.
    fn take_whole(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.partial.is_empty() {
            // Its header first, then as much as that says; what came behind stays.
            let length = loop {
                let known = self.frame_bytes(self.partial.head())?;
                let missing = known.unwrap_or(HEADER_BYTES).saturating_sub(self.partial.len()).min(self.rest.len());
                self.partial.put(&self.rest.split_to(missing), known);
                match known {
                    Some(length) => break length,
                    None if self.partial.len() < HEADER_BYTES => return Ok(None),
                    None => {}
                }
            };
            let is_whole = self.partial.len() == length;
            return Ok(is_whole.then(|| std::mem::take(&mut self.partial).join()));
        }
        let mut end = 0;
        loop {
            match self.frame_bytes(&self.rest[end..]) {
                Ok(Some(length)) if length <= self.rest.len() - end => end += length,
                // What came whole before it goes on first.
                Err(error) if end == 0 => return Err(error),
                _ => break,
            }
        }
        let whole = self.rest.split_to(end);
        if whole.is_empty() {
            // Copied, so that a few bytes do not keep all alive that was read with them.
            let rest = std::mem::take(&mut self.rest);
            self.partial.put(&rest, self.frame_bytes(&rest)?);
        }
        Ok((!whole.is_empty()).then_some(whole))
    }
}

impl<F: Fn(&Error) -> Status + Unpin> http_body::Body for Messages<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let whole = ready!(self.poll_whole(cx));
        Poll::Ready(whole.map_err(|error| (self.refuse)(&error)).transpose().map(|whole| whole.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_refused_before_any_of_the_message_has_come() {
        assert!(matches!(frame_bytes(b"\0\0\0\0", 16), Ok(None)));
        assert!(matches!(frame_bytes(b"\0\0\0\0\x10", 16), Ok(Some(21))));
        assert!(frame_bytes(b"\0\0\0\0\x11", 16).is_err());
        assert!(frame_bytes(b"\x01\xff\xff\xff\xff", 16).is_err());
    }
}
