//! Workloads shared by the benches: seeded, so that every run and every engine sees the same rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;

/// A small generator of uniform numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that always gives the same numbers for one seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// Columns of the readings: id BIGINT (the key), ts, device, value DOUBLE, note TEXT(15).
pub fn readings_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("device", DataType::Int64, false),
        Field::new("value", DataType::Float64, false),
        Field::new("note", DataType::Utf8, false),
    ]))
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
