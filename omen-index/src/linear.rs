//! The model of one root cell: a straight line from keys to leaves, in fixed point.
//!
//! Used by `root` for every lookup and by `fit` for every key. Multiplying the key's offset in
//! the cell by a 64-bit factor gives 128 bits: the upper half is the leaf, the lower half how far
//! into the leaf the key lies.
//!
//! Invariant: for keys from `base` on, the result never decreases as the key grows.

/// A line that spreads the keys of one cell over its leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) base: u64,
    pub(crate) factor: u64,
}

impl Line {
    /// The line that spreads the keys `base ..= last` evenly over at most `leaves` leaves.
    ///
    /// The factor is `leaves * 2^64 / width`, rounded down, with `width = last - base + 1`. The
    /// largest offset is `width - 1`, so the product stays below `leaves * 2^64` and its upper
    /// half below `leaves`. Capping the factor (only when there are as many leaves as keys to
    /// tell apart) makes the product smaller still.
    pub(crate) fn new(base: u64, last: u64, leaves: u64) -> Self {
        debug_assert!(base <= last);
        let width = u128::from(last - base) + 1;
        let factor = (u128::from(leaves) << 64) / width;
        let factor = u64::try_from(factor).unwrap_or(u64::MAX);
        Self { base, factor }
    }

    /// Leaf within the cell, and the fraction of the leaf (in units of 2^-64) below `key`.
    ///
    /// The key must not be below the base of the line.
    #[inline(always)]
    pub(crate) fn at(self, key: u64) -> (u64, u64) {
        let product = u128::from(key - self.base) * u128::from(self.factor);
        ((product >> 64) as u64, product as u64)
    }
}
