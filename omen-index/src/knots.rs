//! Knots: how a cell looks whose keys lie on no line.
//!
//! Chosen by `fit`, stored by `codec`, asked by `rmi` for every lookup in such a cell. The line of
//! the cell spreads its keys over 2^24 *coordinates*; positions are divided into blocks of 16, as
//! many as a lookup compares at once; and the coordinate of the first key of each block but the
//! first is kept, three bytes for 16 keys. Counting the knots below a coordinate, all of them in
//! one step, gives the block: an equi-depth histogram of the keys, where leaves on a line are an
//! equi-width one.
//!
//! The `k` knots of a cell lie in `3k` bytes: the upper 16 bits of each, little-endian, then the
//! lower 8 bits of each.
//!
//! Invariant: what [`narrow`] returns holds every position between lower and upper bound of any key
//! of the given coordinate. For coordinates never decrease as the key grows. A knot below the
//! coordinate is that of a smaller key, which lies before the lower bound; a knot above it is that
//! of a larger key, at which the upper bound is at the latest.

use std::ops::Range;

use crate::linear::Line;
use crate::search::Sight;
use crate::simd::{Isa, KNOTS_MAX, Knots, WINDOW};

/// Positions in a block.
const BLOCK: usize = WINDOW;

/// The coordinates that the line of a cell spreads its keys over.
pub(crate) const COORDINATES: u64 = 1 << 24;

/// Bytes of one knot.
pub(crate) const KNOT_BYTES: usize = 3;

/// Bytes that may be read from where the knots of a cell begin.
pub(crate) const READ_BYTES: usize = size_of::<Knots>();

/// The positions of a cell with knots, and where these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Knotted {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Knots of the cells before.
    pub(crate) before: u32,
    /// Knots of this cell.
    pub(crate) count: u32,
}

impl Knotted {
    /// Where to search for a key of that coordinate, given the bytes from where the knots begin.
    #[inline(always)]
    pub(crate) fn narrow<I: Isa>(self, isa: I, bytes: &Knots, coordinate: u32) -> Sight {
        let Self { start, end, .. } = self;
        let count = self.count as usize;
        let (below, not_above) = isa.count_knots(bytes, count, coordinate);
        let first = start as usize / BLOCK;
        let low = (BLOCK * (first + below)).max(start as usize);
        let high = match not_above == count {
            true => end as usize,
            false => BLOCK * (first + not_above + 1),
        };
        // The middle of the blocks in question, which is where comparing them begins.
        let hint = BLOCK / 2 * (2 * first + below + not_above + 1);
        Sight { range: low..high, hint }
    }

    /// Tells for each stretch of keys how many positions are searched for one of them at most, and
    /// how many keys it has.
    pub(crate) fn for_each_range(self, bytes: &Knots, tell: &mut impl FnMut(u32, u32)) {
        let count = (self.count as usize).min(KNOTS_MAX);
        let (upper, lower) = bytes.split_at(2 * count);
        let knots: Vec<_> = upper.as_chunks::<2>().0.iter().zip(&lower[..count]).collect();
        let start = |block: usize| match block > count {
            true => self.end,
            false => {
                let first = (self.start as usize / BLOCK + block) * BLOCK;
                first.clamp(self.start as usize, self.end as usize) as u32
            }
        };
        // The knots `before..after` are equal; knot `i` is that of the first key in block `i + 1`.
        let (mut told, mut before) = (self.start, 0);
        for equal in knots.chunk_by(|a, b| a == b) {
            let after = before + equal.len();
            let (first, last) = (start(before + 1), start(after));
            tell(first - start(before), first.saturating_sub(told));
            let next = last.saturating_add(1).min(self.end);
            tell(start(after + 1) - start(before), next - first);
            (told, before) = (next, after);
        }
        tell(self.end - start(before), self.end.saturating_sub(told));
    }
}

/// Whether the knots of a cell, which are these bytes, never descend.
pub(crate) fn ascend(knots: &[u8]) -> bool {
    let (upper, lower) = knots.split_at(knots.len() / KNOT_BYTES * 2);
    let knots = upper
        .as_chunks()
        .0
        .iter()
        .zip(lower)
        .map(|(&upper, &lower)| u32::from(u16::from_le_bytes(upper)) << 8 | u32::from(lower));
    // Without a way out of the loop, so that it is done many at a time.
    let descents: u32 = knots.clone().zip(knots.skip(1)).map(|(a, b)| u32::from(a > b)).sum();
    descents == 0
}

/// How many knots a cell with these positions has.
#[inline(always)]
pub(crate) fn count(positions: &Range<u32>) -> usize {
    let last = positions.end.saturating_sub(1).max(positions.start);
    KNOTS_MAX.min((last as usize / BLOCK) - (positions.start as usize / BLOCK))
}

/// Appends the knots of a cell with that line, whose keys begin at `position`.
pub(crate) fn put(out: &mut Vec<u8>, line: Line, keys: &[u64], position: u32) {
    let first = BLOCK - position as usize % BLOCK;
    let firsts = keys.iter().skip(first).step_by(BLOCK).take(KNOTS_MAX);
    let knots = firsts.map(|&key| line.at(key).0 as u32);
    out.extend(knots.clone().flat_map(upper));
    out.extend(knots.map(lower));
}

/// Appends `more` knots of that coordinate to the last cell, which has `count`.
pub(crate) fn repeat(out: &mut Vec<u8>, count: usize, more: usize, coordinate: u32) {
    let lowers = out.split_off(out.len() - count);
    out.extend((0..more).flat_map(|_| upper(coordinate)));
    out.extend(lowers);
    out.extend((0..more).map(|_| lower(coordinate)));
}

fn upper(knot: u32) -> [u8; 2] {
    ((knot >> 8) as u16).to_le_bytes()
}

fn lower(knot: u32) -> u8 {
    knot as u8
}

/// How many of the knots that the keys would get are equal to the one before: blocks that cannot
/// be told apart.
pub(crate) fn ties(line: Line, keys: &[u64]) -> usize {
    let mut ties = 0;
    let mut before = None;
    for &key in keys.iter().step_by(BLOCK) {
        let knot = Some(line.at(key).0);
        ties += usize::from(knot == before);
        before = knot;
    }
    ties
}
