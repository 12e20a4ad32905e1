//! Flush: the runs of a version become segments.
//!
//! Called by the engine, which then publishes a manifest that names the segments and puts them in
//! the place of the runs. Touches nothing that readers and writers see.

use std::sync::Arc;

use super::medium::Medium;
use super::merge_scan::Source;
use super::rewrite::write_segments;
use super::row_ranges::RowRanges;
use super::schema::TableId;
use super::segment::Segment;
use super::version::{TableVersion, Version};
use crate::error::Result;

/// The segments of one table that stand for its runs.
#[derive(Debug)]
pub struct FlushedTable {
    /// The table.
    pub table: TableId,
    /// Its new segments; none if all rows of its runs are dead.
    pub segments: Vec<Arc<Segment>>,
}

/// Writes the live rows of every table's runs as segments.
pub async fn write_runs(medium: &Medium, base: &Version) -> Result<Vec<FlushedTable>> {
    let mut flushed = Vec::new();
    for table in base.tables().iter().filter(|t| !t.runs.is_empty()) {
        let sources = run_sources(table)?;
        let segments = write_segments(medium, &table.schema, sources, &bounds(table), true).await?;
        flushed.push(FlushedTable { table: table.schema.id, segments });
    }
    Ok(flushed)
}

/// The live rows of a table's runs.
fn run_sources(table: &TableVersion) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for view in &table.runs {
        let rows = RowRanges::all(view.run.keys().len() as u32).without(view.dead.iter());
        if view.dead.is_empty() {
            sources.push(Source::Rows(view.run.rows().clone()));
        } else if !rows.is_empty() {
            let indices = arrow::array::UInt32Array::from_iter_values(rows.iter().flatten());
            sources
                .push(Source::Rows(arrow::compute::take_record_batch(view.run.rows(), &indices)?));
        }
    }
    Ok(sources)
}

/// The smallest and the largest key of a table's runs.
fn bounds(table: &TableVersion) -> (Vec<u8>, Vec<u8>) {
    let min = table.runs.iter().map(|v| v.run.min_key()).min().unwrap_or_default();
    let max = table.runs.iter().map(|v| v.run.max_key()).max().unwrap_or_default();
    (min.to_vec(), max.to_vec())
}
