//! Who comes in when there is not room for all: bounds on connections, and on calls without a credential.
//!
//! A connection is anonymous until a good credential was presented on it. Anonymous ones are bounded by source and in all, so
//! that nobody who has none keeps out those who have one. At a bound the oldest of them without a call is closed for the new
//! one; one on which a credential was presented is never closed for another.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::domain::error::{Error, Reason};
use crate::service::{Bearer, Permit};
use crate::telemetry::Metrics;
use crate::transport::source::{Sources, network_of};

/// After how long a refused call may be tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How many calls a client may give up before they are answered: without a credential, and with one. Past it no more than
/// every third.
const GIVEN_UP_MAX: (u32, u32) = (200, 5_000);

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections.
    pub connections: usize,
    /// Of these, anonymous ones, in all and of one source.
    pub anonymous: (usize, usize),
    /// Calls without a credential, in all and of one source. Half of them may be streams.
    pub calls: (usize, usize),
    /// Connections of one credential.
    pub per_credential: u32,
}

impl Bounds {
    /// Lifts what is bounded by source.
    fn of_proxies(self) -> Self {
        let unbounded = |(all, _)| (all, usize::MAX);
        Self { anonymous: unbounded(self.anonymous), calls: unbounded(self.calls), ..self }
    }
}

/// Keeps the bounds of one listener.
pub(crate) struct Gate {
    bounds: Bounds,
    /// Whose connections and calls are those of any number of users: not bounded by source.
    proxies: Sources,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    /// The number of the next connection.
    next: u64,
    /// How many connections are open.
    open: usize,
    /// The anonymous ones, the oldest first.
    anonymous: BTreeMap<u64, Arc<Connected>>,
    /// What each source has; none that has nothing.
    sources: HashMap<IpAddr, Shares>,
    calls: usize,
    streams: usize,
}

/// What one source has.
#[derive(Default)]
struct Shares {
    anonymous: BTreeSet<u64>,
    calls: usize,
    streams: usize,
}

impl State {
    /// Finds the oldest anonymous connection without a call; of one source, if that is asked.
    fn oldest_idle(&self, of: Option<IpAddr>) -> Option<Arc<Connected>> {
        let is_idle = |it: &&Arc<Connected>| !it.has_calls();
        let found = match of {
            Some(source) => {
                let numbers = self.sources.get(&source)?.anonymous.iter();
                numbers.filter_map(|number| self.anonymous.get(number)).find(is_idle)
            }
            None => self.anonymous.values().find(is_idle),
        };
        found.cloned()
    }

    /// Takes a connection out of the anonymous ones; returns whether it was among them.
    fn take(&mut self, connected: &Connected) -> bool {
        if self.anonymous.remove(&connected.number).is_none() {
            return false;
        }
        self.change(connected.source, |shares| {
            shares.anonymous.remove(&connected.number);
        });
        true
    }

    /// Changes what a source has, and forgets it once it has nothing.
    fn change(&mut self, source: IpAddr, change: impl FnOnce(&mut Shares)) {
        if let Entry::Occupied(mut entry) = self.sources.entry(source) {
            change(entry.get_mut());
            let shares = entry.get();
            if shares.anonymous.is_empty() && shares.calls == 0 && shares.streams == 0 {
                entry.remove();
            }
        }
    }
}

impl Gate {
    pub fn new(bounds: Bounds, proxies: Sources, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { bounds, proxies, state: Mutex::default(), metrics })
    }

    /// Lets a connection in, for which another may have to go; `None` if there is none that may.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let peer = address.to_canonical();
        let source = network_of(peer);
        let bounds = if self.proxies.is_trusted(peer) { self.bounds.of_proxies() } else { self.bounds };
        let mut state = self.state.lock();
        let (anonymous_max, per_source_max) = bounds.anonymous;
        let of_source = state.sources.get(&source).map_or(0, |shares| shares.anonymous.len());
        let is_full = state.anonymous.len() >= anonymous_max || state.open >= self.bounds.connections;
        if of_source >= per_source_max || is_full {
            // Who has too many gives up one of their own.
            let of = (of_source >= per_source_max).then_some(source);
            let Some(oldest) = state.oldest_idle(of) else {
                self.metrics.connections.refused.inc();
                return None;
            };
            self.evict(&mut state, &oldest);
        }

        let number = state.next;
        state.next += 1;
        state.open += 1;
        let connected = Arc::new(Connected {
            gate: Arc::clone(self),
            bounds,
            peer,
            source,
            number,
            calls: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            given_up: AtomicU32::new(0),
            has_read: AtomicBool::new(false),
            has_read_in_turn: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            is_evicted: AtomicBool::new(false),
            credential: Mutex::new(None),
            control: AtomicWaker::new(),
        });
        state.anonymous.insert(number, Arc::clone(&connected));
        state.sources.entry(source).or_default().anonymous.insert(number);
        self.metrics.connections.open.inc();
        Some(Admitted(connected))
    }

    /// Closes the oldest anonymous connection without a call, as where the process can open no more files.
    pub fn evict_oldest(&self) {
        let mut state = self.state.lock();
        if let Some(oldest) = state.oldest_idle(None) {
            self.evict(&mut state, &oldest);
        }
    }

    fn evict(&self, state: &mut State, connected: &Connected) {
        if state.take(connected) {
            state.open = state.open.saturating_sub(1);
            self.metrics.connections.evicted.inc();
        }
        connected.is_evicted.store(true, Ordering::Release);
        connected.control.wake();
    }

    fn leave(&self, connected: &Connected) {
        let mut state = self.state.lock();
        // One that was evicted has been taken out before.
        if state.take(connected) || connected.is_known() {
            state.open = state.open.saturating_sub(1);
        }
        self.metrics.connections.open.dec();
    }

    fn place(self: &Arc<Self>, bounds: Bounds, source: IpAddr, is_stream: bool) -> Result<Place, Error> {
        let (all, per_source) = bounds.calls;
        let mut state = self.state.lock();
        let (calls, streams) = state.sources.get(&source).map_or((0, 0), |shares| (shares.calls, shares.streams));
        let is_full = calls >= per_source
            || state.calls >= all
            || is_stream && (streams >= per_source.div_ceil(2) || state.streams >= all.div_ceil(2));
        if is_full {
            let error = Error::new(Reason::RateLimited, "too many calls without a credential are under way");
            return Err(error.about("limit", "source").retry_after(RETRY));
        }
        state.calls += 1;
        state.streams += usize::from(is_stream);
        let shares = state.sources.entry(source).or_default();
        shares.calls += 1;
        shares.streams += usize::from(is_stream);
        Ok(Place { gate: Arc::clone(self), source, is_stream })
    }
}

/// A place among the calls without a credential; given back when it is dropped.
pub(crate) struct Place {
    gate: Arc<Gate>,
    source: IpAddr,
    is_stream: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        let is_stream = usize::from(self.is_stream);
        state.calls -= 1;
        state.streams -= is_stream;
        state.change(self.source, |shares| {
            shares.calls -= 1;
            shares.streams -= is_stream;
        });
    }
}

/// A connection that was let in; gone from the books when it is dropped.
pub(crate) struct Admitted(Arc<Connected>);

impl Admitted {
    pub fn connected(&self) -> &Arc<Connected> {
        &self.0
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.gate.leave(&self.0);
    }
}

/// What is known of a connection.
pub(crate) struct Connected {
    gate: Arc<Gate>,
    bounds: Bounds,
    peer: IpAddr,
    source: IpAddr,
    number: u64,
    /// Calls under way.
    calls: AtomicU32,
    /// Calls that have ended in any way.
    answered: AtomicU32,
    /// Calls that the client gave up before they were answered.
    given_up: AtomicU32,
    /// Whether anything was read since that was last asked.
    has_read: AtomicBool,
    /// Whether anything was read since its turn began.
    has_read_in_turn: AtomicBool,
    /// Whether a good credential was presented on it.
    is_known: AtomicBool,
    is_evicted: AtomicBool,
    /// The place among the connections of that credential.
    credential: Mutex<Option<Permit>>,
    control: AtomicWaker,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Connected {
    /// Returns where it comes from.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    pub fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    pub fn has_calls(&self) -> bool {
        self.calls.load(Ordering::Acquire) > 0
    }

    /// Notes that a good credential was presented.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`] if the credential has as many connections as it may.
    pub fn present(&self, bearer: &Arc<Bearer>) -> Result<(), Error> {
        if self.is_known() {
            return Ok(());
        }
        let permit = Arc::clone(bearer).connection(self.gate.bounds.per_credential)?;
        let mut credential = self.credential.lock();
        if credential.is_none() {
            *credential = Some(permit);
            // One that was evicted meanwhile is on its way out.
            if self.gate.state.lock().take(self) {
                self.is_known.store(true, Ordering::Release);
                self.control.wake();
            }
        }
        Ok(())
    }

    /// Takes a place among the calls without a credential.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`].
    pub fn anonymous_call(&self) -> Result<Place, Error> {
        self.gate.place(self.bounds, self.source, false)
    }

    /// Takes a place among the streams without a credential.
    ///
    /// # Errors
    /// - [`Reason::RateLimited`].
    pub fn anonymous_stream(&self) -> Result<Place, Error> {
        self.gate.place(self.bounds, self.source, true)
    }

    /// Counts a call, until what is returned is dropped.
    pub fn begin_call(self: &Arc<Self>) -> Underway {
        self.calls.fetch_add(1, Ordering::AcqRel);
        Underway(Arc::clone(self))
    }

    /// Notes that the client gave a call up.
    pub fn was_given_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether the client does little but give up what it begins.
    pub fn is_churning(&self) -> bool {
        let given_up = self.given_up.load(Ordering::Relaxed);
        let most = if self.is_known() { GIVEN_UP_MAX.1 } else { GIVEN_UP_MAX.0 };
        given_up > most && given_up > self.answered.load(Ordering::Relaxed) / 3
    }

    /// Begins another turn of an anonymous connection: some more of it is read.
    pub fn begin_turn(&self) {
        self.has_read_in_turn.store(false, Ordering::Relaxed);
    }

    /// Returns whether nothing was read in this turn.
    pub fn may_read(&self) -> bool {
        !self.has_read_in_turn.load(Ordering::Relaxed)
    }

    pub fn note_read(&self) {
        self.has_read.store(true, Ordering::Relaxed);
        self.has_read_in_turn.store(true, Ordering::Relaxed);
    }

    /// Returns whether anything was read since this was last asked.
    pub fn take_read(&self) -> bool {
        self.has_read.swap(false, Ordering::Relaxed)
    }

    /// Ready once the connection is to go; else whoever asks is woken when it is, or when it becomes known.
    pub fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.control.register(cx.waker());
        if self.is_evicted.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until the connection is to go.
    pub async fn evicted(&self) {
        poll_fn(|cx| self.poll_evicted(cx)).await;
    }
}

/// A call under way on a connection.
pub(crate) struct Underway(Arc<Connected>);

impl Underway {
    pub fn connected(&self) -> &Connected {
        &self.0
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}
