//! The last step of a lookup by comparisons: from a guess, in steps that double.
//!
//! Called for byte strings; numbers are compared many at a time, in `search`.
//!
//! Invariant: the keys prove the answer. Range and guess decide only how many are compared.

use std::ops::Range;

/// The first step is one of so many that the range has.
const STEPS: usize = 16;
/// The longest first step.
const STEP_MAX: usize = 64;

/// The first of `len` positions whose key is not below the wanted one, or `len`, if it is expected
/// in `range` (ends included) and near `hint`; `is_below` tells whether the key at a position is
/// below, and must be true up to some position and false from there on.
///
/// The nearer the guess, the fewer keys are compared. If the range is wrong, the neighbours of
/// what is found in it show that, and all positions are halved.
///
/// ```
/// let keys = ["ash", "birch", "elm", "oak", "yew"];
/// let below_fir = |i: usize| keys[i] < "fir";
/// assert_eq!(omen_index::key::gallop(5, 2..4, 2, below_fir), 3);
/// assert_eq!(omen_index::key::gallop(5, 0..1, 0, below_fir), 3); // misled, but right
/// ```
pub fn gallop(
    len: usize,
    range: Range<usize>,
    hint: usize,
    is_below: impl Fn(usize) -> bool,
) -> usize {
    let end = range.end.min(len);
    let start = range.start.min(end);
    let (mut low, mut high) = (start, end);
    let hint = hint.clamp(low, high);
    // A guess is rarely better than that.
    let mut step = ((end - start) / STEPS).clamp(1, STEP_MAX);
    if hint < high && is_below(hint) {
        low = hint + 1;
        while high - low > step {
            if !is_below(low + step - 1) {
                high = low + step - 1;
                break;
            }
            low += step;
            step *= 2;
        }
    } else {
        high = hint;
        while high - low > step {
            if is_below(high - step) {
                low = high - step + 1;
                break;
            }
            high -= step;
            step *= 2;
        }
    }
    let position = halve(low..high, &is_below);
    // Inside the range the neighbours were compared on the way.
    let is_above_left = position > start || position == 0 || is_below(position - 1);
    let is_not_above_right = position < end || position == len || !is_below(position);
    match is_above_left && is_not_above_right {
        true => position,
        false => halve(0..len, &is_below),
    }
}

/// The first position of `range` that is not below, or its end.
pub(crate) fn halve(range: Range<usize>, is_below: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = range;
    while start < end {
        let middle = start.midpoint(end);
        match is_below(middle) {
            true => start = middle + 1,
            false => end = middle,
        }
    }
    start
}
