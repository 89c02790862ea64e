//! A page of rows that may be large: read some at a time, and ended when it is large enough.

/// Most rows that are read at a time.
const STEP: u32 = 64;
/// How much a page of rows weighs before it ends, in bytes as they go out. Encoding measures again, to the byte.
pub const WEIGHT_MAX: usize = 1024 * 1024;

/// The rows of a page, as far as they have been read.
#[derive(Debug)]
pub struct PageBuilder<T> {
    pub rows: Vec<T>,
    size: usize,
    weight: usize,
}

impl<T> PageBuilder<T> {
    /// Begins a page of at most `size` rows.
    #[must_use]
    pub fn new(size: u32) -> Self {
        Self { rows: Vec::new(), size: size as usize, weight: 0 }
    }

    /// Returns how many rows are to be read next: one more than are missing, which says whether there are more, and never
    /// too many.
    #[must_use]
    pub fn step(&self) -> u32 {
        let missing = self.size.saturating_sub(self.rows.len()) + 1;
        u32::try_from(missing).unwrap_or(STEP).min(STEP)
    }

    /// Returns whether the page has all its rows.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.size
    }

    /// Takes the next row in; returns whether it is on the page. It is not if the page is full without it.
    pub fn take(&mut self, row: T, weight: impl Fn(&T) -> usize) -> bool {
        let weight = weight(&row);
        if self.is_full() || !self.rows.is_empty() && self.weight + weight > WEIGHT_MAX {
            return false;
        }
        self.weight += weight;
        self.rows.push(row);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_with_its_rows_or_with_its_weight_and_has_one_at_least() {
        let mut page = PageBuilder::new(3);
        assert_eq!(page.step(), 4);
        let taken = [2 * WEIGHT_MAX, 1].map(|weight| page.take(weight, |weight| *weight));
        assert_eq!((taken, page.is_full()), ([true, false], false));

        let mut page = PageBuilder::new(1_000);
        assert_eq!(page.step(), STEP);
        let taken = (0..1_001).filter(|_| page.take((), |()| 1)).count();
        assert_eq!((taken, page.step()), (1_000, 1));
    }
}
