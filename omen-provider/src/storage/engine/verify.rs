//! Reading everything and checking it: every checksum, every key's order, every index, and that
//! live rows of a table do not share a key.

use std::sync::Arc;

use futures::TryStreamExt;

use super::Engine;
use crate::error::{Error, Result};
use crate::storage::merge_scan::merge_scan;
use crate::storage::snapshot::TableSnapshot;
use crate::storage::version::TableVersion;

/// Rows read at a time.
const BATCH_ROWS: usize = 8192;

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Segments read.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Live rows seen.
    pub rows: u64,
    /// What is wrong; empty if all is well.
    pub problems: Vec<Error>,
}

impl Engine {
    /// Checks everything that the current version is made of. Problems are reported, not returned
    /// as an error, so that one does not hide the next.
    pub async fn verify(&self) -> Result<VerifyReport> {
        let version = self.published.get();
        let mut report = VerifyReport::default();
        for table in version.tables() {
            for view in &table.segments {
                report.segments += 1;
                report.bytes += view.segment.record().bytes;
                if let Err(error) = view.segment.verify().await {
                    report.problems.push(error);
                }
            }
            match count_rows(table).await {
                Ok(rows) if rows == table.live_rows => report.rows += rows,
                Ok(rows) => report.problems.push(Error::invalid(format!(
                    "table \"{}\" should have {} rows, {rows} were read",
                    table.schema.name, table.live_rows
                ))),
                Err(error) => report.problems.push(error),
            }
        }
        Ok(report)
    }
}

/// The live rows of a table, read in key order: two rows of one key would be an error.
async fn count_rows(table: &Arc<TableVersion>) -> Result<u64> {
    let snapshot = TableSnapshot::new(Arc::clone(table));
    let sources = snapshot.select(None, false).await?.into_sources();
    let batches = merge_scan(&table.schema, sources, BATCH_ROWS);
    batches.try_fold(0, |rows, batch| std::future::ready(Ok(rows + batch.len() as u64))).await
}
