//! Fitting: which cells a chunk of keys gets, and how many leaves.
//!
//! Called by `train` with one chunk after the other. All decisions weigh bytes against the *cost*
//! of a layout: how far, in halvings beyond the window of the last-mile search, the hints are from
//! the keys, averaged over a sample of the keys.
//!
//! 1. A chunk whose keys go on along the line of the last cell, at low cost, becomes part of it.
//! 2. Else it becomes cells of its own. Each gets the fewest leaves that keep the cost low.
//! 3. Where even many leaves do not, the keys are bent. They are cut in two at a gap so wide that
//!    it spoils the line, if there is one, and else into parts of a thousand keys, which get knots
//!    (see `knots`). Short parts are cut further while their knots are equal too often and further
//!    cells are worth their bytes.
//!
//! None of this affects what is right. Invariants: cells ascend and do not overlap; every key
//! added lies in a cell; equal keys lie in one leaf; `starts[l]` is the number of keys before leaf
//! `l`. The same keys give the same cells on every machine: integers only.

use std::cmp::Reverse;
use std::ops::Range;

use crate::knots::{self, COORDINATES};
use crate::linear::Line;
use crate::rmi::Rmi;
use crate::root::Piece;
use crate::simd::{KNOTS_MAX, WINDOW};

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
    /// Cost up to which a layout of a part of a bent chunk is good. Where cells with leaves and
    /// cells with knots alternate, which a lookup comes to cannot be predicted.
    pub(crate) cost_part: u64,
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
        cost_part: 0,
        cost_continue: 6,
    };
}

/// Every how many keys one is taken as a sample, by which layouts are judged.
const SAMPLE_STEP: usize = 4;

/// Every how many samples one is looked at to estimate the cost.
const COST_STEP: usize = 4;

/// Most keys of a cell with knots: they have at most as many knots as are compared at once,
/// wherever they begin.
const KNOTTED_MAX: usize = WINDOW * KNOTS_MAX;

/// One knot of so many may be equal to the one before without another cut being made for it.
const TIES: usize = 8;

/// Makes cells of keys that arrive in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Fitter {
    shape: Shape,
    pieces: Vec<Piece>,
    /// How many keys lie before each leaf.
    starts: Vec<u32>,
    /// The bytes of the knots.
    knots: Vec<u8>,
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
        let (pieces, starts, knots) = (Vec::new(), Vec::new(), Vec::new());
        Self { shape, pieces, starts, knots, sample: Vec::new(), trial: Vec::new() }
    }

    /// Adds keys that ascend, none below an earlier one; `position` keys were added before.
    pub(crate) fn add(&mut self, keys: &[u64], position: u32) {
        // Equal keys belong in one leaf.
        let repeated = match self.pieces.last() {
            Some(piece) => keys.partition_point(|&key| key <= piece.last),
            None => 0,
        };
        let (keys, position) = (&keys[repeated..], position + repeated as u32);
        self.repeat_last(position);
        if keys.is_empty() {
            return;
        }
        self.sample.clear();
        self.sample.extend(keys.iter().step_by(SAMPLE_STEP));
        if !self.proceed(keys, 0..keys.len(), position) {
            let cells_max = keys.len() / self.shape.cell_keys_min + 1;
            self.divide(keys, 0..keys.len(), position, cells_max, self.shape.cost_good);
        }
    }

    /// The index over the keys added, `count` in all.
    pub(crate) fn finish(mut self, count: u32) -> Rmi {
        if self.pieces.is_empty() {
            self.pieces.push(Piece { line: Line { base: 0, factor: 0 }, last: 0, knots: 0 });
            self.starts.push(0);
        }
        Rmi::assemble(&self.pieces, &self.starts, &self.knots, count)
    }

    /// Makes the last cell end at the position `end`, all that was added being its last key.
    ///
    /// Its last leaf is open-ended, so that takes nothing but the knots of further blocks.
    fn repeat_last(&mut self, end: u32) {
        if let (Some(piece), Some(&start)) = (self.pieces.last_mut(), self.starts.last())
            && piece.knots > 0
        {
            let (had, has) = (piece.knots as usize, knots::count(&(start..end)));
            let last = piece.line.at(piece.last).0 as u32;
            knots::repeat(&mut self.knots, had, has - had, last);
            piece.knots = has as u32;
        }
    }

    /// Makes a part of the chunk part of the last cell if its keys go on along the line.
    fn proceed(&mut self, keys: &[u64], range: Range<usize>, position: u32) -> bool {
        let part = &keys[range.clone()];
        let (Some(&Piece { line, last, knots: 0 }), [.., end]) = (self.pieces.last(), part) else {
            return false;
        };
        let (first_leaf, last_leaf) = (line.at(last).0, line.at(*end).0);
        let leaves = last_leaf - first_leaf;
        if leaves > (part.len() / self.shape.leaf_keys_min) as u64 + 1
            || (leaves + 1) * (2 * self.shape.leaf_keys_max as u64) < part.len() as u64
        {
            return false;
        }
        let layout = Layout { line, first_leaf, leaves: leaves as usize + 1 };
        if self.judge(layout, range.clone()) > self.shape.cost_continue {
            return false;
        }
        count_starts(&mut self.starts, layout, part, position + range.start as u32, true);
        if let Some(piece) = self.pieces.last_mut() {
            piece.last = *end;
        }
        true
    }

    /// Makes at most `cells_max` cells of the part `range` of the chunk.
    fn divide(
        &mut self,
        keys: &[u64],
        range: Range<usize>,
        position: u32,
        cells_max: usize,
        cost_max: u64,
    ) {
        let part = &keys[range.clone()];
        let [base, .., last] = *part else {
            return self.push(part, position + range.start as u32, 1);
        };
        let finest = self.finest(&range);
        let line = Line::new(base, last, finest);
        let layout = Layout { line, first_leaf: 0, leaves: line.at(last).0 as usize + 1 };
        if self.judge(layout, range.clone()) > cost_max {
            return self.bend(keys, range, position, cells_max);
        }
        // Fewer leaves, each a whole number of the finest, while that costs little.
        let mut merged = 0;
        let fewest = finest * self.shape.leaf_keys_min as u64 / self.shape.leaf_keys_max as u64 + 1;
        while finest >> merged > fewest
            && self.judge_merged(layout, range.clone(), merged + 1) <= cost_max
        {
            merged += 1;
        }
        self.push(part, position + range.start as u32, (finest >> merged).max(1));
    }

    /// The most leaves that this part of the chunk may have.
    fn finest(&self, range: &Range<usize>) -> u64 {
        let sample = &self.sample[samples_of(range)];
        let pairs = sample.iter().zip(sample.iter().skip(1));
        let changes: usize = pairs.map(|(a, b)| usize::from(a < b)).sum();
        (SAMPLE_STEP * changes / self.shape.leaf_keys_min + 1) as u64
    }

    /// Makes cells of a part of the chunk that lies on no line: about `cells_max`, if it takes cuts
    /// to tell its blocks apart.
    fn bend(&mut self, keys: &[u64], range: Range<usize>, position: u32, cells_max: usize) {
        let part = &keys[range.clone()];
        let line = Line::new(part[0], part[part.len() - 1], COORDINATES);
        let is_short = part.len() <= KNOTTED_MAX;
        if is_short && TIES * WINDOW * knots::ties(line, part) <= part.len() {
            return self.push_knotted(line, part, position + range.start as u32);
        }
        if cells_max > 1
            && let Some(cut) = self.spoiling_gap(keys, range.clone())
        {
            let cells_low = (cells_max * (cut - range.start) / part.len()).clamp(1, cells_max - 1);
            let cost = self.shape.cost_part;
            // The keys before the gap may go on along the line of the last cell.
            if !self.proceed(keys, range.start..cut, position) {
                self.divide(keys, range.start..cut, position, cells_low, cost);
            }
            self.divide(keys, cut..range.end, position, cells_max - cells_low, cost);
            return;
        }
        if is_short && 2 * WINDOW * knots::ties(line, part) <= part.len() {
            return self.push_knotted(line, part, position + range.start as u32);
        }
        if is_short {
            // Knots would be equal more often than not: the same keys over and over.
            return self.push(part, position + range.start as u32, self.finest(&range));
        }
        let half = part.len().div_ceil(2 * KNOTTED_MAX) * KNOTTED_MAX;
        // Equal keys belong in one cell.
        let low = match part.partition_point(|&key| key < part[half]) {
            0 => part.partition_point(|&key| key <= part[half]),
            low => low,
        };
        if low == part.len() {
            return self.push(part, position + range.start as u32, 1);
        }
        let cells_low = (cells_max * low / part.len()).max(1);
        self.bend(keys, range.start..range.start + low, position, cells_low);
        let cells_high = cells_max.saturating_sub(cells_low).max(1);
        self.bend(keys, range.start + low..range.end, position, cells_high);
    }

    /// Makes one cell of the keys, with about so many leaves.
    fn push(&mut self, keys: &[u64], position: u32, leaves: u64) {
        let ([base, ..], [.., last]) = (keys, keys) else { return };
        let piece = Piece { line: Line::new(*base, *last, leaves), last: *last, knots: 0 };
        let leaves = piece.leaves() as usize;
        let layout = Layout { line: piece.line, first_leaf: 0, leaves };
        count_starts(&mut self.starts, layout, keys, position, false);
        self.pieces.push(piece);
    }

    /// Makes one cell of the keys, with knots if they fill more than a block.
    fn push_knotted(&mut self, line: Line, keys: &[u64], position: u32) {
        let knots = knots::count(&(position..position + keys.len() as u32)) as u32;
        let (Some(&last), 1..) = (keys.last(), knots) else { return self.push(keys, position, 1) };
        knots::put(&mut self.knots, line, keys, position);
        self.starts.push(position);
        self.pieces.push(Piece { line, last, knots });
    }

    /// The cost of a layout of part of the chunk.
    fn judge(&mut self, layout: Layout, range: Range<usize>) -> u64 {
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

    /// The cost of the layout that was looked at last, if 2 to the power of `merged` leaves are
    /// made one, in 1/16 of a halving per key.
    fn judge_merged(&self, layout: Layout, range: Range<usize>, merged: u32) -> u64 {
        let at = |leaf: usize| u64::from(self.trial[leaf.min(layout.leaves)]);
        let (mut halvings, mut count) = (0, 0);
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
            // Errors of up to two bits are within the window.
            let bits = u64::BITS - hint.abs_diff(position).leading_zeros();
            halvings += u64::from(bits.saturating_sub(2));
            count += 1;
        }
        16 * halvings / count.max(1)
    }

    /// Where the widest gap between keys ends, if it is so wide that it spoils their line.
    fn spoiling_gap(&self, keys: &[u64], range: Range<usize>) -> Option<usize> {
        let samples = samples_of(&range);
        let (first, last) = (keys[range.start], keys[range.end - 1]);
        let (sampled_first, sampled_last) = match &self.sample[samples.clone()] {
            [] => (last, last),
            [first, ..] => (*first, self.sample[samples.end - 1]),
        };
        let (gap, at) = self.widest_gap(samples.clone());
        // Between sample `at` and the next lie the keys of which two are that far apart; or before
        // the first sample, or behind the last.
        let (gap, from) = [
            (gap, at * SAMPLE_STEP),
            (sampled_first - first, range.start),
            (last - sampled_last, samples.end.saturating_sub(1) * SAMPLE_STEP),
        ]
        .into_iter()
        .max_by_key(|&(gap, _)| gap)?;
        if gap <= (last - first) / 4 {
            return None;
        }
        let from = from.max(range.start);
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
