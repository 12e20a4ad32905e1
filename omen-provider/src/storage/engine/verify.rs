//! Reading everything and checking it: every checksum, every key's order, every index, and that
//! live rows of a table do not share a key.

use std::collections::HashSet;
use std::sync::Arc;

use futures::TryStreamExt;

use super::Engine;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::storage::medium::Medium;
use crate::storage::merge_scan::merge_scan;
use crate::storage::scrub::{Scrubbed, scrub};
use crate::storage::snapshot::TableSnapshot;
use crate::storage::store::Store;
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
    /// Live rows seen; 0 if only files were checked.
    pub rows: u64,
    /// What is wrong; empty if all is well.
    pub problems: Vec<Error>,
}

impl Engine {
    /// Checks everything that the current version is made of, and the files that a reopening would
    /// read. Problems are reported, not returned as an error, so that one does not hide the next.
    pub async fn verify(&self) -> Result<VerifyReport> {
        let version = self.published.get();
        let problems = scrub(&self.medium, false).await.problems;
        let mut report = VerifyReport { problems, ..VerifyReport::default() };
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
        report.name_each_once();
        Ok(report)
    }
}

impl VerifyReport {
    /// What the files of a database are like that need not open.
    pub async fn of_files(store: Store, options: Options) -> Self {
        let found = scrub(&Medium::new(store, options, 0), true).await;
        let Scrubbed { segments, bytes, problems } = found;
        let mut report = Self { segments, bytes, rows: 0, problems };
        report.name_each_once();
        report
    }

    /// Damage that several checks have met.
    fn name_each_once(&mut self) {
        let mut named = HashSet::new();
        self.problems.retain(|problem| named.insert(problem.to_string()));
    }
}

/// The live rows of a table, read in key order: two rows of one key would be an error.
async fn count_rows(table: &Arc<TableVersion>) -> Result<u64> {
    let snapshot = TableSnapshot::new(Arc::clone(table));
    let sources = snapshot.select(None).await?.into_sources();
    let batches = merge_scan(&table.schema, sources, BATCH_ROWS);
    batches.try_fold(0, |rows, batch| std::future::ready(Ok(rows + batch.len() as u64))).await
}
