//! Whether the history that this process lives in goes on: what is counted when it does not, and what no longer counts then.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::engine::Engine;
use crate::domain::id::ApiKeyId;

/// What is known of the history that this process lives in.
#[derive(Debug)]
pub(super) struct History {
    epoch: AtomicU32,
    /// How often a log was replaced by another (a standby promoted, a restore).
    replaced: AtomicU64,
    /// How often another database was found to answer, or one that was set back.
    exchanged: AtomicU64,
    /// How often either was found.
    breaks: AtomicU64,
    /// Rings when it is.
    broken_off: Notify,
    is_withheld: AtomicBool,
    /// Keys that were good in a history that is no more.
    lost_keys: ArcSwap<HashSet<ApiKeyId>>,
}

impl History {
    pub fn new(epoch: u32) -> Self {
        Self {
            epoch: AtomicU32::new(epoch),
            replaced: AtomicU64::new(0),
            exchanged: AtomicU64::new(0),
            breaks: AtomicU64::new(0),
            broken_off: Notify::new(),
            is_withheld: AtomicBool::new(false),
            lost_keys: ArcSwap::default(),
        }
    }
}

impl Engine {
    /// Says how often a history was found replaced by another.
    #[must_use]
    pub fn histories_replaced(&self) -> u64 {
        self.history.replaced.load(Ordering::Relaxed)
    }

    /// Says how often another database was found to answer than before, or one that was set back.
    #[must_use]
    pub fn databases_exchanged(&self) -> u64 {
        self.history.exchanged.load(Ordering::Relaxed)
    }

    /// Returns how often the history that this process lives in was found to be no more, in part or as a whole. What was
    /// learned at another number may be of the lost part.
    #[must_use]
    pub fn breaks(&self) -> u64 {
        self.history.breaks.load(Ordering::Acquire)
    }

    /// Waits until a history is found to be no more; returns at once if one was since the last time.
    pub async fn broken_off(&self) {
        self.history.broken_off.notified().await;
    }

    /// Notes that another database answers, or one that was set back. Nothing that is remembered counts until it is
    /// learned anew.
    pub(super) fn note_exchange(&self) {
        self.history.exchanged.fetch_add(1, Ordering::Relaxed);
        self.note_break();
    }

    /// Notes that one log was replaced by another history.
    pub(super) fn note_replaced(&self) {
        self.history.replaced.fetch_add(1, Ordering::Relaxed);
        self.note_break();
    }

    fn note_break(&self) {
        self.history.breaks.fetch_add(1, Ordering::AcqRel);
        self.residence.forget_absences();
        self.history.broken_off.notify_one();
    }

    /// Notes whether the database tells which history it has. Returns whether it no longer does.
    pub(super) fn note_withheld(&self, is_withheld: bool) -> bool {
        !self.history.is_withheld.swap(is_withheld, Ordering::Relaxed) && is_withheld
    }

    /// Returns whether the database does not tell which history it has, so that only comparing proves anything.
    #[must_use]
    pub fn is_history_withheld(&self) -> bool {
        self.history.is_withheld.load(Ordering::Relaxed)
    }

    /// Returns how long ago the last full round of comparisons began.
    #[must_use]
    pub fn round_age(&self) -> Duration {
        self.world.clock.monotonic().since(self.round.at())
    }

    /// Returns whether nothing is allowed, since too long nothing was proven current.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.feed_age().max(self.round_age()) > self.settings.staleness_bound
    }

    /// Returns what counts restores that revision tokens must not survive.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.history.epoch.load(Ordering::Relaxed)
    }

    /// Takes over the epoch that the database has now. Returns whether it is another.
    pub(super) fn take_epoch(&self, epoch: u32) -> bool {
        self.history.epoch.swap(epoch, Ordering::Relaxed) != epoch
    }

    /// Returns the keys by which streams were opened.
    #[must_use]
    pub fn keys_of_streams(&self) -> HashSet<ApiKeyId> {
        self.inboxes.lock().values().filter_map(|(_, key)| *key).collect()
    }

    /// Takes in that keys which were good are not in the database: they are refused, and streams end with them.
    pub fn lose_keys(&self, keys: &HashSet<ApiKeyId>) {
        self.history.lost_keys.rcu(|lost| lost.union(keys).copied().collect::<HashSet<_>>());
        self.ring_all();
    }

    /// Takes in that a key is in the database.
    pub fn find_key(&self, key: ApiKeyId) {
        if self.is_key_lost(key) {
            self.history
                .lost_keys
                .rcu(|lost| lost.iter().copied().filter(|other| *other != key).collect::<HashSet<_>>());
        }
    }

    pub(super) fn is_key_lost(&self, key: ApiKeyId) -> bool {
        self.history.lost_keys.load().contains(&key)
    }
}
