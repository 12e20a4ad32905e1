//! A run: sorted, immutable, with the learned index and fingerprints that find a key.
//!
//! Made and merged by `map`.
//!
//! Invariant: there is at least one key; keys ascend, and of entries of one key, which are there
//! only if the key was added again, at most one is live; `values[i]` belongs to `keys[i]`.

use crate::fingerprints::Fingerprints;
use crate::simd;

use super::keys::{KeyList, Part, Sorted};

/// Runs of at most this many keys are halved: they fit the caches and do not live long, so that a
/// model saves less than its training takes.
const UNINDEXED_KEYS_MAX: usize = 16384;

/// Sorted keys, each with a value.
#[derive(Debug)]
pub(super) struct KeyRun<L: KeyList> {
    keys: L,
    values: Vec<u64>,
    /// Absent where a run is found without: in a tail.
    fingerprints: Option<Fingerprints>,
    index: Option<L::Index>,
}

impl<L: KeyList> KeyRun<L> {
    /// A run of ascending keys; `None` if there is none.
    pub(super) fn new((keys, values): Sorted<L>) -> Option<Self> {
        debug_assert!(keys.len() == values.len());
        debug_assert!((1..keys.len()).all(|i| L::order(keys.key(i - 1), keys.key(i)).is_le()));
        // Without an index, halving finds the keys.
        let index = (keys.len() > UNINDEXED_KEYS_MAX).then(|| keys.train()).flatten();
        (!keys.is_empty()).then_some(Self { keys, values, fingerprints: None, index })
    }

    /// The same run with fingerprints, which are worth their making if the run is one of several
    /// that a key may be in.
    pub(super) fn with_fingerprints(mut self) -> Self {
        if self.fingerprints.is_none() {
            self.fingerprints = Some(self.keys.fingerprints());
        }
        self
    }

    /// How many keys.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The smallest key.
    #[inline]
    pub(super) fn min(&self) -> L::Key<'_> {
        self.keys.key(0)
    }

    /// The largest key.
    #[inline]
    pub(super) fn max(&self) -> L::Key<'_> {
        self.keys.key(self.values.len() - 1)
    }

    /// The keys.
    pub(super) fn keys(&self) -> &L {
        &self.keys
    }

    /// The values, one per key.
    pub(super) fn values(&self) -> &[u64] {
        &self.values
    }

    /// The index, if the run is long.
    pub(super) fn index(&self) -> Option<&L::Index> {
        self.index.as_ref()
    }

    /// All entries.
    pub(super) fn entries(&self) -> Part<'_, L> {
        Part::all(&self.keys, &self.values)
    }

    /// The entries whose keys are in `start..end`.
    pub(super) fn between(&self, start: L::Key<'_>, end: Option<L::Key<'_>>) -> Part<'_, L> {
        let first = self.lower_bound(start);
        let end = end.map_or(self.len(), |end| self.lower_bound(end));
        Part { range: first..end.max(first), ..self.entries() }
    }

    /// False if the key of this hash is certainly not there.
    #[inline]
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.fingerprints.as_ref().is_none_or(|filter| filter.may_contain(hash))
    }

    /// The live value of `key`.
    ///
    /// Key and value lie in different places. Both are asked for as soon as the index has a guess,
    /// which takes less time than to wait for one after the other.
    #[inline]
    pub(super) fn find(&self, key: L::Key<'_>, is_live: &impl Fn(u64) -> bool) -> Option<u64> {
        let position = match &self.index {
            Some(index) => self.keys.lower_bound_guessed(index, key, |guess| {
                simd::prefetch(self.values.get(guess));
            }),
            None => self.keys.lower_bound(None, key),
        };
        self.find_from(position, key, is_live)
    }

    /// The live value of `key`, whose lower bound is `position`. There may be dead entries of the
    /// same key, in any order.
    #[inline]
    pub(super) fn find_from(
        &self,
        position: usize,
        key: L::Key<'_>,
        is_live: &impl Fn(u64) -> bool,
    ) -> Option<u64> {
        let mut position = position;
        while position < self.len() && L::order(self.keys.key(position), key).is_eq() {
            let value = self.values[position];
            if is_live(value) {
                return Some(value);
            }
            position += 1;
        }
        None
    }

    /// The first position whose key is not below `key`.
    #[inline]
    pub(super) fn lower_bound(&self, key: L::Key<'_>) -> usize {
        self.keys.lower_bound(self.index.as_ref(), key)
    }

    /// Asks for the keys that a lookup of `key` will compare.
    pub(super) fn prefetch_keys(&self, key: L::Key<'_>) {
        if let Some(index) = &self.index {
            self.keys.prefetch(index, key);
        }
    }

    /// Asks for the value at `position`.
    pub(super) fn prefetch_value(&self, position: usize) {
        simd::prefetch(self.values.get(position));
    }

    /// Sets `positions[i]` to the lower bound of `keys[i]`.
    pub(super) fn lower_bound_batch(&self, keys: &[L::Key<'_>], positions: &mut [usize]) {
        self.keys.lower_bound_batch(self.index.as_ref(), keys, positions);
    }

    /// Bytes of memory.
    pub(super) fn byte_size(&self) -> usize {
        let index = self.index.as_ref().map_or(0, L::index_size);
        let filter = self.fingerprints.as_ref().map_or(0, Fingerprints::byte_size);
        self.keys.byte_size() + self.values.capacity() * size_of::<u64>() + filter + index
    }
}
