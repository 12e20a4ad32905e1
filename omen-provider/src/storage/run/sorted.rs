//! A run: immutable rows in memory, sorted by key, with a small learned index.
//!
//! Each statement's rows become one, before the commit lock is taken; `merge` makes larger ones of
//! them. Rows may lie in several batches: rows that arrived in order are never copied.
//!
//! Invariant: keys ascend strictly; row `i` has key `i`; positions never change.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow::record_batch::RecordBatch;

use super::index::RunIndex;
use crate::error::{Error, Result};
use crate::storage::key::Keys;

/// What a run takes besides rows and keys, roughly: once, and for each column of a batch.
const RUN_BYTES: usize = 512;
const COLUMN_BYTES: usize = 192;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Sorted rows in memory.
#[derive(Debug)]
pub struct Run {
    id: u64,
    /// Each with the position of its first row; none is empty.
    batches: Vec<(u32, RecordBatch)>,
    keys: Keys,
    min_key: Vec<u8>,
    max_key: Vec<u8>,
    index: Option<RunIndex>,
    bytes: usize,
}

impl Run {
    /// A run of at least one row.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the keys do not ascend strictly or are not one per row.
    pub fn new(rows: RecordBatch, keys: Keys) -> Result<Self> {
        Self::from_batches(vec![rows], keys)
    }

    /// A run of rows that lie in several batches.
    ///
    /// # Errors
    /// As [`Run::new`].
    pub fn from_batches(batches: Vec<RecordBatch>, keys: Keys) -> Result<Self> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if keys.is_empty() || keys.len() != rows || !keys.is_strictly_ascending() {
            return Err(Error::invalid("a run needs ascending keys, one for each of its rows"));
        }
        let min_key = keys.get(0).into_owned();
        let max_key = keys.get(keys.len() - 1).into_owned();
        let index = RunIndex::train(&keys)?;
        let mut first = 0;
        let mut bytes = RUN_BYTES + keys.byte_size();
        let mut placed = Vec::with_capacity(batches.len());
        for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
            bytes += batch_bytes(&batch) + batch.num_columns() * COLUMN_BYTES;
            let rows = batch.num_rows() as u32;
            placed.push((first, batch));
            first += rows;
        }
        Ok(Self { id: next_id(), batches: placed, keys, min_key, max_key, index, bytes })
    }

    /// Identifies the run in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The encoded keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The smallest key.
    pub fn min_key(&self) -> &[u8] {
        &self.min_key
    }

    /// The largest key.
    pub fn max_key(&self) -> &[u8] {
        &self.max_key
    }

    /// Bytes of memory.
    pub fn byte_size(&self) -> usize {
        self.bytes
    }

    /// Figures of the learned index, if the run is large enough to have one.
    pub fn index_stats(&self) -> Option<omen_index::RmiStats> {
        self.index.as_ref().map(RunIndex::stats)
    }

    /// Where the learned index expects `key`, and where it says that it is for sure, if there is
    /// an index.
    pub(super) fn sight(&self, key: &[u8]) -> Option<(u32, Range<u32>)> {
        let (range, predicted) = self.index.as_ref()?.locate(key);
        Some((predicted as u32, range.start as u32..range.end as u32))
    }

    /// The batches in order, each with the position of its first row.
    pub fn batches(&self) -> &[(u32, RecordBatch)] {
        &self.batches
    }

    /// The batch of the row at `position`, which must be one of the run's, and the position of the
    /// batch's first row.
    pub fn batch_at(&self, position: u32) -> (&RecordBatch, u32) {
        let after = self.batches.partition_point(|(first, _)| *first <= position);
        let (first, batch) = &self.batches[after.saturating_sub(1)];
        (batch, *first)
    }

    /// The position of `key`, whose hash is `hash`.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        if key < self.min_key.as_slice() || key > self.max_key.as_slice() {
            return None;
        }
        if self.index.as_ref().is_some_and(|index| !index.may_contain(hash)) {
            return None;
        }
        let position = self.lower_bound(key);
        let hit = (position as usize) < self.keys.len()
            && self.keys.compare_bytes(position as usize, key) == Ordering::Equal;
        hit.then_some(position)
    }

    /// The first position whose key is not below `probe`, any byte string.
    pub fn lower_bound(&self, probe: &[u8]) -> u32 {
        let position = match &self.index {
            Some(index) => index.lower_bound(&self.keys, probe),
            None => self.keys.lower_bound_in(0..self.keys.len(), probe),
        };
        position as u32
    }
}

/// An id that no part in memory of this process has had.
pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Relaxed)
}

/// The id that the next part in memory will have, at least.
pub fn upcoming_id() -> u64 {
    NEXT_ID.load(Relaxed)
}

/// Bytes of the rows of a batch. A slice counts as its own rows, not as what it was cut from.
pub fn batch_bytes(rows: &RecordBatch) -> usize {
    let bytes_of = |array: &arrow::array::ArrayRef| {
        let slice = array.to_data().get_slice_memory_size();
        slice.unwrap_or_else(|_| array.get_array_memory_size())
    };
    rows.columns().iter().map(bytes_of).sum()
}
