//! Fitting: which cells a chunk of keys gets, and how many leaves.
//!
//! Called by `train` with one chunk after the other. All decisions weigh bytes against the *cost*
//! of a layout: how far, in halvings beyond the window of the last-mile search, the hints are from
//! the keys, averaged over a sample of the keys.
//!
//! 1. A chunk whose keys go on along the line of the last cell, at low cost, becomes part of it.
//! 2. Else it becomes cells of its own. Each gets the fewest leaves that keep the cost low.
//! 3. Where even many leaves do not, the keys are bent: the cell is cut in two at a wide gap near
//!    its middle, or at one so wide that it spoils the line, as long as the cells stay large enough
//!    to be worth their bytes.
//!
//! None of this affects what is right. Invariants: cells ascend and do not overlap; every key
//! added lies in a cell; equal keys lie in one leaf; `starts[l]` is the number of keys before leaf
//! `l`. The same keys give the same cells on every machine: integers only.

use std::cmp::Reverse;
use std::ops::Range;

use crate::linear::Line;
use crate::rmi::Rmi;
use crate::root::Piece;
use crate::simd::WINDOW;

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

/// Every how many keys one is taken as a sample, by which layouts are judged.
const SAMPLE_STEP: usize = 4;

/// Every how many samples one is looked at to estimate the cost.
const COST_STEP: usize = 4;

/// The reach of a cell whose hints are good: half the window.
const REACH_MIN: u32 = (WINDOW / 2) as u32;

/// Errors of up to so many bits are left to following up, which is quicker than halving at once.
const REACH_BITS_MIN: usize = 6;

/// One key of so many may lie beyond the reach of its cell.
const REACH_MISSES: u64 = 32;

/// Makes cells of keys that arrive in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Fitter {
    shape: Shape,
    pieces: Vec<Piece>,
    /// How many keys lie before each leaf.
    starts: Vec<u32>,
    /// Keys of the chunk at hand, every [`SAMPLE_STEP`].
    sample: Vec<u64>,
    /// Roughly how many keys of the chunk lie before each leaf of a layout that is looked at.
    trial: Vec<u32>,
}

impl Fitter {
    /// A fitter that has seen no key.
    pub(crate) fn new() -> Self {
        Self::with_shape(Shape::STANDARD)
    }

    /// A fitter that aims at another shape.
    pub(crate) fn with_shape(shape: Shape) -> Self {
        let (pieces, starts) = (Vec::new(), Vec::new());
        Self { shape, pieces, starts, sample: Vec::new(), trial: Vec::new() }
    }

    /// Adds keys that ascend, none below an earlier one; `position` keys were added before.
    pub(crate) fn add(&mut self, keys: &[u64], position: u32) {
        // Equal keys belong in one leaf. The last leaf is open-ended, so it needs no entry.
        let repeated = match self.pieces.last() {
            Some(piece) => keys.partition_point(|&key| key <= piece.last),
            None => 0,
        };
        let (keys, position) = (&keys[repeated..], position + repeated as u32);
        if keys.is_empty() {
            return;
        }
        self.sample.clear();
        self.sample.extend(keys.iter().step_by(SAMPLE_STEP));
        if !self.proceed(keys, position) {
            let cells_max = keys.len() / self.shape.cell_keys_min + 1;
            self.divide(keys, 0..keys.len(), position, cells_max);
        }
    }

    /// The index over the keys added, `count` in all.
    pub(crate) fn finish(mut self, count: u32) -> Rmi {
        if self.pieces.is_empty() {
            self.pieces.push(Piece { line: Line { base: 0, factor: 0 }, last: 0, reach: 0 });
            self.starts.push(0);
        }
        Rmi::assemble(&self.pieces, &self.starts, count)
    }

    /// Makes the chunk part of the last cell if its keys go on along the line.
    fn proceed(&mut self, keys: &[u64], position: u32) -> bool {
        let (Some(&Piece { line, last, .. }), [.., end]) = (self.pieces.last(), keys) else {
            return false;
        };
        let (first_leaf, last_leaf) = (line.at(last).0, line.at(*end).0);
        let leaves = last_leaf - first_leaf;
        if leaves > (keys.len() / self.shape.leaf_keys_min) as u64 + 1
            || leaves * (2 * self.shape.leaf_keys_max as u64) < keys.len() as u64
        {
            return false;
        }
        let layout = Layout { line, first_leaf, leaves: leaves as usize + 1 };
        if self.judge(layout, 0..keys.len()).cost > self.shape.cost_continue {
            return false;
        }
        count_starts(&mut self.starts, layout, keys, position, true);
        if let Some(piece) = self.pieces.last_mut() {
            piece.last = *end;
        }
        true
    }

    /// Makes at most `cells_max` cells of the part `range` of the chunk.
    fn divide(&mut self, keys: &[u64], range: Range<usize>, position: u32, cells_max: usize) {
        let [base, .., last] = keys[range.clone()] else {
            return self.push(&keys[range.clone()], position + range.start as u32, 1, REACH_MIN);
        };
        let sample = &self.sample[samples_of(&range)];
        let pairs = sample.iter().zip(sample.iter().skip(1));
        let changes: usize = pairs.map(|(a, b)| usize::from(a < b)).sum();
        let changes = SAMPLE_STEP * changes;
        let finest = (changes / self.shape.leaf_keys_min + 1) as u64;
        let line = Line::new(base, last, finest);
        let layout = Layout { line, first_leaf: 0, leaves: line.at(last).0 as usize + 1 };
        let mut verdict = self.judge(layout, range.clone());
        if verdict.cost > self.shape.cost_good
            && cells_max > 1
            && let Some(cut) = self.choose_cut(keys, range.clone())
        {
            let share = cells_max * (cut - range.start) / (range.end - range.start);
            let cells_low = share.clamp(1, cells_max - 1);
            self.divide(keys, range.start..cut, position, cells_low);
            self.divide(keys, cut..range.end, position, cells_max - cells_low);
            return;
        }
        // Fewer leaves, each a whole number of the finest, while that costs little.
        let mut merged = 0;
        while finest >> merged > (changes / self.shape.leaf_keys_max) as u64 + 1 {
            let coarser = self.judge_merged(layout, range.clone(), merged + 1);
            if coarser.cost > self.shape.cost_good {
                break;
            }
            (verdict, merged) = (coarser, merged + 1);
        }
        let leaves = (finest >> merged).max(1);
        let position = position + range.start as u32;
        self.push(&keys[range], position, leaves, verdict.reach);
    }

    /// Makes one cell of the keys, with about so many leaves.
    fn push(&mut self, keys: &[u64], position: u32, leaves: u64, reach: u32) {
        let ([base, ..], [.., last]) = (keys, keys) else { return };
        let piece = Piece { line: Line::new(*base, *last, leaves), last: *last, reach };
        let leaves = piece.leaves() as usize;
        let layout = Layout { line: piece.line, first_leaf: 0, leaves };
        count_starts(&mut self.starts, layout, keys, position, false);
        self.pieces.push(piece);
    }

    /// Judges a layout of part of the chunk.
    fn judge(&mut self, layout: Layout, range: Range<usize>) -> Verdict {
        self.trial.clear();
        self.trial.resize(layout.leaves + 1, 0);
        let samples = samples_of(&range);
        for (&key, i) in self.sample[samples.clone()].iter().zip(samples) {
            // About as many keys lie before the next leaf.
            self.trial[layout.leaf(key) + 1] = (i * SAMPLE_STEP + SAMPLE_STEP / 2) as u32;
        }
        self.trial[layout.leaves] = range.end as u32;
        let mut start = range.start as u32;
        for entry in &mut self.trial {
            start = start.max(*entry);
            *entry = start;
        }
        self.judge_merged(layout, range, 0)
    }

    /// Judges the layout that was looked at last, if 2 to the power of `merged` leaves are made
    /// one.
    fn judge_merged(&self, layout: Layout, range: Range<usize>, merged: u32) -> Verdict {
        let at = |leaf: usize| u64::from(self.trial[leaf.min(layout.leaves)]);
        // How many errors there are of how many bits.
        let mut errors = [0; 1 + u32::BITS as usize];
        let (mut previous, mut position) = (None, 0);
        for i in samples_of(&range).step_by(COST_STEP) {
            // Of equal keys the first is looked for.
            if previous != Some(self.sample[i]) {
                (previous, position) = (Some(self.sample[i]), (i * SAMPLE_STEP) as u64);
            }
            let (leaf, fraction) = layout.line.at(self.sample[i]);
            let leaf = (leaf - layout.first_leaf) as usize;
            let first = leaf >> merged << merged;
            let (start, end) = (at(first), at(first + (1 << merged)));
            // How far the key lies into the merged leaf, in units of 2^-32.
            let into = (((leaf - first) as u64) << 32 | fraction >> 32) >> merged;
            let hint = start + ((into * (end - start)) >> 32);
            let error = hint.abs_diff(position) as u32;
            errors[(u32::BITS - error.leading_zeros()) as usize] += 1;
        }
        Verdict::of(&errors)
    }

    /// Where to cut keys that are bent: the start of the second part. `None` if no place is found.
    ///
    /// The widest gap of the middle half, unless a gap elsewhere takes a quarter of the whole span.
    fn choose_cut(&self, keys: &[u64], range: Range<usize>) -> Option<usize> {
        let samples = samples_of(&range);
        let quarter = samples.len() / 4;
        let inside = samples.start + quarter..samples.end - quarter;
        let (gap, at) = self.widest_gap(samples);
        let (gap_inside, at_inside) = self.widest_gap(inside);
        let is_spoiling = gap > (keys[range.end - 1] - keys[range.start]) / 4;
        let at = if is_spoiling || gap_inside == 0 { at } else { at_inside };
        // Between sample `at` and the next lie the keys of which two are that far apart.
        let from = (at * SAMPLE_STEP).min(range.end - 1);
        let around = &keys[from..range.end.min(from + SAMPLE_STEP + 1)];
        let gaps = around.iter().zip(around.iter().skip(1)).map(|(a, b)| b - a).zip(from + 1..);
        let (gap, cut) = gaps.max_by_key(|&(gap, cut)| (gap, Reverse(cut)))?;
        (gap > 0).then_some(cut)
    }

    /// The widest gap between neighbours among these samples, and the sample below it.
    fn widest_gap(&self, samples: Range<usize>) -> (u64, usize) {
        let mut widest = (0, samples.start);
        for (pair, at) in self.sample[samples.clone()].windows(2).zip(samples) {
            let gap = pair[1] - pair[0];
            if gap > widest.0 {
                widest = (gap, at);
            }
        }
        widest
    }
}

/// What is to be expected of a layout.
struct Verdict {
    /// In 1/16 of a halving per key.
    cost: u64,
    /// How far nearly all keys are from their hints at most.
    reach: u32,
}

impl Verdict {
    /// `errors[b]` hints are off by a number of `b` bits.
    fn of(errors: &[u64; 1 + u32::BITS as usize]) -> Self {
        let count: u64 = errors.iter().sum();
        // Errors of up to two bits are within the window.
        let halvings: u64 =
            errors.iter().zip(0u64..).map(|(n, bits)| n * bits.saturating_sub(2)).sum();
        let mut bits = REACH_BITS_MIN;
        while errors[bits + 1..].iter().sum::<u64>() * REACH_MISSES > count {
            bits += 1;
        }
        let reach = if bits == REACH_BITS_MIN { REACH_MIN } else { 1 << bits.min(31) };
        Verdict { cost: 16 * halvings / count.max(1), reach }
    }
}

/// Some leaves of a line.
#[derive(Clone, Copy)]
struct Layout {
    line: Line,
    first_leaf: u64,
    leaves: usize,
}

impl Layout {
    /// The leaf of a key, counted from the first.
    #[inline]
    fn leaf(&self, key: u64) -> usize {
        (self.line.at(key).0 - self.first_leaf) as usize
    }
}

/// The samples among the keys `range` of a chunk.
fn samples_of(range: &Range<usize>) -> Range<usize> {
    range.start.div_ceil(SAMPLE_STEP)..range.end.div_ceil(SAMPLE_STEP)
}

/// Appends how many keys are routed before each leaf, `position` keys lying before the given ones;
/// not for the first leaf if that is there already.
fn count_starts(
    starts: &mut Vec<u32>,
    layout: Layout,
    keys: &[u64],
    position: u32,
    has_first: bool,
) {
    let from = starts.len() - usize::from(has_first);
    starts.resize(from + layout.leaves + 1, 0);
    let new = &mut starts[from..];
    if !has_first {
        new[0] = position;
    }
    for (i, &key) in keys.iter().enumerate() {
        // The last key routed to a leaf leaves the start of the next one.
        new[layout.leaf(key) + 1] = position + 1 + i as u32;
    }
    let mut start = position;
    for entry in &mut new[1..] {
        // An empty leaf ends where it begins.
        start = start.max(*entry);
        *entry = start;
    }
    starts.truncate(from + layout.leaves);
}
