//! Several sources in key order as one stream in key order: what flush, compaction and range
//! reads go through.
//!
//! Memory: one batch per source and the batch being made. Sources share no key.
//!
//! Invariant: keys of the output ascend strictly, across batches too.

use std::sync::Arc;

use arrow::compute::interleave_record_batch;
use arrow::record_batch::RecordBatch;
use futures::stream::{self, BoxStream, StreamExt};

use super::key::Keys;
use super::live_rows::LiveRows;
use super::schema::TableSchema;
use super::segment::Segment;
use crate::error::{Error, Result};

/// Rows in key order, in the stored schema.
pub enum Source {
    /// Rows in memory, in batches.
    Rows(Vec<RecordBatch>),
    /// Rows of a segment.
    Segment(Arc<Segment>, LiveRows),
}

/// Rows and their encoded keys.
#[derive(Debug)]
pub struct KeyedBatch {
    /// The rows.
    pub rows: RecordBatch,
    /// One key per row, ascending.
    pub keys: Keys,
}

/// Where a source stands: the batch it is in and what follows.
struct Cursor {
    current: KeyedBatch,
    next_row: usize,
    rest: BoxStream<'static, Result<RecordBatch>>,
}

struct Merge {
    schema: Arc<TableSchema>,
    /// Sources not opened yet; opened together with the first poll.
    unopened: Vec<Source>,
    cursors: Vec<Cursor>,
    batch_rows: usize,
}

/// The rows of all `sources` in key order, in batches of at most `batch_rows`.
pub fn merge_scan(
    schema: &Arc<TableSchema>,
    sources: Vec<Source>,
    batch_rows: usize,
) -> BoxStream<'static, Result<KeyedBatch>> {
    let schema = Arc::clone(schema);
    let merge = Merge { schema, unopened: sources, cursors: Vec::new(), batch_rows };
    stream::try_unfold(merge, |mut merge| async move {
        merge.open().await?;
        Ok(merge.next_batch().await?.map(|batch| (batch, merge)))
    })
    .boxed()
}

impl Merge {
    async fn open(&mut self) -> Result<()> {
        for source in std::mem::take(&mut self.unopened) {
            let mut rest = match source {
                Source::Rows(batches) => stream::iter(batches.into_iter().map(Ok)).boxed(),
                Source::Segment(segment, rows) => segment.scan(rows, None, self.batch_rows),
            };
            if let Some(current) = next_keyed(&self.schema, &mut rest).await? {
                self.cursors.push(Cursor { current, next_row: 0, rest });
            }
        }
        Ok(())
    }

    /// Rows up to `batch_rows`, or up to where a source needs its next batch.
    async fn next_batch(&mut self) -> Result<Option<KeyedBatch>> {
        if self.cursors.is_empty() {
            return Ok(None);
        }
        let mut picked: Vec<(usize, usize)> = Vec::with_capacity(self.batch_rows);
        let mut keys = Keys::new(self.schema.codec().fixed_width());
        let mut exhausted = None;
        while picked.len() < self.batch_rows && exhausted.is_none() {
            let source = self.lowest();
            let until = self.limit_of(source, self.batch_rows - picked.len());
            let cursor = &mut self.cursors[source];
            for row in cursor.next_row..until {
                picked.push((source, row));
                keys.push_from(&cursor.current.keys, row);
            }
            cursor.next_row = until;
            exhausted = (until == cursor.current.keys.len()).then_some(source);
        }
        let batches: Vec<&RecordBatch> = self.cursors.iter().map(|c| &c.current.rows).collect();
        let rows = gather(&batches, &picked)?;
        if let Some(source) = exhausted {
            self.advance(source).await?;
        }
        Ok(Some(KeyedBatch { rows, keys }))
    }

    /// The source whose next key is the lowest.
    fn lowest(&self) -> usize {
        let mut lowest = 0;
        for source in 1..self.cursors.len() {
            if self.compare(source, lowest).is_lt() {
                lowest = source;
            }
        }
        lowest
    }

    /// The row of `source` (the lowest one) up to which its keys are below those of all others,
    /// `rows` rows on at most.
    fn limit_of(&self, source: usize, rows: usize) -> usize {
        let cursor = &self.cursors[source];
        let end = cursor.current.keys.len().min(cursor.next_row + rows);
        let others = (0..self.cursors.len()).filter(|&other| other != source);
        let Some(rival) = others.reduce(|a, b| if self.compare(b, a).is_lt() { b } else { a })
        else {
            return end;
        };
        let rival = &self.cursors[rival];
        let probe = rival.current.keys.get(rival.next_row);
        // Look at the next key first: interleaved sources win nothing from searching.
        if cursor.next_row + 1 < end
            && cursor.current.keys.compare_bytes(cursor.next_row + 1, &probe).is_gt()
        {
            return cursor.next_row + 1;
        }
        cursor.current.keys.lower_bound_in(cursor.next_row + 1..end, &probe)
    }

    fn compare(&self, a: usize, b: usize) -> std::cmp::Ordering {
        let (a, b) = (&self.cursors[a], &self.cursors[b]);
        a.current.keys.compare(a.next_row, &b.current.keys, b.next_row)
    }

    /// Moves `source` to its next batch, or drops it at its end.
    async fn advance(&mut self, source: usize) -> Result<()> {
        match next_keyed(&self.schema, &mut self.cursors[source].rest).await? {
            Some(batch) => {
                let cursor = &mut self.cursors[source];
                cursor.current = batch;
                cursor.next_row = 0;
            }
            None => {
                self.cursors.swap_remove(source);
            }
        }
        Ok(())
    }
}

/// The rows `(source, row)`; a slice if they lie together in one source.
fn gather(batches: &[&RecordBatch], picked: &[(usize, usize)]) -> Result<RecordBatch> {
    match (picked.first(), picked.last()) {
        (Some(&(first, start)), Some(&(last, end)))
            if first == last
                && end + 1 - start == picked.len()
                && picked.iter().all(|(source, _)| *source == first) =>
        {
            Ok(batches[first].slice(start, picked.len()))
        }
        _ => Ok(interleave_record_batch(batches, picked)?),
    }
}

/// The next batch that is not empty, with its keys.
async fn next_keyed(
    schema: &TableSchema,
    rest: &mut BoxStream<'static, Result<RecordBatch>>,
) -> Result<Option<KeyedBatch>> {
    while let Some(rows) = rest.next().await {
        let rows = rows?;
        if rows.num_rows() > 0 {
            let key_columns: Vec<_> =
                schema.key.iter().map(|&i| Arc::clone(rows.column(i))).collect();
            let keys = schema.codec().encode(&key_columns)?;
            if !keys.is_strictly_ascending() {
                return Err(Error::invalid("rows of a part do not ascend by key"));
            }
            return Ok(Some(KeyedBatch { rows, keys }));
        }
    }
    Ok(None)
}
