//! The index itself: root and leaves, and the questions it answers.
//!
//! Made by `train` or `codec`; the last step of a lookup is in `search`, many lookups at once in
//! `batch`. Nothing here allocates.
//!
//! Invariants: `starts` has one entry per leaf and one more; it begins with 0, never decreases
//! and ends with the number of keys; `starts[l]` is the number of keys routed to leaves before
//! `l`. The root only names leaves that exist.
//!
//! Why [`Rmi::search_range`] holds for every key. Let `r` be the root's routing; it never
//! decreases. Take any `q` and `l = r(q)`.
//! * A key `k` with `r(k) < l` is below `q`, for `k >= q` would mean `r(k) >= l`. There are
//!   `starts[l]` such keys, so the lower bound of `q`, the number of keys below `q`, is at least
//!   `starts[l]`.
//! * A key `k` with `r(k) > l` is above `q`, likewise. All but those are `starts[l + 1]` keys, so
//!   the upper bound of `q`, the number of keys not above `q`, is at most `starts[l + 1]`.
//!
//! As the lower bound is never above the upper bound, both lie in the range. Equal keys are
//! routed alike, so a run of equal keys never straddles two leaves. Empty leaves, keys between,
//! before and after the stored ones need no special case.

use std::ops::Range;

use crate::error::Error;
use crate::root::{Place, Root};
use crate::search;

/// A learned index over a sorted sequence of `u64` keys: two layers of models (a *recursive model
/// index*) that narrow every possible key to a short range of positions.
///
/// The index does not hold the keys. Lookups that need them take them as an argument; it must be
/// the very sequence the index was trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rmi {
    pub(crate) root: Root,
    pub(crate) starts: Vec<u32>,
}

/// Size and sharpness of an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmiStats {
    /// Number of keys indexed.
    pub keys: usize,
    /// Number of leaves.
    pub leaves: usize,
    /// Length of the stored form, in bytes.
    pub bytes: usize,
    /// Longest search range of any leaf, in positions.
    pub range_max: usize,
    /// Length of the search range of a stored key, averaged over the keys. 0 without keys.
    pub range_mean: f64,
}

impl Rmi {
    /// Number of keys the index was trained on.
    pub fn len(&self) -> usize {
        self.starts.last().map_or(0, |&count| count as usize)
    }

    /// Whether the index was trained on no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The positions worth looking at for `key`, be it stored or not.
    ///
    /// Both the lower bound of the key (first position with `keys[p] >= key`) and its upper bound
    /// (first position with `keys[p] > key`) satisfy `range.start <= p && p <= range.end`.
    #[inline]
    pub fn search_range(&self, key: u64) -> Range<usize> {
        self.leaf_range(self.root.route(key).leaf)
    }

    /// A guess at the position of `key`, inside its search range, ends included.
    #[inline]
    pub fn predict(&self, key: u64) -> usize {
        self.locate(key).1
    }

    /// First position with `keys[p] >= key`, or `keys.len()`.
    ///
    /// # Panics
    /// If `keys` has another length than the keys the index was trained on. With other keys of
    /// the same length the result is meaningless, but still at most `keys.len()`.
    #[inline]
    pub fn lower_bound(&self, keys: &[u64], key: u64) -> usize {
        self.assert_len(keys);
        let (range, hint) = self.locate(key);
        search::partition_near(keys, range, hint, |k| k < key)
    }

    /// First position with `keys[p] > key`, or `keys.len()`.
    ///
    /// # Panics
    /// As [`Rmi::lower_bound`].
    #[inline]
    pub fn upper_bound(&self, keys: &[u64], key: u64) -> usize {
        self.assert_len(keys);
        let (range, hint) = self.locate(key);
        search::partition_near(keys, range, hint, |k| k <= key)
    }

    /// Whether this index belongs to `keys`: if so, every lookup with them is exact.
    ///
    /// Reads all keys. Meant for integrity checks of an index stored apart from its keys.
    ///
    /// # Errors
    /// [`Error::Unsorted`] or [`Error::Mismatch`], with the first position in question.
    pub fn verify(&self, keys: &[u64]) -> Result<(), Error> {
        let mut previous = 0;
        for (position, &key) in keys.iter().enumerate() {
            if key < previous {
                return Err(Error::Unsorted { position });
            }
            if !self.search_range(key).contains(&position) {
                return Err(Error::Mismatch { position });
            }
            previous = key;
        }
        if keys.len() != self.len() {
            return Err(Error::Mismatch { position: keys.len() });
        }
        Ok(())
    }

    /// Size and sharpness of the index.
    pub fn stats(&self) -> RmiStats {
        let mut range_max = 0;
        let mut squares = 0.0;
        for leaf in self.starts.windows(2) {
            let range = leaf[1] - leaf[0];
            range_max = range_max.max(range as usize);
            squares += f64::from(range) * f64::from(range);
        }
        let keys = self.len();
        RmiStats {
            keys,
            leaves: self.leaf_count(),
            bytes: self.encoded_len(),
            range_max,
            range_mean: if keys == 0 { 0.0 } else { squares / keys as f64 },
        }
    }

    /// Number of leaves.
    pub(crate) fn leaf_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The positions of a leaf's keys.
    #[inline]
    pub(crate) fn leaf_range(&self, leaf: usize) -> Range<usize> {
        self.starts[leaf] as usize..self.starts[leaf + 1] as usize
    }

    /// Refuses keys that cannot be the trained ones.
    #[inline]
    pub(crate) fn assert_len(&self, keys: &[u64]) {
        assert!(keys.len() == self.len(), "not the keys this index was trained on");
    }

    #[inline]
    fn locate(&self, key: u64) -> (Range<usize>, usize) {
        let place = self.root.route(key);
        let range = self.leaf_range(place.leaf);
        let hint = hint(&range, place);
        (range, hint)
    }
}

/// The position as far into the range as the key lies in the leaf's slice of the key space.
#[inline]
pub(crate) fn hint(range: &Range<usize>, place: Place) -> usize {
    let ahead = u128::from(place.fraction) * (range.end - range.start) as u128;
    range.start + (ahead >> 64) as usize
}
