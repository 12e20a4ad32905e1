//! Applying logged statements to a version.
//!
//! Called by recovery. Names rows by key, so it does not matter which part holds them.

use std::sync::Arc;

use super::{Opener, check_length, segment_lengths};
use crate::error::Result;
use crate::storage::apply::{WriteMode, delete_keys, put_rows, put_segments, raise_row_id};
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::Keys;
use crate::storage::keyed_batch::KeyedBatch;
use crate::storage::schema::TableSchema;
use crate::storage::version::{TableVersion, Version};
use crate::storage::wal::{Op, Statement, decode_rows};

/// Applies one logged statement.
pub async fn replay(
    opener: &Opener<'_>,
    version: &mut Version,
    statement: &Statement,
) -> Result<()> {
    for op in &statement.ops {
        match op {
            Op::CreateTable(record) => {
                let schema = TableSchema::try_from(record.clone())?;
                version.put_table(TableVersion::new(Arc::new(schema)));
            }
            Op::DropTable(table) => version.remove_table(*table),
            Op::Put { table, fresh, rows } => {
                let mut table = version.require(*table)?.as_ref().clone();
                let batch = decode_rows(rows, table.schema.stored())?;
                let key: Vec<_> =
                    table.schema.key.iter().map(|&i| Arc::clone(batch.column(i))).collect();
                let keys = table.schema.codec().encode(&key)?;
                let batch = KeyedBatch::new(batch, keys)?;
                if *fresh {
                    table.add_rows(&batch, 0);
                } else {
                    put_rows(&mut table, &batch, WriteMode::Upsert, 0).await?;
                }
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
            Op::Attach { table, fresh, segments } => {
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
                raise_row_id(&table)?;
                version.put_table(table);
            }
        }
    }
    version.lsn = statement.lsn;
    Ok(())
}
