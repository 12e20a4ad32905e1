//! Statements that bring a stream of rows of any length: INSERT ... SELECT, imports.
//!
//! Rows are collected up to a limit. A stream that ends before it is an ordinary statement. A
//! longer one is written as segments that nothing names yet, one for each sorted portion; the
//! statement's log record then names them. Either way the statement is atomic, and memory is
//! bounded by the limit. All statements that collect rows at the same time share a budget besides:
//! each takes what its portion may need, and waits while others have it. One that waits for rows
//! while others wait for memory writes the portion that it has. Segments of a statement that fails,
//! or whose caller goes away before it is committed, are removed.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use tokio::runtime::Handle;

use super::change::{Change, prepare_put};
use super::{Engine, Existing, Within};
use crate::error::{Error, Result};
use crate::storage::apply::WriteMode;
use crate::storage::budget::Share;
use crate::storage::definition::TableDefinition;
use crate::storage::merge_scan::Source;
use crate::storage::prepare::{conform, sort_by_key};
use crate::storage::rewrite::write_segments;
use crate::storage::run::batch_bytes;
use crate::storage::segment::Segment;
use crate::storage::version::TableVersion;

/// Portions are cut into pieces by this part of their limit.
const PIECES: usize = 8;

/// What transactions hold in memory before statements of many rows write segments instead: this
/// part of what they may hold. Those of fewer bytes than the second number never do.
const HELD_PART: usize = 4;
const HELD_MIN: usize = 64 << 10;

/// Rows of one statement, collected.
#[derive(Default)]
struct Portion {
    batches: Vec<RecordBatch>,
    bytes: usize,
    /// Held until the rows are written, or committed.
    share: Option<Share>,
}

/// What a stream brings next.
enum Next {
    Rows(RecordBatch),
    /// Nothing yet, and another statement waits for memory.
    Wanted,
    End,
}

/// What a stream came to.
pub(super) struct Loaded {
    changes: Vec<Change>,
    unnamed: Unnamed,
    rows: u64,
    _share: Option<Share>,
}

/// Segments that nothing names yet; removed if this is dropped with them.
#[derive(Debug)]
pub(super) struct Unnamed {
    engine: Arc<Engine>,
    segments: Vec<Arc<Segment>>,
}

impl Unnamed {
    /// Leaves the segments to what names them now.
    pub(super) fn keep(mut self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.segments)
    }
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
                    engine.medium.discard_segments(segments).await;
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
        let loaded = self.load(&Within::default(), &table, mode, rows).await?;
        self.commit_loaded(&Within::default(), None, Vec::new(), loaded).await
    }

    /// Creates a table with the rows of a stream, as one statement; returns how many rows it gave,
    /// or `None` if there is a table that stays.
    pub async fn create_table_as(
        self: &Arc<Self>,
        within: &Within,
        definition: TableDefinition,
        in_schema: bool,
        existing: Existing,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Option<u64>> {
        let name = definition.name.clone();
        let Some(mut changes) = self.make_way(within, &name, existing)? else { return Ok(None) };
        let schema = self.new_schema(definition, in_schema)?;
        let table = TableVersion::new(Arc::clone(&schema));
        let loaded = self.load(within, &table, WriteMode::Insert, rows).await?;
        changes.push(Change::Create(schema));
        match self.commit_loaded(within, None, changes, loaded).await {
            Err(Error::AlreadyExists(_))
                if existing == Existing::Keep && self.sees_name(within, &name) =>
            {
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Carries out what a stream came to, after other changes; see [`Engine::carry_out`].
    pub(super) async fn commit_loaded(
        self: &Arc<Self>,
        within: &Within,
        since: Option<u64>,
        mut changes: Vec<Change>,
        mut loaded: Loaded,
    ) -> Result<u64> {
        changes.append(&mut loaded.changes);
        if changes.is_empty() {
            return Ok(loaded.rows);
        }
        if let Some(transaction) = &within.0 {
            transaction.apply(since, changes, Some(loaded.unnamed)).await?;
            return Ok(loaded.rows);
        }
        let segments = std::mem::take(&mut loaded.unnamed.segments);
        let result = self.commit_since(since, changes).await;
        // After an unknown outcome the log may name the segments: they stay.
        if result.is_err() && !matches!(result, Err(Error::OutcomeUnknown(_))) {
            self.medium.discard_segments(segments).await;
        }
        result.map(|_| loaded.rows)
    }

    /// Reads the stream to its end.
    pub(super) async fn load(
        self: &Arc<Self>,
        within: &Within,
        table: &TableVersion,
        mode: WriteMode,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Loaded> {
        self.writer()?;
        let mut unnamed = Unnamed { engine: Arc::clone(self), segments: Vec::new() };
        match self.collect(within, table, mode, rows, &mut unnamed.segments).await {
            Ok((changes, rows, _share)) => Ok(Loaded { changes, unnamed, rows, _share }),
            Err(error) => {
                let segments = std::mem::take(&mut unnamed.segments);
                self.medium.discard_segments(segments).await;
                Err(error)
            }
        }
    }

    async fn collect(
        &self,
        within: &Within,
        table: &TableVersion,
        mode: WriteMode,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
        segments: &mut Vec<Arc<Segment>>,
    ) -> Result<(Vec<Change>, u64, Option<Share>)> {
        let limit = self.medium.portion_bytes_max();
        let mut portion = Portion::default();
        let mut count = 0;
        loop {
            let batch = match self.next(&mut rows, &portion).await? {
                Next::Rows(batch) => batch,
                Next::Wanted => {
                    segments.extend(self.spill(table, mode, std::mem::take(&mut portion)).await?);
                    continue;
                }
                Next::End => break,
            };
            count += batch.num_rows() as u64;
            for piece in pieces(conform(table, &batch, mode)?, limit / PIECES) {
                portion.bytes += batch_bytes(&piece);
                portion.batches.push(piece);
                if portion.share.is_none() && portion.bytes > limit / PIECES {
                    // As much as the portion may come to: it never waits for more.
                    portion.share = self.medium.share_for(limit).await;
                }
                if portion.bytes > limit {
                    let full = std::mem::take(&mut portion);
                    segments.extend(self.spill(table, mode, full).await?);
                }
            }
        }
        if segments.is_empty() && !self.is_crowded(within, portion.bytes)? {
            let rows = portion.concat(table)?;
            let sorted = sort_by_key(table, &rows, mode)?;
            let change = prepare_put(&table.schema, sorted, mode)?;
            return Ok((change.into_iter().collect(), count, portion.share));
        }
        if !portion.batches.is_empty() {
            segments.extend(self.spill(table, mode, portion).await?);
        }
        let attach = Change::Attach { table: table.schema.id, segments: segments.clone(), mode };
        Ok((vec![attach], count, None))
    }

    async fn next(
        &self,
        rows: &mut BoxStream<'static, Result<RecordBatch>>,
        portion: &Portion,
    ) -> Result<Next> {
        let next = |batch: Option<RecordBatch>| batch.map_or(Next::End, Next::Rows);
        if portion.share.is_none() {
            return rows.try_next().await.map(next);
        }
        tokio::select! {
            biased;
            batch = rows.try_next() => batch.map(next),
            () = self.medium.loading.is_wanted() => Ok(Next::Wanted),
        }
    }

    /// Whether rows are better off in segments than in memory until their transaction's commit.
    fn is_crowded(&self, within: &Within, bytes: usize) -> Result<bool> {
        if within.0.is_none() || bytes < HELD_MIN {
            return Ok(false);
        }
        let held = self.writer()?.held_bytes.load(SeqCst);
        Ok(held + bytes > self.options().load_bytes_max / HELD_PART)
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
        let Portion { batches, share: _share, .. } = portion;
        drop(batches);
        let sorted = sort_by_key(table, &rows, mode)?;
        drop(rows);
        if sorted.is_empty() {
            return Ok(Vec::new());
        }
        let last = sorted.keys().len() - 1;
        let bounds = (sorted.keys().get(0).into_owned(), sorted.keys().get(last).into_owned());
        let source = Source::Rows(vec![sorted.rows().clone()]);
        write_segments(&self.medium, &table.schema, vec![source], bounds).await
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

/// A batch in pieces of about `most` bytes: what is too long is halved.
fn pieces(batch: RecordBatch, most: usize) -> Vec<RecordBatch> {
    let (mut whole, mut pieces) = (vec![batch], Vec::new());
    while let Some(batch) = whole.pop() {
        let rows = batch.num_rows();
        if rows <= 1 || batch_bytes(&batch) <= most {
            pieces.push(batch);
            continue;
        }
        whole.push(batch.slice(rows / 2, rows - rows / 2));
        whole.push(batch.slice(0, rows / 2));
    }
    pieces
}
