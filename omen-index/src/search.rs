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

/// First position in the sorted `keys` whose key is not below `bound`.
///
/// It should lie in `range`, ends included, and near `hint`.
#[inline(always)]
pub(crate) fn lower_bound_near<I: Isa>(
    isa: I,
    keys: &[u64],
    range: Range<usize>,
    hint: usize,
    bound: u64,
) -> usize {
    let from = window_start(keys, hint);
    let Some(window) = window_at(keys, from) else {
        return keys.iter().map(|&key| usize::from(key < bound)).sum();
    };
    let count = isa.count_below(window, bound);
    if is_settled(count, from, keys.len()) {
        return from + count;
    }
    follow_up(isa, keys, range, from, count > 0, bound)
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
    halve(isa, keys, rest, bound)
}

/// Halves the range down to a window. What comes out is checked against its neighbours; if the
/// answer is not in the range, ends included, all keys are halved.
#[inline(always)]
pub(crate) fn halve<I: Isa>(isa: I, keys: &[u64], range: Range<usize>, bound: u64) -> usize {
    let end = range.end.min(keys.len());
    let mut start = range.start.min(end);
    let mut len = end - start;
    while len > WINDOW {
        let half = len / 2;
        // A conditional move: which half it is cannot be predicted.
        start += if keys[start + half - 1] < bound { half } else { 0 };
        len -= half;
    }
    let from = start.min(keys.len().saturating_sub(WINDOW));
    let count = window_at(keys, from).map_or(0, |window| isa.count_below(window, bound));
    let position = from + count;
    let is_above = position == 0 || keys[position - 1] < bound;
    let is_below = keys.get(position).is_none_or(|&key| key >= bound);
    if is_above && is_below { position } else { keys.partition_point(|&key| key < bound) }
}
