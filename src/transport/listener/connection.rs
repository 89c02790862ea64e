//! One HTTP/2 connection: its calls are begun here, each in a task of its own, and it ends when it has to.
//!
//! It stands on `h2` and not on hyper or tonic, which stand on the same: neither lets a connection begin with a small window
//! and grow once a credential was presented, nor an answer be given up that they have taken.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong, Reason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Serving;
use super::answer::{Chunk, answer};
use super::gate::Connected;
use super::gated::Gated;
use crate::clock::Monotonic;
use crate::transport::layer::within;

/// Most calls at once on one connection.
const STREAMS_MAX: u32 = 1_024;
/// Most bytes of the headers of a request.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// How much a client may send to one call before it is read: the largest message. The 64 KiB of the standard would halve a
/// stream's rate at a few milliseconds' distance.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same to all calls of a connection: once a credential was presented, and before, which is the standard's.
const WINDOWS: (u32, u32) = (4 * 1024 * 1024, 65_535);
/// How much of one answer waits in the connection for the network.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How often a connection that says nothing is asked for a sign of life, and how long it may take to give one.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// By how much sooner an anonymous connection is idle.
const ANONYMOUS_IDLE: u32 = 5;

/// Serves a connection until it ends. It has until `deadline` to begin.
pub(super) async fn serve<I>(
    io: I,
    deadline: Monotonic,
    connected: Arc<Connected>,
    serving: Arc<Serving>,
    stop: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOWS.1)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES);
    let mut handshake = pin!(builder.handshake::<_, Chunk>(Gated::new(io, Arc::clone(&connected))));
    let handshake = poll_fn(|cx| {
        connected.begin_turn();
        handshake.as_mut().poll(cx)
    });
    let patience = deadline.since(serving.clock.monotonic());
    let begun = tokio::select! {
        begun = within(handshake, patience, &*serving.clock) => begun,
        () = connected.evicted() => None,
    };
    if let Some(Ok(connection)) = begun {
        let mut driver = Driver::new(connection, connected, serving, stop);
        poll_fn(|cx| driver.poll(cx)).await;
    }
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Driver<I> {
    connection: h2::server::Connection<Gated<I>, Chunk>,
    connected: Arc<Connected>,
    serving: Arc<Serving>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How many calls have begun.
    begun: u64,
    has_grown: bool,
    /// Looked at when this timer ends, and not before.
    timer: Timer,
    /// When it takes no new calls.
    ages_at: Monotonic,
    /// Since when it may be idle, and how many calls had begun then.
    idle: (Monotonic, u64),
    /// Once it takes no new calls: when it is closed if there are none.
    ends_at: Option<Monotonic>,
    keepalive: Keepalive,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    fn new(
        mut connection: h2::server::Connection<Gated<I>, Chunk>,
        connected: Arc<Connected>,
        serving: Arc<Serving>,
        stop: CancellationToken,
    ) -> Self {
        let now = serving.clock.monotonic();
        let keepalive = Keepalive::new(connection.ping_pong(), now);
        let mut driver = Self {
            ages_at: after(now, serving.connection_age),
            timer: Box::pin(std::future::ready(())),
            stop: Box::pin(stop.cancelled_owned()),
            begun: 0,
            has_grown: false,
            idle: (now, 0),
            ends_at: None,
            keepalive,
            connection,
            connected,
            serving,
        };
        driver.set_timer(now);
        driver
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.connected.poll_evicted(cx).is_ready() {
            return self.close(Reason::NO_ERROR, cx);
        }
        if self.ends_at.is_none() && self.stop.as_mut().poll(cx).is_ready() {
            self.take_no_more(self.serving.clock.monotonic());
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = self.serving.clock.monotonic();
            if self.is_over(now) {
                return self.close(Reason::NO_ERROR, cx);
            }
            self.set_timer(now);
        }
        self.keepalive.poll(cx);
        if !self.has_grown && self.connected.is_known() {
            self.has_grown = true;
            self.connection.set_target_window_size(WINDOWS.0);
        }
        // Last, since it also writes what was decided before.
        self.connected.begin_turn();
        loop {
            match pin!(self.connection.accept()).poll(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begun += 1;
                    let (serving, underway) = (Arc::clone(&self.serving), self.connected.begin_call());
                    let call = answer(serving, underway, request, respond);
                    if self.connected.is_known() {
                        tokio::spawn(call);
                        continue;
                    }
                    // What is refused is over at once, and so it is done here: else it would queue, as much of it as is sent.
                    // What is not has a place among the calls without a credential.
                    let mut call = Box::pin(call);
                    if call.as_mut().poll(cx).is_pending() {
                        tokio::spawn(call);
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if self.connected.is_churning() {
            return self.close(Reason::ENHANCE_YOUR_CALM, cx);
        }
        Poll::Pending
    }

    /// Does what the time asks for; returns whether the connection is to be closed.
    fn is_over(&mut self, now: Monotonic) -> bool {
        let has_read = self.connected.take_read();
        if self.keepalive.is_dead(now, has_read) {
            return true;
        }
        if let Some(ends_at) = self.ends_at {
            return now >= ends_at && !self.connected.has_calls();
        }
        let (since, begun) = self.idle;
        if now >= after(since, self.idle_max()) {
            if self.connected.has_calls() || begun != self.begun {
                self.idle = (now, self.begun);
            } else {
                self.take_no_more(now);
            }
        }
        if now >= self.ages_at {
            self.take_no_more(now);
        }
        false
    }

    fn idle_max(&self) -> Duration {
        let idle = self.serving.limits.connection_idle;
        if self.connected.is_known() { idle } else { idle / ANONYMOUS_IDLE }
    }

    /// Tells the client to make no new calls here. Those under way end, however long they take.
    fn take_no_more(&mut self, now: Monotonic) {
        if self.ends_at.is_none() {
            self.connection.graceful_shutdown();
            self.ends_at = Some(after(now, self.serving.limits.handshake_timeout));
        }
    }

    fn set_timer(&mut self, now: Monotonic) {
        let next = match self.ends_at {
            // Past it, it is looked at again whenever the keepalive is.
            Some(ends_at) if ends_at > now => ends_at,
            Some(_) => self.keepalive.due(),
            None => self.ages_at.min(after(self.idle.0, self.idle_max())),
        };
        self.timer = self.serving.clock.sleep(next.min(self.keepalive.due()).since(now));
    }

    /// Says why, as far as that can be written at once, and closes.
    fn close(&mut self, reason: Reason, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.abrupt_shutdown(reason);
        let _ = pin!(self.connection.accept()).poll(cx);
        Poll::Ready(())
    }
}

fn after(at: Monotonic, duration: Duration) -> Monotonic {
    Monotonic(at.0.saturating_add(duration))
}

/// Asks for a sign of life where there is none, and notices when none comes.
struct Keepalive {
    pings: Option<PingPong>,
    /// A ping that is not answered yet.
    waiting: Option<Pin<Box<dyn Future<Output = PingPong> + Send>>>,
    due: Monotonic,
}

impl Keepalive {
    fn new(pings: Option<PingPong>, now: Monotonic) -> Self {
        Self { pings, waiting: None, due: after(now, KEEPALIVE.0) }
    }

    fn due(&self) -> Monotonic {
        self.due
    }

    /// Sends the ping, and takes the answer.
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(waiting) = &mut self.waiting
            && let Poll::Ready(pings) = waiting.as_mut().poll(cx)
        {
            (self.pings, self.waiting) = (Some(pings), None);
        }
    }

    /// Returns whether the client is gone, as of `now`.
    fn is_dead(&mut self, now: Monotonic, has_read: bool) -> bool {
        if now < self.due {
            return false;
        }
        if self.waiting.is_some() {
            return true;
        }
        self.due = after(now, KEEPALIVE.0);
        if let Some(mut pings) = self.pings.take_if(|_| !has_read) {
            self.due = after(now, KEEPALIVE.1);
            self.waiting = Some(Box::pin(async move {
                // It fails with the connection, which then ends by itself.
                let _ = pings.ping(Ping::opaque()).await;
                pings
            }));
        }
        false
    }
}
