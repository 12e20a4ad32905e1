//! Rows as callers give them, checked and made ready for a commit: columns in the table's order
//! and types, sorted by key, the key encoded, duplicates settled.
//!
//! All of it happens before the commit lock is taken.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, take_record_batch};
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::apply::{WriteMode, duplicate_key, written_twice};
use super::key::Keys;
use super::keyed_batch::KeyedBatch;
use super::numbering::{numbered, raise_above_rows};
use super::run::batch_bytes;
use super::version::TableVersion;
use crate::error::{Error, Result};

/// Buffers may exceed their rows by this much before the rows are copied out of them.
const SLICE_SLACK_BYTES: usize = 16 << 10;

/// `batch` in the stored schema of the table: columns matched by name, hidden row ids given. (Rows
/// of [`WriteMode::Update`] bring theirs, as the last column.)
///
/// # Errors
/// [`Error::InvalidInput`] naming the column for one that is missing, unknown, of another type, or
/// NULL where it must not be; [`Error::CheckViolation`] for a row for which a CHECK is false.
pub fn conform(table: &TableVersion, batch: &RecordBatch, mode: WriteMode) -> Result<RecordBatch> {
    let row_ids = match table.schema.hidden_key && mode == WriteMode::Update {
        true => batch.columns().last().cloned(),
        false => None,
    };
    let given = match &row_ids {
        Some(_) => &batch.project(&(0..batch.num_columns() - 1).collect::<Vec<_>>())?,
        None => batch,
    };
    conform_given(table, given, row_ids, mode)
}

fn conform_given(
    table: &TableVersion,
    batch: &RecordBatch,
    row_ids: Option<ArrayRef>,
    mode: WriteMode,
) -> Result<RecordBatch> {
    let schema = &table.schema;
    let visible = schema.visible();
    let same_order = batch.num_columns() == visible.fields().len()
        && batch
            .schema_ref()
            .fields()
            .iter()
            .zip(visible.fields())
            .all(|(a, b)| a.name() == b.name());
    if !same_order {
        refuse_unknown(table, batch)?;
    }
    let identity = schema.identity_place().filter(|_| mode != WriteMode::Update);
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.columns.len());
    for (index, field) in visible.fields().iter().enumerate() {
        let found =
            if same_order { Some(batch.column(index)) } else { batch.column_by_name(field.name()) };
        let is_numbered = identity == Some(index);
        let nothing = match (found, is_numbered) {
            (None, true) => Some(new_null_array(field.data_type(), batch.num_rows())),
            _ => None,
        };
        let array = found.or(nothing.as_ref()).ok_or_else(|| {
            Error::invalid(format!(
                "column \"{}\" of table \"{}\" is missing in the rows given; expected columns: {}",
                field.name(),
                schema.name,
                names(visible.fields().iter().map(|f| f.name()))
            ))
        })?;
        let mut array = convert(&schema.name, field.name(), array, field.data_type())?;
        if is_numbered {
            array = numbered(table, &array)?;
        }
        if !schema.columns[index].takes_null() && array.null_count() > 0 {
            let row = (0..array.len()).find(|&row| array.is_null(row)).unwrap_or(0);
            return Err(Error::invalid(format!(
                "NULL in column \"{}\" of table \"{}\" (row {row}), which is NOT NULL",
                field.name(),
                schema.name
            )));
        }
        columns.push(array);
    }
    if schema.hidden_key {
        columns.push(row_ids.unwrap_or_else(|| {
            let rows = batch.num_rows() as i64;
            let first = table.row_ids.fetch_add(rows, Relaxed);
            Arc::new(Int64Array::from_iter_values(first..first + rows))
        }));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let stored = Arc::clone(schema.stored());
    let rows = RecordBatch::try_new_with_options(stored, columns, &options)?;
    schema.check(&rows)?;
    if mode == WriteMode::Update {
        raise_above_rows(table, &rows)?;
    }
    Ok(rows)
}

/// Conforming rows in key order. Of rows with one key the last stays in [`WriteMode::Upsert`].
///
/// # Errors
/// [`Error::DuplicateKey`] in [`WriteMode::Insert`], [`Error::InvalidInput`] for NULL and NaN keys.
pub fn sort_by_key(
    table: &TableVersion,
    rows: &RecordBatch,
    mode: WriteMode,
) -> Result<KeyedBatch> {
    let schema = &table.schema;
    let key: Vec<ArrayRef> = schema.key.iter().map(|&i| Arc::clone(rows.column(i))).collect();
    let keys = schema.codec().encode(&key)?;
    let ascending = keys.is_strictly_ascending();
    if ascending && !is_small_slice(rows) {
        return KeyedBatch::new(rows.clone(), keys);
    }
    let order = match ascending {
        true => (0..keys.len() as u32).collect(),
        false => settle_duplicates(table, &keys, keys.sorted_order(), mode)?,
    };
    let sorted = take_record_batch(rows, &UInt32Array::from(order.clone()))?;
    KeyedBatch::new(sorted, keys.take(&order))
}

/// Whether the rows keep much larger buffers alive: a few rows cut from a large batch.
fn is_small_slice(rows: &RecordBatch) -> bool {
    rows.get_array_memory_size() > 2 * batch_bytes(rows) + SLICE_SLACK_BYTES
}

/// `order` without rows that a later row of the same key replaces.
fn settle_duplicates(
    table: &TableVersion,
    keys: &Keys,
    order: Vec<u32>,
    mode: WriteMode,
) -> Result<Vec<u32>> {
    let same = |a: u32, b: u32| keys.compare(a as usize, keys, b as usize).is_eq();
    let Some(twice) = order.windows(2).find(|pair| same(pair[0], pair[1])) else {
        return Ok(order);
    };
    let key = keys.get(twice[0] as usize);
    match mode {
        WriteMode::Insert => return Err(duplicate_key(table, &key)),
        WriteMode::Merge => return Err(written_twice(table, &key)),
        WriteMode::Upsert | WriteMode::Update => {}
    }
    // The sort is stable: the last of equal keys is the last one given.
    let last_of_key = |i: usize| order.get(i + 1).is_none_or(|&next| !same(order[i], next));
    Ok((0..order.len()).filter(|&i| last_of_key(i)).map(|i| order[i]).collect())
}

fn refuse_unknown(table: &TableVersion, batch: &RecordBatch) -> Result<()> {
    let visible = table.schema.visible();
    for field in batch.schema_ref().fields() {
        if visible.column_with_name(field.name()).is_none() {
            return Err(Error::invalid(format!(
                "table \"{}\" has no column \"{}\"; its columns: {}",
                table.schema.name,
                field.name(),
                names(visible.fields().iter().map(|f| f.name()))
            )));
        }
    }
    Ok(())
}

/// `array` as `wanted`, if the two types differ only in how they lay out the same values.
fn convert(table: &str, column: &str, array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    if !same_values(array.data_type(), wanted) {
        return Err(Error::invalid(format!(
            "column \"{column}\" of table \"{table}\" is of type {wanted}, the rows given have {}",
            array.data_type()
        )));
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(array, wanted, &strict)?)
}

/// Whether every value of type `a` is a value of type `b` too, only laid out differently.
fn same_values(a: &DataType, b: &DataType) -> bool {
    use DataType::*;
    let text = |t: &DataType| matches!(t, Utf8 | LargeUtf8 | Utf8View);
    let binary = |t: &DataType| matches!(t, Binary | LargeBinary | BinaryView);
    match (a, b) {
        _ if a.equals_datatype(b) => true,
        (Null, _) => true,
        (Dictionary(_, values), _) => same_values(values, b),
        (_, Dictionary(_, values)) => same_values(a, values),
        (
            List(x) | LargeList(x) | ListView(x) | LargeListView(x) | FixedSizeList(x, _),
            List(y) | LargeList(y) | ListView(y) | LargeListView(y),
        ) => same_values(x.data_type(), y.data_type()),
        (Struct(x), Struct(y)) => {
            x.len() == y.len()
                && x.iter()
                    .zip(y)
                    .all(|(x, y)| x.name() == y.name() && same_values(x.data_type(), y.data_type()))
        }
        _ => (text(a) && text(b)) || (binary(a) && binary(b)),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
