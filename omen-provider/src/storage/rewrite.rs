//! Live rows of parts, in key order, as new segments of bounded size.
//!
//! What flush (runs in, segments out), compaction (segments in, segments out) and bulk statements
//! share. Segments are cut by rows and by bytes. If the work fails or is given up, whatever it has
//! written is garbage.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;

use super::key::Keys;
use super::keyed_batch::KeyedBatch;
use super::medium::{Medium, Unnamed};
use super::merge_scan::{Source, merge_scan};
use super::record::{SegmentRecord, segment_name};
use super::schema::TableSchema;
use super::segment::{Segment, SegmentWriter};
use crate::error::{Error, Result};
use crate::options::Options;

/// Rows that go to the segment writer at once.
const BATCH_ROWS: usize = 8192;

/// Asked before each batch; an error ends the work.
pub type GoOn<'a> = &'a (dyn Fn() -> Result<()> + Send + Sync);

/// Where segments end.
#[derive(Debug, Clone, Copy)]
pub struct Cuts {
    /// At so many rows.
    pub rows: u64,
    /// At the batch that brings it to so many bytes.
    pub bytes: u64,
}

impl Cuts {
    /// Where full segments end.
    pub fn of(options: &Options) -> Self {
        Self { rows: options.segment_rows_max as u64, bytes: options.segment_bytes_max as u64 }
    }
}

/// Segments to be written.
pub struct Rewrite<'a> {
    /// Where to.
    pub medium: &'a Medium,
    /// The table.
    pub schema: &'a Arc<TableSchema>,
    /// A key not above the smallest and one not below the largest that will come.
    pub bounds: (Vec<u8>, Vec<u8>),
    /// Whether the output may overlap other segments of the table and so gets fingerprints.
    pub overlapping: bool,
    /// Where segments end.
    pub cuts: Cuts,
    /// Whether to go on.
    pub go_on: GoOn<'a>,
}

/// Writes `sources` in key order as segments of bounded size, which may overlap others of the
/// table, and opens them.
pub async fn write_segments(
    medium: &Medium,
    schema: &Arc<TableSchema>,
    sources: Vec<Source>,
    bounds: (Vec<u8>, Vec<u8>),
) -> Result<Vec<Arc<Segment>>> {
    let (cuts, go_on) = (Cuts::of(&medium.options), &|| Ok(()));
    Rewrite { medium, schema, bounds, overlapping: true, cuts, go_on }.run(sources).await
}

impl Rewrite<'_> {
    /// Writes `sources` in key order and opens what was written. Ends with the error of `go_on`
    /// before the next batch once that gives one.
    pub async fn run(&self, sources: Vec<Source>) -> Result<Vec<Arc<Segment>>> {
        // Whatever was begun, finished or not, is garbage if the whole is not completed.
        let mut begun = self.medium.garbage.unless_kept(Vec::new());
        match self.write_all(sources, &mut begun).await {
            Ok(segments) => {
                begun.keep();
                Ok(segments)
            }
            Err(error) => {
                drop(begun);
                self.medium.sweep().await;
                Err(error)
            }
        }
    }

    async fn write_all(
        &self,
        sources: Vec<Source>,
        begun: &mut Unnamed<'_>,
    ) -> Result<Vec<Arc<Segment>>> {
        let mut segments = Vec::new();
        let mut batches = merge_scan(self.schema, sources, BATCH_ROWS);
        let mut writer: Option<SegmentWriter> = None;
        while let Some(batch) = batches.try_next().await? {
            let mut start = 0;
            while start < batch.len() {
                (self.go_on)()?;
                let mut current = match writer.take() {
                    Some(writer) => writer,
                    None => self.begin(begun).await?,
                };
                let room = self.cuts.rows.saturating_sub(u64::from(current.rows())).max(1);
                let wanted = usize::try_from(room).unwrap_or(usize::MAX).min(batch.len() - start);
                let taken = write(&mut current, &batch, start, wanted).await?;
                start += taken;
                let is_full = taken < wanted
                    || u64::from(current.rows()) >= self.cuts.rows
                    || current.bytes() >= self.cuts.bytes;
                match is_full {
                    true => segments.extend(self.finish(current, begun).await?),
                    false => writer = Some(current),
                }
            }
        }
        if let Some(writer) = writer {
            segments.extend(self.finish(writer, begun).await?);
        }
        Ok(segments)
    }

    async fn begin(&self, begun: &mut Unnamed<'_>) -> Result<SegmentWriter> {
        let (min, max) = (self.bounds.0.as_slice(), self.bounds.1.as_slice());
        let (store, rows) = (&self.medium.store, self.medium.options.row_group_rows);
        let file = self.medium.next_file();
        begun.push(segment_name(file));
        SegmentWriter::create(store, file, self.schema, (min, max), rows, self.overlapping).await
    }

    async fn finish(
        &self,
        writer: SegmentWriter,
        begun: &mut Unnamed<'_>,
    ) -> Result<Option<Arc<Segment>>> {
        let Some(record) = writer.finish().await? else { return Ok(None) };
        let (store, cache) = (&self.medium.store, &self.medium.cache);
        let segment = Segment::open(store, cache, record, self.schema).await?;
        write_entries(self.medium, &segment, begun, self.go_on).await.map(Some)
    }
}

/// Writes the entries of a segment's rows in all indexes in which it has none; the segment with
/// them. Their files are in `begun` then. Those that do not fit into memory or a file, or of which
/// one is too long, are left out: the rows are read instead.
pub async fn write_entries(
    medium: &Medium,
    segment: &Arc<Segment>,
    begun: &mut Unnamed<'_>,
    go_on: GoOn<'_>,
) -> Result<Arc<Segment>> {
    let mut written = Vec::new();
    for index in segment.missing_entries() {
        let (entries, keys) = match segment.make_entries(index).await {
            Ok(Some(made)) => made,
            Ok(None) | Err(Error::InvalidInput(_)) => continue,
            Err(error) => return Err(error),
        };
        let file = medium.next_file();
        begun.push(segment_name(file));
        let schema = index.entries();
        let Some(record) = write_file(medium, file, schema, &entries, &keys, go_on).await? else {
            continue;
        };
        let opened = Segment::open(&medium.store, &medium.cache, record, schema).await?;
        written.push((index.index.id, opened));
    }
    Ok(match written.is_empty() {
        true => Arc::clone(segment),
        false => segment.with_entries(written),
    })
}

/// Writes rows in the order of their keys as one segment; `None` if it does not take them all.
async fn write_file(
    medium: &Medium,
    file: u64,
    schema: &Arc<TableSchema>,
    rows: &RecordBatch,
    keys: &Keys,
    go_on: GoOn<'_>,
) -> Result<Option<SegmentRecord>> {
    let Some(last) = keys.len().checked_sub(1) else { return Ok(None) };
    let (min, max) = (keys.get(0), keys.get(last));
    let (bounds, group_rows) = ((&*min, &*max), medium.options.row_group_rows);
    let mut writer =
        SegmentWriter::create(&medium.store, file, schema, bounds, group_rows, false).await?;
    for start in (0..keys.len()).step_by(BATCH_ROWS) {
        go_on()?;
        let count = BATCH_ROWS.min(keys.len() - start);
        let order: Vec<u32> = (start as u32..(start + count) as u32).collect();
        let taken = writer.write(&rows.slice(start, count), &keys.take(&order)).await?;
        if taken < count {
            return Ok(None);
        }
    }
    writer.finish().await
}

/// Writes rows of `batch` and says how many were taken.
async fn write(
    writer: &mut SegmentWriter,
    batch: &KeyedBatch,
    start: usize,
    count: usize,
) -> Result<usize> {
    if count == batch.len() {
        return writer.write(batch.rows(), batch.keys()).await;
    }
    let part = batch.slice(start, count);
    writer.write(part.rows(), part.keys()).await
}
