//! Rows at given positions, taken out of the batches they lie in.
//!
//! Rows that lie together are slices of their batch, not copies. Batches too short to be worth
//! handling one by one are joined.

use std::ops::Range;

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::storage::row_ranges::RowRanges;

/// Batches shorter than this are joined with what follows them.
const SHORT_ROWS: usize = 1024;

/// Ranges of one batch up to which slices are joined; more are gathered row by row.
const SLICES_MAX: usize = 64;

/// The rows at `rows`, in order. `batch_at` gives the batch of a position and the position of the
/// batch's first row.
pub(super) fn select_rows<'a>(
    rows: &RowRanges,
    batch_at: impl Fn(u32) -> Option<(&'a RecordBatch, u32)>,
) -> Result<Vec<RecordBatch>> {
    let mut out = Joined::default();
    let mut current: Option<(&RecordBatch, u32)> = None;
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for mut range in rows.iter() {
        while range.start < range.end {
            let inside = |(batch, first): &(&RecordBatch, u32)| {
                range.start - first < batch.num_rows() as u32
            };
            if !current.as_ref().is_some_and(inside) {
                if let Some((batch, _)) = current {
                    out.push(take_ranges(batch, &ranges)?)?;
                }
                ranges.clear();
                current = batch_at(range.start);
            }
            let Some((batch, first)) = current else { break };
            let end = range.end.min(first + batch.num_rows() as u32);
            ranges.push(range.start - first..end - first);
            range.start = end;
        }
    }
    if let Some((batch, _)) = current {
        out.push(take_ranges(batch, &ranges)?)?;
    }
    out.finish()
}

/// Batches in the making: short ones wait to be joined.
#[derive(Default)]
struct Joined {
    done: Vec<RecordBatch>,
    short: Vec<RecordBatch>,
    short_rows: usize,
}

impl Joined {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() >= SHORT_ROWS {
            self.join()?;
            self.done.push(batch);
            return Ok(());
        }
        self.short_rows += batch.num_rows();
        self.short.push(batch);
        if self.short_rows >= SHORT_ROWS { self.join() } else { Ok(()) }
    }

    fn join(&mut self) -> Result<()> {
        match &self.short[..] {
            [] => {}
            [only] => self.done.push(only.clone()),
            [first, ..] => self.done.push(concat_batches(first.schema_ref(), &self.short)?),
        }
        self.short.clear();
        self.short_rows = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RecordBatch>> {
        self.join()?;
        Ok(self.done)
    }
}

/// The rows of `batch` at `ranges`: a slice where they lie together.
fn take_ranges(batch: &RecordBatch, ranges: &[Range<u32>]) -> Result<RecordBatch> {
    let slice = |r: &Range<u32>| batch.slice(r.start as usize, (r.end - r.start) as usize);
    if let [range] = ranges {
        return Ok(slice(range));
    }
    if ranges.len() <= SLICES_MAX {
        let slices: Vec<RecordBatch> = ranges.iter().map(slice).collect();
        return Ok(concat_batches(batch.schema_ref(), &slices)?);
    }
    let indices = UInt32Array::from_iter_values(ranges.iter().cloned().flatten());
    Ok(take_record_batch(batch, &indices)?)
}
