//! A table, as programs use it: rows in, rows out by key, without SQL.
//!
//! The key lane: [`Table::get`], [`Table::get_many`] and [`Table::range`] go from key to page to
//! row without a plan, and complete without suspending when the pages are in memory.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::{BoxStream, Stream, StreamExt};

use super::apply::WriteMode;
use super::handle::Handle;
use super::key::{Key, KeyCodec, KeyRange};
use super::snapshot::TableSnapshot;
use crate::error::Result;

/// A table of an open database. Cheap to clone; keeps the database open.
#[derive(Debug, Clone)]
pub struct Table {
    handle: Arc<Handle>,
    name: String,
}

impl Table {
    pub(super) fn new(handle: Arc<Handle>, name: String) -> Self {
        Self { handle, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its columns.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] if the table was dropped; so for all methods here.
    pub fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(self.snapshot()?.schema().visible()))
    }

    /// The key columns in key order; empty if the key is the hidden row id.
    pub fn key_names(&self) -> Result<Vec<String>> {
        let snapshot = self.snapshot()?;
        let schema = snapshot.schema();
        let names = schema.key_names().into_iter().map(String::from);
        Ok(if schema.hidden_key { Vec::new() } else { names.collect() })
    }

    /// How many rows it has.
    pub fn row_count(&self) -> Result<u64> {
        Ok(self.snapshot()?.live_rows())
    }

    /// Inserts the rows of a batch, whose columns are matched by name; returns how many.
    ///
    /// # Errors
    /// [`crate::Error::DuplicateKey`] if a key is there already or twice in the batch,
    /// [`crate::Error::InvalidInput`] for rows that do not fit the table. Nothing was written then.
    pub async fn insert(&self, rows: RecordBatch) -> Result<u64> {
        self.handle.engine().write(&self.name, WriteMode::Insert, &rows).await
    }

    /// Inserts the rows of a batch, writing over rows of the same key; of rows that share a key in
    /// the batch the last one stays. Returns how many rows the batch has.
    pub async fn upsert(&self, rows: RecordBatch) -> Result<u64> {
        self.handle.engine().write(&self.name, WriteMode::Upsert, &rows).await
    }

    /// Inserts all rows of a stream as one atomic statement, in bounded memory.
    ///
    /// # Errors
    /// Those of [`Table::insert`], and the first error of the stream. Nothing was written then.
    pub async fn insert_stream(
        &self,
        rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Result<u64> {
        self.handle.engine().write_stream(&self.name, WriteMode::Insert, rows.boxed()).await
    }

    /// Upserts all rows of a stream as one atomic statement, in bounded memory.
    pub async fn upsert_stream(
        &self,
        rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Result<u64> {
        self.handle.engine().write_stream(&self.name, WriteMode::Upsert, rows.boxed()).await
    }

    /// Deletes the rows of these keys as one statement; returns how many there were.
    pub async fn delete<K: Into<Key>>(&self, keys: impl IntoIterator<Item = K>) -> Result<u64> {
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        self.handle.engine().delete(&self.name, &keys).await
    }

    /// The row of a key, as a batch of one row.
    pub async fn get(&self, key: impl Into<Key>) -> Result<Option<RecordBatch>> {
        self.snapshot()?.get(&key.into()).await
    }

    /// The rows of many keys, each as a batch of one row, in the order of the keys. All are of one
    /// moment.
    pub async fn get_many<K: Into<Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<RecordBatch>>> {
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        self.snapshot()?.get_many(&keys).await
    }

    /// The rows whose keys lie in a range, in key order, in batches; all are of one moment, the
    /// one of this call. A bound may be shorter than the key: it then stands for all keys that
    /// begin so.
    pub fn range<K: Into<Key> + Clone>(
        &self,
        keys: impl RangeBounds<K>,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let own = |bound: Bound<&K>| bound.map(|key| key.clone().into());
        let (start, end) = (own(keys.start_bound()), own(keys.end_bound()));
        let opened = self.snapshot().and_then(|snapshot| {
            let range = key_range(snapshot.schema().codec(), start, end)?;
            Ok(snapshot.range(range))
        });
        match opened {
            Ok(stream) => stream,
            Err(error) => futures::stream::once(async move { Err(error) }).boxed(),
        }
    }

    fn snapshot(&self) -> Result<TableSnapshot> {
        self.handle.engine().table(&self.name)
    }
}

/// The encoded form of a range of keys or of leading key columns.
fn key_range(codec: &KeyCodec, start: Bound<Key>, end: Bound<Key>) -> Result<KeyRange> {
    let covered = |key: &Key| -> Result<KeyRange> {
        let bytes = codec.encode_leading(key)?;
        let complete = key.0.len() == codec.column_count();
        Ok(if complete { KeyRange::one(&bytes) } else { KeyRange::prefix(&bytes) })
    };
    let empty = || KeyRange { start: Vec::new(), end: Some(Vec::new()) };
    let start = match start {
        Bound::Unbounded => Vec::new(),
        Bound::Included(key) => covered(&key)?.start,
        Bound::Excluded(key) => match covered(&key)?.end {
            Some(end) => end,
            None => return Ok(empty()),
        },
    };
    let end = match end {
        Bound::Unbounded => None,
        Bound::Included(key) => covered(&key)?.end,
        Bound::Excluded(key) => Some(covered(&key)?.start),
    };
    let range = KeyRange { start, end };
    if range.is_empty() { Ok(empty()) } else { Ok(range) }
}
