//! Reads a segment.
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::stream::BoxStream;
use omen_index::RmiStats;
use parquet::file::metadata::ParquetMetaData;

use super::{PageCache, ReadStats};
use crate::error::Result;
use crate::storage::key::{KeyRange, Keys};
use crate::storage::record::SegmentRecord;
use crate::storage::row_ranges::RowRanges;
use crate::storage::schema::TableSchema;
use crate::storage::store::Store;

/// An open segment.
#[derive(Debug, Clone)]
pub struct Segment {}

impl Segment {
    /// Opens the segment of `record` with one read: the tail, verified by its checksum.
    pub async fn open(
        store: &Store,
        cache: &Arc<PageCache>,
        record: SegmentRecord,
        schema: &Arc<TableSchema>,
    ) -> Result<Arc<Self>> {
        let _ = (store, cache, record, schema);
        todo!()
    }
    /// The same open file under a later schema of its table.
    pub fn with_schema(&self, schema: &Arc<TableSchema>) -> Result<Arc<Self>> {
        let _ = schema;
        todo!()
    }
    /// What the manifest knows of it.
    pub fn record(&self) -> &SegmentRecord {
        todo!()
    }
    /// Rows, deleted ones included.
    pub fn rows(&self) -> u32 {
        todo!()
    }
    /// False if the key is certainly not there; reads nothing.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        let _ = key;
        todo!()
    }
    /// The position of the first row whose key is not below `key`, any byte string.
    pub async fn lower_bound(&self, key: &[u8], stats: &ReadStats) -> Result<u32> {
        let _ = (key, stats);
        todo!()
    }
    /// The positions of the keys in `range`.
    pub async fn row_range(&self, range: &KeyRange, stats: &ReadStats) -> Result<Range<u32>> {
        let _ = (range, stats);
        todo!()
    }
    /// The position of `key`, if it is there.
    pub async fn find(&self, key: &[u8], stats: &ReadStats) -> Result<Option<u32>> {
        let _ = (key, stats);
        todo!()
    }
    /// `(index in keys, position)` of each key that is there; `order` sorts `keys`.
    pub async fn find_many(
        &self,
        keys: &Keys,
        order: &[u32],
        stats: &ReadStats,
    ) -> Result<Vec<(u32, u32)>> {
        let _ = (keys, order, stats);
        todo!()
    }
    /// The rows at these positions; `columns`: indices into the stored schema, `None`: all.
    pub async fn read_rows(
        &self,
        rows: &RowRanges,
        columns: Option<&[usize]>,
        stats: &ReadStats,
    ) -> Result<RecordBatch> {
        let _ = (rows, columns, stats);
        todo!()
    }
    /// The same as a stream of batches of at most `batch_rows` rows, in bounded memory.
    pub fn scan(
        self: &Arc<Self>,
        rows: RowRanges,
        columns: Option<Vec<usize>>,
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let _ = (rows, columns, batch_rows);
        todo!()
    }
    /// The Parquet metadata, page indexes included.
    pub fn parquet_metadata(&self) -> &Arc<ParquetMetaData> {
        todo!()
    }
    /// Verified bytes of the file.
    pub async fn read_bytes(&self, ranges: &[Range<u64>], stats: &ReadStats) -> Result<Vec<Bytes>> {
        let _ = (ranges, stats);
        todo!()
    }
    /// Reads and checks everything.
    pub async fn verify(&self) -> Result<()> {
        todo!()
    }
    /// Figures of the learned index.
    pub fn index_stats(&self) -> RmiStats {
        todo!()
    }
    /// Bytes of the learned index in the file.
    pub fn index_bytes(&self) -> usize {
        todo!()
    }
}
