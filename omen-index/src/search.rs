//! Last-mile search: from a search range and a guess to the exact position.
//!
//! Called by `rmi` for one key and by `batch` for many. A window of 16 keys around the guess is
//! searched without branches; that settles nearly every lookup on smooth data. If it does not,
//! the rest of the range on the side that the window points to is searched by halving. Ranges
//! much longer than the window, which equal or clustered keys bring about, are halved at once.
//!
//! The window may reach beyond the search range: the keys are sorted throughout, so what it shows
//! there is just as true, and it can have a fixed size.

use std::ops::Range;

/// Keys looked at around the guess.
pub(crate) const WINDOW: usize = 16;

/// Above this many positions the guess is not worth a look: halving the range is as quick.
const RANGE_LONG: usize = 64;

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
    if range.end - range.start > RANGE_LONG {
        return range.start + keys[range].partition_point(|&k| before(k));
    }
    let from = window_start(keys.len(), hint);
    let rest = &keys[from..];
    let (width, count) = match rest.first_chunk::<WINDOW>() {
        Some(window) => (WINDOW, partition_16(window, &before)),
        None => (rest.len(), rest.partition_point(|&k| before(k))),
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

/// How many of 16 sorted keys are before the wanted place: halving without branches.
#[inline]
pub(crate) fn partition_16(keys: &[u64; 16], before: impl Fn(u64) -> bool) -> usize {
    let mut count = usize::from(before(keys[7])) * 8;
    count += usize::from(before(keys[count + 3])) * 4;
    count += usize::from(before(keys[count + 1])) * 2;
    count += usize::from(before(keys[count]));
    // Four halvings tell 16 counts apart; the seventeenth is that even the last key is before.
    count + usize::from(before(keys[count]))
}
