//! Last-mile search: from a search range and a guess to the exact position.
//!
//! Called by `rmi` for one key; `batch` and `paged` use its parts. Two cache lines of keys around the
//! guess are compared whole, without a branch to mispredict; that settles nearly every lookup on
//! smooth data. If it does not, the next two lines on the side that the window points to are
//! compared, and then what is left of the range on that side is halved.
//!
//! Invariant: the answer is proved by the keys themselves. Of the index only the time depends:
//! were a range wrong, because the index belongs to other keys, the neighbours of the answer would
//! give that away, and all keys are halved instead.

use std::ops::Range;

use crate::simd::{Isa, LINE, WINDOW};

/// Where the index expects a key.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// The search range: the answer is in it, ends included.
    pub(crate) range: Range<usize>,
    /// A guess at the answer, in the range.
    pub(crate) hint: usize,
    /// How far from the guess it is likely to be at most.
    pub(crate) reach: usize,
}

impl Sight {
    /// The part of the range within reach.
    #[inline(always)]
    pub(crate) fn near(&self) -> Range<usize> {
        let start = self.range.start.max(self.hint.saturating_sub(self.reach));
        start..self.range.end.min(self.hint + self.reach)
    }
}

/// First position in the sorted `keys` whose key is not below `bound`, which `sight` is of.
#[inline(always)]
pub(crate) fn lower_bound_near<I: Isa>(isa: I, keys: &[u64], sight: Sight, bound: u64) -> usize {
    let near = sight.near();
    if near.len() > WINDOW {
        return lower_bound_far(isa, keys, sight.range, near, bound);
    }
    let from = window_start(keys, sight.hint);
    let Some(window) = window_at(keys, from) else {
        return keys.iter().map(|&key| usize::from(key < bound)).sum();
    };
    let count = isa.count_below(window, bound);
    if is_settled(count, from, keys.len()) {
        return from + count;
    }
    follow_up(isa, keys, sight.range, from, count > 0, bound)
}

/// As [`lower_bound_near`] where hints are not good enough for a window: halves what is in reach,
/// then if need be the whole range.
#[inline(always)]
fn lower_bound_far<I: Isa>(
    isa: I,
    keys: &[u64],
    range: Range<usize>,
    near: Range<usize>,
    bound: u64,
) -> usize {
    match halve(isa, keys, near, bound) {
        Some(position) => position,
        None => halve_all(isa, keys, range, bound),
    }
}

/// Where the window begins: at a cache line, such that the hint has half a line on either side,
/// and inside the keys if they are that many.
#[inline(always)]
pub(crate) fn window_start(keys: &[u64], hint: usize) -> usize {
    // How many keys into a line the first key lies.
    let skew = (keys.as_ptr().addr() / size_of::<u64>()) % LINE;
    let line = (hint + skew + LINE / 2) & !(LINE - 1);
    line.saturating_sub(LINE + skew).min(keys.len().saturating_sub(WINDOW))
}

/// Where the cache line of the hint begins, or near the end of the keys, the last full one.
#[inline(always)]
pub(crate) fn line_start(keys: &[u64], hint: usize) -> usize {
    let skew = (keys.as_ptr().addr() / size_of::<u64>()) % LINE;
    let line = (hint + skew) & !(LINE - 1);
    line.saturating_sub(skew).min(keys.len().saturating_sub(LINE))
}

/// The line that begins at `from`, unless fewer keys are left.
#[inline(always)]
pub(crate) fn line_at(keys: &[u64], from: usize) -> Option<&[u64; LINE]> {
    keys.get(from..)?.first_chunk()
}

/// The window that begins at `from`, unless fewer keys are left.
#[inline(always)]
pub(crate) fn window_at(keys: &[u64], from: usize) -> Option<&[u64; WINDOW]> {
    keys.get(from..)?.first_chunk()
}

/// Whether `from + count` is the answer, `count` of the window's keys being below the bound.
///
/// A count of 0 proves only that the answer is at most `from`, a full count only that it is at
/// least the window's end; the ends of the keys supply the other side. Made without a branch,
/// since `batch` uses the result as a number.
#[inline(always)]
pub(crate) fn is_settled(count: usize, from: usize, len: usize) -> bool {
    let may_be_left = (count == 0) & (from > 0);
    let may_be_right = (count == WINDOW) & (from + WINDOW < len);
    !(may_be_left | may_be_right)
}

/// Continues where the window that begins at `from` left off: to its right if all its keys are
/// below the bound, else to its left.
#[inline(always)]
pub(crate) fn follow_up<I: Isa>(
    isa: I,
    keys: &[u64],
    range: Range<usize>,
    from: usize,
    is_right: bool,
    bound: u64,
) -> usize {
    let next = match is_right {
        true => (from + WINDOW).min(keys.len().saturating_sub(WINDOW)),
        false => from.saturating_sub(WINDOW),
    };
    let count = window_at(keys, next).map_or(0, |window| isa.count_below(window, bound));
    if is_settled(count, next, keys.len()) {
        return next + count;
    }
    // All of both windows are on the same side, unless the index is not of these keys.
    let rest = match is_right {
        true => next + WINDOW..range.end,
        false => range.start..next,
    };
    halve_all(isa, keys, rest, bound)
}

/// Halves the range, and all keys if the answer is not in it, ends included.
#[inline(always)]
pub(crate) fn halve_all<I: Isa>(isa: I, keys: &[u64], range: Range<usize>, bound: u64) -> usize {
    match halve(isa, keys, range, bound) {
        Some(position) => position,
        None => keys.partition_point(|&key| key < bound),
    }
}

/// Halves the range down to a window. What comes out is checked against its neighbours: `None` if
/// the answer is not in the range, ends included.
///
/// How often it halves depends on the range alone, so there is no branch that waits for a key.
#[inline(always)]
pub(crate) fn halve<I: Isa>(
    isa: I,
    keys: &[u64],
    range: Range<usize>,
    bound: u64,
) -> Option<usize> {
    let end = range.end.min(keys.len());
    let mut start = range.start.min(end);
    let mut len = end - start;
    while len > WINDOW {
        let half = len / 2;
        let is_below = keys[start + half - 1] < bound;
        start = select(is_below, start + half, start);
        len -= half;
    }
    let from = start.min(keys.len().saturating_sub(WINDOW));
    let position = match window_at(keys, from) {
        Some(window) => from + isa.count_below(window, bound),
        None => keys.partition_point(|&key| key < bound),
    };
    let is_above = position == 0 || keys[position - 1] < bound;
    let is_below = keys.get(position).is_none_or(|&key| key >= bound);
    (is_above && is_below).then_some(position)
}

/// A conditional move: which half a key is in cannot be predicted.
#[inline(always)]
pub(crate) fn select(condition: bool, yes: usize, no: usize) -> usize {
    std::hint::select_unpredictable(condition, yes, no)
}
