//! One call of a connection: the service is asked, and the answer is written as the client takes it.
//!
//! What the client has no room for stays here and not in the connection's buffers, so that it can be given up: an answer that is
//! not taken within a time ends its call.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use tonic::body::Body;

use super::gate::Underway;
use super::{Serving, Share};
use crate::clock::Clock;
use crate::transport::layer::{Answer, Kind, within};
use crate::transport::status::status;

/// Answers above this are counted against the memory of who asks, until they are taken.
const COUNTED_BYTES: usize = 4 * 1024;
/// Answers above this are refused if they would take more than there is for whoever asks.
const REFUSED_BYTES: usize = 16 * 1024;

/// A piece of an answer on its way out. With the last one goes what the call takes.
pub(super) struct Chunk {
    bytes: Bytes,
    _share: Option<Share>,
}

impl Chunk {
    fn new(bytes: Bytes, share: Option<Share>) -> Self {
        Self { bytes, _share: share }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// Why the rest of an answer is not sent.
enum Ended {
    /// The client gave the call up before there was anything to send.
    Unanswered,
    /// The client has gone, or does not take it.
    Untaken,
}

impl From<h2::Error> for Ended {
    fn from(_: h2::Error) -> Self {
        Self::Untaken
    }
}

/// Answers one request.
pub(super) async fn answer(
    serving: Arc<Serving>,
    underway: Underway,
    request: Request<RecvStream>,
    mut respond: SendResponse<Chunk>,
) {
    let connected = underway.connected();
    let answer = {
        let mut work = pin!(serving.hot_path.answer(&serving.dispatch, connected, request));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
        })
        .await
    };
    let delivered = match answer {
        Some(answer) => deliver(&serving, answer, &mut respond).await,
        None => Err(Ended::Unanswered),
    };
    if let Err(Ended::Unanswered) = delivered {
        connected.was_given_up();
    }
}

async fn deliver(serving: &Serving, answer: Answer, respond: &mut SendResponse<Chunk>) -> Result<(), Ended> {
    let Answer { response, mut share, of, rpc, id } = answer;
    let (head, mut body) = response.into_parts();
    let head = Response::from_parts(head, ());
    if body.is_end_stream() {
        return begin(respond, head, true).map(drop);
    }
    // One message is ready at once. Its size is known before anything is sent of it.
    let mut first =
        if of == Kind::Stream { None } else { next(&mut body, |cx| respond.poll_reset(cx).map(drop)).await? };
    let length = first.as_ref().and_then(|frame| frame.data_ref()).map_or(0, Bytes::len);
    if let Some(share) = share.as_mut().filter(|_| length > COUNTED_BYTES) {
        let room = serving.hot_path.room();
        if of == Kind::Read && length > REFUSED_BYTES {
            if let Err(error) = share.charge(room, length) {
                drop(first);
                let (head, _) = status(&error, rpc, id).into_http::<Body>().into_parts();
                return begin(respond, Response::from_parts(head, ()), true).map(drop);
            }
        } else {
            share.take(room, length);
        }
    }

    let mut out = begin(respond, head, false)?;
    let (clock, patience) = (&*serving.clock, serving.limits.answer_timeout);
    loop {
        let frame = match first.take() {
            Some(frame) => Some(frame),
            None => next(&mut body, |cx| out.poll_reset(cx).map(drop)).await?,
        };
        let Some(frame) = frame else {
            out.send_data(Chunk::new(Bytes::new(), share), true)?;
            return Ok(());
        };
        match frame.into_data() {
            Ok(data) => {
                let mut none = None;
                let share = if of == Kind::Stream { &mut none } else { &mut share };
                pour(&mut out, data, share, patience, clock).await?;
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    // Room that was asked for and not used is the other streams'.
                    out.reserve_capacity(0);
                    out.send_trailers(trailers)?;
                    return Ok(());
                }
            }
        }
    }
}

fn begin(respond: &mut SendResponse<Chunk>, head: Response<()>, is_end: bool) -> Result<SendStream<Chunk>, Ended> {
    respond.send_response(head, is_end).map_err(|_| Ended::Unanswered)
}

/// Takes the next frame of a body, unless the client gives up first.
async fn next(
    body: &mut Body,
    mut given_up: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<Option<Frame<Bytes>>, Ended> {
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(Some(frame)) => Poll::Ready(frame.map(Some).map_err(|_| Ended::Untaken)),
        Poll::Ready(None) => Poll::Ready(Ok(None)),
        Poll::Pending => given_up(cx).map(|()| Err(Ended::Untaken)),
    })
    .await
}

/// Sends data, as much at a time as there is room for.
async fn pour(
    out: &mut SendStream<Chunk>,
    data: Bytes,
    share: &mut Option<Share>,
    patience: Duration,
    clock: &dyn Clock,
) -> Result<(), Ended> {
    out.reserve_capacity(data.len());
    if out.capacity() >= data.len() {
        out.send_data(Chunk::new(data, share.take()), false)?;
        return Ok(());
    }
    if let Some(poured) = within(pour_slowly(out, data, share), patience, clock).await {
        return poured;
    }
    // What was buffered for it is given up, too.
    out.send_reset(Reason::CANCEL);
    Err(Ended::Untaken)
}

async fn pour_slowly(out: &mut SendStream<Chunk>, mut data: Bytes, share: &mut Option<Share>) -> Result<(), Ended> {
    while !data.is_empty() {
        if out.capacity() == 0 {
            poll_fn(|cx| match out.poll_reset(cx) {
                Poll::Ready(_) => Poll::Ready(Err(Ended::Untaken)),
                Poll::Pending => match out.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => Poll::Ready(Ok(())),
                    Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Err(Ended::Untaken)),
                    Poll::Pending => Poll::Pending,
                },
            })
            .await?;
        }
        let piece = data.split_to(out.capacity().min(data.len()));
        if piece.is_empty() {
            continue;
        }
        let share = if data.is_empty() { share.take() } else { None };
        out.send_data(Chunk::new(piece, share), false)?;
        out.reserve_capacity(data.len());
    }
    Ok(())
}
