//! Writes a segment.
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::storage::key::Keys;
use crate::storage::record::SegmentRecord;
use crate::storage::schema::TableSchema;
use crate::storage::store::Store;

/// Writes one segment.
pub struct SegmentWriter {}

impl SegmentWriter {
    /// Prepares segment file `file`. `bounds`: keys not above the smallest and not below the
    /// largest that will come.
    pub async fn create(
        store: &Store,
        file: u64,
        schema: &Arc<TableSchema>,
        bounds: (&[u8], &[u8]),
        row_group_rows: usize,
        fingerprints: bool,
    ) -> Result<Self> {
        let _ = (store, file, schema, bounds, row_group_rows, fingerprints);
        todo!()
    }

    /// Appends rows of the stored schema in strictly ascending key order.
    pub async fn write(&mut self, rows: &RecordBatch, keys: &Keys) -> Result<()> {
        let _ = (rows, keys);
        todo!()
    }

    /// Rows written so far.
    pub fn rows(&self) -> u32 {
        todo!()
    }

    /// Publishes the file; `None` (and no file) if no row was written.
    pub async fn finish(self) -> Result<Option<SegmentRecord>> {
        todo!()
    }
}
