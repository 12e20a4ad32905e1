//! Statements that bring a stream of rows of any length: INSERT ... SELECT, imports.
//!
//! Rows are collected up to a limit. A stream that ends before it is an ordinary statement. A
//! longer one is written as segments that nothing names yet, one for each sorted portion; the
//! statement's log record then names them. Either way the statement is atomic, and memory is
//! bounded by the limit. Segments of a statement that fails, or whose caller goes away before it is
//! committed, are removed.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use tokio::runtime::Handle;

use super::Engine;
use super::commit::{Change, prepare_put};
use crate::error::{Error, Result};
use crate::storage::apply::WriteMode;
use crate::storage::definition::TableDefinition;
use crate::storage::merge_scan::Source;
use crate::storage::prepare::{conform, sort_by_key};
use crate::storage::rewrite::write_segments;
use crate::storage::run::batch_bytes;
use crate::storage::segment::Segment;
use crate::storage::version::TableVersion;

/// Rows of one statement, collected.
struct Portion {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

/// What a stream came to.
struct Loaded {
    changes: Vec<Change>,
    unnamed: Unnamed,
    rows: u64,
}

/// Segments that nothing names yet; removed if this is dropped with them.
struct Unnamed {
    engine: Arc<Engine>,
    segments: Vec<Arc<Segment>>,
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        let segments = std::mem::take(&mut self.segments);
        if segments.is_empty() {
            return;
        }
        let chosen = self.engine.medium.options.runtime.clone();
        // Without a runtime they stay until the next open.
        if let Some(runtime) = chosen.or_else(|| Handle::try_current().ok()) {
            let engine = Arc::clone(&self.engine);
            runtime.spawn(async move {
                // What a closed database leaves behind, the next open removes.
                if let Ok(_lease) = engine.lease() {
                    engine.medium.discard_segments(&segments).await;
                }
            });
        }
    }
}

impl Engine {
    /// Inserts or upserts all rows of a stream as one statement; returns how many it gave.
    pub async fn write_stream(
        self: &Arc<Self>,
        table: &str,
        mode: WriteMode,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<u64> {
        let table = self.require_named(table)?;
        let loaded = self.load(&table, mode, rows).await?;
        self.commit_loaded(Vec::new(), loaded).await
    }

    /// Creates a table with the rows of a stream, as one statement; returns how many rows it gave,
    /// or `None` if the table existed and `if_not_exists`.
    pub async fn create_table_as(
        self: &Arc<Self>,
        definition: TableDefinition,
        if_not_exists: bool,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Option<u64>> {
        let name = definition.name.clone();
        if self.has_table(&name) {
            return match if_not_exists {
                true => Ok(None),
                false => Err(Error::AlreadyExists(format!("table \"{name}\""))),
            };
        }
        let schema = self.new_schema(definition)?;
        let table = TableVersion::new(Arc::clone(&schema));
        let loaded = self.load(&table, WriteMode::Insert, rows).await?;
        match self.commit_loaded(vec![Change::Create(schema)], loaded).await {
            Err(Error::AlreadyExists(_)) if if_not_exists && self.has_table(&name) => Ok(None),
            other => other.map(Some),
        }
    }

    async fn commit_loaded(
        self: &Arc<Self>,
        mut changes: Vec<Change>,
        mut loaded: Loaded,
    ) -> Result<u64> {
        changes.append(&mut loaded.changes);
        if changes.is_empty() {
            return Ok(loaded.rows);
        }
        let segments = std::mem::take(&mut loaded.unnamed.segments);
        let result = self.commit(changes).await;
        // After an unknown outcome the log may name the segments: they stay.
        if result.is_err() && !matches!(result, Err(Error::OutcomeUnknown(_))) {
            self.medium.discard_segments(&segments).await;
        }
        result.map(|_| loaded.rows)
    }

    /// Reads the stream to its end.
    async fn load(
        self: &Arc<Self>,
        table: &TableVersion,
        mode: WriteMode,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Loaded> {
        self.writer()?;
        let mut unnamed = Unnamed { engine: Arc::clone(self), segments: Vec::new() };
        match self.collect(table, mode, rows, &mut unnamed.segments).await {
            Ok((changes, rows)) => Ok(Loaded { changes, unnamed, rows }),
            Err(error) => {
                let segments = std::mem::take(&mut unnamed.segments);
                self.medium.discard_segments(&segments).await;
                Err(error)
            }
        }
    }

    async fn collect(
        &self,
        table: &TableVersion,
        mode: WriteMode,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
        segments: &mut Vec<Arc<Segment>>,
    ) -> Result<(Vec<Change>, u64)> {
        let limit = self.medium.options.memtable_bytes_max / 2;
        let mut portion = Portion { batches: Vec::new(), bytes: 0 };
        let mut count = 0;
        while let Some(batch) = rows.try_next().await? {
            count += batch.num_rows() as u64;
            let batch = conform(table, &batch)?;
            portion.bytes += batch_bytes(&batch);
            portion.batches.push(batch);
            if portion.bytes > limit {
                let full = std::mem::replace(&mut portion, Portion { batches: vec![], bytes: 0 });
                segments.extend(self.spill(table, mode, full).await?);
            }
        }
        if segments.is_empty() {
            let rows = portion.concat(table)?;
            let sorted = sort_by_key(table, &rows, mode)?;
            let change = prepare_put(table.schema.id, sorted, mode)?;
            return Ok((change.into_iter().collect(), count));
        }
        if !portion.batches.is_empty() {
            segments.extend(self.spill(table, mode, portion).await?);
        }
        let attach = Change::Attach { table: table.schema.id, segments: segments.clone(), mode };
        Ok((vec![attach], count))
    }

    /// Writes a portion as segments.
    async fn spill(
        &self,
        table: &TableVersion,
        mode: WriteMode,
        portion: Portion,
    ) -> Result<Vec<Arc<Segment>>> {
        self.check_open()?;
        let rows = portion.concat(table)?;
        drop(portion);
        let sorted = sort_by_key(table, &rows, mode)?;
        drop(rows);
        if sorted.is_empty() {
            return Ok(Vec::new());
        }
        let last = sorted.keys().len() - 1;
        let bounds = (sorted.keys().get(0).into_owned(), sorted.keys().get(last).into_owned());
        let source = Source::Rows(vec![sorted.rows().clone()]);
        write_segments(&self.medium, &table.schema, vec![source], &bounds, true).await
    }
}

impl Portion {
    fn concat(&self, table: &TableVersion) -> Result<RecordBatch> {
        match &self.batches[..] {
            [only] => Ok(only.clone()),
            batches => Ok(concat_batches(table.schema.stored(), batches)?),
        }
    }
}
