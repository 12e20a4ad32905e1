//! The first layer: which leaf a key belongs to.
//!
//! Built by `train` and by `codec`, asked by every lookup. A *cell* is a stretch of the key space
//! with a line of its own; there are as many as the keys need, one for keys that lie on a line,
//! one for every thousand where no line fits (and `knots` help). Cell `c` answers for the keys from
//! its base up to the base of the next.
//!
//! The cell is found by narrowing, 32 to one in each step without a branch to mispredict: the
//! *ends* of the cells (one below the next base) lie in blocks of 32, and over each level of
//! blocks lies one that holds the last end of each block, up to a single block. Counting the ends
//! below the key gives the block of the next level, and in the lowest level the cell.
//!
//! Invariants, checked by `codec` for stored bytes: `base <= last` in every cell, and below the
//! base of the next; the leaves of a cell without knots are those that its line names for the keys
//! from base to last. It follows that the leaf, and in it the coordinate, that [`Root::route`]
//! finds never decrease as the key grows, for all of the 2^64 keys, and that the leaf exists.

use std::ops::Range;

use crate::knots::{COORDINATES, Knotted};
use crate::linear::Line;
use crate::simd::Isa;

/// Ends narrowed to one in one step.
const BLOCK: usize = 32;

/// Levels that the ends of 2^32 cells fill.
const LEVELS_MAX: usize = 7;

/// Where a key lands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In a leaf, so far into it, in units of 2^-32.
    Leaf { leaf: u32, fraction: u32 },
    /// In a cell with knots, by its number, at that coordinate.
    Knotted { cell: u32, coordinate: u32 },
}

/// A stretch of the key space: its line, its largest stored key (the base of the line is the
/// smallest), and how many knots it has. Without knots, the line leads to leaves; with knots, the
/// cell is one leaf, and the line leads to coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) line: Line,
    pub(crate) last: u64,
    pub(crate) knots: u32,
}

impl Piece {
    /// How many leaves there are for the keys from base to last.
    pub(crate) fn leaves(&self) -> u64 {
        if self.knots > 0 { 1 } else { self.line.at(self.last).0 + 1 }
    }
}

/// A cell as lookups want it: half a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(32))]
struct Cell {
    line: Line,
    /// The last key; with knots, the positions of the cell, the end in the upper half.
    extent: u64,
    /// The first leaf; with knots, how many knots lie before.
    first: u32,
    knots: u32,
}

impl Cell {
    /// The cell as one with knots, if it has some.
    #[inline(always)]
    fn knotted(&self) -> Option<Knotted> {
        let (start, end) = (self.extent as u32, (self.extent >> 32) as u32);
        let knotted = Knotted { start, end, before: self.first, count: self.knots };
        (self.knots > 0).then_some(knotted)
    }
}

const _: () = assert!(size_of::<Cell>() == 32);

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
    /// A root over at least one piece, in order; `start_of` tells how many keys lie before a leaf.
    pub(crate) fn new(pieces: &[Piece], start_of: impl Fn(u32) -> u32) -> Self {
        debug_assert!(!pieces.is_empty());
        let (mut first_leaf, mut knots_before) = (0u32, 0u32);
        let mut cells = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let &Piece { line, last, knots } = piece;
            // The caller sees to it that all leaves and knots can be counted in 32 bits.
            let next_leaf = first_leaf.wrapping_add(piece.leaves() as u32);
            cells.push(match knots {
                0 => Cell { line, extent: last, first: first_leaf, knots },
                _ => {
                    let (start, end) = (start_of(first_leaf), start_of(next_leaf));
                    let extent = u64::from(end) << 32 | u64::from(start);
                    Cell { line, extent, first: knots_before, knots }
                }
            });
            first_leaf = next_leaf;
            knots_before = knots_before.wrapping_add(knots);
        }

        let bases = pieces.iter().skip(1).map(|piece| piece.line.base - 1);
        let mut ends: Vec<u64> = bases.chain([u64::MAX]).collect();
        let mut above = Vec::new();
        while ends.len() > 1 {
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

    /// Where `key` lands. Keys between two cells go to the end of the lower one, keys below all to
    /// the beginning of the first cell, keys above all to the end of the last.
    #[inline(always)]
    pub(crate) fn route<I: Isa>(&self, isa: I, key: u64) -> Place {
        let at = match self.blocks.first() {
            // Up to half a block of cells, as many workloads have: half of it is enough.
            Some(block) if self.cells.len() <= BLOCK / 2 => {
                block.0.first_chunk().map_or(0, |ends| isa.rank::<{ BLOCK / 2 }>(ends, key))
            }
            _ => self.narrow(isa, key),
        };
        let cell = &self.cells[at];
        match cell.knots {
            0 => {
                let (leaf, fraction) = cell.line.at(key.min(cell.extent).max(cell.line.base));
                // The last leaf may be wider than its keys: those above it are behind all of them.
                let is_above = key > cell.extent;
                let fraction =
                    std::hint::select_unpredictable(is_above, u32::MAX, (fraction >> 32) as u32);
                Place::Leaf { leaf: cell.first + leaf as u32, fraction }
            }
            _ => {
                let (coordinate, _) = cell.line.at(key.max(cell.line.base));
                let coordinate = coordinate.min(COORDINATES - 1) as u32;
                Place::Knotted { cell: at as u32, coordinate }
            }
        }
    }

    /// The cell of `key`, level by level.
    #[inline(always)]
    fn narrow<I: Isa>(&self, isa: I, key: u64) -> usize {
        let mut at = 0;
        for &first in &self.levels[..self.level_count] {
            at = at * BLOCK + isa.rank(&self.blocks[first as usize + at].0, key);
        }
        at
    }

    /// The cell of that number, if it has knots.
    #[inline(always)]
    pub(crate) fn knotted_cell(&self, cell: u32) -> Option<Knotted> {
        self.cells.get(cell as usize)?.knotted()
    }

    /// The cells with knots.
    pub(crate) fn knotted(&self) -> impl Iterator<Item = Knotted> + '_ {
        self.cells.iter().filter_map(Cell::knotted)
    }

    /// The leaves of each cell without knots.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let straight = self.cells.iter().filter(|cell| cell.knots == 0);
        straight.map(|cell| cell.first..cell.first + cell.line.at(cell.extent).0 as u32 + 1)
    }

    /// The smallest key of each cell, and the largest of those without knots.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn ends(&self) -> impl Iterator<Item = u64> + '_ {
        let last = |cell: &Cell| if cell.knots == 0 { cell.extent } else { cell.line.base };
        self.cells.iter().flat_map(move |cell| [cell.line.base, last(cell)])
    }

    /// Number of cells.
    pub(crate) fn cell_count(&self) -> usize {
        self.cells.len()
    }
}

/// A block of at most 32 ends; the places left over hold `u64::MAX`, which is below no key.
fn block_of(ends: &[u64]) -> Block {
    let mut block = [u64::MAX; BLOCK];
    block[..ends.len()].copy_from_slice(ends);
    Block(block)
}
