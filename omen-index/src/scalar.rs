//! The instructions of every processor: plain Rust, the twin of what `simd` does with others.
//!
//! Run by `simd` where there is nothing better, and by the tests beside what there is: the results
//! are the same, bit for bit.

use crate::crc32c::TABLES;
use crate::simd::{Isa, KNOTS_MAX, Knots};

/// Plain Rust, for all processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

/// The first of so many positions for which `is_below` does not hold, without a branch that waits
/// for a key.
#[inline(always)]
fn halve(mut len: usize, is_below: impl Fn(usize) -> bool) -> usize {
    let mut start = 0;
    while len > 0 {
        let half = len.div_ceil(2);
        start = std::hint::select_unpredictable(is_below(start + half - 1), start + half, start);
        len -= half;
    }
    start
}

impl Isa for Scalar {
    #[inline(always)]
    fn rank<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize {
        halve(N, |i| keys.get(i).is_some_and(|&key| key < bound))
    }

    #[inline(always)]
    fn count_below<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize {
        keys.iter().map(|&key| usize::from(key < bound)).sum()
    }

    #[inline(always)]
    fn count_below_le<const N: usize>(self, keys: &[[u8; 8]; N], bound: u64) -> usize {
        keys.iter().map(|&key| usize::from(u64::from_le_bytes(key) < bound)).sum()
    }

    #[inline(always)]
    fn count_knots(self, knots: &Knots, count: usize, bound: u32) -> (usize, usize) {
        let count = count.min(KNOTS_MAX);
        let knot = |i: usize| {
            let (low, high) = (knots[2 * i % (2 * KNOTS_MAX)], knots[2 * i % (2 * KNOTS_MAX) + 1]);
            u32::from(high) << 16 | u32::from(low) << 8 | u32::from(knots[2 * count + i])
        };
        let below = halve(count, |i| knot(i) < bound);
        let equal = (below..count).take_while(|&i| knot(i) == bound).count();
        (below, below + equal)
    }

    #[inline(always)]
    fn crc32c(self, register: u32, eight: u64) -> u32 {
        let mixed = (eight ^ u64::from(register)).to_le_bytes();
        let tables = TABLES.iter().rev();
        mixed.iter().zip(tables).fold(0, |sum, (&byte, table)| sum ^ table[usize::from(byte)])
    }
}
