//! Applying logged statements to a version.
//!
//! Called by recovery. Names rows by key, so it does not matter which part holds them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use super::{Opener, check_length, segment_lengths};
use crate::error::{Error, Result};
use crate::storage::apply::{WriteMode, delete_keys, put_rows, put_segments, raise_row_id};
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::Keys;
use crate::storage::keyed_batch::KeyedBatch;
use crate::storage::numbering::raise_above_rows;
use crate::storage::prepare::sort_by_key;
use crate::storage::row_bytes::decode_rows;
use crate::storage::schema::{TableId, TableSchema};
use crate::storage::version::{TableVersion, Version};
use crate::storage::wal::{Op, Statement};

/// Rows of statements whose keys are all new are joined up to about this many: most of the work of
/// a statement of one row is not its row.
const JOINED_ROWS: usize = 8192;
/// And to about this many bytes.
const JOINED_BYTES: usize = 8 << 20;

/// Applies logged statements, in order.
pub async fn replay(
    opener: &Opener<'_>,
    version: &mut Version,
    statements: &[Statement],
) -> Result<()> {
    let mut fresh = FreshRows::default();
    for statement in statements {
        for op in &statement.ops {
            match op {
                Op::Put { table, fresh: true, rows } => fresh.add(version, *table, rows)?,
                _ => {
                    fresh.apply(version)?;
                    apply(opener, version, op).await?;
                }
            }
        }
        version.lsn = statement.lsn;
    }
    fresh.apply(version)
}

/// Rows of one table, none of whose keys it holds; in whatever order they come, the outcome is the
/// same.
#[derive(Default)]
struct FreshRows {
    table: TableId,
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl FreshRows {
    fn add(&mut self, version: &mut Version, table: TableId, rows: &Bytes) -> Result<()> {
        let batch = decode_rows(rows, version.require(table)?.schema.stored())?;
        let (count, bytes) = (self.rows + batch.num_rows(), self.bytes + rows.len());
        if table != self.table || count > JOINED_ROWS || bytes > JOINED_BYTES {
            self.apply(version)?;
        }
        self.table = table;
        self.rows += batch.num_rows();
        self.bytes += rows.len();
        self.batches.push(batch);
        Ok(())
    }

    /// Adds them to their table.
    fn apply(&mut self, version: &mut Version) -> Result<()> {
        let batches = std::mem::take(&mut self.batches);
        (self.rows, self.bytes) = (0, 0);
        let Some(first) = batches.first() else { return Ok(()) };
        let mut table = TableVersion::clone(version.require(self.table)?);
        let joined = match &batches[..] {
            [only] => vec![only.clone()],
            // Values of dictionaries may be too many for one batch.
            _ => concat_batches(first.schema_ref(), &batches).map_or(batches, |all| vec![all]),
        };
        for rows in joined {
            raise_above_rows(&table, &rows)?;
            let sorted = sort_by_key(&table, &rows, WriteMode::Insert).map_err(no_fresh_keys)?;
            table.add_rows(&sorted, 0)?;
        }
        table.runs.merge_all();
        raise_row_id(&table)?;
        version.put_table(table);
        Ok(())
    }
}

/// The writer has looked for the keys before it said that they are new.
fn no_fresh_keys(error: Error) -> Error {
    match error {
        Error::DuplicateKey { .. } => {
            let reason =
                format!("statements say that their keys are new, and they are not: {error}");
            Error::corruption("log", 0, reason)
        }
        error => error,
    }
}

/// Applies one operation.
async fn apply(opener: &Opener<'_>, version: &mut Version, op: &Op) -> Result<()> {
    match op {
        Op::CreateTable(record) => {
            let schema = TableSchema::try_from(record.clone())?;
            version.put_table(TableVersion::new(Arc::new(schema)));
        }
        Op::AlterTable(record) => {
            let schema = Arc::new(TableSchema::try_from(record.clone())?);
            let altered = version.require(schema.id)?.altered(&schema)?;
            version.put_table(altered);
        }
        Op::CreateView(view) => version.put_view(view.clone()),
        Op::DropView(name) => drop(version.remove_view(name)),
        Op::CreateSchema(schema) => version.put_schema(schema.clone()),
        Op::DropSchema(name) => drop(version.remove_schema(name)),
        Op::DropTable(table) => version.remove_table(*table),
        Op::Truncate(table) => {
            let mut table = version.require(*table)?.as_ref().clone();
            table.mark_all();
            version.put_table(table);
        }
        Op::Put { table, rows, .. } => {
            let mut table = version.require(*table)?.as_ref().clone();
            let batch = decode_rows(rows, table.schema.stored())?;
            let key: Vec<_> =
                table.schema.key.iter().map(|&i| Arc::clone(batch.column(i))).collect();
            let keys = table.schema.codec().encode(&key)?;
            raise_above_rows(&table, &batch)?;
            let batch = KeyedBatch::new(batch, keys)?;
            put_rows(&mut table, &batch, WriteMode::Upsert, 0).await?;
            table.runs.merge_all();
            raise_row_id(&table)?;
            version.put_table(table);
        }
        Op::Delete { table, keys } => {
            let mut table = version.require(*table)?.as_ref().clone();
            let mut list = Keys::new(table.schema.codec().fixed_width());
            keys.iter().for_each(|key| list.push(key));
            delete_keys(&mut table, &list).await?;
            version.put_table(table);
        }
        Op::Attach { table, fresh, next_number, segments } => {
            let lengths = segment_lengths(opener.medium).await?;
            let mut table = version.require(*table)?.as_ref().clone();
            let mut opened = Vec::with_capacity(segments.len());
            for record in segments {
                check_length(record, &lengths)?;
                opened.push(opener.open(record, &table.schema).await?);
            }
            if *fresh {
                for segment in opened {
                    table.add_segment(segment, DeletionVector::default());
                }
            } else {
                put_segments(&mut table, &opened, WriteMode::Upsert).await?;
            }
            table.numbers.fetch_max(*next_number, Relaxed);
            raise_row_id(&table)?;
            version.put_table(table);
        }
    }
    Ok(())
}
