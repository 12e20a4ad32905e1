//! From encoded pages to arrays.
//!
//! The `parquet` crate decodes; it is given a file of which only the verified pages exist, and a
//! selection that touches no other.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use arrow::array::{ArrayRef, BooleanBufferBuilder};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::caught::caught;
use super::page_cache::PageKey;
use super::pages::Keep;
use super::{ReadStats, Segment};
use crate::error::Result;
use crate::storage::live_rows::RowMask;

/// A file of which only some pages are there.
#[derive(Debug)]
struct SparseFile {
    bytes: u64,
    /// By offset.
    pages: HashMap<u64, Bytes>,
}

impl Length for SparseFile {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for SparseFile {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let page = self.pages.get(&start).cloned();
        page.map(Cursor::new).ok_or_else(|| not_fetched(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let page = self.pages.get(&start).filter(|page| page.len() >= length);
        page.map(|page| page.slice(..length)).ok_or_else(|| not_fetched(start))
    }
}

fn not_fetched(offset: u64) -> ParquetError {
    ParquetError::General(format!("the page at {offset} was not fetched"))
}

/// Rows of one row group to decode.
#[derive(Debug, Clone, Copy)]
pub(super) struct DecodedRows<'a> {
    /// Sorted and disjoint.
    pub(super) positions: &'a [Range<u32>],
    /// Which of them to return; `None`: all.
    pub(super) mask: Option<&'a RowMask>,
}

impl DecodedRows<'_> {
    /// The rows as the decoder of a row group at positions `group` takes them.
    fn selection(&self, group: Range<u32>) -> (RowSelection, RowSelectionPolicy) {
        let within =
            |r: &Range<u32>| (r.start - group.start) as usize..(r.end - group.start) as usize;
        let Some(mask) = self.mask else {
            let ranges = self.positions.iter().map(within);
            let selection = RowSelection::from_consecutive_ranges(ranges, group.len());
            return (selection, RowSelectionPolicy::Selectors);
        };
        let mut live = BooleanBufferBuilder::new(group.len());
        for range in self.positions {
            live.append_n(within(range).start - live.len(), false);
            live.append_buffer(&mask.slice(range.clone()));
        }
        live.append_n(group.len() - live.len(), false);
        (RowSelection::from_boolean_buffer(live.finish()), RowSelectionPolicy::Mask)
    }
}

impl Segment {
    /// Indices, ascending, of the pages that hold page numbers `pages` (of one row group) of root
    /// columns `roots` (ascending), dictionaries included; and how many of them are data pages.
    pub(super) fn pages_of(&self, roots: &[usize], pages: Range<u32>) -> (Vec<u32>, u64) {
        let group = self.layout.group_of(pages.start);
        let (mut indices, mut data) = (Vec::new(), 0);
        for leaf in roots.iter().flat_map(|&root| self.columns.leaves(root)) {
            indices.extend(self.layout.dictionary(group, leaf));
            let first = self.layout.data_page(leaf, pages.start);
            indices.extend(first..first + pages.len() as u32);
            data += pages.len() as u64;
        }
        (indices, data)
    }

    /// Counts pages that were asked for.
    pub(super) fn count_asked(&self, indices: &[u32], data_pages: u64, stats: &ReadStats) {
        let bytes = indices.iter().map(|&i| u64::from(self.layout.pages()[i as usize].bytes));
        stats.asked(data_pages, bytes.sum());
    }

    /// Decodes rows of one row group, which lie in pages of which the bytes are given; with a mask,
    /// all pages between the first and the last are. The columns come in the order of `roots`,
    /// ascending.
    pub(super) fn decoder(
        &self,
        group: u32,
        roots: &[usize],
        indices: &[u32],
        bytes: Vec<Bytes>,
        rows: DecodedRows<'_>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let (selection, policy) = rows.selection(self.layout.group_positions(group));
        let offset = |&index: &u32| self.layout.pages()[index as usize].offset;
        let pages = indices.iter().map(offset).zip(bytes).collect();
        let file = SparseFile { bytes: self.record.bytes, pages };
        let mask = ProjectionMask::roots(self.parquet.parquet_schema(), roots.iter().copied());
        let build = || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.parquet.clone())
                .with_row_groups(vec![group as usize])
                .with_projection(mask)
                .with_row_selection_policy(policy)
                .with_row_selection(selection)
                .with_batch_size(batch_rows)
                .build()
        };
        caught(build).map_err(|reason| self.damaged(self.group_offset(group), reason))
    }

    /// Where a row group begins, for errors.
    pub(super) fn group_offset(&self, group: u32) -> u64 {
        let first = self.layout.chunk_pages(self.layout.chunk(group, 0)).start;
        self.layout.pages()[first as usize].offset
    }

    /// The decoded pages of root columns: for each `(page number, roots ascending)` one array per
    /// root. They go into the cache.
    pub(super) async fn load_columns(
        &self,
        wanted: &[(u32, Vec<usize>)],
        stats: &ReadStats,
    ) -> Result<Vec<Vec<ArrayRef>>> {
        let mut per_page = Vec::with_capacity(wanted.len());
        let mut all = Vec::new();
        for (page, roots) in wanted {
            let (indices, _) = self.pages_of(roots, *page..*page + 1);
            all.extend_from_slice(&indices);
            per_page.push(indices);
        }
        all.sort_unstable();
        all.dedup();
        let bytes = self.fetch(&all, Keep::Dictionaries, stats).await?;
        let bytes_of = |index: &u32| all.binary_search(index).ok().map(|i| bytes[i].clone());
        let mut out = Vec::with_capacity(wanted.len());
        for ((page, roots), indices) in wanted.iter().zip(per_page) {
            let bytes = indices.iter().filter_map(bytes_of).collect();
            out.push(self.decode_page(*page, roots, &indices, bytes)?);
        }
        Ok(out)
    }

    fn decode_page(
        &self,
        page: u32,
        roots: &[usize],
        indices: &[u32],
        bytes: Vec<Bytes>,
    ) -> Result<Vec<ArrayRef>> {
        let group = self.layout.group_of(page);
        let positions = [self.layout.positions(page)];
        let rows = positions[0].len();
        let whole = DecodedRows { positions: &positions, mask: None };
        let mut decoder = self.decoder(group, roots, indices, bytes, whole, rows)?;
        let broken = |reason: String| self.damaged(self.group_offset(group), reason);
        let batch = caught(|| decoder.next().transpose()).map_err(broken)?;
        let batch = batch.filter(|b| b.num_rows() == rows && b.num_columns() == roots.len());
        let batch =
            batch.ok_or_else(|| broken(format!("page {page} does not hold its {rows} rows")))?;
        for (&root, array) in roots.iter().zip(batch.columns()) {
            let key = PageKey::Column { file: self.record.file, root: root as u32, page };
            self.cache.insert_column(key, array.clone());
        }
        Ok(batch.columns().to_vec())
    }
}
