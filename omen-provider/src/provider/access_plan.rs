//! Row positions of a segment as DataFusion's Parquet reader takes them.
//!
//! Called by `scan` for every file and by `masking` where a limit shortens one.

use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use crate::storage::row_ranges::RowRanges;
use crate::storage::segment::Segment;

/// What to read of `segment`, row group by row group.
pub(super) fn access_plan(segment: &Segment, rows: &RowRanges) -> ParquetAccessPlan {
    let mut groups = Vec::new();
    let mut ranges = rows.iter().peekable();
    let mut start = 0u64;
    for group in segment.parquet_metadata().row_groups() {
        let count = u64::try_from(group.num_rows()).unwrap_or(0);
        let end = start + count;
        let (mut selectors, mut at, mut selected) = (Vec::new(), start, 0);
        while let Some(range) = ranges.peek() {
            let (from, to) = (u64::from(range.start).max(start), u64::from(range.end).min(end));
            if from >= end {
                break;
            }
            if at < from {
                selectors.push(RowSelector::skip(to_usize(from - at)));
            }
            selectors.push(RowSelector::select(to_usize(to - from)));
            selected += to - from;
            at = to;
            if u64::from(range.end) > end {
                break;
            }
            ranges.next();
        }
        if at < end {
            selectors.push(RowSelector::skip(to_usize(end - at)));
        }
        groups.push(match selected {
            0 => RowGroupAccess::Skip,
            all if all == count => RowGroupAccess::Scan,
            _ => RowGroupAccess::Selection(RowSelection::from(selectors)),
        });
        start = end;
    }
    ParquetAccessPlan::new(groups)
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
