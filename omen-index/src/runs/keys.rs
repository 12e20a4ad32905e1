//! What the runs ask of a list of keys: everything that is not the same for numbers and for byte
//! strings.
//!
//! Implemented in `numbers` and `byte_keys`; called by `inbox`, `key_run`, `merge` and `map`.
//!
//! Keys that are borrowed from different places have different lifetimes, and generic code cannot
//! know that one may stand for the other; so keys are compared by [`KeyList::order`].

use std::cmp::Ordering;
use std::fmt::Debug;
use std::ops::Range;

use crate::fingerprints::Fingerprints;

/// Only the lists of this module are known to be in order.
pub trait Sealed {}

/// A list of keys of one kind: `Vec<u64>` for numbers, [`ByteKeys`](super::ByteKeys) for byte
/// strings. Its methods are for the runs themselves.
pub trait KeyList: Sealed + Sized + Default + Debug + Send + Sync + 'static {
    /// A key, which may be borrowed from a list.
    type Key<'a>: Copy + Ord + Default + Debug;

    /// What says where in a long list a key is.
    type Index: Debug + Send + Sync;

    /// Entries in the order of arrival, in memory that clones share.
    #[doc(hidden)]
    type Log: Log<Self>;

    /// How many keys.
    fn len(&self) -> usize;

    /// Whether there is no key.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key at `position`, which is below the length.
    fn key(&self, position: usize) -> Self::Key<'_>;

    /// Adds a key at the end.
    fn push(&mut self, key: Self::Key<'_>);

    /// Makes room for the keys of all parts.
    #[doc(hidden)]
    fn reserve_for(&mut self, parts: &[Part<'_, Self>]);

    /// Gives back memory that is not used.
    #[doc(hidden)]
    fn shrink(&mut self);

    /// Adds keys of another list at the end.
    #[doc(hidden)]
    fn append(&mut self, other: &Self, range: Range<usize>);

    /// Bytes of memory.
    fn byte_size(&self) -> usize;

    /// How two keys compare.
    #[doc(hidden)]
    fn order(a: Self::Key<'_>, b: Self::Key<'_>) -> Ordering;

    /// Never larger for a smaller key, and found without a look elsewhere.
    #[doc(hidden)]
    fn stem(key: Self::Key<'_>) -> u64;

    /// The hash by which inboxes and fingerprints know a key.
    #[doc(hidden)]
    fn hash(key: Self::Key<'_>) -> u64;

    /// The fingerprints of all keys.
    #[doc(hidden)]
    fn fingerprints(&self) -> Fingerprints;

    /// An index of the keys, which ascend; `None` if there can be none.
    #[doc(hidden)]
    fn train(&self) -> Option<Self::Index>;

    /// Bytes of memory of an index.
    #[doc(hidden)]
    fn index_size(index: &Self::Index) -> usize;

    /// The first position whose key is not below `key`, in a list that ascends.
    #[doc(hidden)]
    fn lower_bound(&self, index: Option<&Self::Index>, key: Self::Key<'_>) -> usize;

    /// The same; `on_guess` is told where it will be, roughly, before the keys are looked at.
    #[doc(hidden)]
    fn lower_bound_guessed(
        &self,
        index: &Self::Index,
        key: Self::Key<'_>,
        on_guess: impl FnOnce(usize),
    ) -> usize;

    /// Sets `positions[i]` to the lower bound of `keys[i]`.
    #[doc(hidden)]
    fn lower_bound_batch(
        &self,
        index: Option<&Self::Index>,
        keys: &[Self::Key<'_>],
        positions: &mut [usize],
    );

    /// Asks for the keys that a lookup of `key` will compare.
    #[doc(hidden)]
    fn prefetch(&self, index: &Self::Index, key: Self::Key<'_>);

    /// One list of the entries of all `lists`, which are in no order.
    #[doc(hidden)]
    fn sort(lists: &[Sorted<Self>]) -> Sorted<Self>;

    /// One list of all `parts`, each of which ascends.
    #[doc(hidden)]
    fn merge(parts: Vec<Part<'_, Self>>) -> Sorted<Self>;
}

/// Entries in the order of arrival, in memory that is shared. A place is written once, by whoever
/// has claimed it, and read only by those to whom it was handed on after that.
#[doc(hidden)]
pub trait Log<L: KeyList>: Debug + Send + Sync {
    /// Memory for so many entries.
    fn with_capacity(capacity: usize) -> Self;

    /// How many entries there is memory for.
    fn capacity(&self) -> usize;

    /// Writes the entry at `position`.
    fn set(&self, position: usize, key: L::Key<'_>, value: u64);

    /// The key at `position`, which has been written.
    fn key(&self, position: usize) -> L::Key<'_>;

    /// The value at `position`, which has been written.
    fn value(&self, position: usize) -> u64;

    /// Makes all places free again.
    fn reset(&mut self);

    /// The first `len` entries.
    fn to_lists(&self, len: usize) -> Sorted<L>;

    /// Bytes of memory of all places.
    fn byte_size(&self) -> usize;

    /// Bytes of memory for a key beside its place.
    fn bytes_of(key: L::Key<'_>) -> usize;
}

/// Keys, and the value of each.
pub type Sorted<L> = (L, Vec<u64>);

/// Ascending keys that are somewhere in a list, and their values.
#[derive(Debug)]
pub struct Part<'a, L> {
    pub(super) keys: &'a L,
    /// As many as there are keys in the list.
    pub(super) values: &'a [u64],
    pub(super) range: Range<usize>,
}

impl<L> Clone for Part<'_, L> {
    fn clone(&self) -> Self {
        Self { keys: self.keys, values: self.values, range: self.range.clone() }
    }
}

impl<'a, L: KeyList> Part<'a, L> {
    /// All entries of two lists.
    pub(super) fn all(keys: &'a L, values: &'a [u64]) -> Self {
        Self { keys, values, range: 0..values.len() }
    }

    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// The smallest key of a part that is not empty.
    pub(super) fn min(&self) -> L::Key<'a> {
        self.keys.key(self.range.start)
    }

    /// The largest key of a part that is not empty.
    pub(super) fn max(&self) -> L::Key<'a> {
        self.keys.key(self.range.end - 1)
    }
}
