//! The entries of a segment's rows in secondary indexes: segments of their own, in files beside it.
//!
//! Written after the segment by `rewrite`, or when an index is created; named by the segment's
//! record; opened with it. Like a learned index they are hints with a guarantee: entries that are
//! missing or damaged cost time, for the rows are read instead, and no row. They are made anew
//! then, since the record names them no longer.
//!
//! Invariant: entries that are here are those of all rows, deleted ones included.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;

use super::{PageCache, ReadStats, Segment};
use crate::error::{Error, Result};
use crate::storage::key::{KeyRange, Keys};
use crate::storage::record::{EntriesRecord, SegmentRecord};
use crate::storage::row_ranges::RowRanges;
use crate::storage::schema::{IndexSchema, TableSchema};
use crate::storage::store::{Pin, Store};

/// Rows read at a time to make entries of them.
const BATCH_ROWS: usize = 8192;

/// Entries of a segment that take more are not made: sorting them would take too much memory.
const ENTRIES_BYTES_MAX: usize = 256 << 20;

/// The entries of all rows in one index.
#[derive(Debug, Clone)]
pub(super) struct Entries {
    index: u32,
    segment: Arc<Segment>,
    /// Whether a read has met damage in them: they are not used any more.
    is_damaged: Arc<AtomicBool>,
}

impl Segment {
    /// Opens the segment of `record`, whose table now has `schema`, with its entries.
    ///
    /// # Errors
    /// [`Error::Corruption`] if the core of the tail is not what was written,
    /// [`Error::InvalidInput`] if another version of the format wrote it.
    pub async fn open(
        store: &Store,
        cache: &Arc<PageCache>,
        record: SegmentRecord,
        schema: &Arc<TableSchema>,
    ) -> Result<Arc<Self>> {
        let named = record.entries.clone();
        let mut segment = Self::open_alone(store, cache, record, schema).await?;
        for EntriesRecord { index, segment: record } in named {
            let Some(index) = schema.indexes.iter().find(|other| other.index.id == index) else {
                continue;
            };
            let record = record.unwrap_or_default();
            let name = record.file_name();
            let opened = Self::open_alone(store, cache, record, index.entries()).await;
            match opened {
                Ok(entries) if entries.rows() == segment.rows() => {
                    segment = segment.with_entries([(index.index.id, entries)]);
                }
                Ok(entries) => {
                    let reason = format!("{} entries for {} rows", entries.rows(), segment.rows());
                    let error = Error::corruption(name, 0, reason);
                    segment = segment.without_entries(index.index.id, error);
                }
                Err(Error::NotFound(_)) => {
                    let error = Error::corruption(name, 0, "the file is missing");
                    segment = segment.without_entries(index.index.id, error);
                }
                Err(error @ (Error::Corruption { .. } | Error::InvalidInput(_))) => {
                    segment = segment.without_entries(index.index.id, error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(segment)
    }

    /// The same segment with entries in further indexes.
    pub fn with_entries(
        self: &Arc<Self>,
        added: impl IntoIterator<Item = (u32, Arc<Self>)>,
    ) -> Arc<Self> {
        let (mut entries, mut damaged) = (self.entries.to_vec(), self.damaged_entries.to_vec());
        for (index, segment) in added {
            entries.retain(|other| other.index != index);
            damaged.retain(|(other, _)| *other != index);
            entries.push(Entries { index, segment, is_damaged: Arc::default() });
        }
        Arc::new(Self { damaged_entries: damaged.into(), ..self.having(entries) })
    }

    /// The same segment, of whose entries some are damaged.
    fn without_entries(self: &Arc<Self>, index: u32, damage: Error) -> Arc<Self> {
        let mut damaged = self.damaged_entries.to_vec();
        damaged.push((index, damage));
        Arc::new(Self { damaged_entries: damaged.into(), ..Self::clone(self) })
    }

    /// The same segment with these entries and no others.
    fn having(&self, entries: Vec<Entries>) -> Self {
        let record = |entries: &Entries| EntriesRecord {
            index: entries.index,
            segment: Some(entries.segment.record().clone()),
        };
        let records = entries.iter().map(record).collect();
        let record = SegmentRecord { entries: records, ..SegmentRecord::clone(&self.record) };
        Self { record: Arc::new(record), entries: entries.into(), ..self.clone() }
    }

    /// The same segment with the entries in those indexes that `schema` has.
    pub(super) fn with_entries_of(&self, schema: &TableSchema) -> Self {
        let is_there =
            |entries: &&Entries| schema.indexes.iter().any(|index| index.index.id == entries.index);
        let is_known =
            |(id, _): &&(u32, Error)| schema.indexes.iter().any(|index| index.index.id == *id);
        let damaged_entries = self.damaged_entries.iter().filter(is_known).cloned().collect();
        let entries = self.entries.iter().filter(is_there).cloned().collect();
        Self { damaged_entries, ..self.having(entries) }
    }

    /// The same segment, its entries held by the same pin.
    pub(super) fn with_entries_pinned(&self, pin: Option<&Arc<Pin>>) -> Self {
        let pinned =
            |entries: &Entries| Entries { segment: entries.segment.pinned(pin), ..entries.clone() };
        Self { entries: self.entries.iter().map(pinned).collect(), ..self.clone() }
    }

    /// The entries in an index, if they are here.
    pub fn entries(&self, index: u32) -> Option<&Arc<Self>> {
        let found = self.entries_found(index)?;
        (!found.is_damaged.load(Relaxed)).then_some(&found.segment)
    }

    /// The same, also those that a read has found damaged.
    fn entries_found(&self, index: u32) -> Option<&Entries> {
        self.entries.iter().find(|entries| entries.index == index)
    }

    /// What reading entries came to; `None` if they are damaged: they are not used any more.
    fn unless_damaged<T>(&self, index: u32, read: Result<T>) -> Result<Option<T>> {
        match read {
            Err(Error::Corruption { .. } | Error::NotFound(_)) => {
                if let Some(damaged) = self.entries_found(index) {
                    damaged.is_damaged.store(true, Relaxed);
                }
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// The segment itself and all its entries: what has a file.
    pub fn files(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::once(self).chain(self.entries.iter().map(|entries| &entries.segment))
    }

    /// The indexes of the table in which there are no entries.
    pub fn missing_entries(&self) -> impl Iterator<Item = &IndexSchema> {
        self.schema.indexes.iter().filter(|index| self.entries(index.index.id).is_none())
    }

    /// Where the entries of `ranges` (disjoint, ascending) are among those of an index; `None` if
    /// they are not here.
    pub async fn entry_ranges(
        &self,
        index: u32,
        ranges: &[KeyRange],
        stats: &ReadStats,
    ) -> Result<Option<Vec<Range<u32>>>> {
        let Some(entries) = self.entries(index) else { return Ok(None) };
        let (min, max) = (&entries.record().min_key, &entries.record().max_key);
        let mut found = Vec::new();
        for range in ranges.iter().filter(|range| range.overlaps(min, max)) {
            let rows = entries.row_range(range, stats).await;
            let Some(rows) = self.unless_damaged(index, rows)? else { return Ok(None) };
            if !rows.is_empty() {
                found.push(rows);
            }
        }
        Ok(Some(found))
    }

    /// The positions of the rows whose entries lie in these ranges, in the order of the entries;
    /// `None` if they are damaged.
    pub async fn entry_positions(
        &self,
        index: u32,
        entries: Vec<Range<u32>>,
        stats: &ReadStats,
    ) -> Result<Option<Vec<u32>>> {
        let Some(segment) = self.entries(index) else { return Ok(None) };
        if entries.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let position = segment.schema().columns.len() - 1;
        let ranges: RowRanges = entries.into_iter().collect();
        let rows = segment.read_rows(&ranges, Some(&[position]), stats).await;
        let rows = rows.and_then(|rows| {
            let positions = IndexSchema::positions(&rows).to_vec();
            match positions.iter().find(|position| **position >= self.rows()) {
                Some(row) => Err(segment.damaged(0, format!("an entry is of row {row}"))),
                None => Ok(positions),
            }
        });
        self.unless_damaged(index, rows)
    }

    /// The entries of all rows in an index, in their order, and their encodings; `None` if they
    /// take too much memory.
    pub async fn make_entries(
        self: &Arc<Self>,
        index: &IndexSchema,
    ) -> Result<Option<(RecordBatch, Keys)>> {
        let all = RowRanges::all(self.rows());
        let batches: Vec<RecordBatch> =
            self.scan(all, Some(index.places.clone()), BATCH_ROWS).try_collect().await?;
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        if bytes > ENTRIES_BYTES_MAX {
            return Ok(None);
        }
        let values = (0..index.places.len()).map(|column| {
            let parts: Vec<_> = batches.iter().map(|batch| batch.column(column).as_ref()).collect();
            Ok(concat(&parts)?)
        });
        let columns = index.columns(&values.collect::<Result<Vec<ArrayRef>>>()?, 0)?;
        drop(batches);
        let keys = index.encode(&columns)?;
        let order = keys.sorted_order();
        let sorted_keys = keys.take(&order);
        drop(keys);
        let order = UInt32Array::from(order);
        let sorted = columns.iter().map(|column| take(column, &order, None));
        let sorted = sorted.collect::<std::result::Result<Vec<_>, _>>()?;
        let entries = RecordBatch::try_new(Arc::clone(index.entries().stored()), sorted)?;
        Ok(Some((entries, sorted_keys)))
    }

    /// Reads and checks all entries: that they are whole, and those of the rows. Those that are not
    /// are not used any more.
    pub(super) async fn verify_entries(self: &Arc<Self>) -> Result<()> {
        if let Some((_, damage)) = self.damaged_entries.first() {
            return Err(damage.clone());
        }
        for index in &self.schema.indexes {
            let verified = self.verify_index(index).await;
            if let Err(error) = &verified {
                self.unless_damaged::<()>(index.index.id, Err(error.clone()))?;
            }
            verified?;
        }
        Ok(())
    }

    async fn verify_index(self: &Arc<Self>, index: &IndexSchema) -> Result<()> {
        // What a read has met already is to be named here all the same.
        let Some(Entries { segment: entries, .. }) = self.entries_found(index.index.id) else {
            return Ok(());
        };
        Box::pin(entries.verify()).await?;
        let Some((expected, _)) = self.make_entries(index).await? else { return Ok(()) };
        let mut found = entries.scan(RowRanges::all(entries.rows()), None, BATCH_ROWS);
        let mut row = 0;
        while let Some(batch) = found.try_next().await? {
            let rows = batch.num_rows();
            if batch.columns() != expected.slice(row, rows).columns() {
                let (name, rows) = (&index.index.name, row..row + rows);
                let reason = format!("entries {rows:?} of index \"{name}\" are not its rows'");
                return Err(entries.damaged(0, reason));
            }
            row += rows;
        }
        Ok(())
    }
}
