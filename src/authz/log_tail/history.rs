//! Whether the history that this process lives in goes on, and what is counted when it does not.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;

/// What is known of the history that this process lives in.
#[derive(Debug)]
pub(in crate::authz) struct History {
    epoch: AtomicU32,
    replaced: AtomicU64,
    exchanged: AtomicU64,
    breaks: AtomicU64,
    broken_off: Notify,
    is_withheld: AtomicBool,
}

impl History {
    pub(super) fn new(epoch: u32) -> Self {
        Self {
            epoch: AtomicU32::new(epoch),
            replaced: AtomicU64::new(0),
            exchanged: AtomicU64::new(0),
            breaks: AtomicU64::new(0),
            broken_off: Notify::new(),
            is_withheld: AtomicBool::new(false),
        }
    }

    /// Counts how often a log was replaced by another (a standby promoted, a restore).
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Counts how often another database was found to answer than before, or one that was set back.
    pub fn exchanged(&self) -> u64 {
        self.exchanged.load(Ordering::Relaxed)
    }

    /// Counts how often either was found.
    pub fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Acquire)
    }

    /// Waits until either is found; returns at once if one was since the last time.
    pub async fn broken_off(&self) {
        self.broken_off.notified().await;
    }

    pub(super) fn note_exchange(&self) {
        self.exchanged.fetch_add(1, Ordering::Relaxed);
        self.note_break();
    }

    pub(super) fn note_replaced(&self) {
        self.replaced.fetch_add(1, Ordering::Relaxed);
        self.note_break();
    }

    fn note_break(&self) {
        self.breaks.fetch_add(1, Ordering::AcqRel);
        self.broken_off.notify_one();
    }

    /// Notes whether the database withholds which history it has. Returns whether that is news.
    pub(super) fn note_withheld(&self, is_withheld: bool) -> bool {
        !self.is_withheld.swap(is_withheld, Ordering::Relaxed) && is_withheld
    }

    /// Returns whether the database withholds which history it has, so that only comparing proves anything.
    pub fn is_withheld(&self) -> bool {
        self.is_withheld.load(Ordering::Relaxed)
    }

    /// Returns what counts restores that revision tokens must not survive.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Takes over the epoch that the database has now. Returns whether it is another.
    pub(super) fn take_epoch(&self, epoch: u32) -> bool {
        self.epoch.swap(epoch, Ordering::Relaxed) != epoch
    }
}
