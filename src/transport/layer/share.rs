//! What one caller may take of the server at once: places for calls, and memory for what they send and do not take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Shared;
use crate::domain::error::{Error, Reason};
use crate::rpc::Rpc;
use crate::service::{Bearer, Permit};
use crate::transport::listener::Place;

/// After how long a call may be tried again that was refused for want of memory.
const RETRY: Duration = Duration::from_millis(500);

impl Shared {
    /// Takes a place among the calls, or the streams, that the bearer has under way.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`], also while what the bearer has under way takes as much memory as it may.
    pub(super) fn share(&self, rpc: Rpc, bearer: Arc<Bearer>) -> Result<Share, Error> {
        if bearer.bytes().load(Ordering::Relaxed) >= self.room.per_credential {
            return Err(full());
        }
        let settings = &self.authenticator.services.settings;
        let permit =
            if rpc.is_streaming() { bearer.stream(settings.streams_max) } else { bearer.call(settings.calls_max) };
        Ok(Share { of: Of::Credential(permit?), room: None, bytes: 0 })
    }
}

/// Memory for requests and answers under way.
#[derive(Debug)]
pub(in crate::transport) struct Room {
    taken: AtomicUsize,
    /// Of all credentials together.
    all: usize,
    /// Of one.
    per_credential: usize,
}

impl Room {
    pub fn new(all: usize, per_credential: usize) -> Self {
        Self { taken: AtomicUsize::new(0), all, per_credential }
    }
}

/// What a call takes; given back when it is dropped, which is when the last of its answer has been written.
pub(in crate::transport) struct Share {
    of: Of,
    room: Option<Arc<Room>>,
    bytes: usize,
}

enum Of {
    Credential(Permit),
    /// Bounded by number and by what such a call may send.
    Source {
        _place: Place,
    },
}

impl Share {
    /// Makes the share of a call without a credential.
    pub fn of_source(place: Place) -> Self {
        Self { of: Of::Source { _place: place }, room: None, bytes: 0 }
    }

    /// Takes memory, as long as there is some.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`]; then nothing is taken.
    pub fn charge(&mut self, room: &Arc<Room>, bytes: usize) -> Result<(), Error> {
        let Of::Credential(permit) = &self.of else { return Ok(()) };
        let before = permit.bearer().bytes().load(Ordering::Relaxed);
        if before + bytes > room.per_credential || room.taken.load(Ordering::Relaxed) + bytes > room.all {
            return Err(full());
        }
        self.take(room, bytes);
        Ok(())
    }

    /// Takes memory for what is there already and cannot be refused.
    pub fn take(&mut self, room: &Arc<Room>, bytes: usize) {
        let Of::Credential(permit) = &self.of else { return };
        permit.bearer().bytes().fetch_add(bytes, Ordering::Relaxed);
        let room = self.room.get_or_insert_with(|| Arc::clone(room));
        room.taken.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let (Some(room), Of::Credential(permit)) = (&self.room, &self.of) {
            permit.bearer().bytes().fetch_sub(self.bytes, Ordering::Relaxed);
            room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

fn full() -> Error {
    let message = "requests and answers under way take as much memory as they may: take the answers, or ask for less";
    Error::new(Reason::RateLimited, message).about("limit", "credential").retry_after(RETRY)
}
