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
use crate::storage::schema::{IndexSchema, TableSchema};

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
    /// The entries of all rows in the indexes of the table.
    entries: Vec<Entries>,
    /// The largest key, as long as rows arrive in the order of their keys.
    in_order: Option<Arc<[u8]>>,
}

/// The entries of a run's rows in an index, each of which is of one row.
#[derive(Debug, Clone)]
struct Entries {
    index: u32,
    map: KeyMap,
}

/// The id that the next run of this process will have, at least.
pub fn upcoming_id() -> u64 {
    NEXT_ID.load(Relaxed)
}

impl Run {
    /// An empty run for rows of a table.
    pub(super) fn new(schema: &TableSchema) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            rows: Rows::default(),
            key_map: KeyMap::like(&Keys::new(schema.codec().fixed_width())),
            dead: DeletionVector::default(),
            entries: schema.indexes.iter().map(Entries::new).collect(),
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
        let entries = self.entries.iter().map(|entries| entries.map.byte_size());
        RUN_BYTES + self.rows.byte_size() + self.key_map.byte_size() + entries.sum::<usize>()
    }

    /// Bytes of memory that the keys take, with what finds them.
    pub fn key_bytes(&self) -> usize {
        self.key_map.byte_size()
    }

    /// Bytes of memory that the entries in an index take, and the figures of the learned index over
    /// the longest list of them; `None` if it has no such index.
    pub fn entries_stats(&self, index: u32) -> Option<(usize, Option<omen_index::RmiStats>)> {
        let entries = self.entries.iter().find(|entries| entries.index == index)?;
        Some((entries.map.byte_size(), entries.map.index_stats()))
    }

    /// Adds rows of the table, at least one, for which there is room; none of their keys has a live
    /// row here.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] if one has too long an entry in an index; nothing is added
    /// then.
    pub(super) fn push(&mut self, schema: &TableSchema, batch: &KeyedBatch) -> Result<()> {
        let position = self.rows.len();
        let keys = schema.indexes.iter().map(|index| index.keys(batch.rows(), position));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        for ((entries, keys), index) in self.entries.iter_mut().zip(keys).zip(&schema.indexes) {
            debug_assert_eq!(entries.index, index.index.id, "a run has its table's indexes");
            entries.map.extend(&keys, position, &self.dead);
        }
        let (first, last) = (batch.keys().get(0), batch.keys().get(batch.len() - 1));
        let follows = |max: &Arc<[u8]>| self.rows.len() == 0 || *first > **max;
        self.in_order = self.in_order.take().filter(follows).map(|_| last.as_ref().into());
        self.key_map.extend(batch.keys(), self.rows.len(), &self.dead);
        self.rows.push(batch.rows().clone());
        Ok(())
    }

    /// The positions of the live rows whose entries in an index lie in `ranges` (disjoint,
    /// ascending), in the order of the entries; `None` if it has no such index.
    pub fn positions(&self, index: u32, ranges: &[KeyRange]) -> Option<Vec<u32>> {
        let entries = self.entries.iter().find(|entries| entries.index == index)?;
        Some(ranges.iter().flat_map(|range| entries.map.range(range, &self.dead)).collect())
    }

    /// Those of the rows at `positions` (live ones, ascending) whose keys lie in `ranges`.
    pub fn select_among(&self, ranges: Option<&[KeyRange]>, mut positions: Vec<u32>) -> RunScan {
        if let Some(ranges) = ranges {
            let of_range = |range: &KeyRange| self.key_map.range(range, &self.dead);
            let mut others: Vec<u32> = ranges.iter().flat_map(of_range).collect();
            others.sort_unstable();
            positions.retain(|position| others.binary_search(position).is_ok());
        }
        RunScan::new(self.rows.clone(), positions, self.in_order.is_some())
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
        schema: &TableSchema,
        convert: impl Fn(&RecordBatch) -> Result<RecordBatch>,
    ) -> Result<()> {
        self.rows = self.rows.converted(convert)?;
        let mut before = std::mem::take(&mut self.entries);
        for index in &schema.indexes {
            let there = before.iter().position(|entries| entries.index == index.index.id);
            self.entries.push(match there {
                Some(place) => before.swap_remove(place),
                None => Entries::of(index, &self.rows, &self.dead)?,
            });
        }
        Ok(())
    }

    /// What should be merged beside readers and writers, if anything.
    pub fn merge_due(&self) -> Option<RunMerge> {
        if let Some(merge) = self.key_map.merge_due(&self.dead) {
            return Some(RunMerge { index: None, merge });
        }
        let due = |entries: &Entries| {
            let merge = entries.map.merge_due(&self.dead)?;
            Some(RunMerge { index: Some(entries.index), merge })
        };
        self.entries.iter().find_map(due)
    }

    /// Takes in what was merged.
    pub(super) fn install(&mut self, merged: RunMerged) -> bool {
        let map = match merged.index {
            None => Some(&mut self.key_map),
            Some(index) => {
                let mut entries = self.entries.iter_mut();
                entries.find(|entries| entries.index == index).map(|entries| &mut entries.map)
            }
        };
        map.is_some_and(|map| map.install(merged.merged))
    }
}

impl Entries {
    /// None yet.
    fn new(index: &IndexSchema) -> Self {
        let map = KeyMap::like(&Keys::new(index.entries().codec().fixed_width()));
        Self { index: index.index.id, map }
    }

    /// Those of rows that are there already.
    fn of(index: &IndexSchema, rows: &Rows, dead: &DeletionVector) -> Result<Self> {
        let mut entries = Self::new(index);
        for number in 0..rows.firsts().len() {
            if let Some((batch, first)) = rows.batch(number) {
                entries.map.extend(&index.keys(batch, first)?, first, dead);
            }
            while let Some(merge) = entries.map.merge_due(dead) {
                entries.map.install(merge.run());
            }
        }
        Ok(entries)
    }
}

/// Lists of one of a run's maps that should become one.
#[derive(Debug)]
pub struct RunMerge {
    /// The index whose entries they are of; `None`: the keys.
    index: Option<u32>,
    merge: KeyMerge,
}

/// Lists that have become one.
#[derive(Debug)]
pub struct RunMerged {
    index: Option<u32>,
    merged: MergedKeys,
}

impl RunMerge {
    /// Merges.
    pub fn run(self) -> RunMerged {
        RunMerged { index: self.index, merged: self.merge.run() }
    }
}
