//! Samples of a table's indexes, for a picture of them.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Engine;
use super::inspect::{TableInspection, inspect_table};
use crate::error::{Error, Result};
use crate::storage::index_sample::IndexSample;
use crate::storage::version::TableVersion;

/// What to sample.
#[derive(Debug, Clone, Copy)]
pub struct SampleLimits {
    /// Parts, the largest ones.
    pub parts_max: usize,
    /// Keys of a part, about.
    pub keys_max: u32,
}

/// The state of a table and samples of the largest indexes in it, all of one moment.
#[derive(Debug, Clone)]
pub struct TableSample {
    /// The table.
    pub table: TableInspection,
    /// Index into the table's parts and the sample, largest part first.
    pub parts: Vec<(usize, IndexSample)>,
}

impl Engine {
    /// Samples the largest parts of a table that have an index; `progress` is told how many keys
    /// of how many were read.
    pub async fn sample_indexes(
        &self,
        table: &str,
        limits: SampleLimits,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<TableSample> {
        let version = self.published.get();
        let missing = || Error::NotFound(format!("table \"{table}\""));
        let table = version.table_named(table).map(Arc::clone).ok_or_else(missing)?;
        let inspection = inspect_table(&table);
        let parts = largest_indexed(&inspection, limits.parts_max);
        let keys = |&part: &usize| inspection.parts[part].rows.min(u64::from(limits.keys_max));
        let total = parts.iter().map(keys).sum();
        let done = AtomicU64::new(0);
        let count = |keys: u64| {
            let before = done.fetch_add(keys, Relaxed);
            progress((before + keys).min(total), total);
        };
        let mut samples = Vec::with_capacity(parts.len());
        for part in parts {
            let sample = sample_part(&table, part, limits.keys_max, &count).await?;
            samples.extend(sample.map(|sample| (part, sample)));
        }
        Ok(TableSample { table: inspection, parts: samples })
    }
}

/// The parts with an index, largest first, in their order if they are of one size.
fn largest_indexed(table: &TableInspection, parts_max: usize) -> Vec<usize> {
    let indexed = |part: &usize| table.parts[*part].index.is_some();
    let mut parts: Vec<usize> = (0..table.parts.len()).filter(indexed).collect();
    parts.sort_by_key(|&part| Reverse(table.parts[part].rows));
    parts.truncate(parts_max);
    parts
}

/// Samples a part by its place among the parts of the table's inspection: segments, then runs.
async fn sample_part(
    table: &TableVersion,
    part: usize,
    keys_max: u32,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Option<IndexSample>> {
    if let Some(view) = table.segments.get(part) {
        return Ok(Some(view.segment.sample(keys_max, progress).await?));
    }
    let run = table.runs.iter().nth(part - table.segments.len());
    run.map_or(Ok(None), |view| view.sample(&table.schema.key, keys_max))
}
