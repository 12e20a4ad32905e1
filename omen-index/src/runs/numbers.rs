//! Lists of numbers: keys that are compared many at a time and sorted by counting.
//!
//! Called through [`KeyList`]; sorts by `sort` and merges by `merge`.

use std::cmp::Ordering;
use std::ops::Range;

use super::keys::{KeyList, Log, Part, Sealed, Sorted};
use super::sync::atomic::{AtomicU64, Ordering::Relaxed};
use super::{merge, sort};
use crate::fingerprints::{Fingerprints, hash_u64};
use crate::rmi::Rmi;
use crate::simd;

impl Sealed for Vec<u64> {}

impl KeyList for Vec<u64> {
    type Key<'a> = u64;
    type Index = Rmi;
    type Log = NumberLog;

    #[inline]
    fn len(&self) -> usize {
        Vec::len(self)
    }

    #[inline]
    fn key(&self, position: usize) -> u64 {
        self[position]
    }

    #[inline]
    fn push(&mut self, key: u64) {
        Vec::push(self, key);
    }

    fn reserve_for(&mut self, parts: &[Part<'_, Self>]) {
        self.reserve_exact(parts.iter().map(Part::len).sum());
    }

    fn shrink(&mut self) {
        self.shrink_to_fit();
    }

    fn append(&mut self, other: &Self, range: Range<usize>) {
        self.extend_from_slice(&other[range]);
    }

    fn byte_size(&self) -> usize {
        self.capacity() * size_of::<u64>()
    }

    #[inline]
    fn order(a: u64, b: u64) -> Ordering {
        a.cmp(&b)
    }

    #[inline]
    fn stem(key: u64) -> u64 {
        key
    }

    #[inline]
    fn hash(key: u64) -> u64 {
        hash_u64(key)
    }

    fn fingerprints(&self) -> Fingerprints {
        Fingerprints::of_numbers(self)
    }

    fn train(&self) -> Option<Rmi> {
        Rmi::train(self).ok()
    }

    fn index_size(index: &Rmi) -> usize {
        index.byte_size()
    }

    #[inline]
    fn lower_bound(&self, index: Option<&Rmi>, key: u64) -> usize {
        match index {
            Some(index) => index.lower_bound(self, key),
            None => self.partition_point(|&k| k < key),
        }
    }

    #[inline]
    fn lower_bound_guessed(&self, index: &Rmi, key: u64, on_guess: impl FnOnce(usize)) -> usize {
        let guess = index.predict(key);
        simd::prefetch(self.get(guess));
        on_guess(guess);
        index.lower_bound(self, key)
    }

    fn lower_bound_batch(&self, index: Option<&Rmi>, keys: &[u64], positions: &mut [usize]) {
        match index {
            Some(index) => index.lower_bound_batch(self, keys, positions),
            None => {
                for (key, position) in keys.iter().zip(positions) {
                    *position = self.partition_point(|k| k < key);
                }
            }
        }
    }

    #[inline]
    fn prefetch(&self, index: &Rmi, key: u64) {
        simd::prefetch(self.get(index.predict(key)));
    }

    fn sort(lists: &[Sorted<Self>]) -> Sorted<Self> {
        let lists: Vec<merge::Entries> =
            lists.iter().map(|(keys, values)| merge::Entries { keys, values }).collect();
        sort::sort(&lists)
    }

    fn merge(parts: Vec<Part<'_, Self>>) -> Sorted<Self> {
        let entries = parts.into_iter().map(|part| merge::Entries {
            keys: &part.keys[part.range.clone()],
            values: &part.values[part.range],
        });
        merge::merge(entries.collect())
    }
}

/// Numbers with their values in the order of arrival.
#[derive(Debug)]
pub struct NumberLog {
    keys: Box<[AtomicU64]>,
    values: Box<[AtomicU64]>,
}

impl Log<Vec<u64>> for NumberLog {
    fn with_capacity(capacity: usize) -> Self {
        let zeros = || (0..capacity).map(|_| AtomicU64::new(0)).collect();
        Self { keys: zeros(), values: zeros() }
    }

    #[inline]
    fn capacity(&self) -> usize {
        self.keys.len()
    }

    #[inline]
    fn set(&self, position: usize, key: u64, value: u64) {
        self.keys[position].store(key, Relaxed);
        self.values[position].store(value, Relaxed);
    }

    #[inline]
    fn key(&self, position: usize) -> u64 {
        self.keys[position].load(Relaxed)
    }

    #[inline]
    fn value(&self, position: usize) -> u64 {
        self.values[position].load(Relaxed)
    }

    fn reset(&mut self) {}

    fn to_lists(&self, len: usize) -> Sorted<Vec<u64>> {
        let list = |places: &[AtomicU64]| places.iter().map(|place| place.load(Relaxed)).collect();
        (list(&self.keys[..len]), list(&self.values[..len]))
    }

    fn byte_size(&self) -> usize {
        2 * size_of_val::<[AtomicU64]>(&self.keys)
    }

    #[inline]
    fn bytes_of(_key: u64) -> usize {
        0
    }
}
