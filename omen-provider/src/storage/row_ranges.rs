//! Sets of row positions of one part, as sorted disjoint ranges.
//!
//! Made by the learned index (a key range becomes a row range), combined by snapshot, turned into
//! Parquet row selections by the provider.
//!
//! Invariant: the ranges are not empty, sorted, and neither overlap nor touch.

use std::ops::Range;

/// Row positions `0 .. rows` of one part, as ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowRanges {
    ranges: Vec<Range<u32>>,
}

impl RowRanges {
    /// All positions below `rows`.
    pub fn all(rows: u32) -> Self {
        std::iter::once(0..rows).collect()
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        self.ranges.iter().cloned()
    }

    /// How many positions.
    pub fn row_count(&self) -> u64 {
        self.ranges.iter().map(|r| u64::from(r.end - r.start)).sum()
    }

    /// Whether there is no position.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The positions in both.
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        let mut ranges = Vec::new();
        while let (Some(a), Some(b)) = (left.peek().cloned(), right.peek().cloned()) {
            let both = a.start.max(b.start)..a.end.min(b.end);
            if both.start < both.end {
                ranges.push(both);
            }
            if a.end <= b.end {
                left.next();
            } else {
                right.next();
            }
        }
        Self { ranges }
    }

    /// The positions of `self` that are not in `dead` (ascending).
    pub fn without(&self, dead: impl IntoIterator<Item = u32>) -> Self {
        let mut dead = dead.into_iter().peekable();
        let mut ranges = Vec::new();
        for range in self.iter() {
            let mut start = range.start;
            while dead.next_if(|&d| d < start).is_some() {}
            while let Some(gap) = dead.next_if(|&d| d < range.end) {
                if start < gap {
                    ranges.push(start..gap);
                }
                start = gap + 1;
            }
            if start < range.end {
                ranges.push(start..range.end);
            }
        }
        Self { ranges }
    }
}

impl FromIterator<Range<u32>> for RowRanges {
    /// Collects ranges in any order; overlapping and touching ones are joined.
    fn from_iter<I: IntoIterator<Item = Range<u32>>>(iter: I) -> Self {
        let mut sorted: Vec<_> = iter.into_iter().filter(|r| r.start < r.end).collect();
        sorted.sort_by_key(|r| r.start);
        let mut ranges: Vec<Range<u32>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn positions(set: &RowRanges) -> Vec<u32> {
        set.iter().flatten().collect()
    }

    proptest! {
        #[test]
        fn sets_agree_with_lists(
            a in prop::collection::vec((0u32..200, 0u32..20), 0..12),
            b in prop::collection::vec((0u32..200, 0u32..20), 0..12),
            mut dead in prop::collection::vec(0u32..220, 0..40),
        ) {
            let set = |v: &[(u32, u32)]| -> RowRanges {
                v.iter().map(|&(s, n)| s..s + n).collect()
            };
            let (a, b) = (set(&a), set(&b));
            dead.sort_unstable();
            dead.dedup();
            let in_b = positions(&b);
            let both: Vec<u32> = positions(&a).into_iter().filter(|p| in_b.contains(p)).collect();
            prop_assert_eq!(positions(&a.intersect(&b)), both);
            let alive: Vec<u32> = positions(&a).into_iter().filter(|p| !dead.contains(p)).collect();
            prop_assert_eq!(a.without(dead.iter().copied()).row_count(), alive.len() as u64);
            prop_assert_eq!(positions(&a.without(dead)), alive);
        }
    }
}
