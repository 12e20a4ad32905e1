//! The first layer: which leaf a key belongs to.
//!
//! Built by `train` and by `codec`, asked by every lookup. A *cell* is a stretch of the key space
//! with a line of its own; there are as many as the keys need, one for keys that lie on a line,
//! one for every few hundred where no line fits. Cell `c` answers for the keys from its base up
//! to the base of the next.
//!
//! The cell is found by narrowing, 16 to one in each step without a branch to mispredict: the
//! *ends* of the cells (one below the next base) lie in blocks of 16, and over each level of
//! blocks lies one that holds the last end of each block, up to a single block. Counting the ends
//! below the key gives the block of the next level, and in the lowest level the cell.
//!
//! Invariants, checked by `codec` for stored bytes: `base <= last` in every cell, and below the
//! base of the next; the cell's leaves are those that its line names for the keys from base to
//! last. It follows that [`Root::route`] never decreases as the key grows, for all of the 2^64
//! keys, and always returns a leaf.

use crate::linear::Line;
use crate::simd::Isa;

/// Ends narrowed to one in one step.
const BLOCK: usize = 16;

/// Levels that the ends of 2^32 cells fill.
const LEVELS_MAX: usize = 8;

/// Where a key lands: its leaf, how far into the leaf, in units of 2^-32, and how far from the
/// hint its position is likely to be at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) leaf: u32,
    pub(crate) fraction: u32,
    pub(crate) reach: u32,
}

/// A stretch of the key space: its line, its largest stored key (the base of the line is the
/// smallest), and how far nearly all keys are from their hints at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) line: Line,
    pub(crate) last: u64,
    pub(crate) reach: u32,
}

impl Piece {
    /// How many leaves the line needs for the keys from base to last.
    pub(crate) fn leaves(&self) -> u64 {
        self.line.at(self.last).0 + 1
    }
}

/// A cell as lookups want it: half a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(32))]
struct Cell {
    line: Line,
    last: u64,
    first_leaf: u32,
    reach: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
struct Block([u64; BLOCK]);

/// The root model: the cells and the way to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// All levels, the single block first.
    blocks: Vec<Block>,
    /// The first block of each level; only the first `level_count` count.
    levels: [u32; LEVELS_MAX],
    level_count: usize,
    cells: Vec<Cell>,
}

impl Root {
    /// A root over at least one piece, in order.
    pub(crate) fn new(pieces: &[Piece]) -> Self {
        debug_assert!(!pieces.is_empty());
        let mut first_leaf = 0;
        let mut cells = Vec::with_capacity(pieces.len());
        for &piece in pieces {
            let Piece { line, last, reach } = piece;
            cells.push(Cell { line, last, first_leaf, reach });
            // The caller sees to it that all leaves can be counted in 32 bits.
            first_leaf = first_leaf.wrapping_add(piece.leaves() as u32);
        }

        let bases = pieces.iter().skip(1).map(|piece| piece.line.base - 1);
        let mut ends: Vec<u64> = bases.chain([u64::MAX]).collect();
        let mut above = Vec::new();
        while above.is_empty() || ends.len() > 1 {
            let level: Vec<Block> = ends.chunks(BLOCK).map(block_of).collect();
            ends = level.iter().map(|block| block.0[BLOCK - 1]).collect();
            above.push(level);
        }
        let mut levels = [0; LEVELS_MAX];
        let mut blocks = Vec::with_capacity(above.iter().map(Vec::len).sum());
        let level_count = above.len();
        for (level, at) in above.into_iter().rev().zip(&mut levels) {
            *at = blocks.len() as u32;
            blocks.extend(level);
        }
        Self { blocks, levels, level_count, cells }
    }

    /// The leaf of `key`. Keys between two cells go to the last leaf of the lower one, keys below
    /// all to the first leaf, keys above all to the last.
    #[inline(always)]
    pub(crate) fn route<I: Isa>(&self, isa: I, key: u64) -> Place {
        let mut at = 0;
        for &first in &self.levels[..self.level_count] {
            at = at * BLOCK + isa.count_below(&self.blocks[first as usize + at].0, key);
        }
        let Cell { line, last, first_leaf, reach } = self.cells[at];
        let (leaf, fraction) = line.at(key.min(last).max(line.base));
        Place { leaf: first_leaf + leaf as u32, fraction: (fraction >> 32) as u32, reach }
    }

    /// The pieces in order.
    #[cfg(test)]
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.cells.iter().map(|&Cell { line, last, reach, .. }| Piece { line, last, reach })
    }

    /// Number of cells.
    pub(crate) fn cell_count(&self) -> usize {
        self.cells.len()
    }
}

/// A block of at most 16 ends; the places left over hold `u64::MAX`, which is below no key.
fn block_of(ends: &[u64]) -> Block {
    let mut block = [u64::MAX; BLOCK];
    block[..ends.len()].copy_from_slice(ends);
    Block(block)
}
