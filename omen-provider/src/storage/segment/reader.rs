//! An open segment: what is resident, and how it is opened.
//!
//! Opened from a [`SegmentRecord`] with one read, that of the tail; no row is touched. The other
//! files of this module add the operations: `pages` fetches and verifies, `decode` turns pages
//! into arrays, `search` finds keys, `rows` and `scan` return rows, `file_bytes` serves Parquet
//! readers, `verify` checks everything.
//!
//! Invariant: nothing of either part of the tail is used before its checksum matched the record's.
//! Damaged hints are not used at all; everything is found without them, only slower.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::Field;
use bytes::Bytes;
use omen_index::RmiStats;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};

use super::PageCache;
use super::caught::caught;
use super::columns::ColumnMap;
use super::entries::Entries;
use super::index::KeyIndex;
use super::layout::PageLayout;
use super::named::with_names_of;
use super::page_cache::Resident;
use super::tail::{self, Core, Hints};
use crate::error::{Error, Result};
use crate::storage::key::Keys;
use crate::storage::record::{SegmentRecord, bound_above, bound_below};
use crate::storage::schema::{Column, TableSchema};
use crate::storage::store::{Pin, Store};
use crate::teeth::{Tooth, planted};
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
    /// Whether the hints are damaged.
    pub(super) impaired: bool,
    pub(super) schema: Arc<TableSchema>,
    pub(super) columns: Arc<ColumnMap>,
    /// With the table's names.
    pub(super) named: Arc<ParquetMetaData>,
    /// Keeps other writers from removing the file.
    pub(super) _pin: Option<Arc<Pin>>,
    /// Shared by all that are the same open file, whatever pins them.
    pub(super) users: Arc<()>,
    /// Its rows' entries in secondary indexes.
    pub(super) entries: Arc<[Entries]>,
    /// What is wrong with entries that are not used therefore.
    pub(super) damaged_entries: Arc<[(u32, Error)]>,
    /// Counts all of this against the page cache.
    pub(super) _resident: Arc<Resident>,
    /// The same for metadata with other names.
    pub(super) _named_resident: Option<Arc<Resident>>,
}

impl Segment {
    /// Opens the segment of `record`, whose table now has `schema`, without entries in indexes.
    ///
    /// # Errors
    /// As [`Segment::open`].
    pub(super) async fn open_alone(
        store: &Store,
        cache: &Arc<PageCache>,
        record: SegmentRecord,
        schema: &Arc<TableSchema>,
    ) -> Result<Arc<Self>> {
        let name = record.file_name();
        let record = SegmentRecord { entries: Vec::new(), ..record };
        let tail = read_tail(store, &record).await?;
        let core = tail.bytes.slice((record.core_offset - record.tail_offset) as usize..);
        let core_offset = record.core_offset;
        let damaged = |reason: String| Error::corruption(&name, core_offset, reason);
        let metadata = decode_metadata(&record, core.clone()).map_err(damaged)?;
        tail::check_version(&name, &metadata)?;
        let sections = core_sections(&record, &core, &metadata).map_err(damaged)?;
        let layout = PageLayout::decode(sections.layout).map_err(damaged)?;
        check_layout(&record, &layout, &metadata).map_err(damaged)?;
        let fixed_width = schema.codec().fixed_width();
        let mut index =
            KeyIndex::of_fences(sections.fences, fixed_width, &layout).map_err(damaged)?;
        let record = with_whole_keys(record, index.fences(), sections.last_key)
            .map_err(|reason| Error::corruption(&name, core_offset, reason))?;
        let damaged_hints = |reason| Error::corruption(&name, record.tail_offset, reason);
        let hints = &tail.bytes[..tail.bytes.len() - core.len()];
        let fingerprints = match &tail.impaired {
            None => open_hints(hints, &mut index).map_err(damaged_hints)?,
            Some(_) => None,
        };
        let impaired = tail.impaired.is_some();
        let parquet =
            caught(|| ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()));
        let parquet = parquet.map_err(damaged)?;
        let columns = ColumnMap::new(schema, &parquet).map_err(damaged)?;
        let named = with_names_of(schema, &columns, &parquet);
        let named = named.map_err(|error| damaged(error.to_string()))?;
        // Index and fingerprints are as long in memory as they are stored.
        let hints_bytes = if tail.impaired.is_some() { 0 } else { hints.len() };
        let bytes = hints_bytes
            + index.fences().byte_size()
            + layout.byte_size()
            + parquet.metadata().memory_size();
        Ok(Arc::new(Self {
            store: store.clone(),
            cache: Arc::clone(cache),
            name: name.as_str().into(),
            record: Arc::new(record),
            layout: Arc::new(layout),
            index: Arc::new(index),
            fingerprints: fingerprints.map(Arc::new),
            impaired,
            schema: Arc::clone(schema),
            columns: Arc::new(columns),
            _named_resident: named_resident(cache, &named, &parquet),
            named,
            parquet,
            _pin: None,
            users: Arc::default(),
            entries: Arc::default(),
            damaged_entries: Arc::default(),
            _resident: Arc::new(cache.hold(bytes as u64)),
        }))
    }

    /// The same segment, held by the pin on a manifest that names it; so is whatever reads it.
    pub fn pinned(&self, pin: Option<&Arc<Pin>>) -> Arc<Self> {
        Arc::new(Self { _pin: pin.cloned(), ..self.with_entries_pinned(pin) })
    }

    /// The same segment, for its table with another schema: keys are what they were.
    ///
    /// # Errors
    /// [`Error::Corruption`] if it has no such key.
    pub fn of_schema(self: &Arc<Self>, schema: &Arc<TableSchema>) -> Result<Arc<Self>> {
        if Arc::ptr_eq(&self.schema, schema) {
            return Ok(Arc::clone(self));
        }
        let damaged = |reason| self.damaged(self.record.core_offset, reason);
        let columns = ColumnMap::new(schema, &self.parquet).map_err(damaged)?;
        let named = with_names_of(schema, &columns, &self.parquet);
        let named = named.map_err(|error| damaged(error.to_string()))?;
        let _named_resident = named_resident(&self.cache, &named, &self.parquet);
        let (schema, columns) = (Arc::clone(schema), Arc::new(columns));
        let with_entries = self.with_entries_of(&schema);
        Ok(Arc::new(Self { schema, columns, named, _named_resident, ..with_entries }))
    }

    /// Counts who uses the open file: nobody, when this is the last of its clones.
    pub fn users(&self) -> Arc<()> {
        Arc::clone(&self.users)
    }

    /// What the manifest knows of it, but with its outermost keys whole.
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

    /// The Parquet metadata, page indexes included, with the names that columns have in the table.
    pub fn parquet_metadata(&self) -> &Arc<ParquetMetaData> {
        &self.named
    }

    /// Figures of the learned index; `None` if it is damaged.
    pub fn index_stats(&self) -> Option<RmiStats> {
        self.index.stats()
    }

    /// Whether learned index or fingerprints are damaged, which are not used then.
    pub fn is_impaired(&self) -> bool {
        self.impaired
    }

    /// Whether the file has other columns than the table, or others in name or type: the table was
    /// altered since it was written. Another tool would read what the table was.
    pub fn is_outdated(&self) -> bool {
        let kinds = self.parquet.schema().fields().iter().zip(&self.schema.columns);
        let is_same = |(file, column): (&Arc<Field>, &Column)| {
            file.data_type().equals_datatype(column.field.data_type())
        };
        !self.columns.is_straight()
            || !Arc::ptr_eq(&self.named, self.parquet.metadata())
            || !kinds.into_iter().all(is_same)
    }

    /// An error for damage at `offset`.
    pub(super) fn damaged(&self, offset: u64, reason: impl Into<String>) -> Error {
        Error::corruption(&*self.name, offset, reason)
    }

    /// The bytes of the file from the tail on, read and verified anew, hints too.
    pub(super) async fn tail(&self) -> Result<Bytes> {
        let tail = read_tail(&self.store, &self.record).await?;
        match tail.impaired {
            None => Ok(tail.bytes),
            Some(reason) => Err(self.damaged(self.record.tail_offset, reason)),
        }
    }

    /// The bytes of the file from the tail on, read anew, the core verified.
    pub(super) async fn tail_with_any_hints(&self) -> Result<Bytes> {
        Ok(read_tail(&self.store, &self.record).await?.bytes)
    }

    /// The bytes of the file from the core on, read and verified anew.
    pub(super) async fn core(&self) -> Result<Bytes> {
        let tail = read_tail(&self.store, &self.record).await?;
        Ok(tail.bytes.slice((self.record.core_offset - self.record.tail_offset) as usize..))
    }
}

/// Counts metadata that are not those of the file.
fn named_resident(
    cache: &Arc<PageCache>,
    named: &Arc<ParquetMetaData>,
    parquet: &ArrowReaderMetadata,
) -> Option<Arc<Resident>> {
    let is_own = Arc::ptr_eq(named, parquet.metadata());
    (!is_own).then(|| Arc::new(cache.hold(named.memory_size() as u64)))
}

/// A tail whose core is what was written.
struct Tail {
    bytes: Bytes,
    /// What is wrong with the hints.
    impaired: Option<String>,
}

/// Reads the tail and compares its checksums with the record's.
async fn read_tail(store: &Store, record: &SegmentRecord) -> Result<Tail> {
    let name = record.file_name();
    let range: Range<u64> = record.tail_offset..record.bytes;
    let plausible = record.rows > 0
        && range.start >= super::layout::PAGES_START
        && range.start <= record.core_offset
        && record.core_offset < range.end
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
    let (hints, core) = tail.split_at((record.core_offset - range.start) as usize);
    check(core, record.core_crc)
        .map_err(|reason| Error::corruption(name, record.core_offset, reason))?;
    let impaired = check(hints, record.hints_crc).err();
    Ok(Tail { bytes: tail, impaired })
}

fn check(part: &[u8], expected: u32) -> Result<(), String> {
    match crc32c::crc32c(part) {
        found if found == expected || planted(Tooth::ChecksumSkipped) => Ok(()),
        found => Err(format!("checksum of the tail is {found:08x}, expected {expected:08x}")),
    }
}

/// Gives the learned index to `index`, and returns the fingerprints; the error says what is wrong.
fn open_hints(hints: &[u8], index: &mut KeyIndex) -> Result<Option<Fingerprints>, String> {
    let hints = Hints::decode(hints)?;
    index.set_model(hints.index)?;
    hints.fingerprints.map(Fingerprints::decode).transpose().map_err(|e| e.to_string())
}

fn decode_metadata(record: &SegmentRecord, core: Bytes) -> Result<ParquetMetaData, String> {
    let decoded = caught(|| {
        let mut decoder = ParquetMetaDataPushDecoder::try_new(record.bytes)?
            .with_page_index_policy(PageIndexPolicy::Required);
        decoder.push_range(record.core_offset..record.bytes, core)?;
        decoder.try_decode()
    });
    match decoded? {
        DecodeResult::Data(metadata) => Ok(metadata),
        _ => Err("the Parquet footer reaches outside the core of the tail".to_string()),
    }
}

fn core_sections<'a>(
    record: &SegmentRecord,
    core: &'a [u8],
    metadata: &ParquetMetaData,
) -> Result<Core<'a>, String> {
    let (offset, length) = tail::sections_location(metadata)?;
    let hints = record.core_offset - record.tail_offset;
    if offset != record.tail_offset || length < hints {
        return Err(format!("the footer puts sections at {offset}, {length} bytes of them"));
    }
    let length = usize::try_from(length - hints).map_err(|e| e.to_string())?;
    let bytes = core.get(..length).ok_or_else(|| format!("sections of {length} bytes"))?;
    Core::decode(bytes)
}

/// The record with the keys of the file, which must be those that it has bounds for.
fn with_whole_keys(
    mut record: SegmentRecord,
    fences: &Keys,
    last_key: Option<&[u8]>,
) -> Result<SegmentRecord, String> {
    let first = (!fences.is_empty()).then(|| fences.get(0)).ok_or("a segment without a fence")?;
    if bound_below(&first) != bound_below(&record.min_key) {
        return Err("the smallest key of the record is not the first of the file".to_string());
    }
    record.min_key = first.into_owned();
    if let Some(last) = last_key {
        if bound_above(last) != bound_above(&record.max_key) {
            return Err("the largest key of the record is not the last of the file".to_string());
        }
        record.max_key = last.to_vec();
    }
    Ok(record)
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
