//! The readings: the table that the benches of the whole engine fill and query.
//!
//! Every column is a function of the id, so that any answer can be checked.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;

/// Columns of the readings: id BIGINT (the key), ts, device, value DOUBLE, note TEXT(15).
pub fn readings_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
            Field::new("device", DataType::Int64, false),
            Field::new("value", DataType::Float64, false),
            Field::new("note", DataType::Utf8, false),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// The value of reading `id`; what a lookup is checked against.
pub fn reading_value(id: i64) -> f64 {
    (id.wrapping_mul(2_654_435_761) % 10_007) as f64 / 7.0
}

/// Readings with these ids.
///
/// # Panics
/// Never: the columns are built to fit the schema.
pub fn readings(ids: impl IntoIterator<Item = i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.into_iter().collect();
    let column = |of: fn(i64) -> i64| ids.iter().map(move |&id| of(id));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.clone())),
        Arc::new(TimestampMillisecondArray::from_iter_values(column(|id| {
            1_700_000_000_000 + id * 250
        }))),
        Arc::new(Int64Array::from_iter_values(column(|id| id % 97))),
        Arc::new(Float64Array::from_iter_values(ids.iter().map(|&id| reading_value(id)))),
        Arc::new(StringArray::from_iter_values(
            ids.iter().map(|id| format!("note-{:010}", id.wrapping_mul(7919) % 9_999_991)),
        )),
    ];
    match RecordBatch::try_new(readings_schema(), columns) {
        Ok(batch) => batch,
        Err(error) => unreachable!("readings fit their schema: {error}"),
    }
}
