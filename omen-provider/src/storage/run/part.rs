//! A run: rows in memory, where they arrived, and the map that finds them by key.
//!
//! It grows in place; a clone is a snapshot that shares all memory and does not see what is added
//! later. Held by `set`, read by snapshot, flush and merge.
//!
//! Invariant: no key has two live rows; positions never change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;

use super::key_map::{KeyMap, KeyMerge, MergedKeys};
use super::rows::Rows;
use super::scan::RunScan;
use crate::error::Result;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::{KeyRange, Keys};
use crate::storage::keyed_batch::KeyedBatch;

/// What a run takes at least, roughly.
const RUN_BYTES: usize = 512;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Rows in memory and which of them are deleted.
#[derive(Debug, Clone)]
pub struct Run {
    id: u64,
    rows: Rows,
    pub(super) key_map: KeyMap,
    dead: DeletionVector,
    /// The largest key, as long as rows arrive in the order of their keys.
    in_order: Option<Arc<[u8]>>,
}

/// The id that the next run of this process will have, at least.
pub fn upcoming_id() -> u64 {
    NEXT_ID.load(Relaxed)
}

impl Run {
    /// An empty run for rows with keys like these.
    pub(super) fn new(keys: &Keys) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            rows: Rows::default(),
            key_map: KeyMap::like(keys),
            dead: DeletionVector::default(),
            in_order: Some(Arc::default()),
        }
    }

    /// Identifies the run in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many positions there are, deleted ones included.
    pub fn rows(&self) -> u32 {
        self.rows.len()
    }

    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        self.rows.room()
    }

    /// The deleted positions.
    pub fn dead(&self) -> &DeletionVector {
        &self.dead
    }

    /// Bytes of memory.
    pub fn byte_size(&self) -> usize {
        RUN_BYTES + self.rows.byte_size() + self.key_map.byte_size()
    }

    /// Adds rows, at least one, for which there is room; none of their keys has a live row here.
    pub(super) fn push(&mut self, batch: &KeyedBatch) {
        let (first, last) = (batch.keys().get(0), batch.keys().get(batch.len() - 1));
        let follows = |max: &Arc<[u8]>| self.rows.len() == 0 || *first > **max;
        self.in_order = self.in_order.take().filter(follows).map(|_| last.as_ref().into());
        self.key_map.extend(batch.keys(), self.rows.len(), &self.dead);
        self.rows.push(batch.rows().clone());
    }

    /// Marks a position as deleted; false if it was already, or there is no such row.
    pub(super) fn mark(&mut self, position: u32) -> bool {
        position < self.rows() && self.dead.insert(position)
    }

    /// Marks all positions as deleted.
    pub(super) fn mark_all(&mut self) {
        self.dead.fill(self.rows());
    }

    /// The position of the live row of `key`.
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        self.key_map.find(key, &self.dead)
    }

    /// The positions of the live rows of `keys`, one for each.
    pub(super) fn find_many(&self, keys: &Keys) -> Vec<Option<u32>> {
        self.key_map.find_many(keys, &self.dead)
    }

    /// The row at `position`, as a batch of one row in the stored schema.
    pub fn row(&self, position: u32) -> Option<RecordBatch> {
        let (batch, first) = self.rows.batch_at(position)?;
        Some(batch.slice((position - first) as usize, 1))
    }

    /// The smallest and the largest key, of live rows or not; `None` if there are no rows.
    pub fn bounds(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.key_map.bounds()
    }

    /// The live rows whose keys lie in `ranges` (disjoint, ascending; `None`: all), in key order.
    pub fn select(&self, ranges: Option<&[KeyRange]>) -> RunScan {
        let of_range = |range: &KeyRange| self.key_map.range(range, &self.dead);
        let positions = match ranges {
            None if self.in_order.is_some() => self.live_positions(),
            None => of_range(&KeyRange::default()),
            Some([only]) => of_range(only),
            Some(several) => several.iter().flat_map(of_range).collect(),
        };
        RunScan::new(self.rows.clone(), positions, true)
    }

    /// All live rows, in whatever order takes the least time.
    pub fn select_all(&self) -> RunScan {
        let in_key_order = self.in_order.is_some();
        RunScan::new(self.rows.clone(), self.live_positions(), in_key_order)
    }

    /// The values of some columns at positions.
    pub fn columns_at(&self, positions: Vec<u32>, columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let scan = RunScan::new(self.rows.clone(), positions, false);
        let batches = scan.into_batches(Some(columns.to_vec())).collect::<Result<Vec<_>>>()?;
        let column = |i: usize| {
            let arrays: Vec<_> = batches.iter().map(|batch| batch.column(i).as_ref()).collect();
            Ok(arrow::compute::concat(&arrays)?)
        };
        (0..columns.len()).map(column).collect()
    }

    /// In the order of arrival.
    fn live_positions(&self) -> Vec<u32> {
        let all = 0..self.rows.len();
        match self.dead.is_empty() {
            true => all.collect(),
            false => all.filter(|&position| !self.dead.contains(position)).collect(),
        }
    }

    /// See [`super::Runs::convert`].
    pub(super) fn convert(
        &mut self,
        convert: impl Fn(&RecordBatch) -> Result<RecordBatch>,
    ) -> Result<()> {
        self.rows = self.rows.converted(convert)?;
        Ok(())
    }

    /// What should be merged beside readers and writers, if anything.
    pub fn merge_due(&self) -> Option<KeyMerge> {
        self.key_map.merge_due(&self.dead)
    }

    /// Takes in what was merged.
    pub(super) fn install(&mut self, merged: MergedKeys) -> bool {
        self.key_map.install(merged)
    }
}
