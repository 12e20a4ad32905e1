//! Reading one version: rows by key, rows by key range, and what a scan has to read.
//!
//! Called by the provider (`select`) and the front doors (`get`, `get_many`, `range`). Takes no
//! lock and never waits for writers. What it returns is plain data.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::{self, BoxStream, StreamExt};

use super::key::{Key, KeyRange, Keys};
use super::merge_scan::merge_scan;
use super::numbering::numbered;
use super::schema::{IndexSchema, TableSchema};
use super::segment::ReadStats;
use super::system_tables::{SYSTEM_TABLES, read_only};
use super::version::{PartId, Place, TableVersion, Version};
use crate::error::{Error, Result};

mod names;
mod select;

pub use select::{ScanSet, SegmentScan};

/// Rows of a batch that a range read returns at most.
const BATCH_ROWS: usize = 8192;

/// The database at one log position.
#[derive(Debug, Clone)]
pub struct Snapshot {
    version: Arc<Version>,
}

/// One table of a snapshot.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    table: Arc<TableVersion>,
}

impl Snapshot {
    /// A snapshot of `version`.
    pub(crate) fn new(version: Arc<Version>) -> Self {
        Self { version }
    }

    /// The log position.
    pub fn lsn(&self) -> u64 {
        self.version.lsn
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<TableSnapshot> {
        self.version.table_named(name).map(|table| TableSnapshot { table: Arc::clone(table) })
    }

    /// The table of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] naming the tables there are.
    pub fn require(&self, name: &str) -> Result<TableSnapshot> {
        self.table(name).ok_or_else(|| {
            if SYSTEM_TABLES.contains(&name) {
                return read_only(name);
            }
            let names = self.table_names().join(", ");
            let have = if names.is_empty() { "none".to_string() } else { names };
            Error::NotFound(format!("table \"{name}\"; tables there are: {have}"))
        })
    }

    /// The names of all tables, sorted.
    pub fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.version.tables().iter().map(|t| t.schema.name.clone()).collect();
        names.sort_unstable();
        names
    }
}

impl TableSnapshot {
    /// The values of the identity column for rows that bring `given`, with numbers for NULL; see
    /// [`numbered`].
    pub(crate) fn numbered(&self, given: &ArrayRef) -> Result<ArrayRef> {
        numbered(&self.table, given)
    }

    /// A snapshot of one table.
    pub(crate) fn new(table: Arc<TableVersion>) -> Self {
        Self { table }
    }

    /// The version of the table that this reads.
    pub(crate) fn version(&self) -> &Arc<TableVersion> {
        &self.table
    }

    /// As [`TableSnapshot::version`].
    pub(crate) fn into_version(self) -> Arc<TableVersion> {
        self.table
    }

    /// Columns and key.
    pub(crate) fn schema(&self) -> &Arc<TableSchema> {
        &self.table.schema
    }

    /// The columns that callers see.
    pub fn columns(&self) -> SchemaRef {
        Arc::clone(self.schema().visible())
    }

    /// The key columns in key order; empty if the key is the hidden row id.
    pub fn key_names(&self) -> Vec<String> {
        let schema = self.schema();
        let names = schema.key_names().into_iter().map(String::from);
        if schema.hidden_key { Vec::new() } else { names.collect() }
    }

    /// Rows of the table.
    pub fn live_rows(&self) -> u64 {
        self.table.live_rows
    }

    /// Parts of the table.
    pub(crate) fn part_count(&self) -> usize {
        self.table.part_count()
    }

    /// The row of `key` in the visible schema.
    pub async fn get(&self, key: impl Into<Key>) -> Result<Option<RecordBatch>> {
        let key = self.schema().codec().encode_key(&key.into())?;
        let stats = ReadStats::default();
        match self.table.find(&key, &stats).await? {
            Some(place) => Ok(Some(self.read_one(place, &stats).await?)),
            None => Ok(None),
        }
    }

    /// The rows of `keys`, each as a batch of one row, in the order of `keys`.
    pub async fn get_many<K: Into<Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<RecordBatch>>> {
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        let codec = self.schema().codec();
        let mut encoded = Keys::new(codec.fixed_width());
        for key in &keys {
            encoded.push(&codec.encode_key(key)?);
        }
        let order = encoded.sorted_order();
        let stats = ReadStats::default();
        let found = self.table.find_many(&encoded.take(&order), &stats).await?;
        let mut rows = vec![None; keys.len()];
        for (index, place) in found {
            rows[order[index as usize] as usize] = Some(self.read_one(place, &stats).await?);
        }
        Ok(rows)
    }

    /// The visible columns of the rows that have the keys of `rows`, which have all visible
    /// columns: one row for each, NULL where there is none.
    pub(crate) async fn rows_of(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let stats = ReadStats::default();
        let places = self.places_of(rows, &stats).await?;
        self.read_places(&places, &stats).await
    }

    /// As [`TableSnapshot::rows_of`], for the rows that have their values in a UNIQUE index.
    ///
    /// # Errors
    /// With `or_new`: [`Error::DuplicateKey`] for one that has another row's key, but not its
    /// values.
    pub(crate) async fn rows_by(
        &self,
        index: &IndexSchema,
        rows: &RecordBatch,
        or_new: bool,
    ) -> Result<Vec<ArrayRef>> {
        let stats = ReadStats::default();
        let mut places = Vec::with_capacity(rows.num_rows());
        for range in index.value_ranges(rows)? {
            let found = match range {
                Some(range) => self.table.places_of(index, &range, None, &stats).await?,
                None => Vec::new(),
            };
            places.push(found.first().copied());
        }
        if or_new && !self.schema().hidden_key {
            let of_keys = self.places_of(rows, &stats).await?;
            let is_taken = |row: &usize| places[*row].is_none() && of_keys[*row].is_some();
            if let Some(row) = (0..places.len()).find(is_taken) {
                let (schema, key) = (self.schema(), self.keys_of(&rows.slice(row, 1))?);
                return Err(Error::DuplicateKey {
                    table: schema.name.clone(),
                    constraint: schema.constraint_name(),
                    key: schema.codec().describe(&key.get(0)),
                });
            }
        }
        self.read_places(&places, &stats).await
    }

    /// The encoded keys of rows that have all visible columns.
    fn keys_of(&self, rows: &RecordBatch) -> Result<Keys> {
        let schema = self.schema();
        let key: Vec<ArrayRef> = schema.key.iter().map(|&i| Arc::clone(rows.column(i))).collect();
        schema.codec().encode(&key)
    }

    /// Where the rows are that have the keys of `rows`.
    async fn places_of(&self, rows: &RecordBatch, stats: &ReadStats) -> Result<Vec<Option<Place>>> {
        let keys = self.keys_of(rows)?;
        let order = keys.sorted_order();
        let sorted = keys.take(&order);
        // Each key is looked up once.
        let firsts =
            (0..order.len()).filter(|&i| i == 0 || sorted.compare(i - 1, &sorted, i).is_ne());
        let firsts: Vec<u32> = firsts.map(|i| i as u32).collect();
        let mut places = vec![None; order.len()];
        for (group, place) in self.table.find_many(&sorted.take(&firsts), stats).await? {
            let (group, first) = (group as usize, firsts[group as usize]);
            let end = firsts.get(group + 1).map_or(order.len(), |&next| next as usize);
            for &row in &order[first as usize..end] {
                places[row as usize] = Some(place);
            }
        }
        Ok(places)
    }

    /// The visible columns of the rows at places, one for each, NULL where there is none.
    async fn read_places(
        &self,
        places: &[Option<Place>],
        stats: &ReadStats,
    ) -> Result<Vec<ArrayRef>> {
        let key = |place: &Place| (place.part, place.position);
        let mut found: Vec<Place> = places.iter().flatten().copied().collect();
        found.sort_unstable_by_key(key);
        found.dedup();
        let mut parts = Vec::new();
        for of_part in found.chunk_by(|a, b| a.part == b.part) {
            let positions = of_part.iter().map(|place| place.position).collect();
            parts.push(self.read_part(of_part[0].part, positions, stats).await?);
        }
        // Which of the rows read belongs to which of the rows asked for.
        let read = |place: &Option<Place>| {
            let place = place.as_ref()?;
            found.binary_search_by_key(&key(place), key).ok().map(|row| row as u32)
        };
        let rows = UInt32Array::from_iter(places.iter().map(read));
        let schema = self.schema();
        let column = |index: usize| {
            let field = schema.visible().field(index);
            let arrays: Vec<&dyn Array> = parts.iter().map(|part| part[index].as_ref()).collect();
            match &arrays[..] {
                [] => Ok(new_null_array(field.data_type(), rows.len())),
                arrays => Ok(take(&concat(arrays)?, &rows, None)?),
            }
        };
        (0..schema.visible().fields().len()).map(column).collect()
    }

    /// The visible columns of the rows at `positions`, which ascend, of a part.
    async fn read_part(
        &self,
        part: PartId,
        positions: Vec<u32>,
        stats: &ReadStats,
    ) -> Result<Vec<ArrayRef>> {
        let visible = self.visible_columns();
        match part {
            PartId::Run(id) => {
                let run = self.table.runs.get(id);
                let run = run.ok_or_else(|| Error::invalid("a run left its version"))?;
                run.columns_at(positions, &visible)
            }
            PartId::Segment(file) => {
                let mut segments = self.table.segments.iter();
                let view = segments.find(|v| v.segment.record().file == file);
                let view = view.ok_or_else(|| Error::invalid("a segment left its version"))?;
                let rows = positions.into_iter().map(|position| position..position + 1).collect();
                let rows = view.segment.read_rows(&rows, Some(&visible), stats).await?;
                Ok(rows.columns().to_vec())
            }
        }
    }

    /// The rows whose keys lie in a range, in key order, in batches. A bound may be shorter than
    /// the key: it then stands for all keys that begin so.
    pub fn range<K: Into<Key> + Clone>(
        &self,
        keys: impl RangeBounds<K>,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let own = |bound: Bound<&K>| bound.map(|key| key.clone().into());
        let (start, end) = (own(keys.start_bound()), own(keys.end_bound()));
        match KeyRange::between(self.schema().codec(), start, end) {
            Ok(range) => self.encoded_range(range),
            Err(error) => stream::once(async move { Err(error) }).boxed(),
        }
    }

    fn encoded_range(&self, range: KeyRange) -> BoxStream<'static, Result<RecordBatch>> {
        let this = self.clone();
        let visible = self.visible_columns();
        stream::once(async move {
            let set = this.select(Some(std::slice::from_ref(&range))).await?;
            Ok::<_, Error>(merge_scan(this.schema(), set.into_sources(), BATCH_ROWS))
        })
        .flat_map(|opened| match opened {
            Ok(stream) => stream,
            Err(error) => stream::once(async move { Err(error) }).boxed(),
        })
        .map(move |batch| Ok(batch?.rows().project(&visible)?))
        .boxed()
    }

    /// Column indices of the visible schema in the stored one.
    fn visible_columns(&self) -> Vec<usize> {
        (0..self.schema().visible().fields().len()).collect()
    }

    async fn read_one(&self, place: Place, stats: &ReadStats) -> Result<RecordBatch> {
        let position = place.position;
        let visible = self.visible_columns();
        match place.part {
            PartId::Run(id) => {
                let row = self.table.runs.get(id).and_then(|run| run.row(position));
                let row = row.ok_or_else(|| Error::invalid("a run left its version"))?;
                Ok(row.project(&visible)?)
            }
            PartId::Segment(file) => {
                let mut segments = self.table.segments.iter();
                let view = segments.find(|v| v.segment.record().file == file);
                let view = view.ok_or_else(|| Error::invalid("a segment left its version"))?;
                let rows = std::iter::once(position..position + 1).collect();
                view.segment.read_rows(&rows, Some(&visible), stats).await
            }
        }
    }
}
