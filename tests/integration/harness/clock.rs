//! Randomness that a test controls, beside the clock that it moves.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use guildhall::clock::Entropy;
pub use guildhall::clock::testing::ManualClock;

use crate::rule::rng::mix;

/// How many bytes of an id are drawn.
const ID_BYTES: usize = 10;

/// Bytes that a seed determines (splitmix64): the same on every run, and never twice in one.
///
/// What is drawn for ids counts up, so that ids of one instant, of which a clock that stands still has many, are in the order in
/// which they were made, whatever background tasks draw in between.
#[derive(Debug)]
pub struct SeededEntropy {
    state: AtomicU64,
    ids: AtomicU32,
}

impl SeededEntropy {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Self {
        // Mixed: neighbours would else be the same sequence, a few draws apart, and two servers make the same ids.
        Self { state: AtomicU64::new(mix(seed)), ids: AtomicU32::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let z = mix(self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed));
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
        if bytes.len() == ID_BYTES {
            // The version and the variant of a UUID lie over the first three.
            bytes[..3].fill(0);
            bytes[3..6].copy_from_slice(&self.ids.fetch_add(1, Ordering::Relaxed).to_be_bytes()[1..]);
        }
    }
}
