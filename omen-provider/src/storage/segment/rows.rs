//! Returns rows at given positions, for small reads: through the cache of decoded pages.

use std::ops::Range;

use arrow::array::{ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::columns::{Projection, conform};
use super::page_cache::PageKey;
use super::{ReadStats, Segment};
use crate::error::Result;
use crate::storage::row_ranges::RowRanges;

/// Rows of one page, as ranges within it.
type PageRows = (u32, Vec<Range<u32>>);

impl Segment {
    /// The rows at these positions, in order; `columns`: indices into the stored schema, `None`:
    /// all of them. Holds all pages touched in memory: for large reads there is [`Segment::scan`].
    pub async fn read_rows(
        &self,
        rows: &RowRanges,
        columns: Option<&[usize]>,
        stats: &ReadStats,
    ) -> Result<RecordBatch> {
        let projection = Projection::new(&self.schema, columns)?;
        let touched = self.touched_pages(rows);
        let pages: Vec<u32> = touched.iter().map(|(page, _)| *page).collect();
        let is_there = |column: &&usize| self.columns.root(**column).is_some();
        let there: Vec<usize> = projection.columns.iter().filter(is_there).copied().collect();
        let decoded = self.page_columns(&pages, &there, stats).await?;
        let count = touched.iter().flat_map(|(_, ranges)| ranges).map(|r| r.len()).sum();
        let mut arrays = Vec::with_capacity(projection.columns.len());
        for (column, field) in projection.columns.iter().zip(projection.schema.fields()) {
            let Some(index) = there.iter().position(|there| there == column) else {
                arrays.push(self.schema.columns[*column].absent(count)?);
                continue;
            };
            let parts = touched
                .iter()
                .zip(&decoded)
                .map(|((_, ranges), page)| rows_of(&page[index], ranges));
            let parts = parts.collect::<Result<Vec<ArrayRef>>>()?;
            arrays.push(match parts.as_slice() {
                [] => new_empty_array(field.data_type()),
                [one] => ArrayRef::clone(one),
                many => concat(&many.iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(projection.schema, arrays, &options)?)
    }

    /// The pages that hold rows of `rows`, ascending.
    pub(super) fn touched_pages(&self, rows: &RowRanges) -> Vec<PageRows> {
        let mut touched: Vec<PageRows> = Vec::new();
        for range in rows.iter() {
            let (mut start, end) = (range.start, range.end.min(self.rows()));
            while start < end {
                let page = self.layout.page_of(start);
                let positions = self.layout.positions(page);
                let part = start - positions.start..end.min(positions.end) - positions.start;
                start = positions.end;
                match touched.last_mut() {
                    Some((last, ranges)) if *last == page => ranges.push(part),
                    _ => touched.push((page, vec![part])),
                }
            }
        }
        touched
    }

    /// Whole decoded pages, ascending: for each one array per stored column of `columns`, which the
    /// file has.
    pub(super) async fn page_columns(
        &self,
        pages: &[u32],
        columns: &[usize],
        stats: &ReadStats,
    ) -> Result<Vec<Vec<ArrayRef>>> {
        let mut found = Vec::with_capacity(pages.len());
        let mut missing: Vec<(u32, Vec<usize>)> = Vec::new();
        for &page in pages {
            let arrays: Vec<_> = columns.iter().map(|&c| self.cached_column(page, c)).collect();
            self.count_page(page, columns, stats);
            if arrays.iter().any(Option::is_none) {
                let absent = columns.iter().zip(&arrays).filter(|(_, array)| array.is_none());
                let roots = absent.filter_map(|(&column, _)| self.columns.root(column));
                let mut roots: Vec<usize> = roots.collect();
                roots.sort_unstable();
                roots.dedup();
                missing.push((page, roots));
            }
            found.push(arrays);
        }
        let loaded = match missing.is_empty() {
            true => Vec::new(),
            false => self.load_columns(&missing, stats).await?,
        };
        let mut loaded = missing.iter().map(|(_, roots)| roots).zip(loaded);
        let mut out = Vec::with_capacity(pages.len());
        for arrays in found {
            let complete = arrays.iter().all(Option::is_some);
            let fresh = if complete { None } else { loaded.next() };
            let pick = |(&column, array): (&usize, Option<ArrayRef>)| {
                let array = array.or_else(|| {
                    let (roots, arrays) = fresh.as_ref()?;
                    let index = roots.binary_search(&self.columns.root(column)?).ok()?;
                    arrays.get(index).cloned()
                });
                let array =
                    array.ok_or_else(|| self.damaged(0, "a column of a page was not decoded"))?;
                conform(array, self.schema.columns[column].field.data_type())
            };
            out.push(columns.iter().zip(arrays).map(pick).collect::<Result<Vec<_>>>()?);
        }
        Ok(out)
    }

    /// A decoded page of a stored column, if it is in the cache.
    fn cached_column(&self, page: u32, column: usize) -> Option<ArrayRef> {
        let (file, root) = (self.record.file, self.columns.root(column)? as u32);
        self.cache.column(PageKey::Column { file, root, page })
    }

    /// Counts one page of each leaf of stored columns as asked for.
    pub(super) fn count_page(&self, page: u32, columns: &[usize], stats: &ReadStats) {
        let roots = columns.iter().filter_map(|&column| self.columns.root(column));
        let (mut pages, mut bytes) = (0, 0);
        for leaf in roots.flat_map(|root| self.columns.leaves(root)) {
            let index = self.layout.data_page(leaf, page);
            pages += 1;
            bytes += u64::from(self.layout.pages()[index as usize].bytes);
        }
        stats.asked(pages, bytes);
    }
}

/// The rows of a page at `ranges`.
fn rows_of(page: &ArrayRef, ranges: &[Range<u32>]) -> Result<ArrayRef> {
    match ranges {
        [one] => Ok(page.slice(one.start as usize, one.len())),
        many => {
            let indices = UInt32Array::from_iter_values(many.iter().cloned().flatten());
            Ok(take(page, &indices, None)?)
        }
    }
}
