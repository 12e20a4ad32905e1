//! The runs of one table: where new rows go.
//!
//! Rows go to the newest run, until it is frozen: it is being flushed then, nothing is added to it,
//! and the next rows begin another. So there is mostly one run, and two while a flush is under way.
//! Held by `version`; commit and recovery add rows, the background flushes runs and merges the
//! lists of their keys.
//!
//! A run is frozen if its id is below a number that the engine gives. Ids ascend in the order of
//! creation.
//!
//! Invariant: no key has two live rows, in whatever runs they are.

use arrow::record_batch::RecordBatch;

use super::part::{Run, RunMerge, RunMerged};
use crate::error::Result;
use crate::storage::key::Keys;
use crate::storage::keyed_batch::KeyedBatch;
use crate::storage::schema::TableSchema;

/// All runs of a table, as one version sees them, the newest last.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    runs: Vec<Run>,
}

impl Runs {
    /// The runs.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// How many runs.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes of memory.
    pub fn byte_size(&self) -> usize {
        self.runs.iter().map(Run::byte_size).sum()
    }

    /// The run of that id.
    pub fn get(&self, id: u64) -> Option<&Run> {
        self.runs.iter().find(|run| run.id() == id)
    }

    /// Adds rows of the table, none of whose keys has a live row here.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] if one has too long an entry in an index; nothing is added
    /// then.
    pub fn add(&mut self, schema: &TableSchema, batch: &KeyedBatch, frozen: u64) -> Result<()> {
        let is_open = |run: &&mut Run| run.id() >= frozen && run.room() >= batch.len();
        if let Some(run) = self.runs.last_mut().filter(is_open) {
            return run.push(schema, batch);
        }
        let mut run = Run::new(schema);
        run.push(schema, batch)?;
        self.runs.push(run);
        Ok(())
    }

    /// Where the live row of `key` is: run and position.
    pub fn find(&self, key: &[u8]) -> Option<(u64, u32)> {
        self.runs.iter().rev().find_map(|run| Some((run.id(), run.find(key)?)))
    }

    /// Where the live rows of `keys` are: `found` is called with the index of the key, run and
    /// position, in no particular order.
    pub fn find_many(&self, keys: &Keys, mut found: impl FnMut(u32, u64, u32)) {
        for run in &self.runs {
            for (index, position) in run.find_many(keys).into_iter().enumerate() {
                if let Some(position) = position {
                    found(index as u32, run.id(), position);
                }
            }
        }
    }

    /// Marks a position as deleted; false if it was already, or the run is not here.
    pub fn mark(&mut self, id: u64, position: u32) -> bool {
        let run = self.runs.iter_mut().find(|run| run.id() == id);
        run.is_some_and(|run| run.mark(position))
    }

    /// Marks all rows as deleted.
    pub fn mark_all(&mut self) {
        self.runs.iter_mut().for_each(Run::mark_all);
    }

    /// The run whose lists of keys should be merged, and what to merge, if anything.
    pub fn merge_due(&self) -> Option<(u64, RunMerge)> {
        self.runs.iter().find_map(|run| Some((run.id(), run.merge_due()?)))
    }

    /// Takes in what was merged for a run; false if that is not as it was any more.
    pub fn install(&mut self, id: u64, merged: RunMerged) -> bool {
        let run = self.runs.iter_mut().find(|run| run.id() == id);
        run.is_some_and(|run| run.install(merged))
    }

    /// Merges all that should be, at once.
    pub fn merge_all(&mut self) {
        while let Some((id, merge)) = self.merge_due() {
            self.install(id, merge.run());
        }
    }

    /// Puts rows of a table with other columns, or indexes, in the place of all rows, batch by
    /// batch: as many, with the same keys.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] if one has too long an entry in a new index.
    pub fn convert(
        &mut self,
        schema: &TableSchema,
        convert: impl Fn(&RecordBatch) -> Result<RecordBatch>,
    ) -> Result<()> {
        self.runs.iter_mut().try_for_each(|run| run.convert(schema, &convert))
    }

    /// Removes runs.
    pub fn remove(&mut self, ids: &[u64]) {
        self.runs.retain(|run| !ids.contains(&run.id()));
    }
}
