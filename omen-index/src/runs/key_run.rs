//! A run of `u64` keys: sorted, immutable, with the learned index and fingerprints that find a key.
//!
//! Made and merged by `map`.
//!
//! Invariant: keys ascend, and none is repeated unless it was added twice; `values[i]` belongs to
//! `keys[i]`.

use crate::fingerprints::{Fingerprints, hash_u64};
use crate::rmi::Rmi;
use crate::simd;

use super::merge::{self, Entries, Lists};
use super::sort;

/// Runs of at most this many keys are halved: they fit the caches and do not live long, so that a
/// model saves less than its training takes.
const UNINDEXED_KEYS_MAX: usize = 16384;

/// Sorted keys, each with a value.
#[derive(Debug)]
pub(super) struct KeyRun {
    keys: Vec<u64>,
    values: Vec<u64>,
    /// Absent where a run is found without: in a tail.
    fingerprints: Option<Fingerprints>,
    index: Option<Rmi>,
}

impl KeyRun {
    /// A run of ascending keys, at least one. Fingerprints are worth their making if the
    /// run is one of several that a key may be in.
    fn new(keys: Vec<u64>, values: Vec<u64>, has_rivals: bool) -> Self {
        debug_assert!(!keys.is_empty() && keys.len() == values.len());
        debug_assert!(keys.windows(2).all(|pair| pair[0] <= pair[1]));
        let fingerprints = has_rivals.then(|| Fingerprints::of_numbers(&keys));
        // Training fails only for keys that do not ascend; without an index, halving finds them.
        let index = (keys.len() > UNINDEXED_KEYS_MAX).then(|| Rmi::train(&keys).ok()).flatten();
        Self { keys, values, fingerprints, index }
    }

    /// A run of entries in any order, at least one, whose keys differ.
    pub(super) fn sort(lists: &[Entries<'_>]) -> Self {
        Self::ascending(sort::sort(lists))
    }

    /// A run of entries that are in order, at least one.
    pub(super) fn ascending((keys, values): Lists) -> Self {
        Self::new(keys, values, false)
    }

    /// The same run with fingerprints.
    pub(super) fn with_fingerprints(mut self) -> Self {
        self.fingerprints = Some(Fingerprints::of_numbers(&self.keys));
        self
    }

    /// One run of all `runs`, at least one, none of which shares a key with another.
    pub(super) fn merge(runs: &[&Self]) -> Self {
        let (keys, values) = merge::merge(runs.iter().map(|run| run.entries()).collect());
        Self::new(keys, values, true)
    }

    /// One run of several, each of which is above the one before.
    pub(super) fn concat(runs: &[&Self]) -> Self {
        let len = runs.iter().map(|run| run.len()).sum();
        let (mut keys, mut values) = (Vec::with_capacity(len), Vec::with_capacity(len));
        for run in runs {
            keys.extend_from_slice(&run.keys);
            values.extend_from_slice(&run.values);
        }
        Self::new(keys, values, false)
    }

    /// How many keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The smallest key.
    pub(super) fn min(&self) -> u64 {
        self.keys[0]
    }

    /// The largest key.
    pub(super) fn max(&self) -> u64 {
        self.keys[self.keys.len() - 1]
    }

    /// The keys.
    pub(super) fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// The values, one per key.
    pub(super) fn values(&self) -> &[u64] {
        &self.values
    }

    /// All entries.
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries { keys: &self.keys, values: &self.values }
    }

    /// False if the key of this hash is certainly not there.
    #[inline]
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.fingerprints.as_ref().is_none_or(|filter| filter.may_contain(hash))
    }

    /// The value of `key`.
    ///
    /// Key and value lie in different places. Both are asked for as soon as the index has a guess,
    /// which takes less time than to wait for one after the other.
    #[inline]
    pub(super) fn get(&self, key: u64) -> Option<u64> {
        if let Some(index) = &self.index {
            let guess = index.predict(key);
            simd::prefetch(self.keys.get(guess));
            simd::prefetch(self.values.get(guess));
        }
        let position = self.lower_bound(key);
        (self.keys.get(position) == Some(&key)).then(|| self.values[position])
    }

    /// The first position whose key is not below `key`.
    #[inline]
    pub(super) fn lower_bound(&self, key: u64) -> usize {
        match &self.index {
            Some(index) => index.lower_bound(&self.keys, key),
            None => self.keys.partition_point(|&k| k < key),
        }
    }

    /// Asks for the keys that a lookup of `key` will compare.
    pub(super) fn prefetch_keys(&self, key: u64) {
        if let Some(index) = &self.index {
            simd::prefetch(self.keys.get(index.predict(key)));
        }
    }

    /// Asks for the value at `position`.
    pub(super) fn prefetch_value(&self, position: usize) {
        simd::prefetch(self.values.get(position));
    }

    /// Sets `positions[i]` to the lower bound of `keys[i]`.
    pub(super) fn lower_bound_batch(&self, keys: &[u64], positions: &mut [usize]) {
        match &self.index {
            Some(index) => index.lower_bound_batch(&self.keys, keys, positions),
            None => {
                for (key, position) in keys.iter().zip(positions) {
                    *position = self.keys.partition_point(|k| k < key);
                }
            }
        }
    }

    /// Bytes of memory.
    pub(super) fn byte_size(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.stats().bytes);
        let filter = self.fingerprints.as_ref().map_or(0, Fingerprints::byte_size);
        self.keys.len() * 16 + filter + index
    }
}

/// The hash by which runs and buffers know a key.
#[inline]
pub(super) fn hash(key: u64) -> u64 {
    hash_u64(key)
}
