//! Few entries in no order: where single keys gather before they are sorted into a run.
//!
//! An entry is added in constant time. The newest entries lie in a list of their own; each time
//! there are [`BLOCK`] of them, they become a block that is shared with all clones. A small filter
//! of bits answers most questions for absent keys without a look at the blocks; for the others all
//! hashes are compared, newest first.
//!
//! Invariant: the bits of every hash in a block are set in the filter, which is shared with the
//! clones that share the blocks' memory: it may know of entries that a list does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::slots::Slots;

/// Entries of a block: few enough to be copied with a clone and to be compared one by one.
const BLOCK: usize = 32;

/// Words of the filter: 16 bits for each entry, two of them set, so about one in fifty absent keys
/// passes a full buffer.
const FILTER_WORDS: usize = Buffer::<()>::CAPACITY * 16 / 64;

/// Hashes of keys with their values.
type Block<V> = Arc<[(u64, V)]>;

/// At most [`Buffer::CAPACITY`] values, found by the hash of their key. A clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Buffer<V> {
    /// All but the newest entries, [`BLOCK`] in each.
    blocks: Slots<Block<V>>,
    /// The newest entries, fewer than [`BLOCK`].
    recent: Vec<(u64, V)>,
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
        Self { blocks: Slots::new(Self::CAPACITY / BLOCK), recent: Vec::new(), filter }
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.recent.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more values there is room for.
    pub fn room(&self) -> usize {
        Self::CAPACITY - self.len()
    }

    /// Adds a value under the hash of its key, at position [`Buffer::len`]. The hash must be well
    /// mixed in its upper 32 bits.
    ///
    /// # Errors
    /// Gives the value back if the buffer is full.
    #[inline]
    pub fn push(&mut self, hash: u64, value: V) -> Result<(), V> {
        if self.room() == 0 {
            return Err(value);
        }
        self.recent.push((hash, value));
        if self.recent.len() == BLOCK {
            self.close_block();
        }
        Ok(())
    }

    /// Shares the newest entries.
    fn close_block(&mut self) {
        let block: Block<V> = self.recent.drain(..).collect();
        let hashes = block.clone();
        // There is room: the buffer was not full.
        let Ok(is_copied) = self.blocks.push(block) else { return };
        if is_copied {
            // The old filter belongs to the list that the old memory belongs to.
            let words = std::array::from_fn(|i| AtomicU64::new(self.filter[i].load(Relaxed)));
            self.filter = Arc::new(words);
        }
        // Nobody else writes to the filter: whoever adds to it has the slot, and lists are handed
        // on after the bits are set. So it need not be an atomic update.
        for (hash, _) in hashes.iter() {
            let (word, bits) = place(*hash);
            self.filter[word].store(self.filter[word].load(Relaxed) | bits, Relaxed);
        }
    }

    /// The value at `position`, counted in the order of arrival.
    pub fn get(&self, position: usize) -> Option<&V> {
        let entry = match self.blocks.get(position / BLOCK) {
            Some(block) => block.get(position % BLOCK),
            None => self.recent.get(position.checked_sub(self.blocks.len() * BLOCK)?),
        };
        entry.map(|(_, value)| value)
    }

    /// The values in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = &V> {
        self.blocks
            .iter()
            .flat_map(|block| block.iter())
            .chain(&self.recent)
            .map(|(_, value)| value)
    }

    /// Position and value of every entry under this hash, newest first. Different keys may share a
    /// hash: compare the keys.
    pub fn find(&self, hash: u64) -> impl Iterator<Item = (usize, &V)> {
        let (word, bits) = place(hash);
        let may_hold = self.filter[word].load(Relaxed) & bits == bits;
        let blocks = self.blocks.iter().enumerate().rev();
        let searched = blocks.take(if may_hold { self.blocks.len() } else { 0 });
        let recent_first = self.blocks.len() * BLOCK;
        let recent = find_in(&self.recent, recent_first, hash);
        recent.chain(searched.flat_map(move |(i, block)| find_in(block, i * BLOCK, hash)))
    }
}

/// The entries under `hash`, newest first; the first of all has position `first`.
fn find_in<V>(entries: &[(u64, V)], first: usize, hash: u64) -> impl Iterator<Item = (usize, &V)> {
    let same = entries.iter().enumerate().rev().filter(move |(_, (h, _))| *h == hash);
    same.map(move |(i, (_, value))| (first + i, value))
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
        let found = |b: &Buffer<u64>, key| -> Vec<u64> {
            // Each value is its position.
            b.find(hash(key))
                .inspect(|(at, v)| assert_eq!(*at as u64, **v))
                .map(|(_, v)| *v)
                .collect()
        };
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
        let start = std::sync::Barrier::new(2);
        for round in 0..300 {
            let mut trunk = Buffer::new();
            (0..round).for_each(|key| trunk.push(hash(key), key).unwrap());
            let grow = |mut branch: Buffer<u64>, first: u64| {
                start.wait();
                (first..first + 200).for_each(|key| branch.push(hash(key), key).unwrap());
                branch
            };
            let (one, two) = std::thread::scope(|scope| {
                let (a, b) = (trunk.clone(), trunk.clone());
                let a = scope.spawn(|| grow(a, 1000));
                let b = scope.spawn(|| grow(b, 5000));
                (a.join().unwrap(), b.join().unwrap())
            });
            for (branch, first) in [(one, 1000), (two, 5000)] {
                let has = |key: u64| branch.find(hash(key)).any(|(_, value)| *value == key);
                assert!((0..round).chain(first..first + 200).all(has));
            }
        }
    }
}
