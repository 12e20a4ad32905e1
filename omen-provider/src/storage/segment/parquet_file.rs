//! The Parquet half of writing a segment: rows in, pages cut at the same rows in all columns out.
//!
//! Called by [`super::SegmentWriter`]; calls the `parquet` crate and the blob being written.
//!
//! Column writers get exactly one page of rows at a time, so that every column is cut there. A row
//! group is encoded in memory, its pages are checksummed as it closes, and its bytes go on to
//! the store.
//!
//! How many rows pages and row groups have is decided by the first rows. If rows that come later
//! are so wide that a page or a row group would take far more memory than planned, the file takes
//! no more of them: its last page and its last row group may be short.
//!
//! Invariant: what the store has is `layout` bytes long, and memory holds one row group, of about
//! [`ROW_GROUP_BYTES_MAX`] at most, and one page.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriter,
    ArrowWriterOptions, compute_leaves,
};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::layout::PageLayout;
use super::shape;
use super::tail::{self, EncodedSections};
use crate::error::{Error, Result};
use crate::storage::schema::TableSchema;
use crate::storage::store::BlobWriter;

/// A file ends when its row group has more encoded bytes than this.
const ROW_GROUP_BYTES_MAX: usize = 64 << 20;
/// A file ends when the rows of a page take more memory than this.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// Bytes that the Parquet writer has produced and the store has not got yet.
#[derive(Debug, Default)]
struct Unsent(Vec<u8>);

impl Write for Unsent {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A Parquet file being written.
pub(super) struct ParquetFile {
    blob: Box<dyn BlobWriter>,
    writer: SerializedFileWriter<Unsent>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Of the row group being written; empty between row groups.
    columns: Vec<ArrowColumnWriter>,
    /// Rows that `columns` have.
    group_rows: usize,
    /// Rows of a page that is not full yet.
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    /// Bytes of these rows in memory, about.
    pending_bytes: usize,
    /// Whether it takes no more rows.
    full: bool,
    layout: PageLayout,
}

/// What is known once a file is complete.
#[derive(Debug)]
pub(super) struct Finished {
    pub bytes: u64,
    pub tail_offset: u64,
    pub hints_crc: u32,
    pub core_offset: u64,
    pub core_crc: u32,
}

impl ParquetFile {
    /// Begins a file, shaped for rows like `first`.
    pub(super) fn new(
        blob: Box<dyn BlobWriter>,
        schema: &TableSchema,
        first: &RecordBatch,
        row_group_rows: usize,
    ) -> Result<Self> {
        let page_rows = shape::page_rows(first);
        let row_group_rows = shape::row_group_rows(first, page_rows, row_group_rows);
        let parquet = ArrowSchemaConverter::new().convert(schema.stored())?;
        let properties = shape::properties(schema, &parquet, (page_rows, row_group_rows), first)?;
        let leaves = parquet.num_columns();
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_parquet_schema(parquet);
        let stored = Arc::clone(schema.stored());
        let (writer, factory) =
            ArrowWriter::try_new_with_options(Unsent::default(), Arc::clone(&stored), options)?
                .into_serialized_writer()?;
        Ok(Self {
            blob,
            writer,
            factory,
            schema: stored,
            columns: Vec::new(),
            group_rows: 0,
            pending: Vec::new(),
            pending_rows: 0,
            pending_bytes: 0,
            full: false,
            layout: PageLayout::new(page_rows as u32, row_group_rows as u32, leaves),
        })
    }

    /// Where pages lie and how many rows they hold.
    pub(super) fn layout(&self) -> &PageLayout {
        &self.layout
    }

    /// Bytes of the pages so far, encoded.
    pub(super) fn bytes(&self) -> u64 {
        self.layout.end() + self.group_bytes() as u64
    }

    /// Appends rows, from the first on, and says how many; not all of them if the file is full.
    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<usize> {
        let page_rows = self.layout.page_rows() as usize;
        let bytes_per_row = shape::bytes_per_row(rows);
        let mut start = 0;
        while start < rows.num_rows() && !self.full {
            let missing = (page_rows - self.pending_rows).min(rows.num_rows() - start);
            let room = PAGE_BYTES_MAX.saturating_sub(self.pending_bytes) / bytes_per_row;
            let taken = missing.min(room.max(usize::from(self.pending_rows == 0)));
            self.full = taken < missing;
            if taken == 0 {
                break;
            }
            self.pending.push(rows.slice(start, taken));
            self.pending_rows += taken;
            self.pending_bytes += taken * bytes_per_row;
            start += taken;
            if self.pending_rows == page_rows {
                self.write_page()?;
                // Encoding is work for the processor; others on this thread get their turn.
                tokio::task::yield_now().await;
            }
            if self.group_rows == self.layout.row_group_rows() as usize {
                self.close_row_group().await?;
            }
            self.full |= self.pending_rows == 0 && self.group_bytes() > ROW_GROUP_BYTES_MAX;
        }
        Ok(start)
    }

    /// Encoded bytes of the row group being written, about.
    fn group_bytes(&self) -> usize {
        self.columns.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }

    /// Completes the file: last row group, `sections`, Parquet's own metadata.
    pub(super) async fn finish(
        mut self,
        sections: impl FnOnce(&PageLayout) -> Result<EncodedSections>,
    ) -> Result<Finished> {
        self.write_page()?;
        self.close_row_group().await?;
        let tail_offset = self.layout.end();
        let sections = sections(&self.layout)?;
        let length = sections.hints.len() + sections.core.len();
        for entry in tail::metadata_entries(tail_offset, length) {
            self.writer.append_key_value_metadata(entry);
        }
        self.writer.write_all(&sections.hints).map_err(ParquetError::from)?;
        self.writer.write_all(&sections.core).map_err(ParquetError::from)?;
        self.writer.finish()?;
        let tail = self.take_unsent()?;
        let bytes = tail_offset + tail.len() as u64;
        let (hints, core) = tail.split_at(sections.hints.len());
        let (hints_crc, core_crc) = (crc32c::crc32c(hints), crc32c::crc32c(core));
        let core_offset = tail_offset + hints.len() as u64;
        self.blob.write(tail).await?;
        self.blob.finish().await?;
        Ok(Finished { bytes, tail_offset, hints_crc, core_offset, core_crc })
    }

    /// Encodes the pending rows as one page of each column.
    fn write_page(&mut self) -> Result<()> {
        let rows = match self.pending.len() {
            0 => return Ok(()),
            1 => self.pending.remove(0),
            _ => concat_batches(&self.schema, &std::mem::take(&mut self.pending))?,
        };
        (self.pending_rows, self.pending_bytes) = (0, 0);
        if self.columns.is_empty() {
            let group = self.writer.flushed_row_groups().len();
            self.columns = self.factory.create_column_writers(group)?;
        }
        let mut columns = self.columns.iter_mut();
        for (field, array) in self.schema.fields().iter().zip(rows.columns()) {
            for leaf in compute_leaves(field, array)? {
                let column = columns.next().ok_or_else(|| leaf_mismatch(array))?;
                column.write(&leaf)?;
            }
        }
        self.group_rows += rows.num_rows();
        Ok(())
    }

    async fn close_row_group(&mut self) -> Result<()> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let mut chunks = Vec::with_capacity(self.columns.len());
        let mut group = self.writer.next_row_group()?;
        for column in std::mem::take(&mut self.columns) {
            let chunk = column.close()?;
            chunks.push(page_lengths(&chunk, self.group_rows, &self.layout)?);
            chunk.append_to_row_group(&mut group)?;
            tokio::task::yield_now().await;
        }
        group.close()?;
        let start = if self.layout.rows() == 0 { super::layout::PAGES_START } else { 0 };
        let bytes = self.take_unsent()?;
        let mut rest = bytes.get(start as usize..).unwrap_or_default();
        for (dictionary, pages) in chunks {
            let mut checksummed = |length: u32| {
                let (page, behind) = rest.split_at_checked(length as usize)?;
                rest = behind;
                Some((length, crc32c::crc32c(page)))
            };
            let dictionary = dictionary.map(&mut checksummed);
            let pages: Option<Vec<_>> = pages.into_iter().map(&mut checksummed).collect();
            match (dictionary, pages) {
                (Some(None), _) | (_, None) => return Err(unexpected("pages exceed their chunk")),
                (dictionary, Some(pages)) => self.layout.push_chunk(dictionary.flatten(), &pages),
            }
        }
        if !rest.is_empty() {
            return Err(unexpected("a row group has bytes outside its pages"));
        }
        self.layout.push_rows(self.group_rows as u32);
        self.group_rows = 0;
        self.blob.write(bytes).await
    }

    fn take_unsent(&mut self) -> Result<Bytes> {
        self.writer.flush().map_err(ParquetError::from)?;
        Ok(Bytes::from(std::mem::take(&mut self.writer.inner_mut().0)))
    }
}

/// Length of the dictionary (if any) and of each data page of a chunk of `rows` rows; an error if
/// its pages are not cut as the layout says.
fn page_lengths(
    chunk: &ArrowColumnChunk,
    rows: usize,
    layout: &PageLayout,
) -> Result<(Option<u32>, Vec<u32>)> {
    let close = chunk.close();
    let Some(index) = &close.offset_index else {
        return Err(unexpected("a column chunk has no offset index"));
    };
    let locations = index.page_locations();
    let starts = locations.iter().map(|page| page.first_row_index);
    let expected = (0..rows as i64).step_by(layout.page_rows() as usize);
    if !starts.eq(expected) {
        return Err(unexpected("a column's pages are cut at other rows than the rest"));
    }
    let pages: Vec<u32> = locations.iter().map(|page| page.compressed_page_size as u32).collect();
    let data: u64 = pages.iter().map(|&bytes| u64::from(bytes)).sum();
    let dictionary =
        u32::try_from((close.metadata.compressed_size() as u64).saturating_sub(data)).unwrap_or(0);
    Ok(((dictionary > 0).then_some(dictionary), pages))
}

fn leaf_mismatch(array: &ArrayRef) -> Error {
    unexpected(&format!("a column of type {} has more leaves than its schema", array.data_type()))
}

fn unexpected(what: &str) -> Error {
    ParquetError::General(format!("while writing a segment: {what}")).into()
}
