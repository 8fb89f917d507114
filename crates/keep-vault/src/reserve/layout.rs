//! Where things lie in a reserve.

use std::ops::Range;

use keep_cipher::sealed::TAG;

/// The exact length of a reserve in bytes.
pub const RESERVE_LEN: u64 = 16 * 1024 * 1024;
/// The length of page 0, of a slot's header and of a journal block, in bytes.
pub(super) const BLOCK: usize = 4096;
/// The length of a piece of a body in the file, in bytes.
pub(super) const PIECE: usize = 64 * 1024;

/// The geometry of a reserve. There is one; tests take smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    slot: usize,
    blocks: usize,
}

impl Layout {
    /// The geometry of every vault: 16 MiB.
    pub const STANDARD: Self = Self { slot: 7 * 1024 * 1024, blocks: 511 };

    /// A smaller one, for tests: `slot` bytes for each slot (at least two blocks of 4 KiB) and a journal of `blocks`.
    pub const fn small(slot: usize, blocks: usize) -> Self {
        Self { slot: if slot < 2 * BLOCK { 2 * BLOCK } else { slot }, blocks }
    }

    /// How many bytes a reserve has.
    pub const fn total(self) -> usize {
        BLOCK + 2 * self.slot + self.blocks * BLOCK
    }

    /// The header of a slot, 0 or 1.
    pub(super) const fn header(self, slot: usize) -> Range<usize> {
        let start = BLOCK + slot * self.slot;
        start..start + BLOCK
    }

    /// The body of a slot.
    pub(super) const fn body(self, slot: usize) -> Range<usize> {
        let start = BLOCK + slot * self.slot;
        start + BLOCK..start + self.slot
    }

    /// A block of the journal; `None` behind its end.
    pub(super) fn block(self, number: usize) -> Option<Range<usize>> {
        let start = BLOCK + 2 * self.slot + number * BLOCK;
        (number < self.blocks).then_some(start..start + BLOCK)
    }

    /// How many blocks the journal has.
    pub(super) const fn blocks(self) -> usize {
        self.blocks
    }

    /// How many bytes of content a slot holds.
    pub const fn capacity(self) -> usize {
        let body = self.slot - BLOCK;
        body - body.div_ceil(PIECE) * TAG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_is_sixteen_mebibytes_without_gaps() {
        let layout = Layout::STANDARD;
        assert_eq!(layout.total() as u64, RESERVE_LEN);
        assert_eq!(layout.header(0), 4096..8192);
        assert_eq!(layout.body(0).start, 8192);
        assert_eq!(layout.body(0).end, layout.header(1).start);
        assert_eq!(layout.header(1).start, 7 * 1024 * 1024 + 4096);
        assert_eq!(layout.block(0).map(|block| block.start), Some(layout.body(1).end));
        assert_eq!(layout.block(510).map(|block| block.end as u64), Some(RESERVE_LEN));
        assert_eq!(layout.block(511), None);
        assert_eq!(layout.capacity(), 7_334_144);
    }
}
