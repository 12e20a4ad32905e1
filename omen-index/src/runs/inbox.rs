//! Where single entries gather until they are worth a run.
//!
//! As long as keys ascend, which is how most arrive in practice, the lists are a run already and
//! are handed on as they are. The first key out of order has all of them entered in a small table,
//! by which keys are found from then on; and the run is sorted when the inbox is full.
//!
//! Simpler than `Buffer`, which shares what it holds with its clones: a clone of an inbox is a
//! copy, of less than 100 KB, so that an entry costs its writer next to nothing.
//!
//! The table's slots begin chains: of the newest entry whose hash names the slot, of the one before
//! it, and so on. So entering is done without a look at what is there. Most absent keys end at a
//! mark already: one bit in sixteen is set when the inbox is full, so that is easily predicted,
//! which the way through a chain is not.
//!
//! Invariant: without a table the keys ascend strictly; with one, each entry is in the chain of its
//! slot. Chains hold one more than a position, and end with zero.

use super::merge::{Entries, Lists};

/// Slots of the table: twice the entries, so that few are in the way of others.
const SLOTS: usize = 2 * Inbox::CAPACITY;

/// Words of marks: 16 bits for each entry, of which it sets one.
const MARK_WORDS: usize = Inbox::CAPACITY * 16 / u64::BITS as usize;

/// At most [`Inbox::CAPACITY`] entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox {
    keys: Vec<u64>,
    values: Vec<u64>,
    table: Vec<u16>,
    /// What comes after an entry in its chain.
    next: Vec<u16>,
    /// Empty without a table.
    marks: Vec<u64>,
}

impl Inbox {
    /// Most entries: what is copied with a clone, and sorted at once.
    pub(super) const CAPACITY: usize = 4096;

    /// How many entries.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many more there is room for.
    #[inline]
    pub(super) fn room(&self) -> usize {
        Self::CAPACITY - self.keys.len()
    }

    /// Bytes of memory.
    pub(super) fn byte_size(&self) -> usize {
        let entries = (self.keys.capacity() + self.values.capacity()) * size_of::<u64>();
        let links = (self.table.capacity() + self.next.capacity()) * size_of::<u16>();
        entries + links + self.marks.capacity() * size_of::<u64>()
    }

    /// Whether the keys ascend.
    pub(super) fn is_sorted(&self) -> bool {
        self.table.is_empty()
    }

    /// The entries in the order of their arrival.
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries { keys: &self.keys, values: &self.values }
    }

    /// The lists of keys and values.
    pub(super) fn into_lists(self) -> Lists {
        (self.keys, self.values)
    }

    /// Adds an entry; there must be room.
    #[inline]
    pub(super) fn push(&mut self, key: u64, value: u64, hash: impl Fn(u64) -> u64) {
        if self.table.is_empty() {
            match self.keys.last() {
                Some(&last) if last >= key => self.enter_all(&hash),
                Some(_) => {}
                None => self.reserve(),
            }
        }
        if !self.table.is_empty() {
            self.enter(hash(key), self.keys.len());
        }
        self.keys.push(key);
        self.values.push(value);
    }

    /// Adds entries; there must be room for all.
    pub(super) fn extend(&mut self, entries: &[(u64, u64)], hash: impl Fn(u64) -> u64) {
        let mut entries = entries;
        while self.table.is_empty()
            && let Some((&(key, value), rest)) = entries.split_first()
        {
            self.push(key, value, &hash);
            entries = rest;
        }
        // All at once, list by list.
        let first = self.len();
        self.keys.extend(entries.iter().map(|entry| entry.0));
        self.values.extend(entries.iter().map(|entry| entry.1));
        for (position, entry) in (first..).zip(entries) {
            self.enter(hash(entry.0), position);
        }
    }

    /// The value of a key that has this hash.
    #[inline]
    pub(super) fn get(&self, key: u64, hash: u64) -> Option<u64> {
        if self.table.is_empty() {
            if self.keys.last().is_none_or(|&last| last < key) {
                return None;
            }
            let position = self.keys.partition_point(|&k| k < key);
            return (self.keys.get(position) == Some(&key)).then(|| self.values[position]);
        }
        let (word, bit) = mark_of(hash);
        if self.marks[word] & bit == 0 {
            return None;
        }
        let mut link = self.table[slot_of(hash)];
        while let Some(position) = usize::from(link).checked_sub(1) {
            if self.keys[position] == key {
                return Some(self.values[position]);
            }
            link = self.next[position];
        }
        None
    }

    #[cold]
    fn reserve(&mut self) {
        self.keys.reserve_exact(Self::CAPACITY);
        self.values.reserve_exact(Self::CAPACITY);
    }

    #[cold]
    fn enter_all(&mut self, hash: impl Fn(u64) -> u64) {
        self.table.resize(SLOTS, 0);
        self.next.reserve_exact(Self::CAPACITY);
        self.marks.resize(MARK_WORDS, 0);
        for position in 0..self.keys.len() {
            self.enter(hash(self.keys[position]), position);
        }
    }

    #[inline]
    fn enter(&mut self, hash: u64, position: usize) {
        let (word, bit) = mark_of(hash);
        self.marks[word] |= bit;
        let link = &mut self.table[slot_of(hash)];
        self.next.push(*link);
        *link = position as u16 + 1;
    }
}

/// Word of the marks and the bit in it.
#[inline]
fn mark_of(hash: u64) -> (usize, u64) {
    ((hash >> 54) as usize % MARK_WORDS, 1 << ((hash >> 48) & 63))
}

#[inline]
fn slot_of(hash: u64) -> usize {
    (hash >> 32) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries whose hashes are given by `hash`.
    fn filled(keys: &[u64], hash: impl Fn(u64) -> u64 + Copy) -> Inbox {
        let mut inbox = Inbox::default();
        for &key in keys {
            assert!(inbox.room() > 0);
            inbox.push(key, key + 1, hash);
        }
        inbox
    }

    #[test]
    fn keys_are_found_in_order_and_out_of_order() {
        let count = Inbox::CAPACITY as u64;
        let ascending: Vec<u64> = (0..count).map(|i| 10 + 2 * i).collect();
        let descending: Vec<u64> = ascending.iter().rev().copied().collect();
        let mut late = ascending.clone();
        late[count as usize - 1] = 3;
        // Well mixed, all the same, and of a few chains.
        let hashes: [fn(u64) -> u64; 3] =
            [|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15), |_| 7 << 32, |key| key << 60];
        for (keys, is_sorted) in [(ascending, true), (descending, false), (late, false)] {
            for hash in hashes {
                let inbox = filled(&keys, hash);
                assert!(inbox.room() == 0 && inbox.is_sorted() == is_sorted);
                for &key in &keys {
                    assert_eq!(inbox.get(key, hash(key)), Some(key + 1));
                    assert_eq!(inbox.get(key + 1, hash(key + 1)), None);
                }
                assert_eq!(
                    (inbox.get(0, hash(0)), inbox.get(u64::MAX, hash(u64::MAX))),
                    (None, None)
                );
            }
        }
    }

    #[test]
    fn a_repeated_key_is_not_in_order() {
        let hash = |key| key;
        assert!(filled(&[1, 5], hash).is_sorted() && !filled(&[5, 5], hash).is_sorted());
        assert_eq!(Inbox::default().get(0, 0), None);
        assert_eq!(Inbox::default().len(), 0);
    }
}
