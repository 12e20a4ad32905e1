//! Live rows of parts, in key order, as new segments of bounded size.
//!
//! What flush (runs in, segments out), compaction (segments in, segments out) and bulk statements
//! share.

use std::sync::Arc;

use futures::TryStreamExt;

use super::medium::Medium;
use super::merge_scan::{Source, merge_scan};
use super::schema::TableSchema;
use super::segment::{Segment, SegmentWriter};
use crate::error::Result;

/// Rows that go to the segment writer at once.
const BATCH_ROWS: usize = 8192;

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
    let mut segments = Vec::new();
    let result = write_all(medium, schema, sources, bounds, overlapping, &mut segments).await;
    if let Err(error) = result {
        medium.discard_segments(&segments).await;
        return Err(error);
    }
    Ok(segments)
}

async fn write_all(
    medium: &Medium,
    schema: &Arc<TableSchema>,
    sources: Vec<Source>,
    bounds: &(Vec<u8>, Vec<u8>),
    overlapping: bool,
    segments: &mut Vec<Arc<Segment>>,
) -> Result<()> {
    let mut batches = merge_scan(schema, sources, BATCH_ROWS);
    let mut writer: Option<SegmentWriter> = None;
    while let Some(batch) = batches.try_next().await? {
        let mut current = match writer.take() {
            Some(writer) => writer,
            None => {
                let (min, max) = (bounds.0.as_slice(), bounds.1.as_slice());
                let (file, rows) = (medium.next_file(), medium.options.row_group_rows);
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
    Ok(())
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
