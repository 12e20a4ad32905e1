//! Key ranges that lookups ask for, each with the positions it covers.

use std::ops::Range;

use crate::random::Random;

/// Keys in the longest range; short ones are far more frequent.
const SPAN_MAX: u64 = 10_000;

/// A random key range and the positions of the keys in it. Bounds are stored keys or the numbers
/// just above stored keys, half of each.
///
/// # Panics
/// If there are fewer than two keys.
pub fn draw_range(keys: &[u64], random: &mut Random) -> (Range<u64>, Range<usize>) {
    let last = keys.len() - 1;
    let start = random.below(last as u64) as usize;
    let end = (start + random.log_uniform(1, SPAN_MAX) as usize).min(last);
    let mut bound = |position: usize| match position.checked_sub(1) {
        Some(below) if random.below(2) == 0 => keys[below] + 1,
        _ => keys[position],
    };
    (bound(start)..bound(end), start..end)
}
