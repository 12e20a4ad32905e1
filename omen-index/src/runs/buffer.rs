//! Few entries in no order: where single keys gather before they are sorted into a run.
//!
//! An entry is added in constant time. A small filter of bits answers most questions for absent
//! keys without a look at the entries; for the others all hashes are compared, newest first.
//!
//! Invariant: the bits of every entry's hash are set in the filter, which clones share: it may know
//! of entries that a list does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::slots::Slots;

/// Words of the filter: 8 bits for each entry, so one in eight absent keys passes a full buffer.
const FILTER_WORDS: usize = Buffer::<()>::CAPACITY * 8 / 64;

/// At most [`Buffer::CAPACITY`] values, found by the hash of their key. A clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Buffer<V> {
    entries: Slots<(u64, V)>,
    filter: Arc<[AtomicU64; FILTER_WORDS]>,
}

impl<V> Buffer<V> {
    /// Most values of one buffer: few enough that comparing all hashes takes less time than one
    /// visit to memory outside the caches, enough that sorting them makes a run worth having.
    pub const CAPACITY: usize = 512;
}

impl<V: Clone> Buffer<V> {
    /// An empty buffer.
    pub fn new() -> Self {
        let filter = Arc::new([const { AtomicU64::new(0) }; FILTER_WORDS]);
        Self { entries: Slots::new(Self::CAPACITY), filter }
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more values there is room for.
    pub fn room(&self) -> usize {
        self.entries.room()
    }

    /// Adds a value under the hash of its key, at position [`Buffer::len`]. The hash must be well
    /// mixed in its upper 12 bits.
    ///
    /// # Errors
    /// Gives the value back if the buffer is full.
    pub fn push(&mut self, hash: u64, value: V) -> Result<(), V> {
        // The bit comes first: whoever sees the entry sees its bit.
        let (word, bit) = place(hash);
        self.filter[word].fetch_or(bit, Relaxed);
        self.entries.push((hash, value)).map_err(|(_, value)| value)
    }

    /// The value at `position`, counted in the order of arrival.
    pub fn get(&self, position: usize) -> Option<&V> {
        self.entries.get(position).map(|(_, value)| value)
    }

    /// The values in the order of arrival.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Position and value of every entry under this hash, newest first. Different keys may share a
    /// hash: compare the keys.
    pub fn find(&self, hash: u64) -> impl Iterator<Item = (usize, &V)> {
        let (word, bit) = place(hash);
        let may_hold = self.filter[word].load(Relaxed) & bit != 0;
        let entries = self.entries.iter().enumerate().rev();
        let searched = entries.take(if may_hold { self.len() } else { 0 });
        searched.filter(move |(_, (h, _))| *h == hash).map(|(i, (_, value))| (i, value))
    }
}

impl<V: Clone> Default for Buffer<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Word of the filter and bit in it.
fn place(hash: u64) -> (usize, u64) {
    let bits = hash >> 52;
    ((bits >> 6) as usize % FILTER_WORDS, 1 << (bits & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_newest_first_and_only_by_those_who_have_them() {
        let hash = |key: u64| key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut buffer = Buffer::new();
        for key in 0..300 {
            buffer.push(hash(key % 200), key).unwrap();
        }
        let snapshot = buffer.clone();
        for key in 300..512 {
            buffer.push(hash(key), key).unwrap();
        }
        assert_eq!(buffer.push(0, 512), Err(512));
        let found = |b: &Buffer<u64>, key| b.find(hash(key)).map(|(_, v)| *v).collect::<Vec<_>>();
        assert_eq!(found(&buffer, 7), [207, 7]);
        assert_eq!(found(&buffer, 150), [150]);
        assert_eq!(found(&buffer, 400), [400]);
        assert_eq!(found(&snapshot, 400), []);
        assert_eq!((snapshot.len(), snapshot.room()), (300, 212));
        assert!((1000..9000).all(|key| found(&buffer, key).is_empty()));
        assert_eq!(buffer.get(207), Some(&207));
    }
}
