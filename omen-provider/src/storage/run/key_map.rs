//! Where the rows of a run are, by key: `omen_index`'s map in the form that suits the keys.
//!
//! Keys of fixed width are numbers to it, all others byte strings. Positions are those of `rows`.
//! Held by `part`.
//!
//! Invariant: of several entries of one key, the newest alone may be of a live row.

use omen_index::key::model_key;
use omen_index::runs::{ByteKeys, MergeTask, Merged, RunMap};

use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::{KeyRange, Keys, least_not_below};

/// From keys to positions.
#[derive(Debug, Clone)]
pub(super) enum KeyMap {
    /// Keys of `width` bytes, 1 to 8, left-aligned in a number.
    Numbers { width: usize, map: RunMap },
    /// Byte strings.
    Strings(RunMap<ByteKeys>),
}

/// Sorted lists of keys that should become one, which takes time in proportion to their length.
#[derive(Debug)]
pub struct KeyMerge {
    task: Task,
    dead: DeletionVector,
}

/// Lists of keys that have become one.
#[derive(Debug)]
pub enum MergedKeys {
    /// Of fixed width.
    Numbers(Merged<Vec<u64>>),
    /// Byte strings.
    Strings(Merged<ByteKeys>),
}

#[derive(Debug)]
enum Task {
    Numbers(MergeTask<Vec<u64>>),
    Strings(MergeTask<ByteKeys>),
}

impl KeyMap {
    /// An empty map for keys like these.
    pub(super) fn like(keys: &Keys) -> Self {
        match keys {
            Keys::Fixed { width, .. } => Self::Numbers { width: *width, map: RunMap::new() },
            Keys::Bytes { .. } => Self::Strings(RunMap::new()),
        }
    }

    /// Bytes of memory.
    pub(super) fn byte_size(&self) -> usize {
        match self {
            Self::Numbers { map, .. } => map.byte_size(),
            Self::Strings(map) => map.byte_size(),
        }
    }

    /// Adds keys at positions from `first` on; none has a live row. May forget those of `dead`
    /// rows.
    pub(super) fn extend(&mut self, keys: &Keys, first: u32, dead: &DeletionVector) {
        let positions = u64::from(first)..;
        match (self, keys) {
            (Self::Numbers { map, .. }, Keys::Fixed { values, .. }) => {
                map.extend(values.iter().copied().zip(positions), is_live(dead));
            }
            (Self::Numbers { map, .. }, keys) => {
                let numbers = (0..keys.len()).map(|i| model_key(&keys.get(i), 0));
                map.extend(numbers.zip(positions), is_live(dead));
            }
            (Self::Strings(map), keys) => {
                let owned: Vec<_> = (0..keys.len()).map(|i| keys.get(i)).collect();
                map.extend(owned.iter().map(|key| &**key).zip(positions), is_live(dead));
            }
        }
    }

    /// The position of the live row of `key`.
    pub(super) fn find(&self, key: &[u8], dead: &DeletionVector) -> Option<u32> {
        let position = match self {
            Self::Numbers { width, map } if key.len() == *width => {
                map.find(model_key(key, 0), is_live(dead))
            }
            Self::Numbers { .. } => None,
            Self::Strings(map) => map.find(key, is_live(dead)),
        };
        position.map(|position| position as u32)
    }

    /// The positions of the live rows of `keys`, one for each.
    pub(super) fn find_many(&self, keys: &Keys, dead: &DeletionVector) -> Vec<Option<u32>> {
        let mut found = vec![None; keys.len()];
        match (self, keys) {
            (Self::Numbers { map, .. }, Keys::Fixed { values, .. }) => {
                map.find_many(values, is_live(dead), &mut found);
            }
            (Self::Strings(map), Keys::Bytes { .. }) => {
                let owned: Vec<_> = (0..keys.len()).map(|i| keys.get(i)).collect();
                let probes: Vec<&[u8]> = owned.iter().map(|key| &**key).collect();
                map.find_many(&probes, is_live(dead), &mut found);
            }
            _ => {
                return (0..keys.len()).map(|i| self.find(&keys.get(i), dead)).collect();
            }
        }
        found.into_iter().map(|position| position.map(|position| position as u32)).collect()
    }

    /// The positions of the live rows whose keys lie in `range`, in key order.
    pub(super) fn range(&self, range: &KeyRange, dead: &DeletionVector) -> Vec<u32> {
        let positions = match self {
            Self::Numbers { width, map } => {
                let start = least_not_below(*width, &range.start);
                // No key is at or above what no number stands for.
                let end = range.end.as_ref().and_then(|end| least_not_below(*width, end));
                start.map_or_else(Vec::new, |start| map.range(start, end))
            }
            Self::Strings(map) => map.range(&range.start, range.end.as_deref()),
        };
        let live = positions.into_iter().map(|p| p as u32);
        match dead.is_empty() {
            true => live.collect(),
            false => live.filter(|position| !dead.contains(*position)).collect(),
        }
    }

    /// The smallest and the largest key, of live rows or not.
    pub(super) fn bounds(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match self {
            Self::Numbers { width, map } => {
                let bytes = |number: u64| number.to_be_bytes()[..*width].to_vec();
                map.bounds().map(|(min, max)| (bytes(min), bytes(max)))
            }
            Self::Strings(map) => map.bounds().map(|(min, max)| (min.to_vec(), max.to_vec())),
        }
    }

    /// The lists that should be merged, if any. Keys of `dead` rows will be forgotten.
    pub(super) fn merge_due(&self, dead: &DeletionVector) -> Option<KeyMerge> {
        let task = match self {
            Self::Numbers { map, .. } => Task::Numbers(map.merge_due()?),
            Self::Strings(map) => Task::Strings(map.merge_due()?),
        };
        Some(KeyMerge { task, dead: dead.clone() })
    }

    /// Puts merged lists in the place of those that they were made of, if they are still here.
    pub(super) fn install(&mut self, merged: MergedKeys) -> bool {
        match (self, merged) {
            (Self::Numbers { map, .. }, MergedKeys::Numbers(merged)) => map.install(merged),
            (Self::Strings(map), MergedKeys::Strings(merged)) => map.install(merged),
            _ => false,
        }
    }
}

impl KeyMerge {
    /// Merges.
    pub fn run(self) -> MergedKeys {
        let dead = &self.dead;
        match self.task {
            Task::Numbers(task) => MergedKeys::Numbers(task.run(is_live(dead))),
            Task::Strings(task) => MergedKeys::Strings(task.run(is_live(dead))),
        }
    }
}

fn is_live(dead: &DeletionVector) -> impl Fn(u64) -> bool {
    |position| dead.is_empty() || !dead.contains(position as u32)
}
