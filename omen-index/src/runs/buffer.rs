//! Few entries in no order: where single keys gather before they are sorted into a run.
//!
//! An entry is added in constant time. A small filter of bits answers most questions for absent
//! keys without a look at the entries; for the others all hashes are compared, newest first.
//!
//! Invariant: the bits of every entry's hash are set in the filter, which is shared with the clones
//! that share the entries' memory: it may know of entries that a list does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::slots::Slots;

/// Words of the filter: 16 bits for each entry, two of them set, so about one in fifty absent keys
/// passes a full buffer.
const FILTER_WORDS: usize = Buffer::<()>::CAPACITY * 16 / 64;

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
    /// mixed in its upper 32 bits.
    ///
    /// # Errors
    /// Gives the value back if the buffer is full.
    pub fn push(&mut self, hash: u64, value: V) -> Result<(), V> {
        if self.entries.push((hash, value)).map_err(|(_, value)| value)? {
            // The old filter belongs to the list that the old memory belongs to.
            let words = std::array::from_fn(|i| AtomicU64::new(self.filter[i].load(Relaxed)));
            self.filter = Arc::new(words);
        }
        // Nobody else writes to the filter: whoever adds to it has the slot, and lists are handed
        // on after the bits are set. So it need not be an atomic update.
        let (word, bits) = place(hash);
        self.filter[word].store(self.filter[word].load(Relaxed) | bits, Relaxed);
        Ok(())
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
        let (word, bits) = place(hash);
        let may_hold = self.filter[word].load(Relaxed) & bits == bits;
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

/// Word of the filter and the bits in it.
#[inline]
fn place(hash: u64) -> (usize, u64) {
    let word = (hash >> 57) as usize % FILTER_WORDS;
    (word, 1 << ((hash >> 51) & 63) | 1 << ((hash >> 45) & 63))
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

    #[test]
    fn lists_that_part_on_two_threads_lose_nothing() {
        let hash = |key: u64| key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for round in 0..50 {
            let mut trunk = Buffer::new();
            (0..round).for_each(|key| trunk.push(hash(key), key).unwrap());
            let grow = |mut branch: Buffer<u64>, first: u64| {
                (first..first + 200).for_each(|key| branch.push(hash(key), key).unwrap());
                branch
            };
            let (one, two) = std::thread::scope(|scope| {
                let (a, b) = (trunk.clone(), trunk.clone());
                let a = scope.spawn(move || grow(a, 1000));
                let b = scope.spawn(move || grow(b, 5000));
                (a.join().unwrap(), b.join().unwrap())
            });
            for (branch, first) in [(one, 1000), (two, 5000)] {
                let has = |key: u64| branch.find(hash(key)).any(|(_, value)| *value == key);
                assert!((0..round).chain(first..first + 200).all(has));
            }
        }
    }
}
