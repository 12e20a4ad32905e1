//! Live rows of parts, in key order, as new segments of bounded size.
//!
//! What flush (runs in, segments out), compaction (segments in, segments out) and bulk statements
//! share.

use std::sync::Arc;

use futures::TryStreamExt;

use super::medium::{Medium, Unnamed};
use super::merge_scan::{Source, merge_scan};
use super::record::segment_name;
use super::schema::TableSchema;
use super::segment::{Segment, SegmentWriter};
use crate::error::Result;

/// Rows that go to the segment writer at once.
const BATCH_ROWS: usize = 8192;

/// Asked before each batch; an error ends the work.
pub type GoOn<'a> = &'a (dyn Fn() -> Result<()> + Send + Sync);

/// Writes `sources` in key order as segments of bounded size and opens them.
///
/// `overlapping`: the output may overlap other segments of the table and so gets fingerprints.
pub async fn write_segments(
    medium: &Medium,
    schema: &Arc<TableSchema>,
    sources: Vec<Source>,
    bounds: &(Vec<u8>, Vec<u8>),
    overlapping: bool,
) -> Result<Vec<Arc<Segment>>> {
    write_segments_while(medium, schema, sources, bounds, overlapping, &|| Ok(())).await
}

/// As [`write_segments`]; ends with the error of `go_on` before the next batch once that gives one.
pub async fn write_segments_while(
    medium: &Medium,
    schema: &Arc<TableSchema>,
    sources: Vec<Source>,
    bounds: &(Vec<u8>, Vec<u8>),
    overlapping: bool,
    go_on: GoOn<'_>,
) -> Result<Vec<Arc<Segment>>> {
    // Whatever was begun, finished or not, is garbage if the whole is not completed.
    let mut begun = medium.garbage.unless_kept(Vec::new());
    let result = write_all(medium, schema, sources, bounds, overlapping, go_on, &mut begun).await;
    match result {
        Ok(segments) => {
            begun.keep();
            Ok(segments)
        }
        Err(error) => {
            drop(begun);
            medium.sweep().await;
            Err(error)
        }
    }
}

async fn write_all(
    medium: &Medium,
    schema: &Arc<TableSchema>,
    sources: Vec<Source>,
    bounds: &(Vec<u8>, Vec<u8>),
    overlapping: bool,
    go_on: GoOn<'_>,
    begun: &mut Unnamed<'_>,
) -> Result<Vec<Arc<Segment>>> {
    let mut segments = Vec::new();
    let mut batches = merge_scan(schema, sources, BATCH_ROWS);
    let mut writer: Option<SegmentWriter> = None;
    while let Some(batch) = batches.try_next().await? {
        go_on()?;
        let mut current = match writer.take() {
            Some(writer) => writer,
            None => {
                let (min, max) = (bounds.0.as_slice(), bounds.1.as_slice());
                let (file, rows) = (medium.next_file(), medium.options.row_group_rows);
                begun.push(segment_name(file));
                SegmentWriter::create(&medium.store, file, schema, (min, max), rows, overlapping)
                    .await?
            }
        };
        current.write(batch.rows(), batch.keys()).await?;
        if (current.rows() as usize) < medium.options.segment_rows_max {
            writer = Some(current);
        } else {
            segments.extend(finish(medium, schema, current).await?);
        }
    }
    if let Some(writer) = writer {
        segments.extend(finish(medium, schema, writer).await?);
    }
    Ok(segments)
}

async fn finish(
    medium: &Medium,
    schema: &Arc<TableSchema>,
    writer: SegmentWriter,
) -> Result<Option<Arc<Segment>>> {
    match writer.finish().await? {
        Some(record) => Segment::open(&medium.store, &medium.cache, record, schema).await.map(Some),
        None => Ok(None),
    }
}
