//! What the overlay has something newer of: a Bloom filter, so that a look-up of what never changed does not pay for
//! it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits for each entry that is expected.
const BITS_EACH: usize = 16;

/// A set that may say yes of what was never added, and never says no of what was.
///
/// It only grows, so snapshots of one base share it: an older one reads a few more false alarms.
#[derive(Debug)]
pub(super) struct Touched {
    words: Box<[AtomicU64]>,
}

impl Touched {
    /// Makes an empty set for so many entries.
    pub fn for_entries(entries: usize) -> Self {
        let words = (entries * BITS_EACH).div_ceil(64).next_power_of_two();
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Adds what hashes to `hash`.
    pub fn add(&self, hash: u64) {
        for (word, bit) in self.bits(hash) {
            // Ordered by the snapshot that is published after.
            self.words[word].fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Returns whether what hashes to `hash` may have been added.
    pub fn may_have(&self, hash: u64) -> bool {
        self.bits(hash).into_iter().all(|(word, bit)| self.words[word].load(Ordering::Relaxed) & bit != 0)
    }

    fn bits(&self, hash: u64) -> [(usize, u64); 2] {
        let mask = self.words.len() - 1;
        [((hash >> 12) as usize & mask, 1 << (hash & 63)), ((hash >> 38) as usize & mask, 1 << ((hash >> 6) & 63))]
    }

    /// Counts the bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }
}
