//! The order-preserving encoding of key columns into byte strings.

use arrow::array::ArrayRef;
use arrow::datatypes::Field;

use super::keys::Keys;
use super::value::Key;
use crate::error::Result;

/// Encodes and decodes the keys of one table.
#[derive(Debug)]
pub struct KeyCodec {}

impl KeyCodec {
    /// A codec for the key columns, in key order; an error for types without an order.
    pub fn new<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<Self> {
        let _ = fields;
        todo!()
    }
    /// Bytes per key if every key has the same width of at most 8 bytes.
    pub fn fixed_width(&self) -> Option<usize> {
        todo!()
    }
    /// Encodes row by row the key columns (exactly the table's types, in key order).
    /// NULL and NaN are errors that name column and row.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Keys> {
        let _ = columns;
        todo!()
    }
    /// Encodes the leading columns given by one-row arrays (exactly the table's types).
    pub fn encode_prefix(&self, values: &[ArrayRef]) -> Result<Vec<u8>> {
        let _ = values;
        todo!()
    }
    /// Encodes a caller's key, converting each value to its column's type if that loses nothing.
    pub fn encode_key(&self, key: &Key) -> Result<Vec<u8>> {
        let _ = key;
        todo!()
    }
    /// `(a, b) = (1, 'x')`, for messages.
    pub fn describe(&self, key: &[u8]) -> String {
        let _ = key;
        todo!()
    }
}
