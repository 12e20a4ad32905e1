//! Rows together with their encoded keys.
//!
//! What a statement becomes before it is committed, and what merging parts yields. Made by
//! `prepare`, `recovery` and `merge_scan`; taken by runs and by the segment writer.
//!
//! Invariant: one key per row, and keys ascend strictly.

use arrow::record_batch::RecordBatch;

use super::key::Keys;
use crate::error::{Error, Result};

/// Rows in key order, with their keys.
#[derive(Debug)]
pub struct KeyedBatch {
    rows: RecordBatch,
    keys: Keys,
}

impl KeyedBatch {
    /// Rows in the stored schema of a table and the key of each.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the keys do not ascend strictly or are not one per row.
    pub fn new(rows: RecordBatch, keys: Keys) -> Result<Self> {
        if keys.len() != rows.num_rows() || !keys.is_strictly_ascending() {
            return Err(Error::invalid(
                "rows of a part do not ascend by key, or do not have one key each",
            ));
        }
        Ok(Self { rows, keys })
    }

    /// The rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The keys alone.
    pub fn into_keys(self) -> Keys {
        self.keys
    }

    /// `count` of the rows, from `start` on.
    pub fn slice(&self, start: usize, count: usize) -> Self {
        let positions: Vec<u32> = (start as u32..(start + count) as u32).collect();
        Self { rows: self.rows.slice(start, count), keys: self.keys.take(&positions) }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
