//! A run: a part in memory, immutable rows sorted by key with a small learned index.
//!
//! Each statement's rows become a run; runs of one size merge into larger ones (`merge`), and a
//! flush turns all of them into segments. Rebuilt from the log at open: a run is never durable.
//!
//! Invariant: keys ascend strictly; row `i` has key `i`; positions never change.

mod merge;

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow::record_batch::RecordBatch;
use omen_index::Rmi;
use omen_index::key::common_prefix_len;

pub use merge::{merge, merge_candidates};

use super::fingerprints::{self, Fingerprints};
use super::key::{KeyRange, Keys};
use crate::error::{Error, Result};

/// Runs of at most this many rows are searched by halving: a model would cost more than it saves.
const UNINDEXED_ROWS_MAX: usize = 512;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A part in memory.
#[derive(Debug)]
pub struct Run {
    /// Unique in this process, ascending in the order of creation.
    id: u64,
    rows: RecordBatch,
    keys: Keys,
    min_key: Vec<u8>,
    max_key: Vec<u8>,
    index: Option<Index>,
    bytes: usize,
}

#[derive(Debug)]
struct Index {
    rmi: Rmi,
    /// What all keys begin with, left out of model keys.
    prefix: Vec<u8>,
    fingerprints: Fingerprints,
}

impl Run {
    /// A run of at least one row.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the keys do not ascend strictly or are not one per row.
    pub fn new(rows: RecordBatch, keys: Keys) -> Result<Self> {
        if keys.is_empty() || keys.len() != rows.num_rows() || !keys.is_strictly_ascending() {
            return Err(Error::invalid("a run needs ascending keys, one for each of its rows"));
        }
        let min_key = keys.get(0).into_owned();
        let max_key = keys.get(keys.len() - 1).into_owned();
        let index = match keys.len() {
            ..=UNINDEXED_ROWS_MAX => None,
            _ => Some(Index::train(&keys, &min_key, &max_key)?),
        };
        let bytes = rows.get_array_memory_size() + keys.byte_size() + 256;
        let id = NEXT_ID.fetch_add(1, Relaxed);
        Ok(Self { id, rows, keys, min_key, max_key, index, bytes })
    }

    /// The id that the next created run will have, at least.
    pub fn next_id() -> u64 {
        NEXT_ID.load(Relaxed)
    }

    /// Identifies the run in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The rows, in key order, in the stored schema.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
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
        self.index.as_ref().map(|index| index.rmi.stats())
    }

    /// The position of `key`.
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        if key < self.min_key.as_slice() || key > self.max_key.as_slice() {
            return None;
        }
        if let Some(index) = &self.index
            && !index.fingerprints.may_contain(fingerprints::hash(key))
        {
            return None;
        }
        let position = self.lower_bound(key);
        let hit = (position as usize) < self.keys.len()
            && self.keys.compare_bytes(position as usize, key) == Ordering::Equal;
        hit.then_some(position)
    }

    /// The first position whose key is not below `probe`, any byte string.
    pub fn lower_bound(&self, probe: &[u8]) -> u32 {
        let range = match &self.index {
            Some(index) => index.search_range(probe, self.keys.len()),
            None => 0..self.keys.len(),
        };
        self.keys.lower_bound_in(range, probe) as u32
    }

    /// The positions whose keys lie in `range`.
    pub fn row_range(&self, range: &KeyRange) -> Range<u32> {
        let start = self.lower_bound(&range.start);
        let end = match &range.end {
            Some(end) => self.lower_bound(end),
            None => self.keys.len() as u32,
        };
        start..end.max(start)
    }
}

impl Index {
    fn train(keys: &Keys, min_key: &[u8], max_key: &[u8]) -> Result<Self> {
        let prefix_len = match keys {
            Keys::Fixed { .. } => 0,
            Keys::Bytes { .. } => common_prefix_len(min_key, max_key),
        };
        let models: Vec<u64> = (0..keys.len()).map(|i| keys.model_key(i, prefix_len)).collect();
        let rmi = Rmi::train(&models)
            .map_err(|e| Error::invalid(format!("keys cannot be indexed: {e}")))?;
        let hashes: Vec<u64> = (0..keys.len()).map(|i| fingerprints::hash(&keys.get(i))).collect();
        let fingerprints = Fingerprints::new(&hashes);
        Ok(Self { rmi, prefix: min_key[..prefix_len].to_vec(), fingerprints })
    }

    /// Positions that hold the lower bound of `probe` for sure.
    fn search_range(&self, probe: &[u8], rows: usize) -> Range<usize> {
        let head = &probe[..probe.len().min(self.prefix.len())];
        match head.cmp(self.prefix.as_slice()) {
            // All keys begin with the prefix: a probe that differs is below or above all of them.
            // (A probe that is shorter compares as less, and is below all of them.)
            Ordering::Less => 0..0,
            Ordering::Greater => rows..rows,
            Ordering::Equal => {
                let model = omen_index::key::model_key(probe, self.prefix.len());
                self.rmi.search_range(model)
            }
        }
    }
}

#[cfg(test)]
mod tests;
