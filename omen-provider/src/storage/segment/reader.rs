//! An open segment: what is resident, and how it is opened.
//!
//! Opened from a [`SegmentRecord`] with one read, that of the tail; no row is touched. The other
//! files of this module add the operations: `pages` fetches and verifies, `decode` turns pages
//! into arrays, `search` finds keys, `rows` and `scan` return rows, `file_bytes` serves Parquet
//! readers, `verify` checks everything.
//!
//! Invariant: nothing of the tail is used before its checksum matched the record's.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use omen_index::RmiStats;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};

use super::PageCache;
use super::columns::ColumnMap;
use super::index::KeyIndex;
use super::layout::PageLayout;
use super::tail::{self, Sections};
use crate::error::{Error, Result};
use crate::storage::record::SegmentRecord;
use crate::storage::schema::TableSchema;
use crate::storage::store::Store;
use omen_index::fingerprints::{self, Fingerprints};

/// An open segment; immutable, cheap to clone.
#[derive(Debug, Clone)]
pub struct Segment {
    pub(super) store: Store,
    pub(super) cache: Arc<PageCache>,
    pub(super) record: Arc<SegmentRecord>,
    pub(super) name: Arc<str>,
    pub(super) parquet: ArrowReaderMetadata,
    pub(super) layout: Arc<PageLayout>,
    pub(super) index: Arc<KeyIndex>,
    pub(super) fingerprints: Option<Arc<Fingerprints>>,
    pub(super) schema: Arc<TableSchema>,
    pub(super) columns: Arc<ColumnMap>,
}

impl Segment {
    /// Opens the segment of `record`, whose table now has `schema`.
    ///
    /// # Errors
    /// [`Error::Corruption`] if the tail is not what was written, [`Error::InvalidInput`] if
    /// another version of the format wrote it.
    pub async fn open(
        store: &Store,
        cache: &Arc<PageCache>,
        record: SegmentRecord,
        schema: &Arc<TableSchema>,
    ) -> Result<Arc<Self>> {
        let name = record.file_name();
        let tail = read_tail(store, &record).await?;
        let damaged = |reason: String| Error::corruption(&name, record.tail_offset, reason);
        let metadata = decode_metadata(&record, tail.clone()).map_err(damaged)?;
        tail::check_version(&name, &metadata)?;
        let sections = sections(&record, &tail, &metadata).map_err(damaged)?;
        let layout = PageLayout::decode(sections.layout).map_err(damaged)?;
        check_layout(&record, &layout, &metadata).map_err(damaged)?;
        let fixed_width = schema.codec().fixed_width();
        let index = KeyIndex::decode(sections.index, sections.fences, fixed_width, &layout)
            .map_err(damaged)?;
        let fingerprints = sections.fingerprints.map(Fingerprints::decode).transpose();
        let fingerprints = fingerprints.map_err(|e| damaged(e.to_string()))?;
        let parquet = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
            .map_err(|e| damaged(e.to_string()))?;
        let columns = ColumnMap::new(schema, &parquet).map_err(damaged)?;
        Ok(Arc::new(Self {
            store: store.clone(),
            cache: Arc::clone(cache),
            name: name.as_str().into(),
            record: Arc::new(record),
            parquet,
            layout: Arc::new(layout),
            index: Arc::new(index),
            fingerprints: fingerprints.map(Arc::new),
            schema: Arc::clone(schema),
            columns: Arc::new(columns),
        }))
    }

    /// What the manifest knows of it.
    pub fn record(&self) -> &SegmentRecord {
        &self.record
    }

    /// The schema its rows are read in.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Rows, deleted ones included.
    pub fn rows(&self) -> u32 {
        self.record.rows
    }

    /// False if the key is certainly not there; reads nothing.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        *self.record.min_key <= *key
            && *key <= *self.record.max_key
            && self.fingerprints.as_ref().is_none_or(|f| f.may_contain(fingerprints::hash(key)))
    }

    /// The Parquet metadata, page indexes included.
    pub fn parquet_metadata(&self) -> &Arc<ParquetMetaData> {
        self.parquet.metadata()
    }

    /// Figures of the learned index.
    pub fn index_stats(&self) -> RmiStats {
        self.index.stats()
    }

    /// An error for damage at `offset`.
    pub(super) fn damaged(&self, offset: u64, reason: impl Into<String>) -> Error {
        Error::corruption(&*self.name, offset, reason)
    }

    /// The bytes of the file from the tail on, read and verified anew.
    pub(super) async fn tail(&self) -> Result<Bytes> {
        read_tail(&self.store, &self.record).await
    }
}

/// Reads the tail and compares its checksum with the record's.
async fn read_tail(store: &Store, record: &SegmentRecord) -> Result<Bytes> {
    let name = record.file_name();
    let range: Range<u64> = record.tail_offset..record.bytes;
    let plausible = record.rows > 0
        && range.start >= super::layout::PAGES_START
        && range.start < range.end
        && record.min_key <= record.max_key;
    if !plausible {
        let reason = format!("impossible segment record: tail {range:?}, {} rows", record.rows);
        return Err(Error::corruption(name, range.start, reason));
    }
    let mut read = store.blobs.read_ranges(&name, std::slice::from_ref(&range)).await?;
    let tail = read.pop().unwrap_or_default();
    if tail.len() as u64 != range.end - range.start {
        let reason = format!("tail has {} bytes, expected {range:?}", tail.len());
        return Err(Error::corruption(name, range.start, reason));
    }
    let found = crc32c::crc32c(&tail);
    if found != record.tail_crc {
        let reason =
            format!("checksum of the tail is {found:08x}, expected {:08x}", record.tail_crc);
        return Err(Error::corruption(name, range.start, reason));
    }
    Ok(tail)
}

fn decode_metadata(record: &SegmentRecord, tail: Bytes) -> Result<ParquetMetaData, String> {
    let decode = || {
        let mut decoder = ParquetMetaDataPushDecoder::try_new(record.bytes)?
            .with_page_index_policy(PageIndexPolicy::Required);
        decoder.push_range(record.tail_offset..record.bytes, tail)?;
        decoder.try_decode()
    };
    match decode() {
        Ok(DecodeResult::Data(metadata)) => Ok(metadata),
        Ok(_) => Err("the Parquet footer reaches outside the tail".to_string()),
        Err(e) => Err(e.to_string()),
    }
}

fn sections<'a>(
    record: &SegmentRecord,
    tail: &'a [u8],
    metadata: &ParquetMetaData,
) -> Result<Sections<'a>, String> {
    let (offset, length) = tail::sections_location(metadata)?;
    if offset != record.tail_offset {
        return Err(format!("the footer puts the tail at {offset}"));
    }
    let length = usize::try_from(length).map_err(|e| e.to_string())?;
    let bytes = tail.get(..length).ok_or_else(|| format!("sections of {length} bytes"))?;
    Sections::decode(bytes)
}

/// Compares record, layout and Parquet metadata, which all say where pages lie.
fn check_layout(
    record: &SegmentRecord,
    layout: &PageLayout,
    metadata: &ParquetMetaData,
) -> Result<(), String> {
    let same = layout.rows() == record.rows
        && layout.page_rows() == record.page_rows
        && layout.row_group_rows() == record.row_group_rows
        && layout.end() == record.tail_offset
        && metadata.num_row_groups() == layout.group_count();
    let index = metadata.offset_index().filter(|_| same);
    let index = index.ok_or("record, page layout and Parquet metadata disagree")?;
    for group in 0..layout.group_count() as u32 {
        let meta = metadata.row_group(group as usize);
        let rows = layout.group_positions(group);
        let columns = index.get(group as usize).map_or(0, Vec::len);
        if meta.num_rows() != rows.len() as i64
            || columns != layout.leaves()
            || meta.num_columns() != layout.leaves()
        {
            return Err(format!("row group {group} is not as the page layout says"));
        }
        for (leaf, location) in index[group as usize].iter().enumerate() {
            let chunk = layout.chunk(group, leaf);
            let pages = layout.chunk_pages(chunk);
            let first = layout.pages()[pages.start as usize].offset;
            let bytes = pages.clone().map(|i| i64::from(layout.pages()[i as usize].bytes));
            let column = meta.column(leaf);
            let starts = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let data = pages.start + u32::from(layout.dictionary(group, leaf).is_some());
            let ours = (data..pages.end).map(|i| layout.pages()[i as usize]);
            let theirs = location.page_locations();
            let agree = ours.len() == theirs.len()
                && starts == first as i64
                && column.compressed_size() == bytes.sum::<i64>()
                && ours.zip(theirs).enumerate().all(|(i, (page, location))| {
                    location.offset as u64 == page.offset
                        && location.compressed_page_size as u32 == page.bytes
                        && location.first_row_index == i as i64 * i64::from(layout.page_rows())
                });
            if !agree {
                return Err(format!("pages of column chunk {chunk} are not as the layout says"));
            }
        }
    }
    Ok(())
}
