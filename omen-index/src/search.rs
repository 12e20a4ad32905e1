//! Last-mile search: from a search range and a guess to the exact position.
//!
//! Called by `rmi` for one key and by `batch` for many. A window of 16 keys around the guess is
//! compared whole, without branches; it settles nearly every lookup. If it does not, the rest of
//! the range on the side that the window points to is searched by halving.
//!
//! The window may reach beyond the search range: the keys are sorted throughout, so what it shows
//! there is just as true, and it can have a fixed size.

use std::ops::Range;

/// Keys compared in one step.
pub(crate) const WINDOW: usize = 16;

/// First position in `keys` whose key is not `before` the wanted place.
///
/// `before` must hold for a prefix of the sorted keys and for nothing after it, and the end of
/// that prefix must lie in `range`, ends included. `hint` is where to look first.
#[inline]
pub(crate) fn partition_near(
    keys: &[u64],
    range: Range<usize>,
    hint: usize,
    before: impl Fn(u64) -> bool,
) -> usize {
    let from = window_start(keys.len(), hint);
    let rest = &keys[from..];
    let (width, count) = match rest.first_chunk::<WINDOW>() {
        Some(window) => (WINDOW, count_before(window, &before)),
        None => (rest.len(), count_before(rest, &before)),
    };
    let position = from + count;
    if is_settled(&range, from, count, width) {
        position
    } else if count == 0 {
        range.start + keys[range.start..from].partition_point(|&k| before(k))
    } else {
        position + keys[position..range.end].partition_point(|&k| before(k))
    }
}

/// Where the window begins: centred on the hint, but inside the keys if they are that many.
#[inline]
pub(crate) fn window_start(len: usize, hint: usize) -> usize {
    hint.saturating_sub(WINDOW / 2).min(len.saturating_sub(WINDOW))
}

/// Whether `from + count` is the answer, `count` of the `width` keys from `from` being before it.
///
/// A count of 0 proves only that the answer is at most `from`, a full count only that it is at
/// least `from + width`; then the range must supply the other side. Both tests are made without
/// a branch, since `batch` uses the result as a number.
#[inline]
pub(crate) fn is_settled(range: &Range<usize>, from: usize, count: usize, width: usize) -> bool {
    let may_be_left = (count == 0) & (from > range.start);
    let may_be_right = (count == width) & (from + width < range.end);
    !(may_be_left | may_be_right)
}

/// How many of the keys are before the wanted place.
#[inline]
pub(crate) fn count_before(window: &[u64], before: impl Fn(u64) -> bool) -> usize {
    window.iter().map(|&k| usize::from(before(k))).sum()
}
