//! The first layer: which leaf a key belongs to.
//!
//! Built by `train` and by `codec`, asked by every lookup. The *knots* are ascending keys; cell
//! `c` holds the keys from `knot[c]` up to the next knot, and hands them to its own leaves by a
//! line. Knots are chosen so that cells hold about equally many keys, which makes one line per
//! cell good enough on almost any distribution: an outlier costs one cell, not the whole model.
//!
//! The cell is found in two steps, each of which narrows 16 knots to one without a branch to
//! mispredict; the 2 KiB of knots stay in the first-level cache.
//!
//! Invariants, checked by `codec` for stored bytes: knots strictly ascend and none is above
//! `last`; the first leaves of the cells strictly ascend from 0. It follows that [`Root::route`]
//! never decreases as the key grows, for all of the 2^64 keys, and always returns a leaf.

use crate::linear::Line;
use crate::search::partition_16;

/// Most cells a root may have.
pub(crate) const CELLS_MAX: usize = BLOCK * BLOCK;

/// Knots narrowed to one in one step.
const BLOCK: usize = 16;

/// Where a key lands: its leaf, and how far into the leaf, in units of 2^-64.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) leaf: usize,
    pub(crate) fraction: u64,
}

/// One cell: its line and the first of its leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    line: Line,
    first_leaf: u32,
}

/// The root model: at most [`CELLS_MAX`] cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    first: u64,
    last: u64,
    /// The first knot of each block; unused places hold `u64::MAX`.
    block_firsts: [u64; BLOCK],
    /// All knots; unused places of the last block hold `u64::MAX`.
    blocks: Vec<[u64; BLOCK]>,
    cells: Vec<Cell>,
}

impl Root {
    /// A root over `knots`, whose cell `c` starts at leaf `first_leaves[c]`. `last` is the largest
    /// key, `leaf_count` the number of leaves of all cells together.
    pub(crate) fn new(knots: &[u64], last: u64, first_leaves: &[u32], leaf_count: u32) -> Self {
        debug_assert!(!knots.is_empty() && knots.len() <= CELLS_MAX);
        debug_assert!(knots.len() == first_leaves.len());
        let mut blocks = vec![[u64::MAX; BLOCK]; knots.len().div_ceil(BLOCK)];
        let mut block_firsts = [u64::MAX; BLOCK];
        let mut cells = Vec::with_capacity(knots.len());
        for (c, (&knot, &first_leaf)) in knots.iter().zip(first_leaves).enumerate() {
            blocks[c / BLOCK][c % BLOCK] = knot;
            if c % BLOCK == 0 {
                block_firsts[c / BLOCK] = knot;
            }
            let cell_last = knots.get(c + 1).map_or(last, |next| next - 1);
            let next_leaf = first_leaves.get(c + 1).copied().unwrap_or(leaf_count);
            let line = Line::new(knot, cell_last, next_leaf - first_leaf);
            cells.push(Cell { line, first_leaf });
        }
        Self { first: knots[0], last, block_firsts, blocks, cells }
    }

    /// The leaf of `key`. Keys outside the trained span go to the first or the last leaf.
    #[inline]
    pub(crate) fn route(&self, key: u64) -> Place {
        let key = key.max(self.first).min(self.last);
        self.place_in(self.cell_of(key), key)
    }

    /// The leaf of `key`, which is known to belong to cell `cell`.
    #[inline]
    pub(crate) fn place_in(&self, cell: usize, key: u64) -> Place {
        let cell = &self.cells[cell];
        let (leaf, fraction) = cell.line.at(key);
        Place { leaf: (cell.first_leaf + leaf) as usize, fraction }
    }

    /// The cell of `key`, which lies between the first and the last trained key.
    ///
    /// The unused places count as knots only for the key `u64::MAX`; the two minima undo that.
    #[inline]
    fn cell_of(&self, key: u64) -> usize {
        let block = partition_16(&self.block_firsts, |knot| knot <= key).min(self.blocks.len()) - 1;
        let within = partition_16(&self.blocks[block], |knot| knot <= key);
        (block * BLOCK + within).min(self.cells.len()) - 1
    }

    /// The knots in order.
    pub(crate) fn knots(&self) -> impl Iterator<Item = u64> + '_ {
        self.blocks.iter().flatten().copied().take(self.cells.len())
    }

    /// The first leaf of each cell, in order.
    pub(crate) fn first_leaves(&self) -> impl Iterator<Item = u32> + '_ {
        self.cells.iter().map(|cell| cell.first_leaf)
    }

    /// The largest trained key.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Number of cells.
    pub(crate) fn cell_count(&self) -> usize {
        self.cells.len()
    }
}
