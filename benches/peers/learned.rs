//! Other crates' learned indexes over the same sorted keys.

use pgm_index::PGMIndex;
use radix_spline::RadixSpline;

use super::{Contender, checked};
use crate::workload::MISS;

/// Largest error of either model, in positions.
const ERROR_MAX: u32 = 32;
const RADIX_BITS: u64 = 18;

/// `radix_spline` and a binary search of the range it names.
pub struct Spline<'a> {
    model: RadixSpline<u64>,
    keys: &'a [u64],
}

impl<'a> Spline<'a> {
    /// Trained on sorted keys, at least two of them different.
    pub fn new(keys: &'a [u64]) -> Self {
        let (first, last) = (keys[0], keys[keys.len() - 1]);
        let mut builder = RadixSpline::builder(first, last);
        builder.max_error(u64::from(ERROR_MAX)).radix_bits(RADIX_BITS);
        builder.add_keys(keys.iter().copied());
        Self { model: builder.build(), keys }
    }
}

impl Contender for Spline<'_> {
    fn name(&self) -> &'static str {
        "radix_spline"
    }

    #[inline(always)]
    fn find(&self, key: u64) -> usize {
        let range = self.model.find(key);
        let position = range.start + self.keys[range].partition_point(|&k| k < key);
        checked(self.keys, position, key)
    }
}

/// `pgm_index`. It keeps the keys itself.
pub struct Pgm(PGMIndex<u64>);

impl Pgm {
    /// Trained on a copy of sorted keys.
    pub fn new(keys: &[u64]) -> Self {
        Self(PGMIndex::new(keys.to_vec(), ERROR_MAX as usize))
    }
}

impl Contender for Pgm {
    fn name(&self) -> &'static str {
        "pgm_index"
    }

    #[inline(always)]
    fn find(&self, key: u64) -> usize {
        self.0.get(key).unwrap_or(MISS)
    }
}
