//! What must hold of the rows of any version, wherever they were read.
//!
//! Called by `log` and `segment`.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use futures::StreamExt;

use crate::error::{Error, Result};
use crate::storage::key::Keys;
use crate::storage::merge_scan::merge_scan;
use crate::storage::segment::ReadStats;
use crate::storage::snapshot::TableSnapshot;
use crate::storage::version::TableVersion;

/// Rows of a batch.
const BATCH_ROWS: usize = 512;

/// Reads all rows of a table in key order: their keys ascend, there are as many as the table says,
/// each is found by its key, and each column is what its type says.
///
/// # Errors
/// Those met while reading.
pub(super) async fn check_table(table: &Arc<TableVersion>) -> Result<Vec<(RecordBatch, Keys)>> {
    let set = TableSnapshot::new(Arc::clone(table)).select(None).await?;
    let mut scan = merge_scan(&table.schema, set.into_sources(), BATCH_ROWS);
    let stats = ReadStats::default();
    let (mut rows, mut last, mut batches) = (0, None::<Vec<u8>>, Vec::new());
    while let Some(batch) = scan.next().await {
        let batch = batch?;
        let keys = batch.keys().take(&(0..batch.len() as u32).collect::<Vec<_>>());
        check_columns(batch.rows());
        for index in 0..keys.len() {
            let key = keys.get(index).into_owned();
            assert!(last.as_ref().is_none_or(|last| *last < key), "keys do not ascend");
            assert!(table.find(&key, &stats).await?.is_some(), "a row is not found by its key");
            let shown = table.schema.codec().describe(&key);
            assert!(!shown.is_empty());
            last = Some(key);
        }
        assert_eq!(table.find_many(&keys, &stats).await?.len(), keys.len());
        rows += keys.len() as u64;
        batches.push((batch.rows().clone(), keys));
    }
    assert_eq!(rows, table.live_rows, "rows counted and rows read");
    Ok(batches)
}

/// Every buffer is what Arrow says that it must be.
pub(super) fn check_columns(batch: &RecordBatch) {
    for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
        if let Err(error) = column.to_data().validate_full() {
            panic!("column {field} is not valid: {error}");
        }
    }
}

/// Whether an error says what is wrong with the bytes; any other is a defect.
pub(super) fn is_clear(error: &Error) -> bool {
    matches!(
        error,
        Error::Corruption { .. }
            | Error::InvalidInput(_)
            | Error::NotFound(_)
            | Error::Arrow(_)
            | Error::DuplicateKey { .. }
    )
}
