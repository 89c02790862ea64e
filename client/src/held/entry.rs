//! One question that is held, and what is known of it in one word, so that it is read without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::answer::DenialReason;
use crate::clock::{Clock, Moment};
use crate::question::Question;

/// What is known of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    /// Nothing that counts.
    Nothing,
    /// It was denied. Counts until something else is told.
    Denied(DenialReason),
    /// It was allowed on the stream that is current. Counts while the lease runs, and before this moment.
    Leased(Moment),
    /// It was allowed on a stream that is no more. Counts before this moment, in which that stream's last lease went
    /// in.
    Until(Moment),
}

/// The last moment that fits beside a tag.
const LAST: u64 = (1 << 62) - 1;

impl Known {
    fn pack(self) -> u64 {
        let (tag, value) = match self {
            Self::Nothing => (0, 0),
            Self::Denied(reason) => (1, u64::from(reason.code())),
            Self::Leased(until) => (2, until.as_nanos().min(LAST)),
            Self::Until(until) => (3, until.as_nanos().min(LAST)),
        };
        (tag << 62) | value
    }

    fn unpack(word: u64) -> Self {
        let value = word & LAST;
        match word >> 62 {
            1 => Self::Denied(DenialReason::from_code(u8::try_from(value).unwrap_or(0))),
            2 => Self::Leased(Moment::from_nanos(value)),
            3 => Self::Until(Moment::from_nanos(value)),
            _ => Self::Nothing,
        }
    }
}

/// The moment before which what the current stream allowed counts. One word, written by the stream's task alone.
#[derive(Debug, Default)]
pub(crate) struct Lease(AtomicU64);

impl Lease {
    pub(crate) fn get(&self) -> Moment {
        Moment::from_nanos(self.0.load(Ordering::Acquire))
    }

    /// Sets the end. Everything that the former one must not lend itself to was rewritten before.
    pub(crate) fn set(&self, until: Moment) {
        self.0.store(until.as_nanos(), Ordering::Release);
    }
}

/// One question that is held.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Unique in the client, ascending.
    pub(crate) number: u64,
    pub(crate) question: Question,
    known: AtomicU64,
    /// Until when the last "allow" stands by itself; only the stream's task uses it.
    valid_until: AtomicU64,
    /// How many guards hold it, and the client itself where it holds on use. Written under the registry's lock.
    pub(crate) holders: AtomicUsize,
    /// Whether it waits to be looked at by the stream's task. Written under the registry's lock.
    pub(crate) is_queued: AtomicBool,
    /// [`MANUAL`], or whether it was asked about since the clock hand of the bound last passed.
    use_mark: AtomicU8,
    pub(crate) turned: Notify,
}

/// Held by guards only.
const MANUAL: u8 = 0;
/// Held on use, and not asked about lately.
const IDLE: u8 = 1;
/// Held on use, and asked about.
const USED: u8 = 2;

impl Entry {
    pub(crate) fn new(number: u64, question: Question) -> Arc<Self> {
        Arc::new(Self {
            number,
            question,
            known: AtomicU64::new(Known::Nothing.pack()),
            valid_until: AtomicU64::new(0),
            holders: AtomicUsize::new(0),
            is_queued: AtomicBool::new(false),
            use_mark: AtomicU8::new(MANUAL),
            turned: Notify::new(),
        })
    }

    /// Returns what is known, and says by it whether the subject may; `None` if nothing counts at the moment.
    ///
    /// The word is read again after lease and clock. Were it not, a reader that was stopped between the two could join
    /// an "allow" of one stream with the lease of the next.
    #[inline]
    pub(crate) fn read(&self, lease: &Lease, clock: &dyn Clock) -> Option<Result<(), DenialReason>> {
        let mut word = self.known.load(Ordering::Acquire);
        loop {
            let counts = match Known::unpack(word) {
                Known::Nothing => return None,
                Known::Denied(reason) => return Some(Err(reason)),
                Known::Leased(until) => {
                    let lease = lease.get();
                    clock.now() < until.min(lease)
                }
                Known::Until(until) => clock.now() < until,
            };
            let again = self.known.load(Ordering::Acquire);
            if again == word {
                return counts.then_some(Ok(()));
            }
            word = again;
        }
    }

    /// Returns the moment at which what is known stops to count if nothing more is heard.
    pub(crate) fn counts_until(&self, lease: &Lease) -> Option<Moment> {
        match self.known() {
            Known::Nothing | Known::Denied(_) => None,
            Known::Leased(until) => Some(until.min(lease.get())),
            Known::Until(until) => Some(until),
        }
    }

    pub(crate) fn known(&self) -> Known {
        Known::unpack(self.known.load(Ordering::Acquire))
    }

    /// Publishes what is known. Only the stream's task does.
    pub(crate) fn publish(&self, known: Known) {
        let word = known.pack();
        if self.known.swap(word, Ordering::AcqRel) != word {
            self.turned.notify_waiters();
        }
        if let Known::Leased(until) = known {
            self.valid_until.store(until.as_nanos(), Ordering::Relaxed);
        }
    }

    /// Returns until when the last "allow" stood by itself.
    pub(crate) fn valid_until(&self) -> Moment {
        Moment::from_nanos(self.valid_until.load(Ordering::Relaxed))
    }

    /// Makes of what counts by the lease of a stream that ends what counts by itself, for as long and no longer.
    pub(crate) fn freeze(&self, lease: Moment) {
        if let Known::Leased(until) = self.known() {
            // The same "allow" under another proof: nobody needs to wake for it.
            self.known.store(Known::Until(until.min(lease)).pack(), Ordering::Release);
        }
    }

    /// Returns what a new stream may be told to be known already, so that it sends a difference only.
    pub(crate) fn known_allowed(&self, now: Moment) -> Option<bool> {
        match self.known() {
            Known::Nothing | Known::Denied(DenialReason::Refused) => None,
            Known::Denied(_) => Some(false),
            // Past its own end it is asked for anew, to learn of another end.
            Known::Leased(_) | Known::Until(_) => (now < self.valid_until()).then_some(true),
        }
    }

    /// Notes that the client itself holds it.
    pub(crate) fn hold_on_use(&self) {
        self.use_mark.store(USED, Ordering::Relaxed);
    }

    pub(crate) fn is_held_on_use(&self) -> bool {
        self.use_mark.load(Ordering::Relaxed) != MANUAL
    }

    pub(crate) fn let_go_on_use(&self) {
        self.use_mark.store(MANUAL, Ordering::Relaxed);
    }

    /// Notes that it was asked about.
    #[inline]
    pub(crate) fn used(&self) {
        // Read first: many readers then share the line.
        if self.use_mark.load(Ordering::Relaxed) == IDLE {
            self.use_mark.store(USED, Ordering::Relaxed);
        }
    }

    /// Takes the mark of use away; says whether there was one.
    pub(crate) fn take_used(&self) -> bool {
        self.use_mark.swap(IDLE, Ordering::Relaxed) == USED
    }
}
