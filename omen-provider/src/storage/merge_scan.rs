//! Several sources in key order as one stream in key order: what flush, compaction and range
//! reads go through.
//!
//! Memory: one batch per source and the batch being made, which has fewer rows if they are wide.
//! Sources share no key.
//!
//! Invariant: keys of the output ascend strictly, across batches too.

use std::sync::Arc;

use arrow::compute::interleave_record_batch;
use arrow::record_batch::RecordBatch;
use futures::stream::{self, BoxStream, StreamExt};

use super::key::Keys;
use super::keyed_batch::KeyedBatch;
use super::live_rows::LiveRows;
use super::run::RunScan;
use super::schema::TableSchema;
use super::segment::{Segment, bytes_per_row};
use crate::error::{Error, Result};

/// A batch takes at most this much memory, or one row.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Rows in key order, in the stored schema.
pub enum Source {
    /// Rows in memory, in batches.
    Rows(Vec<RecordBatch>),
    /// Rows of a run.
    Run(RunScan),
    /// Rows of a segment.
    Segment(Arc<Segment>, LiveRows),
}

/// Where a source stands: the batch it is in and what follows.
struct Cursor {
    current: KeyedBatch,
    next_row: usize,
    /// Bytes of a row of the current batch in memory, on average.
    bytes_per_row: usize,
    rest: BoxStream<'static, Result<RecordBatch>>,
}

struct Merge {
    schema: Arc<TableSchema>,
    /// Sources not opened yet; opened together with the first poll.
    unopened: Vec<Source>,
    cursors: Vec<Cursor>,
    batch_rows: usize,
    /// The last key given.
    last: Option<Vec<u8>>,
}

/// The rows of all `sources` in key order, in batches of at most `batch_rows`.
pub fn merge_scan(
    schema: &Arc<TableSchema>,
    sources: Vec<Source>,
    batch_rows: usize,
) -> BoxStream<'static, Result<KeyedBatch>> {
    let schema = Arc::clone(schema);
    let merge = Merge { schema, unopened: sources, cursors: Vec::new(), batch_rows, last: None };
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
                Source::Run(scan) => stream::iter(scan.into_batches(None)).boxed(),
                Source::Segment(segment, rows) => segment.scan(rows, None, self.batch_rows),
            };
            if let Some(current) = next_keyed(&self.schema, &mut rest).await? {
                let bytes_per_row = bytes_per_row(current.rows());
                self.cursors.push(Cursor { current, next_row: 0, bytes_per_row, rest });
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
        let (mut exhausted, mut bytes) = (None, 0);
        while picked.len() < self.batch_rows && bytes < BATCH_BYTES_MAX && exhausted.is_none() {
            let source = self.lowest();
            let fitting = (BATCH_BYTES_MAX - bytes) / self.cursors[source].bytes_per_row;
            let rows = fitting.max(1).min(self.batch_rows - picked.len());
            let until = self.limit_of(source, rows);
            let cursor = &mut self.cursors[source];
            for row in cursor.next_row..until {
                picked.push((source, row));
                keys.push_from(cursor.current.keys(), row);
            }
            bytes += (until - cursor.next_row) * cursor.bytes_per_row;
            cursor.next_row = until;
            exhausted = (until == cursor.current.keys().len()).then_some(source);
        }
        let batches: Vec<&RecordBatch> = self.cursors.iter().map(|c| c.current.rows()).collect();
        let rows = gather(&batches, &picked)?;
        if let Some(source) = exhausted {
            self.advance(source).await?;
        }
        self.check_order(&keys)?;
        self.last = keys.len().checked_sub(1).map(|last| keys.get(last).into_owned());
        KeyedBatch::new(rows, keys).map(Some)
    }

    /// Two live rows of one key, or a part out of order, must never pass for rows of the table.
    fn check_order(&self, keys: &Keys) -> Result<()> {
        let goes_back = |i: usize| match i.checked_sub(1) {
            Some(before) => keys.compare(before, keys, i).is_ge(),
            None => self.last.as_ref().is_some_and(|last| keys.compare_bytes(0, last).is_le()),
        };
        match (0..keys.len()).find(|&i| goes_back(i)) {
            None => Ok(()),
            Some(index) => Err(Error::invalid(format!(
                "two rows of table \"{}\" have one key or are out of order, at {}",
                self.schema.name,
                self.schema.codec().describe(&keys.get(index))
            ))),
        }
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
        let end = cursor.current.keys().len().min(cursor.next_row + rows);
        let others = (0..self.cursors.len()).filter(|&other| other != source);
        let Some(rival) = others.reduce(|a, b| if self.compare(b, a).is_lt() { b } else { a })
        else {
            return end;
        };
        let rival = &self.cursors[rival];
        let probe = rival.current.keys().get(rival.next_row);
        // Look at the next key first: interleaved sources win nothing from searching.
        if cursor.next_row + 1 < end
            && cursor.current.keys().compare_bytes(cursor.next_row + 1, &probe).is_gt()
        {
            return cursor.next_row + 1;
        }
        cursor.current.keys().lower_bound_in(cursor.next_row + 1..end, &probe)
    }

    fn compare(&self, a: usize, b: usize) -> std::cmp::Ordering {
        let (a, b) = (&self.cursors[a], &self.cursors[b]);
        a.current.keys().compare(a.next_row, b.current.keys(), b.next_row)
    }

    /// Moves `source` to its next batch, or drops it at its end.
    async fn advance(&mut self, source: usize) -> Result<()> {
        match next_keyed(&self.schema, &mut self.cursors[source].rest).await? {
            Some(batch) => {
                let cursor = &mut self.cursors[source];
                cursor.bytes_per_row = bytes_per_row(batch.rows());
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
            return KeyedBatch::new(rows, keys).map(Some);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use futures::TryStreamExt;

    use super::*;
    use crate::storage::definition::TableDefinition;

    /// Sources of these keys, merged into batches of at most four rows.
    async fn merged(sources: Vec<Vec<Vec<i64>>>) -> Result<Vec<Vec<i64>>> {
        let columns = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        let schema =
            TableDefinition::new("t", &columns).primary_key(["id"]).into_schema(1, false)?;
        let batch = |keys: Vec<i64>| {
            let key: ArrayRef = Arc::new(Int64Array::from(keys));
            RecordBatch::try_new(Arc::clone(schema.stored()), vec![key]).unwrap()
        };
        let source =
            |batches: Vec<Vec<i64>>| Source::Rows(batches.into_iter().map(batch).collect());
        let sources = sources.into_iter().map(source).collect();
        let batches: Vec<KeyedBatch> = merge_scan(&schema, sources, 4).try_collect().await?;
        let keys = |batch: &KeyedBatch| {
            let keys = batch.rows().column(0).to_data();
            Int64Array::from(keys).values().to_vec()
        };
        Ok(batches.iter().map(keys).collect())
    }

    #[tokio::test]
    async fn rows_come_in_key_order_in_bounded_batches() {
        let sources = vec![
            vec![vec![1, 4, 9], vec![], vec![10, 20, 21, 22, 23, 24]],
            vec![],
            vec![vec![2], vec![3, 5, 6, 7]],
            vec![vec![-7, 30]],
        ];
        let found = merged(sources).await.unwrap();
        assert!(found.iter().all(|batch| (1..=4).contains(&batch.len())), "{found:?}");
        let expected = [-7, 1, 2, 3, 4, 5, 6, 7, 9, 10, 20, 21, 22, 23, 24, 30];
        assert_eq!(found.concat(), expected);
    }

    #[tokio::test]
    async fn a_key_that_comes_twice_is_an_error() {
        for sources in [
            vec![vec![vec![1, 5, 5]]],
            vec![vec![vec![1, 5], vec![4, 6]]],
            vec![vec![vec![1, 2, 3, 4], vec![4, 6]]],
            vec![vec![vec![1, 2, 3, 4]], vec![vec![4, 6]]],
            vec![vec![vec![1, 5, 9]], vec![vec![2, 5, 7]]],
        ] {
            let error = merged(sources.clone()).await.unwrap_err().to_string();
            assert!(error.contains("order") || error.contains("ascend"), "{sources:?}: {error}");
        }
    }
}
