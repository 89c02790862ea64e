//! How long a caller waits, and an answer before they stop.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::poll;
use http::{HeaderMap, HeaderName};

use crate::clock::Clock;
use crate::domain::error::{Error, Reason};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How much earlier than the client gives up, which then says CANCELLED, this layer answers that the deadline has passed: a
/// tenth of the time, but no less than timers take to tell two instants apart, and no more than need be.
const MARGIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(5));

/// Reads how long the caller waits, less the margin in which this layer answers first.
///
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>: at most 8 digits and a unit.
///
/// # Errors
/// - [`Reason::HeaderMalformed`].
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(header) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let refuse = || Error::new(Reason::HeaderMalformed, "the header grpc-timeout cannot be read");
    let text = header.to_str().map_err(|_| refuse())?;
    let unit = text.chars().last().ok_or_else(refuse)?;
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(refuse());
    }
    let number: u64 = digits.parse().map_err(|_| refuse())?;
    let timeout = match unit {
        'H' => Duration::from_secs(number * 3_600),
        'M' => Duration::from_secs(number * 60),
        'S' => Duration::from_secs(number),
        'm' => Duration::from_millis(number),
        'u' => Duration::from_micros(number),
        'n' => Duration::from_nanos(number),
        _ => return Err(refuse()),
    };
    let margin = (timeout / 10).clamp(MARGIN.0, MARGIN.1);
    Ok(Some(timeout.saturating_sub(margin)))
}

/// How long calls may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// Those that do not say.
    pub default: Duration,
    /// Any, but for streams.
    pub longest: Duration,
}

impl Deadlines {
    /// Returns how long a call may take whose caller waits for `asked`. A stream has no deadline but its caller's.
    pub fn of(&self, is_streaming: bool, asked: Option<Duration>) -> Option<Duration> {
        if is_streaming { asked } else { Some(asked.unwrap_or(self.default).min(self.longest)) }
    }
}

/// Runs `work` for at most `timeout`; `None` once that has passed. Most calls are answered at once: the timer is set only
/// for those that are not.
pub(in crate::transport) async fn within<T>(
    work: impl Future<Output = T>,
    timeout: Duration,
    clock: &dyn Clock,
) -> Option<T> {
    let mut work = pin!(work);
    if let std::task::Poll::Ready(done) = poll!(work.as_mut()) {
        return Some(done);
    }
    tokio::select! {
        done = work => Some(done),
        () = clock.sleep(timeout) => None,
    }
}
