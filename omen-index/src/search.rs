//! Last-mile search: from a search range and a guess to the exact position.
//!
//! Called by `rmi` for one key; `batch` uses its parts. Two cache lines of keys around the guess
//! are compared whole, without a branch to mispredict; that settles nearly every lookup on smooth
//! data. If it does not, the next two lines on the side that the window points to are compared,
//! and then what is left of the range on that side is halved.
//!
//! Invariant: the answer is proved by the keys themselves. Of the index only the time depends:
//! were a range wrong, because the index belongs to other keys, the neighbours of the answer would
//! give that away, and all keys are halved instead.

use std::ops::Range;

use crate::simd::{Isa, WINDOW};
use crate::slots::Slots;

/// Where the index expects a key.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// The search range: the answer is in it, ends included.
    pub(crate) range: Range<usize>,
    /// A guess at the answer, in the range or not far from it.
    pub(crate) hint: usize,
}

impl Sight {
    /// What it looks like from inside a page of `len` keys that begins at position `first`.
    #[inline(always)]
    pub(crate) fn within(&self, first: usize, len: usize) -> Sight {
        let inside = |position: usize| position.saturating_sub(first).min(len);
        let range = inside(self.range.start)..inside(self.range.end);
        Sight { range, hint: inside(self.hint) }
    }
}

/// First position in the sorted keys whose key is not below `bound`, which `sight` is of.
#[inline(always)]
pub(crate) fn lower_bound_near<I: Isa, S: Slots>(
    isa: I,
    keys: S,
    sight: Sight,
    bound: u64,
) -> usize {
    let from = keys.around::<WINDOW>(sight.hint);
    let Some(count) = keys.count_below::<WINDOW, I>(isa, from, bound) else {
        return partition_point(keys, bound);
    };
    let is_left = (count == 0) & (from > 0);
    let is_right = (count == WINDOW) & (from + WINDOW < keys.len());
    if !(is_left | is_right) {
        return from + count;
    }
    follow_up(isa, keys, sight.range, from, is_right, bound)
}

/// Continues where the window that begins at `from` left off: to its right if all its keys are
/// below the bound, to its left if none is.
#[inline(always)]
fn follow_up<I: Isa, S: Slots>(
    isa: I,
    keys: S,
    range: Range<usize>,
    from: usize,
    is_right: bool,
    bound: u64,
) -> usize {
    let next = keys.beside::<WINDOW>(from, is_right);
    let Some(count) = keys.count_below::<WINDOW, I>(isa, next, bound) else {
        return halve_all(isa, keys, range, bound);
    };
    // Between the two windows there is no gap, so only the far side is open.
    if is_right && (count < WINDOW || next + WINDOW == keys.len()) {
        return next + count;
    }
    if !is_right && (count > 0 || next == 0) {
        return next + count;
    }
    let rest = if is_right { next + WINDOW..range.end } else { range.start..next };
    halve_all(isa, keys, rest, bound)
}

/// Halves the range, and all keys if the answer is not in it, ends included.
#[inline(always)]
pub(crate) fn halve_all<I: Isa, S: Slots>(
    isa: I,
    keys: S,
    range: Range<usize>,
    bound: u64,
) -> usize {
    match halve(isa, keys, range, bound) {
        Some(position) => position,
        None => partition_point(keys, bound),
    }
}

/// Halves the range down to a window. What comes out is checked against its neighbours: `None` if
/// the answer is not in the range, ends included.
///
/// How often it halves depends on the range alone, so there is no branch that waits for a key.
#[inline(always)]
fn halve<I: Isa, S: Slots>(isa: I, keys: S, range: Range<usize>, bound: u64) -> Option<usize> {
    let end = range.end.min(keys.len());
    let mut start = range.start.min(end);
    let mut len = end - start;
    while len > WINDOW {
        let half = len / 2;
        start = step(keys, start, half, bound);
        len -= half;
    }
    let from = keys.covering::<WINDOW>(start);
    let position = match keys.count_below::<WINDOW, I>(isa, from, bound) {
        Some(count) if start + len <= from + WINDOW => from + count,
        _ => narrow(keys, start, len, bound),
    };
    let is_above = position == 0 || keys.key(position - 1) < bound;
    let is_below = position >= keys.len() || keys.key(position) >= bound;
    (is_above && is_below).then_some(position)
}

/// Where a range begins after `half` of its positions, the lower or the upper ones, were left out.
#[inline(always)]
pub(crate) fn step<S: Slots>(keys: S, start: usize, half: usize, bound: u64) -> usize {
    let is_below = keys.key(start + half - 1) < bound;
    // A conditional move: which half a key is in cannot be predicted.
    std::hint::select_unpredictable(is_below, start + half, start)
}

/// The answer without an index.
#[inline(never)]
fn partition_point<S: Slots>(keys: S, bound: u64) -> usize {
    narrow(keys, 0, keys.len(), bound)
}

/// Halves `len` keys from `start` down to one position.
#[inline(always)]
fn narrow<S: Slots>(keys: S, mut start: usize, mut len: usize, bound: u64) -> usize {
    while len > 0 {
        let half = len.div_ceil(2);
        start = step(keys, start, half, bound);
        len -= half;
    }
    start
}
