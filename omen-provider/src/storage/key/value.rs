//! Keys as callers write them.

use arrow::array::ArrayRef;

/// One value of a key.
#[derive(Debug, Clone)]
pub enum KeyValue {
    /// Any integer type, timestamp, date or time by its stored integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// Text; also converted to dates and timestamps if the column is one.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A one-row array of any type that casts to the column's.
    Array(ArrayRef),
}

/// A primary key, one value per key column.
#[derive(Debug, Clone)]
pub struct Key(pub Vec<KeyValue>);
