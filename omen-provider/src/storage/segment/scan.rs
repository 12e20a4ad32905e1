//! Returns rows at given positions as a stream, for large reads: compaction, `range`.
//!
//! Windows of neighbouring pages are fetched, decoded and given away one after the other; each page
//! is read once. The cache is looked at and left as it was, dictionaries aside.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::stream::{BoxStream, StreamExt, TryStreamExt, try_unfold};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::caught::caught;
use super::columns::{Projection, conform};
use super::decode::DecodedRows;
use super::pages::Keep;
use super::{ReadStats, Segment};
use crate::error::Result;
use crate::storage::live_rows::{LiveRows, RowMask};
use crate::storage::row_ranges::RowRanges;

/// A window holds at most this many encoded bytes (or one page of each column).
const WINDOW_BYTES_MAX: u64 = 4 << 20;
/// A batch holds at most the rows of this many pages: pages of wide rows have few.
const BATCH_PAGES_MAX: usize = 4;

/// Where a scan stands.
struct Scan {
    segment: Arc<Segment>,
    projection: Projection,
    /// Root columns of the file to decode, ascending.
    roots: Vec<usize>,
    /// Rows not yet decoded, the next one last.
    rest: Vec<Range<u32>>,
    /// Which of these rows are live.
    mask: Option<RowMask>,
    /// Pages of the next window; it doubles, so that a caller who wants few rows waits for few.
    window_pages: u32,
    batch_rows: usize,
    current: Option<Window>,
    stats: Arc<ReadStats>,
}

/// A window being decoded.
struct Window {
    decoder: ParquetRecordBatchReader,
    offset: u64,
}

impl Segment {
    /// These rows, in order, as batches of at most `batch_rows` rows; `columns`: indices into the
    /// stored schema, `None`: all of them.
    pub fn scan(
        self: &Arc<Self>,
        rows: impl Into<LiveRows>,
        columns: Option<Vec<usize>>,
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let segment = Arc::clone(self);
        let rows = rows.into();
        let begin = move || -> Result<Scan> {
            let projection = Projection::new(&segment.schema, columns.as_deref())?;
            let root = |&column: &usize| segment.columns.root(column);
            let mut roots: Vec<usize> = projection.columns.iter().filter_map(root).collect();
            roots.sort_unstable();
            roots.dedup();
            if roots.is_empty() {
                // Rows are still counted by decoding the first column.
                roots.push(0);
            }
            let batch_rows_max = segment.layout.page_rows() as usize * BATCH_PAGES_MAX;
            let whole = RowRanges::all(segment.rows());
            let mut rest: Vec<_> = rows.decoded().intersect(&whole).iter().collect();
            rest.reverse();
            Ok(Scan {
                segment,
                projection,
                roots,
                rest,
                mask: rows.mask().cloned(),
                window_pages: 1,
                batch_rows: batch_rows.clamp(1, batch_rows_max),
                current: None,
                stats: Arc::default(),
            })
        };
        futures::stream::once(async { begin() })
            .map_ok(|scan| try_unfold(scan, |scan| scan.step()))
            .try_flatten()
            .boxed()
    }
}

impl Scan {
    async fn step(mut self) -> Result<Option<(RecordBatch, Self)>> {
        loop {
            if let Some(window) = &mut self.current {
                let (offset, decoder) = (window.offset, &mut window.decoder);
                let decoded = caught(|| decoder.next().transpose());
                match decoded.map_err(|reason| self.segment.damaged(offset, reason))? {
                    Some(batch) => {
                        let batch = self.project(&batch)?;
                        // Decoding is work for the processor; others get their turn.
                        tokio::task::yield_now().await;
                        return Ok(Some((batch, self)));
                    }
                    None => self.current = None,
                }
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            self.next_window().await?;
        }
    }

    /// Fetches the pages of the next rows: neighbours, within one row group.
    async fn next_window(&mut self) -> Result<()> {
        let Some(first) = self.rest.last() else { return Ok(()) };
        let layout = &self.segment.layout;
        let first_page = layout.page_of(first.start);
        let group = layout.group_of(first_page);
        let mut last_page = first_page;
        let mut bytes = self.page_bytes(first_page);
        let mut taken: Vec<Range<u32>> = Vec::new();
        while let Some(range) = self.rest.pop() {
            let page = layout.page_of(range.start);
            let fits = if page > last_page {
                // A gap ends the window: its pages are not read.
                bytes += self.page_bytes(page);
                let near = page == last_page + 1 && layout.group_of(page) == group;
                near && page - first_page < self.window_pages && bytes <= WINDOW_BYTES_MAX
            } else {
                true
            };
            if !fits {
                self.rest.push(range);
                break;
            }
            last_page = page;
            let end = layout.positions(page).end;
            if range.end > end {
                self.rest.push(end..range.end);
            }
            let part = range.start..range.end.min(end);
            match taken.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ => taken.push(part),
            }
        }
        self.window_pages = self.window_pages.saturating_mul(2);
        let segment = &self.segment;
        let (indices, data) = segment.pages_of(&self.roots, first_page..last_page + 1);
        segment.count_asked(&indices, data, &self.stats);
        let bytes = segment.fetch(&indices, Keep::Dictionaries, &self.stats).await?;
        let rows = DecodedRows { positions: &taken, mask: self.mask.as_ref() };
        let decoder =
            segment.decoder(group, &self.roots, &indices, bytes, rows, self.batch_rows)?;
        self.current = Some(Window { decoder, offset: segment.group_offset(group) });
        Ok(())
    }

    /// Encoded bytes of a page of all columns read.
    fn page_bytes(&self, page: u32) -> u64 {
        let layout = &self.segment.layout;
        let leaves = self.roots.iter().flat_map(|&root| self.segment.columns.leaves(root));
        let bytes = leaves.map(|leaf| layout.pages()[layout.data_page(leaf, page) as usize].bytes);
        bytes.map(u64::from).sum()
    }

    /// The columns asked for, in the table's types.
    fn project(&self, decoded: &RecordBatch) -> Result<RecordBatch> {
        let column = |&column: &usize| -> Result<ArrayRef> {
            let wanted = self.segment.schema.columns[column].field.data_type();
            let root = self.segment.columns.root(column);
            match root.and_then(|root| self.roots.binary_search(&root).ok()) {
                Some(index) => conform(ArrayRef::clone(decoded.column(index)), wanted),
                None => self.segment.schema.columns[column].absent(decoded.num_rows()),
            }
        };
        let arrays = self.projection.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.num_rows()));
        let schema = Arc::clone(&self.projection.schema);
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}
