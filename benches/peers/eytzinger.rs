//! Eytzinger layout: binary search over keys stored in the order of a breadth-first walk, so that
//! the first steps share cache lines and the later ones can be prefetched.
//!
//! Node `k` (from 1) has the children `2k` and `2k + 1`; its descendants three levels down are
//! eight neighbours in one line, asked for when the search is at `k`. The position of a node among
//! the sorted keys follows from its number, so nothing else is stored.

use std::hint::select_unpredictable;

use super::{Contender, prefetch};
use crate::workload::MISS;

/// Keys in Eytzinger layout.
#[derive(Debug)]
pub struct Eytzinger {
    /// Nodes by number, eight to a cache line. Node 0, has no key.
    lines: Vec<[u64; 8]>,
    key_count: usize,
    /// Levels of the tree; the last may be partly filled.
    levels: u32,
}

impl Eytzinger {
    /// Lays out sorted keys.
    pub fn new(keys: &[u64]) -> Self {
        let levels = usize::BITS - keys.len().leading_zeros();
        let lines = vec![[0; 8]; (keys.len() + 1).div_ceil(8)];
        let mut tree = Self { lines, key_count: keys.len(), levels };
        for node in 1..=keys.len() {
            tree.lines[node / 8][node % 8] = keys[tree.position(node)];
        }
        tree
    }

    /// The position of a node's key among the sorted keys.
    #[inline(always)]
    fn position(&self, node: usize) -> usize {
        let depth = usize::BITS - 1 - node.leading_zeros();
        let last = self.levels - 1;
        // Were the last level full, ...
        let full = ((2 * (node - (1 << depth)) + 1) << (last - depth)) - 1;
        // ... every second position would be on it; take off those that are missing.
        let on_last = self.key_count + 1 - (1 << last);
        full - full.div_ceil(2).saturating_sub(on_last)
    }

    /// The node of the smallest key not below `key`; 0 if there is none.
    #[inline(always)]
    fn lower_bound(&self, nodes: &[u64], key: u64) -> usize {
        let mut node = 1;
        for _ in 1..self.levels {
            prefetch::at(self.lines.as_ptr().wrapping_add(node));
            node = 2 * node + usize::from(nodes[node] < key);
        }
        // A node missing on the last level is passed on the right, which the way back undoes; the
        // number of steps is the same for all keys.
        let is_missing = node > self.key_count;
        let stored = select_unpredictable(is_missing, 0, node);
        node = 2 * node + usize::from(is_missing | (nodes[stored] < key));
        // Back to where the search last went left.
        node >> (node.trailing_ones() + 1)
    }
}

impl Contender for Eytzinger {
    fn name(&self) -> &'static str {
        "Eytzinger"
    }

    #[inline(always)]
    fn find(&self, key: u64) -> usize {
        let nodes = self.lines.as_flattened();
        let node = self.lower_bound(nodes, key);
        let is_found = (node != 0) & (nodes[node] == key);
        select_unpredictable(is_found, self.position(node.max(1)), MISS)
    }
}
