//! Fitting: which cells a chunk of keys gets, and how many leaves.
//!
//! Called by `train` with one chunk after the other. All decisions weigh bytes against the *cost*
//! of a layout: how far, in halvings beyond the window of the last-mile search, the hints are from the
//! keys, averaged over a sample of the keys.
//!
//! 1. A chunk whose keys go on along the line of the last cell, at low cost, becomes part of it.
//! 2. Else it becomes cells of its own. Each gets the fewest leaves that keep the cost low.
//! 3. Where even many leaves do not, the keys are bent: the cell is cut in two at a wide gap near
//!    its middle, or at one so wide that it spoils the line, as long as the cells stay large enough to
//!    be worth their bytes.
//!
//! None of this affects what is right. Invariants: cells ascend and do not overlap; every key
//! added lies in a cell; equal keys lie in one leaf; `starts[l]` is the number of keys before leaf
//! `l`. The same keys give the same cells on every machine: integers only.

use crate::linear::Line;
use crate::rmi::Rmi;
use crate::root::Piece;

/// How finely keys are divided. It decides the size and the sharpness of an index, never whether
/// it is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Fewest distinct keys per leaf, on average over a cell: 4 bytes for so many keys.
    pub(crate) leaf_keys_min: usize,
    /// Most keys per leaf that a cell aims at.
    pub(crate) leaf_keys_max: usize,
    /// Keys for each of which a chunk may have one more cell.
    pub(crate) cell_keys_min: usize,
    /// Cost, in 1/16 of a halving per key, up to which a layout is good.
    pub(crate) cost_good: u64,
    /// Cost up to which a cell may be continued.
    pub(crate) cost_continue: u64,
}

impl Shape {
    /// The shape chosen by measurement.
    pub(crate) const STANDARD: Shape = Shape {
        leaf_keys_min: 20,
        leaf_keys_max: 256,
        cell_keys_min: 512,
        cost_good: 4,
        cost_continue: 6,
    };
}

/// Every how many keys one is looked at to estimate the cost.
const SAMPLE_STEP: usize = 8;

/// Makes cells of keys that arrive in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Fitter {
    shape: Shape,
    pieces: Vec<Piece>,
    /// How many keys lie before each leaf.
    starts: Vec<u32>,
    /// Leaves of all pieces but the last.
    closed_leaves: usize,
    /// The starts of a layout that is being looked at, counted from its first key.
    trial: Vec<u32>,
}

impl Fitter {
    /// A fitter that has seen no key.
    pub(crate) fn new() -> Self {
        Self::with_shape(Shape::STANDARD)
    }

    /// A fitter that aims at another shape.
    pub(crate) fn with_shape(shape: Shape) -> Self {
        let (pieces, starts, trial) = (Vec::new(), Vec::new(), Vec::new());
        Self { shape, pieces, starts, closed_leaves: 0, trial }
    }

    /// Adds keys that ascend, none below an earlier one; `position` keys were added before.
    pub(crate) fn add(&mut self, keys: &[u64], position: u32) {
        // Equal keys belong in one leaf. The last leaf is open-ended, so it needs no entry.
        let repeated = match self.pieces.last() {
            Some(piece) => keys.partition_point(|&key| key <= piece.last),
            None => 0,
        };
        let (keys, position) = (&keys[repeated..], position + repeated as u32);
        if !keys.is_empty() && !self.proceed(keys, position) {
            let cells_max = keys.len() / self.shape.cell_keys_min + 1;
            self.divide(keys, position, cells_max);
        }
    }

    /// The index over the keys added, `count` in all.
    pub(crate) fn finish(mut self, count: u32) -> Rmi {
        if self.pieces.is_empty() {
            self.pieces.push(Piece { line: Line { base: 0, factor: 0 }, last: 0 });
            self.starts.push(0);
        }
        Rmi::assemble(&self.pieces, &self.starts, count)
    }

    /// Makes the keys part of the last cell if they go on along its line.
    fn proceed(&mut self, keys: &[u64], position: u32) -> bool {
        let (Some(&Piece { line, last }), [.., end]) = (self.pieces.last(), keys) else {
            return false;
        };
        let (first_leaf, last_leaf) = (line.at(last).0, line.at(*end).0);
        let leaves = last_leaf - first_leaf;
        if leaves > (keys.len() / self.shape.leaf_keys_min) as u64 + 1
            || leaves * (2 * self.shape.leaf_keys_max as u64) < keys.len() as u64
        {
            return false;
        }
        // Keys in the leaf of the last key so far share it with earlier ones: close enough.
        count_starts(&mut self.trial, line, first_leaf, leaves as usize + 1, keys);
        if cost(&self.trial, line, first_leaf, 0, keys) > self.shape.cost_continue {
            return false;
        }
        self.starts.extend(self.trial[1..].iter().map(|start| position + start));
        if let Some(piece) = self.pieces.last_mut() {
            piece.last = *end;
        }
        true
    }

    /// Makes at most `cells_max` cells of the keys.
    fn divide(&mut self, keys: &[u64], position: u32, cells_max: usize) {
        let [base, .., last] = *keys else {
            return self.push(keys, position, 1);
        };
        let changes: usize = keys.iter().zip(&keys[1..]).map(|(a, b)| usize::from(a < b)).sum();
        let finest = (changes / self.shape.leaf_keys_min + 1) as u64;
        let line = Line::new(base, last, finest);
        count_starts(&mut self.trial, line, 0, line.at(last).0 as usize + 1, keys);
        let mut cost_here = cost(&self.trial, line, 0, 0, keys);
        if cost_here > self.shape.cost_good
            && cells_max > 1
            && let Some(cut) = choose_cut(keys)
        {
            let (low, high) = keys.split_at(cut);
            let cells_low = (cells_max * cut / keys.len()).clamp(1, cells_max - 1);
            self.divide(low, position, cells_low);
            self.divide(high, position + cut as u32, cells_max - cells_low);
            return;
        }
        // Fewer leaves, each a whole number of the finest, while that costs little.
        let mut merged = 0;
        while cost_here <= self.shape.cost_good
            && finest >> merged > (changes / self.shape.leaf_keys_max) as u64 + 1
        {
            cost_here = cost(&self.trial, line, 0, merged + 1, keys);
            merged += u32::from(cost_here <= self.shape.cost_good);
        }
        self.push(keys, position, (finest >> merged).max(1));
    }

    /// Makes one cell of the keys, with about so many leaves.
    fn push(&mut self, keys: &[u64], position: u32, leaves: u64) {
        let ([base, ..], [.., last]) = (keys, keys) else { return };
        let piece = Piece { line: Line::new(*base, *last, leaves), last: *last };
        count_starts(&mut self.trial, piece.line, 0, piece.leaves() as usize, keys);
        self.starts.extend(self.trial.iter().map(|start| position + start));
        self.pieces.push(piece);
    }
}

/// How many of the keys are routed before each of `leaves` leaves, the first of which is leaf
/// `first_leaf` of the line.
fn count_starts(starts: &mut Vec<u32>, line: Line, first_leaf: u64, leaves: usize, keys: &[u64]) {
    starts.clear();
    starts.resize(leaves + 1, 0);
    for (&key, position) in keys.iter().zip(1..) {
        // The last key routed to a leaf leaves the start of the next one.
        starts[(line.at(key).0 - first_leaf) as usize + 1] = position;
    }
    let mut start = 0;
    for entry in starts.iter_mut() {
        // An empty leaf ends where it begins.
        start = start.max(*entry);
        *entry = start;
    }
    starts.truncate(leaves);
}

/// Cost of a layout, in 1/16 of a halving per key, if 2 to the power of `merged` leaves are made
/// one.
fn cost(starts: &[u32], line: Line, first_leaf: u64, merged: u32, keys: &[u64]) -> u64 {
    let at = |leaf: usize| starts.get(leaf).map_or(keys.len() as u64, |&start| u64::from(start));
    let mut halvings = 0;
    let mut samples = 0;
    for (position, &key) in keys.iter().enumerate().step_by(SAMPLE_STEP) {
        let (leaf, fraction) = line.at(key);
        let leaf = (leaf - first_leaf) as usize;
        let first = leaf >> merged << merged;
        let (start, end) = (at(first), at(first + (1 << merged)));
        // How far the key lies into the merged leaf, in units of 2^-32.
        let into = (((leaf - first) as u64) << 32 | fraction >> 32) >> merged;
        let hint = start + ((into * (end - start)) >> 32);
        halvings += u64::from(u64::BITS - (hint.abs_diff(position as u64) / 4).leading_zeros());
        samples += 1;
    }
    16 * halvings / samples.max(1)
}

/// Where to cut keys that are bent: the start of the second part. `None` if they are all equal.
///
/// The widest gap of the middle half, unless a gap elsewhere takes a quarter of the whole span.
fn choose_cut(keys: &[u64]) -> Option<usize> {
    let ([base, ..], [.., last]) = (keys, keys) else { return None };
    let (mut widest, mut widest_inside) = ((0, 0), (0, 0));
    let inside = keys.len() / 4..keys.len() - keys.len() / 4;
    for (i, pair) in keys.windows(2).enumerate() {
        let gap = pair[1] - pair[0];
        if gap > widest.0 {
            widest = (gap, i + 1);
        }
        if gap > widest_inside.0 && inside.contains(&(i + 1)) {
            widest_inside = (gap, i + 1);
        }
    }
    let chosen = match widest.0 > (last - base) / 4 || widest_inside.0 == 0 {
        true => widest,
        false => widest_inside,
    };
    (chosen.0 > 0).then_some(chosen.1)
}
