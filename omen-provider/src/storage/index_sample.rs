//! A sample of a part's keys, and what the part's learned index says of each.
//!
//! Made by segments and runs, gathered by the engine for whoever draws it. Plain data.
//!
//! Invariant: positions ascend strictly, and there are at most as many as [`SamplePlan`] allows.

use std::ops::Range;

use arrow::array::ArrayRef;

/// Pages read of one part at most.
const PAGES_MAX: u32 = 256;

/// Keys of a part, in order, each with what the index expected of it.
#[derive(Debug, Clone)]
pub struct IndexSample {
    /// Positions of the part, deleted ones included: what the index was trained on.
    pub rows: u32,
    /// Rows of a page; `None` for a part in memory.
    pub page_rows: Option<u32>,
    /// Whether keys are numbers to the index, compared many at once; otherwise they are byte
    /// strings.
    pub fixed_width: bool,
    /// One entry for each key of the sample.
    pub entries: Vec<SampledKey>,
    /// The values of these keys: an array for each key column, in key order.
    pub columns: Vec<ArrayRef>,
}

/// A key as the index sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledKey {
    /// Where the key is.
    pub position: u32,
    /// Where the index expects it.
    pub predicted: u32,
    /// Where the index says that it is for sure, end included.
    pub range: Range<u32>,
    /// The number that stands for the key: its first eight bytes behind those that all keys of the
    /// part share. It never decreases from key to key.
    pub number: u64,
}

/// Which rows of which pages to read for a sample: pages evenly over the part, rows evenly over
/// the pages.
#[derive(Debug, Clone, Copy)]
pub struct SamplePlan {
    rows: u32,
    page_rows: u32,
    pages_read: u32,
    stride: u32,
}

impl SamplePlan {
    /// A plan for at most `keys_max` keys (but for one of each page read, and the last) of a part
    /// with pages of `page_rows` rows.
    pub fn new(rows: u32, page_rows: u32, keys_max: u32) -> Self {
        let page_rows = page_rows.max(1);
        let pages_read = rows.div_ceil(page_rows).min(PAGES_MAX);
        let rows_read = (u64::from(pages_read) * u64::from(page_rows)).min(rows.into());
        let stride = rows_read.div_ceil(u64::from(keys_max.max(1))).max(1) as u32;
        Self { rows, page_rows, pages_read, stride }
    }

    /// The page numbers, ascending; first and last page are among them.
    pub fn pages(&self) -> impl Iterator<Item = u32> + use<> {
        let last = self.rows.div_ceil(self.page_rows).saturating_sub(1);
        let steps = self.pages_read.saturating_sub(1).max(1);
        (0..self.pages_read)
            .map(move |i| (u64::from(i) * u64::from(last) / u64::from(steps)) as u32)
    }

    /// The rows of page number `page`, counted from its first, ascending; of the last page its last
    /// row too.
    pub fn rows_of(&self, page: u32) -> Vec<u32> {
        let start = page.saturating_mul(self.page_rows);
        let len = self.page_rows.min(self.rows.saturating_sub(start));
        let mut rows: Vec<u32> = (0..len).step_by(self.stride as usize).collect();
        if start + len == self.rows && len > 0 && rows.last() != Some(&(len - 1)) {
            rows.push(len - 1);
        }
        rows
    }
}

impl IndexSample {
    /// Whether every key of the part is in the sample.
    pub fn is_whole(&self) -> bool {
        self.entries.len() == self.rows as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(plan: SamplePlan) -> Vec<u32> {
        let rows = |page| plan.rows_of(page).into_iter().map(move |r| page * plan.page_rows + r);
        plan.pages().flat_map(rows).collect()
    }

    #[test]
    fn a_small_part_is_sampled_whole() {
        for (rows, page_rows) in [(0, 8), (1, 8), (8, 8), (100, 8), (100, 1000)] {
            let all: Vec<u32> = (0..rows).collect();
            assert_eq!(positions(SamplePlan::new(rows, page_rows, 100)), all);
        }
    }

    #[test]
    fn a_sample_is_bounded_ascends_and_reaches_both_ends() {
        for (rows, page_rows) in [(101, 8), (40_000, 64), (u32::MAX, 1024), (70_000, u32::MAX)] {
            for keys_max in [1, 100, 20_000] {
                let positions = positions(SamplePlan::new(rows, page_rows, keys_max));
                assert!(positions.len() <= (keys_max + PAGES_MAX + 1) as usize);
                assert!(positions.is_sorted_by(|a, b| a < b));
                assert_eq!((positions[0], positions[positions.len() - 1]), (0, rows - 1));
            }
        }
        let even = positions(SamplePlan::new(1 << 20, 1 << 10, 20_000));
        let gaps = even.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() < Some(1 << 13), "no stretch is left out");
        assert!(even.len() > 18_000);
    }
}
