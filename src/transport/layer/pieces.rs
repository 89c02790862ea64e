//! What has arrived of a message that comes in pieces. It is kept in blocks of one size, and never moved for what comes: an
//! allocator that is given back a buffer of every size on the way to a mebibyte keeps most of them for itself.

use bytes::{Bytes, BytesMut};

/// Smallest block, so that the header of a message is always in the first, and the largest.
const BLOCKS: (usize, usize) = (64, 16 * 1024);

/// A message, as far as it has arrived.
#[derive(Default)]
pub(super) struct Pieces {
    blocks: Vec<BytesMut>,
    len: usize,
    capacity: usize,
}

impl Pieces {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes they take. At most twice as many as have arrived, and no more than the message has.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the first bytes.
    pub fn head(&self) -> &[u8] {
        self.blocks.first().map_or(&[], |block| block)
    }

    /// Adds bytes to a message that comes to `whole`, if that is known yet.
    pub fn put(&mut self, mut bytes: &[u8], whole: Option<usize>) {
        while !bytes.is_empty() {
            let room = self.blocks.last().map_or(0, |block| block.capacity() - block.len());
            if room == 0 {
                let size = self.len.max(bytes.len()).clamp(BLOCKS.0, BLOCKS.1);
                let missing = whole.map_or(size, |whole| whole.saturating_sub(self.len).max(1));
                let block = BytesMut::with_capacity(size.min(missing));
                self.capacity += block.capacity();
                self.blocks.push(block);
                continue;
            }
            let (fitting, rest) = bytes.split_at(room.min(bytes.len()));
            if let Some(block) = self.blocks.last_mut() {
                block.extend_from_slice(fitting);
            }
            self.len += fitting.len();
            bytes = rest;
        }
    }

    /// Joins them.
    pub fn join(self) -> Bytes {
        let Self { mut blocks, len, .. } = self;
        if blocks.len() == 1 {
            return blocks.pop().map_or_else(Bytes::new, BytesMut::freeze);
        }
        let mut joined = BytesMut::with_capacity(len);
        for block in blocks {
            joined.extend_from_slice(&block);
        }
        joined.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_message_and_take_no_more_than_twice_as_much() {
        let message: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        for size in [1, 7, 63, 64, 65, 16_384, 99_999, 100_000] {
            let mut pieces = Pieces::default();
            for piece in message.chunks(size) {
                pieces.put(piece, (pieces.len() + piece.len() > 5).then_some(message.len()));
                assert!(pieces.capacity() <= (2 * pieces.len()).max(BLOCKS.0), "{size}");
                assert!(pieces.head().len() >= 5.min(pieces.len()));
            }
            assert_eq!((pieces.len(), pieces.capacity()), (message.len(), message.len()), "{size}");
            assert_eq!(pieces.join(), message);
        }
    }
}
