//! The bytes of a connection, as far as they say something about the client.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::gate::Connected;

/// How much is read at a time of an anonymous connection.
const ANONYMOUS_BYTES: usize = 2 * 1024;

/// A connection of which no more is read while an anonymous client does not take what it is sent: else its calls and their
/// answers would wait here, as many as it cares to send. It is read a little at a time, too, and what that was is answered before more
/// is read.
pub(super) struct Gated<I> {
    inner: I,
    connected: Arc<Connected>,
    is_blocked: bool,
}

impl<I> Gated<I> {
    pub fn new(inner: I, connected: Arc<Connected>) -> Self {
        Self { inner, connected, is_blocked: false }
    }

    fn note_written(&mut self, written: &Poll<Result<usize>>, cx: &Context<'_>) {
        if written.is_ready() && self.is_blocked {
            // Reading was put off, and nothing else wakes the reader.
            cx.waker().wake_by_ref();
        }
        self.is_blocked = written.is_pending();
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Gated<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.connected.is_known() {
            let read = Pin::new(&mut self.inner).poll_read(cx, to);
            if read.is_ready() {
                self.connected.note_read();
            }
            return read;
        }
        if self.is_blocked {
            return Poll::Pending;
        }
        if !self.connected.may_read() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut some = [0; ANONYMOUS_BYTES];
        let most = to.remaining().min(ANONYMOUS_BYTES);
        let mut some = ReadBuf::new(&mut some[..most]);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut some))?;
        to.put_slice(some.filled());
        self.connected.note_read();
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Gated<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, from);
        self.note_written(&written, cx);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, from);
        self.note_written(&written, cx);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
