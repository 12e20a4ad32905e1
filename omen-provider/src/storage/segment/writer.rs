//! Writes a segment: checks the order of keys, builds the index as they stream past, and publishes
//! the file whole.
//!
//! Called by flush, compaction and bulk statements; calls [`super::parquet_file`] for the rows and
//! [`super::index`] for the keys.
//!
//! Invariant: the file has a name only once everything in it is durable; memory holds one row group
//! and what the index needs per key.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::index::KeyIndexBuilder;
use super::parquet_file::ParquetFile;
use super::tail::{Core, EncodedSections, Hints};
use crate::error::{Error, Result};
use crate::storage::key::Keys;
use crate::storage::record::{KEY_BOUND_BYTES, SegmentRecord, segment_name};
use crate::storage::schema::TableSchema;
use crate::storage::store::Store;
use omen_index::fingerprints::Fingerprints;

/// Writes one segment.
pub struct SegmentWriter {
    store: Store,
    file: u64,
    schema: Arc<TableSchema>,
    row_group_rows: usize,
    /// Begun with the first row: its pages are shaped by the rows that come.
    parquet: Option<ParquetFile>,
    index: KeyIndexBuilder,
    prefix: Vec<u8>,
    hashes: Option<Vec<u64>>,
    rows: u32,
    min_key: Vec<u8>,
    max_key: Vec<u8>,
}

impl SegmentWriter {
    /// Prepares segment file `file`. `bounds`: a key not above the smallest and one not below the
    /// largest that will come. `fingerprints`: write a filter over the keys, for segments whose key
    /// range may overlap others.
    pub async fn create(
        store: &Store,
        file: u64,
        schema: &Arc<TableSchema>,
        bounds: (&[u8], &[u8]),
        row_group_rows: usize,
        fingerprints: bool,
    ) -> Result<Self> {
        let index = KeyIndexBuilder::new(bounds, schema.codec().fixed_width());
        let prefix = bounds.0[..index.prefix_len()].to_vec();
        Ok(Self {
            store: store.clone(),
            file,
            schema: Arc::clone(schema),
            row_group_rows,
            parquet: None,
            index,
            prefix,
            hashes: fingerprints.then(Vec::new),
            rows: 0,
            min_key: Vec::new(),
            max_key: Vec::new(),
        })
    }

    /// Appends rows of the stored schema, from the first on; `keys` are their encoded keys. Says
    /// how many it took: at least one of the first batch; if not all, the file is full.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the keys do not ascend strictly, within the batch and after
    /// the rows written before, or if the rows are not of the stored schema.
    pub async fn write(&mut self, rows: &RecordBatch, keys: &Keys) -> Result<usize> {
        if rows.num_rows() == 0 {
            return Ok(0);
        }
        let columns = rows.columns().to_vec();
        let rows = RecordBatch::try_new(Arc::clone(self.schema.stored()), columns)
            .map_err(|e| Error::invalid(format!("rows are not of the stored schema: {e}")))?;
        self.check_order(&rows, keys)?;
        let parquet = match &mut self.parquet {
            Some(parquet) => parquet,
            empty => {
                let blob = self.store.blobs.create(&segment_name(self.file)).await?;
                empty.insert(ParquetFile::new(blob, &self.schema, &rows, self.row_group_rows)?)
            }
        };
        let taken = parquet.write(&rows).await?;
        let page_rows = parquet.layout().page_rows();
        match taken < keys.len() {
            true => self.note(&keys.take(&(0..taken as u32).collect::<Vec<_>>()), page_rows)?,
            false => self.note(keys, page_rows)?,
        }
        Ok(taken)
    }

    /// Takes in the keys of rows that were written.
    fn note(&mut self, keys: &Keys, page_rows: u32) -> Result<()> {
        let Some(last) = keys.len().checked_sub(1) else { return Ok(()) };
        let first = self.rows.next_multiple_of(page_rows) - self.rows;
        for index in (first as usize..keys.len()).step_by(page_rows as usize) {
            self.index.push_fence(keys, index);
        }
        self.index.push(keys).map_err(|e| Error::invalid(e.to_string()))?;
        if let Some(hashes) = &mut self.hashes {
            hashes.extend((0..keys.len()).map(|i| keys.hash(i)));
        }
        if self.rows == 0 {
            self.min_key = keys.get(0).into_owned();
        }
        self.max_key = keys.get(last).into_owned();
        self.rows += keys.len() as u32;
        Ok(())
    }

    /// Bytes of the file so far, about.
    pub fn bytes(&self) -> u64 {
        self.parquet.as_ref().map_or(0, ParquetFile::bytes)
    }

    /// Rows written so far.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Completes and publishes the file; `None`, and no file, if no row was written.
    pub async fn finish(self) -> Result<Option<SegmentRecord>> {
        let Some(parquet) = self.parquet else { return Ok(None) };
        let (page_rows, row_group_rows) =
            (parquet.layout().page_rows(), parquet.layout().row_group_rows());
        let (index, hashes) = (self.index, self.hashes);
        let last_key = Some(self.max_key.as_slice()).filter(|key| key.len() > KEY_BOUND_BYTES);
        let finished = parquet
            .finish(|layout| {
                let (index, fences) = index.finish().map_err(|e| Error::invalid(e.to_string()))?;
                let (mut pages, mut filter) = (Vec::new(), Vec::new());
                layout.encode(&mut pages);
                if let Some(hashes) = &hashes {
                    Fingerprints::new(hashes).encode(&mut filter);
                }
                let fingerprints = hashes.as_ref().map(|_| filter.as_slice());
                let hints = Hints { index: &index, fingerprints };
                let core = Core { layout: &pages, fences: &fences, last_key };
                Ok(EncodedSections::new(&hints, &core))
            })
            .await?;
        Ok(Some(SegmentRecord {
            file: self.file,
            rows: self.rows,
            bytes: finished.bytes,
            tail_offset: finished.tail_offset,
            hints_crc: finished.hints_crc,
            core_offset: finished.core_offset,
            core_crc: finished.core_crc,
            min_key: self.min_key,
            max_key: self.max_key,
            page_rows,
            row_group_rows,
            entries: Vec::new(),
        }))
    }

    /// Checks the keys of a batch, and that the file may hold as many more.
    fn check_order(&self, rows: &RecordBatch, keys: &Keys) -> Result<()> {
        if keys.len() != rows.num_rows() {
            return Err(Error::invalid(format!(
                "{} keys given for {} rows",
                keys.len(),
                rows.num_rows()
            )));
        }
        let (first, last) = (keys.get(0), keys.get(keys.len() - 1));
        let follows = self.rows == 0 || keys.compare_bytes(0, &self.max_key) == Ordering::Greater;
        if !follows || !keys.is_strictly_ascending() {
            return Err(Error::invalid(format!(
                "rows of a segment must ascend by key, at {}",
                self.schema.codec().describe(&first)
            )));
        }
        if !first.starts_with(&self.prefix) || !last.starts_with(&self.prefix) {
            return Err(Error::invalid(format!(
                "key {} lies outside the bounds announced for its segment",
                self.schema.codec().describe(&first)
            )));
        }
        let total = u32::try_from(keys.len()).ok().and_then(|n| self.rows.checked_add(n));
        let total = total.filter(|rows| *rows < u32::MAX);
        total.map(drop).ok_or_else(|| Error::invalid("a segment holds at most 2^32 - 2 rows"))
    }
}
