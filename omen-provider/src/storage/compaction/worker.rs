//! Carries out a compaction task: reads the live rows of its segments in key order and writes them
//! as new segments.
//!
//! The rows are shared out evenly over as few segments as hold them, so that none comes out small
//! beside full ones. Memory: a window of pages and a batch for each input, one row group of output,
//! and what the output's index needs per key; it depends neither on the number of the table's
//! segments nor on their size.

use std::sync::Arc;

use super::Task;
use crate::error::Result;
use crate::storage::live_rows::LiveRows;
use crate::storage::medium::Medium;
use crate::storage::merge_scan::Source;
use crate::storage::rewrite::{Cuts, GoOn, Rewrite};
use crate::storage::row_ranges::RowRanges;
use crate::storage::segment::Segment;
use crate::storage::version::{SegmentView, TableVersion};

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
    let schema = &table.schema;
    let cuts = even_cuts(medium, &inputs);
    Rewrite { medium, schema, bounds: (min, max), overlapping, cuts, go_on }.run(sources).await
}

/// Cuts that share the rows out evenly.
fn even_cuts(medium: &Medium, inputs: &[&SegmentView]) -> Cuts {
    let full = Cuts::of(&medium.options);
    let (mut rows, mut bytes) = (0, 0);
    for view in inputs {
        let (all, dead) = (u64::from(view.segment.rows()), view.dead.count());
        let live = all.saturating_sub(dead);
        rows += live;
        bytes += view.segment.record().bytes / all.max(1) * live;
    }
    let segments = rows.div_ceil(full.rows).max(bytes.div_ceil(full.bytes)).max(1);
    // Bytes are a guess, rows are not: a segment whose rows are wider than others' is cut only when
    // it is larger by more than a quarter.
    Cuts { rows: rows.div_ceil(segments).max(1), bytes: full.bytes.saturating_add(full.bytes / 4) }
}
