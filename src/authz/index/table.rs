//! A table from hashes to numbers, built once: open addressing, four bytes a slot.

use super::number::Number;

const EMPTY: u32 = u32::MAX;

/// Numbers below a count, found by the hash of what they stand for.
///
/// A slot holds the number and, in the bits that the number does not need, some bits of the hash, so that what is not
/// meant is rarely looked at.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Box<[u32]>,
    /// How many low bits of a slot are the number.
    number_bits: u32,
}

impl Table {
    /// Builds a table of `hashes`, each with its number; `count` is above every number.
    pub fn build(count: usize, hashes: impl ExactSizeIterator<Item = (u64, Number)>) -> Self {
        if hashes.len() == 0 {
            return Self::default();
        }
        // A number of all ones would read as an empty slot, hence one more.
        let number_bits = usize::BITS - (count + 1).leading_zeros();
        let mut table = Self { slots: vec![EMPTY; hashes.len() * 4 / 3 + 1].into(), number_bits };
        for (hash, number) in hashes {
            let mut slot = table.slot(hash);
            while table.slots[slot] != EMPTY {
                slot = table.after(slot);
            }
            table.slots[slot] = table.tag(hash) | number;
        }
        table
    }

    /// Finds the number under `hash` that `is_it`.
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(Number) -> bool) -> Option<Number> {
        if self.slots.is_empty() {
            return None;
        }
        let tag = self.tag(hash);
        let mut slot = self.slot(hash);
        loop {
            let stored = self.slots[slot];
            if stored == EMPTY {
                return None;
            }
            if stored & !self.number_mask() == tag {
                let number = stored & self.number_mask();
                if is_it(number) {
                    return Some(number);
                }
            }
            slot = self.after(slot);
        }
    }

    /// Returns the first slot that [`Table::find`] will read, for who wants it to be near by then.
    pub fn peek(&self, hash: u64) -> Option<u32> {
        self.slots.get(self.slot(hash)).copied()
    }

    /// Returns the number that is most likely meant: the first under a hash that looks the same.
    pub fn likely(&self, hash: u64) -> Option<Number> {
        self.find(hash, |_| true)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below the number of slots")]
    fn slot(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    fn number_mask(&self) -> u32 {
        !(u32::MAX.unbounded_shl(self.number_bits))
    }

    /// Returns the low bits of a hash, where the slot comes from the high ones.
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    fn tag(&self, hash: u64) -> u32 {
        (hash as u32).unbounded_shl(self.number_bits)
    }

    /// Counts the bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}
