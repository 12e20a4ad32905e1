//! Flush: the runs of a version become segments.
//!
//! Called by the engine, which then publishes a manifest that names the segments and puts them in
//! the place of the runs. Touches nothing that readers and writers see.

use std::sync::Arc;

use super::medium::Medium;
use super::merge_scan::Source;
use super::rewrite::{Cuts, GoOn, Rewrite};
use super::run::Run;
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

/// Writes the live rows of every table's runs as segments, but for the tables that `flushed` holds:
/// after a failure it goes on with the table that failed. Ends with the error of `go_on` once that
/// gives one.
pub async fn write_runs(
    medium: &Medium,
    base: &Version,
    flushed: &mut Vec<FlushedTable>,
    go_on: GoOn<'_>,
) -> Result<()> {
    for table in base.tables().iter().filter(|t| !t.runs.is_empty()) {
        let id = table.schema.id;
        if flushed.iter().any(|done| done.table == id) {
            continue;
        }
        let sources = run_sources(table);
        let (cuts, bounds) = (Cuts::of(&medium.options), bounds(table));
        let schema = &table.schema;
        let rewrite = Rewrite { medium, schema, bounds, overlapping: true, cuts, go_on };
        let segments = rewrite.run(sources).await?;
        flushed.push(FlushedTable { table: id, segments });
    }
    Ok(())
}

/// The live rows of a table's parts in memory.
fn run_sources(table: &TableVersion) -> Vec<Source> {
    table.runs.iter().map(|run| Source::Run(run.select(None))).collect()
}

/// The smallest and the largest key of a table's parts in memory.
fn bounds(table: &TableVersion) -> (Vec<u8>, Vec<u8>) {
    let (mins, maxs): (Vec<_>, Vec<_>) = table.runs.iter().filter_map(Run::bounds).unzip();
    (mins.into_iter().min().unwrap_or_default(), maxs.into_iter().max().unwrap_or_default())
}
