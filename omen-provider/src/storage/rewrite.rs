//! Live rows of parts, in key order, as new segments of bounded size.
//!
//! What flush (runs in, segments out), compaction (segments in, segments out) and bulk statements
//! share. Segments are cut by rows and by bytes. If the work fails or is given up, whatever it has
//! written is garbage.

use std::sync::Arc;

use futures::TryStreamExt;

use super::keyed_batch::KeyedBatch;
use super::medium::{Medium, Unnamed};
use super::merge_scan::{Source, merge_scan};
use super::record::segment_name;
use super::schema::TableSchema;
use super::segment::{Segment, SegmentWriter};
use crate::error::Result;
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
                    true => segments.extend(self.finish(current).await?),
                    false => writer = Some(current),
                }
            }
        }
        if let Some(writer) = writer {
            segments.extend(self.finish(writer).await?);
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

    async fn finish(&self, writer: SegmentWriter) -> Result<Option<Arc<Segment>>> {
        let Some(record) = writer.finish().await? else { return Ok(None) };
        let (store, cache) = (&self.medium.store, &self.medium.cache);
        Segment::open(store, cache, record, self.schema).await.map(Some)
    }
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
