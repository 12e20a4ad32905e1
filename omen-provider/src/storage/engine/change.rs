//! What a statement does to tables: prepared, applied to a version, told to the log.
//!
//! Made by `commit`, `load` and `edit` before the commit lock is taken; applied by `commit` under
//! it, in order.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use super::comments::{self, Commented};
use super::recent_writes::Written;
use super::schemas;
use crate::error::{Error, Result};
use crate::storage::apply::{WriteMode, delete_keys, put_rows, put_segments, raise_row_id};
use crate::storage::key::Keys;
use crate::storage::keyed_batch::KeyedBatch;
use crate::storage::record::{TableRecord, ViewRecord};
use crate::storage::row_bytes::encode_rows;
use crate::storage::run::batch_bytes;
use crate::storage::schema::{TableId, TableSchema};
use crate::storage::segment::Segment;
use crate::storage::uniqueness;
use crate::storage::version::{TableVersion, Version};
use crate::storage::wal::Op;

/// Rows of one log record are cut so that it stays around this many bytes.
const RECORD_BYTES: usize = 8 << 20;

/// One operation of a statement, prepared.
#[derive(Debug)]
pub(super) enum Change {
    /// A new table.
    Create(Arc<TableSchema>),
    /// A table is dropped.
    Drop(TableId),
    /// A table has another schema.
    Alter {
        /// What it was.
        from: Arc<TableSchema>,
        /// What it is.
        to: Arc<TableSchema>,
        /// Whether that depends on its rows.
        is_checked: bool,
    },
    /// A view.
    CreateView {
        /// Its name.
        name: String,
        /// Whether it is in a schema other than `public`.
        in_schema: bool,
        /// The statement that creates it.
        sql: String,
        /// Whether it takes the place of one of the same name.
        replaces: bool,
    },
    /// A view is dropped.
    DropView(String),
    /// A schema.
    CreateSchema(String),
    /// What is said of a schema or a view.
    Comment {
        /// Of which.
        on: Commented,
        /// Nothing, if it is none.
        text: Option<String>,
    },
    /// A schema is dropped.
    DropSchema {
        /// Its name.
        name: String,
        /// Whether there need not be one.
        if_exists: bool,
        /// Whether what is in it goes with it.
        cascade: bool,
    },
    /// Rows, and the same rows as log records.
    Put { schema: Arc<TableSchema>, batch: KeyedBatch, records: Vec<Bytes>, mode: WriteMode },
    /// Segments that a bulk statement wrote.
    Attach { table: TableId, segments: Vec<Arc<Segment>>, mode: WriteMode },
    /// Keys, ascending, whose rows are deleted.
    Delete { table: TableId, keys: Keys },
    /// All rows are deleted.
    Truncate(TableId),
}

/// What applying a change came to.
#[derive(Default)]
pub(super) struct Applied {
    /// Rows deleted.
    pub(super) count: u64,
    /// Whether it wrote rows.
    pub(super) wrote: bool,
}

impl Change {
    /// Whether it only takes rows away.
    pub(super) fn frees(&self) -> bool {
        match self {
            Self::Drop(_) | Self::Delete { .. } | Self::Truncate(_) => true,
            Self::DropView(_) | Self::DropSchema { .. } => true,
            Self::Create(_)
            | Self::Alter { .. }
            | Self::CreateView { .. }
            | Self::CreateSchema(_)
            | Self::Comment { .. }
            | Self::Put { .. }
            | Self::Attach { .. } => false,
        }
    }

    /// Whether a table has a further index then.
    pub(super) fn adds_index(&self) -> bool {
        matches!(self, Self::Alter { from, to, .. } if to.next_index_id > from.next_index_id)
    }

    /// Bytes of memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Put { batch, .. } => 2 * batch_bytes(batch.rows()) + batch.keys().byte_size(),
            Self::Delete { keys, .. } => keys.byte_size(),
            Self::Create(_)
            | Self::Drop(_)
            | Self::Alter { .. }
            | Self::CreateView { .. }
            | Self::DropView(_)
            | Self::CreateSchema(_)
            | Self::Comment { .. }
            | Self::DropSchema { .. }
            | Self::Attach { .. }
            | Self::Truncate(_) => 0,
        }
    }

    /// The rows that it wrote.
    pub(super) fn into_written(self) -> Option<(TableId, Written)> {
        match self {
            Self::Put { schema, batch, .. } => Some((schema.id, Written::keys(batch.into_keys()))),
            Self::Delete { table, keys } => Some((table, Written::keys(keys))),
            Self::Attach { table, segments, .. } => Some((table, Written::segments(&segments)?)),
            Self::Truncate(table) => Some((table, Written::All)),
            Self::Create(_)
            | Self::Drop(_)
            | Self::Alter { .. }
            | Self::CreateView { .. }
            | Self::DropView(_)
            | Self::CreateSchema(_)
            | Self::Comment { .. }
            | Self::DropSchema { .. } => None,
        }
    }
}

/// A put of sorted rows; `None` for no rows.
pub(super) fn prepare_put(
    schema: &Arc<TableSchema>,
    batch: KeyedBatch,
    mode: WriteMode,
) -> Result<Option<Change>> {
    if batch.is_empty() {
        return Ok(None);
    }
    let mut records = Vec::new();
    encode_records(batch.rows(), &mut records)?;
    Ok(Some(Change::Put { schema: Arc::clone(schema), batch, records, mode }))
}

/// Encodes rows as log records of bounded size: what is too long is halved.
fn encode_records(rows: &RecordBatch, records: &mut Vec<Bytes>) -> Result<()> {
    let count = rows.num_rows();
    if count > 1 && batch_bytes(rows) > RECORD_BYTES {
        encode_records(&rows.slice(0, count / 2), records)?;
        return encode_records(&rows.slice(count / 2, count - count / 2), records);
    }
    records.push(encode_rows(rows)?);
    Ok(())
}

/// Appends the deletion of these keys, in records of bounded size.
fn log_deletion(table: TableId, keys: &Keys, found: &[u32], ops: &mut Vec<Op>) {
    let (mut record, mut bytes) = (Vec::new(), 0);
    for &index in found {
        let key = keys.get(index as usize).into_owned();
        bytes += key.len() + 8;
        record.push(key);
        if bytes > RECORD_BYTES {
            ops.push(Op::Delete { table, keys: std::mem::take(&mut record) });
            bytes = 0;
        }
    }
    if !record.is_empty() {
        ops.push(Op::Delete { table, keys: record });
    }
}

/// Applies one change to `version` and appends what the log says of it.
pub(super) async fn apply(
    version: &mut Version,
    change: &Change,
    frozen: u64,
    ops: &mut Vec<Op>,
) -> Result<Applied> {
    match change {
        Change::Create(schema) => {
            version.check_place(&schema.name, schema.in_schema)?;
            refuse_taken(version, &schema.name)?;
            refuse_taken_index(version, schema)?;
            ops.push(Op::CreateTable(TableRecord::from(&**schema)));
            version.put_table(TableVersion::new(Arc::clone(schema)));
            Ok(Applied::default())
        }
        Change::Drop(table) => {
            version.require(*table)?;
            version.remove_table(*table);
            ops.push(Op::DropTable(*table));
            Ok(Applied::default())
        }
        Change::Alter { from, to, .. } => {
            let table = version.require(from.id)?;
            if !Arc::ptr_eq(&table.schema, from)
                && TableRecord::from(&*table.schema) != TableRecord::from(&**from)
            {
                return Err(altered_meanwhile(&table.schema));
            }
            if to.name != from.name {
                version.check_place(&to.name, to.in_schema)?;
                refuse_taken(version, &to.name)?;
            }
            refuse_taken_index(version, to)?;
            let altered = table.altered(to)?;
            version.put_table(altered);
            ops.push(Op::AlterTable(TableRecord::from(&**to)));
            Ok(Applied::default())
        }
        Change::CreateView { name, in_schema, sql, replaces } => {
            version.check_place(name, *in_schema)?;
            if !replaces || version.view(name).is_none() {
                refuse_taken(version, name)?;
            }
            // As in PostgreSQL, one that takes the place of another keeps what is said of that.
            let comment = version.view(name).and_then(|view| view.comment.clone());
            let view = ViewRecord { name: name.clone(), sql: sql.clone(), comment };
            version.put_view(view.clone());
            ops.push(Op::CreateView(view));
            Ok(Applied::default())
        }
        Change::DropView(name) => {
            if !version.remove_view(name) {
                return Err(version.no_view(name));
            }
            ops.push(Op::DropView(name.clone()));
            Ok(Applied::default())
        }
        Change::CreateSchema(name) => {
            schemas::create(version, name, ops)?;
            Ok(Applied::default())
        }
        Change::DropSchema { if_exists: true, name, .. } if version.schema(name).is_none() => {
            Ok(Applied::default())
        }
        Change::Comment { on, text } => {
            comments::apply(version, on, text.as_ref(), ops)?;
            Ok(Applied::default())
        }
        Change::DropSchema { name, cascade, .. } => {
            schemas::remove(version, name, *cascade, ops)?;
            Ok(Applied::default())
        }
        Change::Put { schema, batch, records, mode } => {
            let mut table = TableVersion::clone(version.require(schema.id)?);
            check_schema(&table.schema, schema)?;
            let fresh = put_rows(&mut table, batch, *mode, frozen).await?;
            uniqueness::check_rows(&table, batch).await?;
            raise_row_id(&table)?;
            version.put_table(table);
            let records = records.iter().cloned();
            ops.extend(records.map(|rows| Op::Put { table: schema.id, fresh, rows }));
            Ok(Applied { count: 0, wrote: true })
        }
        Change::Attach { table: id, segments, mode } => {
            let mut table = TableVersion::clone(version.require(*id)?);
            let mut own = Vec::with_capacity(segments.len());
            for segment in segments {
                check_schema(&table.schema, segment.schema())?;
                own.push(segment.of_schema(&table.schema)?);
            }
            let fresh = put_segments(&mut table, &own, *mode).await?;
            uniqueness::check_segments(&table, &own).await?;
            raise_row_id(&table)?;
            version.put_table(table);
            let segments = own.iter().map(|s| s.record().clone()).collect();
            let next_number = match version.require(*id)?.schema.identity {
                Some(_) => version.require(*id)?.numbers.load(Relaxed),
                None => 0,
            };
            ops.push(Op::Attach { table: *id, fresh, next_number, segments });
            Ok(Applied { count: 0, wrote: true })
        }
        Change::Delete { table: id, keys } => {
            let mut table = TableVersion::clone(version.require(*id)?);
            let found = delete_keys(&mut table, keys).await?;
            if found.is_empty() {
                return Ok(Applied::default());
            }
            version.put_table(table);
            log_deletion(*id, keys, &found, ops);
            Ok(Applied { count: found.len() as u64, wrote: true })
        }
        Change::Truncate(id) => {
            let mut table = TableVersion::clone(version.require(*id)?);
            let count = table.mark_all();
            if count == 0 {
                return Ok(Applied::default());
            }
            version.put_table(table);
            ops.push(Op::Truncate(*id));
            Ok(Applied { count, wrote: true })
        }
    }
}

/// Refuses rows that were prepared for the table as it was, where that took others.
fn check_schema(table: &Arc<TableSchema>, prepared: &Arc<TableSchema>) -> Result<()> {
    match Arc::ptr_eq(table, prepared) || table.takes_rows_of(prepared) {
        true => Ok(()),
        false => Err(altered_meanwhile(table)),
    }
}

fn altered_meanwhile(table: &TableSchema) -> Error {
    Error::SerializationFailure(format!("table \"{}\" was altered meanwhile", table.name))
}

/// Refuses a name that a table or a view has.
fn refuse_taken(version: &Version, name: &str) -> Result<()> {
    match (version.table_named(name), version.view(name)) {
        (None, None) => Ok(()),
        (Some(_), _) => Err(exists(name)),
        (None, Some(_)) => Err(Error::AlreadyExists(format!("view \"{name}\""))),
    }
}

/// Refuses the name of an index that one of another table of the schema has.
fn refuse_taken_index(version: &Version, schema: &TableSchema) -> Result<()> {
    // Constraints have names of their own in each table.
    for index in schema.indexes.iter().filter(|index| !index.index.is_constraint) {
        let name = &index.index.name;
        let is_other = |other: &&Arc<TableSchema>| {
            let mut named = other.indexes.iter().filter(|index| index.index.name == *name);
            other.id != schema.id && named.any(|index| !index.index.is_constraint)
        };
        let of = schema.schema_name();
        if let Some(other) = version.table_of_index(of, name).filter(is_other) {
            return Err(Error::AlreadyExists(format!(
                "index \"{name}\" of table \"{}\"",
                other.name
            )));
        }
    }
    Ok(())
}

/// The error of a name that is taken.
pub(super) fn exists(name: &str) -> Error {
    Error::AlreadyExists(format!("table \"{name}\""))
}
