//! Merging the runs of a map, here or on another thread.
//!
//! Called by the owner of a map, who passes tasks on, and by `map` for short runs.

use std::sync::Arc;

use super::combine::{combine, keep_live};
use super::key_run::KeyRun;
use super::keys::KeyList;

/// Runs that should become one.
#[derive(Debug)]
pub struct MergeTask<L: KeyList = Vec<u64>> {
    pub(super) runs: Vec<Arc<KeyRun<L>>>,
}

/// Runs that have become one.
#[derive(Debug)]
pub struct Merged<L: KeyList = Vec<u64>> {
    pub(super) replaced: Vec<Arc<KeyRun<L>>>,
    /// None if nothing was live.
    pub(super) run: Option<KeyRun<L>>,
}

impl<L: KeyList> MergeTask<L> {
    /// Merges, in time proportional to the keys, and forgets the entries that are dead: whatever
    /// is dead now stays so.
    pub fn run(self, is_live: impl Fn(u64) -> bool) -> Merged<L> {
        let parts = self.runs.iter().map(|run| run.entries()).collect();
        let entries = keep_live(combine(parts), &is_live);
        let run = KeyRun::new(entries).map(KeyRun::with_fingerprints);
        Merged { replaced: self.runs, run }
    }

    /// How many keys it will look at.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Never: a task has keys to move.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
