//! Carries out a compaction task: reads the live rows of its segments in key order and writes them
//! as new segments. Memory: one batch per input and one row group.

use std::sync::Arc;

use super::Task;
use crate::error::Result;
use crate::storage::live_rows::LiveRows;
use crate::storage::medium::Medium;
use crate::storage::merge_scan::Source;
use crate::storage::rewrite::{GoOn, write_segments_while};
use crate::storage::row_ranges::RowRanges;
use crate::storage::segment::Segment;
use crate::storage::version::TableVersion;

/// The segments that stand for the inputs of `task`, at the position of `table`. Ends with the
/// error of `go_on` once that gives one.
pub async fn run(
    medium: &Medium,
    table: &TableVersion,
    task: &Task,
    go_on: GoOn<'_>,
) -> Result<Vec<Arc<Segment>>> {
    let inputs: Vec<_> = table
        .segments
        .iter()
        .filter(|view| task.segments.contains(&view.segment.record().file))
        .collect();
    let min = inputs.iter().map(|v| &v.segment.record().min_key).min().cloned();
    let max = inputs.iter().map(|v| &v.segment.record().max_key).max().cloned();
    let (Some(min), Some(max)) = (min, max) else { return Ok(Vec::new()) };
    let overlapping = table.segments.iter().any(|other| {
        let record = other.segment.record();
        !task.segments.contains(&record.file) && record.min_key <= max && min <= record.max_key
    });
    let sources = inputs
        .iter()
        .map(|view| {
            let rows = LiveRows::new(RowRanges::all(view.segment.rows()), &view.dead);
            Source::Segment(Arc::clone(&view.segment), rows)
        })
        .collect();
    let (schema, bounds) = (&table.schema, (min, max));
    write_segments_while(medium, schema, sources, &bounds, overlapping, go_on).await
}
