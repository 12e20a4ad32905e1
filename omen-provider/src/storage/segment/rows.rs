//! Returns rows at given positions, for small reads: through the cache of decoded pages.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::columns::{Projection, absent, conform};
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
        let decoded = self.page_columns(&pages, &projection.columns, stats).await?;
        let count = touched.iter().flat_map(|(_, ranges)| ranges).map(|r| r.len()).sum();
        let mut arrays = Vec::with_capacity(projection.columns.len());
        for (index, field) in projection.schema.fields().iter().enumerate() {
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

    /// Whole decoded pages, ascending: for each one array per stored column of `columns`.
    pub(super) async fn page_columns(
        &self,
        pages: &[u32],
        columns: &[usize],
        stats: &ReadStats,
    ) -> Result<Vec<Vec<ArrayRef>>> {
        let file = self.record.file;
        let mut roots: Vec<usize> = columns.iter().filter_map(|&c| self.columns.root(c)).collect();
        roots.sort_unstable();
        roots.dedup();
        let mut arrays: HashMap<(u32, usize), ArrayRef> = HashMap::new();
        let mut missing: Vec<(u32, Vec<usize>)> = Vec::new();
        for &page in pages {
            let mut absent = Vec::new();
            for &root in &roots {
                match self.cache.column(PageKey::Column { file, root: root as u32, page }) {
                    Some(array) => drop(arrays.insert((page, root), array)),
                    None => absent.push(root),
                }
            }
            let (indices, data) = self.pages_of(&roots, page..page + 1);
            self.count_asked(&indices, data, stats);
            if !absent.is_empty() {
                missing.push((page, absent));
            }
        }
        if !missing.is_empty() {
            let loaded = self.load_columns(&missing, stats).await?;
            for ((page, roots), columns) in missing.into_iter().zip(loaded) {
                arrays.extend(roots.into_iter().map(|root| (page, root)).zip(columns));
            }
        }
        let mut out = Vec::with_capacity(pages.len());
        for &page in pages {
            let column = |&column: &usize| self.stored_column(page, column, &arrays);
            out.push(columns.iter().map(column).collect::<Result<Vec<_>>>()?);
        }
        Ok(out)
    }

    /// A page of a stored column, in the table's type.
    fn stored_column(
        &self,
        page: u32,
        column: usize,
        arrays: &HashMap<(u32, usize), ArrayRef>,
    ) -> Result<ArrayRef> {
        let wanted = self.schema.columns[column].field.data_type();
        let array = self.columns.root(column).and_then(|root| arrays.get(&(page, root)));
        match array {
            Some(array) => conform(ArrayRef::clone(array), wanted),
            None => Ok(absent(wanted, self.layout.positions(page).len())),
        }
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
