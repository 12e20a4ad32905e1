//! A table, as programs use it: rows in, rows out by key, without SQL.
//!
//! The key lane: [`Table::get`], [`Table::get_many`] and [`Table::range`] go from key to page to
//! row without a plan, and complete without suspending when the pages are in memory.

use std::ops::RangeBounds;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::{BoxStream, Stream, StreamExt};

use super::apply::WriteMode;
use super::handle::Handle;
use super::key::Key;
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
        Ok(self.snapshot()?.columns())
    }

    /// The key columns in key order; empty if the key is the hidden row id.
    pub fn key_names(&self) -> Result<Vec<String>> {
        Ok(self.snapshot()?.key_names())
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
        self.snapshot()?.get(key).await
    }

    /// The rows of many keys, each as a batch of one row, in the order of the keys. All are of one
    /// moment.
    pub async fn get_many<K: Into<Key>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<RecordBatch>>> {
        self.snapshot()?.get_many(keys).await
    }

    /// The rows whose keys lie in a range, in key order, in batches; all are of one moment, the
    /// one of this call. A bound may be shorter than the key: it then stands for all keys that
    /// begin so.
    pub fn range<K: Into<Key> + Clone>(
        &self,
        keys: impl RangeBounds<K>,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        match self.snapshot() {
            Ok(snapshot) => snapshot.range(keys),
            Err(error) => futures::stream::once(async move { Err(error) }).boxed(),
        }
    }

    fn snapshot(&self) -> Result<TableSnapshot> {
        self.handle.engine().table(&self.name)
    }
}
