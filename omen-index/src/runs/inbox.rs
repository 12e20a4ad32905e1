//! Where entries gather until they are worth a run.
//!
//! As long as keys ascend, which is how most arrive in practice, they are a run already and are
//! handed on as they are. The first key out of order has all of them entered in a small table, by
//! which keys are found from then on; and they are sorted when the inbox is full.
//!
//! A clone shares the memory and remembers its own length: what is added later it passes over.
//! Whoever adds entries first claims their places. That succeeds for one line of descent; another
//! one, which begins at an older clone, finds its places claimed and goes on with a copy. The same
//! way small memory is left for larger memory. So a snapshot after each of many small statements
//! costs next to nothing, and so does a list of one entry.
//!
//! Called by `map`. Invariants: places below an inbox's length are written and never change. While
//! an inbox is sorted its keys ascend strictly; otherwise each of its entries is in the table,
//! where newer entries are found first. The table may have entries of later clones as well.

// By its path, since this file is included by path in `scheduled`.
#[path = "inbox/memory.rs"]
mod memory;

use std::cmp::Ordering::Less;

use self::memory::Memory;
use super::keys::{KeyList, Log, Sorted};
use super::sync::Arc;

/// Entries that the first memory of an inbox has room for.
const FIRST_CAPACITY: usize = 64;

/// How many times larger the next memory is.
const GROWTH: usize = 4;

/// At most [`CAPACITY`](Inbox::CAPACITY) entries. A clone is a snapshot.
#[derive(Debug)]
pub(super) struct Inbox<L: KeyList> {
    memory: Arc<Memory<L>>,
    len: usize,
    is_sorted: bool,
    /// Bytes of keys that lie elsewhere.
    key_bytes: usize,
}

impl<L: KeyList> Clone for Inbox<L> {
    fn clone(&self) -> Self {
        Self { memory: Arc::clone(&self.memory), ..*self }
    }
}

impl<L: KeyList> Default for Inbox<L> {
    fn default() -> Self {
        Self { memory: Arc::new(Memory::new(0, 0)), len: 0, is_sorted: true, key_bytes: 0 }
    }
}

impl<L: KeyList> Inbox<L> {
    /// Most entries: what is sorted at once, and copied if a place is claimed already.
    pub(super) const CAPACITY: usize = 4096;

    /// An empty inbox that has all of its memory from the start: that of an inbox that is not
    /// needed any more, if nobody else has it.
    pub(super) fn large(old: Option<Self>) -> Self {
        let large = old.map(|old| old.memory).filter(|old| old.capacity() == Self::CAPACITY);
        let mut memory = large.unwrap_or_else(|| Arc::new(Memory::new(Self::CAPACITY, 0)));
        match Arc::get_mut(&mut memory) {
            Some(memory) => memory.reset(),
            None => memory = Arc::new(Memory::new(Self::CAPACITY, 0)),
        }
        Self { memory, len: 0, is_sorted: true, key_bytes: 0 }
    }

    /// How many entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many more there is room for.
    pub(super) fn room(&self) -> usize {
        Self::CAPACITY - self.len
    }

    /// Bytes of memory.
    pub(super) fn byte_size(&self) -> usize {
        self.memory.byte_size() + self.key_bytes
    }

    /// Whether the keys ascend.
    pub(super) fn is_sorted(&self) -> bool {
        self.is_sorted
    }

    /// Whether there is memory for one more entry.
    #[inline]
    pub(super) fn has_place(&self) -> bool {
        self.len < self.memory.capacity()
    }

    /// Goes on in larger memory; there must be room.
    #[cold]
    pub(super) fn grow(&mut self) {
        self.copy(self.len + 1);
        self.memory.give_back(self.len);
    }

    /// Adds an entry; there must be a place for it.
    #[inline]
    pub(super) fn push(&mut self, key: L::Key<'_>, value: u64) {
        let end = self.len + 1;
        if !self.memory.claim(self.len, end) {
            self.copy(end);
        }
        match self.is_sorted && self.is_above_all(key) {
            true => self.write(key, value),
            false => self.write_out_of_order(key, value),
        }
    }

    /// Adds entries as long as there are any, and room, of which there must be some. True if there
    /// are no more.
    pub(super) fn fill<'a>(
        &mut self,
        entries: &mut impl Iterator<Item = (L::Key<'a>, u64)>,
    ) -> bool {
        let Some(mut entry) = entries.next() else { return true };
        let end = (self.len + 1).saturating_add(entries.size_hint().0).min(Self::CAPACITY);
        self.claim(end);
        while self.is_sorted && self.is_above_all(entry.0) {
            self.write(entry.0, entry.1);
            if self.len == end {
                return false;
            }
            match entries.next() {
                Some(next) => entry = next,
                None => {
                    self.memory.give_back(self.len);
                    return true;
                }
            }
        }
        let is_through = self.fill_out_of_order(end, entry, entries);
        self.memory.give_back(self.len);
        is_through
    }

    /// Adds `entry` and those that follow to an inbox with a table, up to the place `end`, all
    /// before which are claimed. True if there are no more.
    fn fill_out_of_order<'a>(
        &mut self,
        end: usize,
        entry: (L::Key<'a>, u64),
        entries: &mut impl Iterator<Item = (L::Key<'a>, u64)>,
    ) -> bool {
        self.leave_order();
        let memory = &*self.memory;
        let Some(links) = memory.links() else { unreachable!("the keys are in no order") };
        let (mut key, mut value) = entry;
        for position in self.len..end {
            memory.log.set(position, key, value);
            links.enter(L::hash(key), position);
            self.key_bytes += L::Log::bytes_of(key);
            self.len = position + 1;
            if self.len < end {
                match entries.next() {
                    Some(next) => (key, value) = next,
                    None => return true,
                }
            }
        }
        false
    }

    /// The value of the newest entry of a key that has this hash.
    #[inline]
    pub(super) fn get(&self, key: L::Key<'_>, hash: u64) -> Option<u64> {
        if self.is_sorted {
            return self.get_by_halving(key);
        }
        let links = self.memory.links()?;
        if !links.may_hold(hash) {
            return None;
        }
        let mut link = links.newest(hash);
        while let Some(position) = usize::from(link).checked_sub(1) {
            if position < self.len && L::order(self.memory.log.key(position), key).is_eq() {
                return Some(self.memory.log.value(position));
            }
            link = links.after(position);
        }
        None
    }

    fn get_by_halving(&self, key: L::Key<'_>) -> Option<u64> {
        let log = &self.memory.log;
        let last = self.len.checked_sub(1)?;
        // Most keys are below what came last.
        if L::order(key, log.key(0)) == Less || L::order(log.key(last), key) == Less {
            return None;
        }
        let (mut start, mut end) = (0, last);
        while start < end {
            let middle = start.midpoint(end);
            match L::order(log.key(middle), key) {
                Less => start = middle + 1,
                _ => end = middle,
            }
        }
        L::order(log.key(start), key).is_eq().then(|| log.value(start))
    }

    /// The entries in the order of their arrival.
    pub(super) fn iter(&self) -> impl Iterator<Item = (L::Key<'_>, u64)> {
        let log = &self.memory.log;
        (0..self.len).map(|position| (log.key(position), log.value(position)))
    }

    /// Lists of all entries in the order of their arrival.
    pub(super) fn to_lists(&self) -> Sorted<L> {
        self.memory.log.to_lists(self.len)
    }

    /// Whether `key` is above all keys of an inbox that is sorted.
    #[inline]
    fn is_above_all(&self, key: L::Key<'_>) -> bool {
        let last = self.len.checked_sub(1);
        last.is_none_or(|last| L::order(self.memory.log.key(last), key) == Less)
    }

    /// Makes the places up to `end` the only ones of this inbox, in other memory if need be.
    #[inline]
    fn claim(&mut self, end: usize) {
        if end > self.memory.capacity() || !self.memory.claim(self.len, end) {
            self.copy(end);
        }
    }

    /// Copies the entries into memory of its own, with room for `end` of them that are claimed.
    #[cold]
    fn copy(&mut self, end: usize) {
        let mut capacity = self.memory.capacity().max(FIRST_CAPACITY);
        while capacity < end {
            capacity *= GROWTH;
        }
        let copy = Memory::<L>::new(capacity.min(Self::CAPACITY), end);
        for (position, (key, value)) in self.iter().enumerate() {
            copy.log.set(position, key, value);
        }
        if !self.is_sorted {
            copy.enter_all(self.len);
        }
        self.memory = Arc::new(copy);
    }

    /// Writes the next entry of an inbox that is in order and stays so.
    #[inline]
    fn write(&mut self, key: L::Key<'_>, value: u64) {
        self.memory.log.set(self.len, key, value);
        self.key_bytes += L::Log::bytes_of(key);
        self.len += 1;
    }

    /// Writes the next entry of an inbox with a table, or that has none yet.
    fn write_out_of_order(&mut self, key: L::Key<'_>, value: u64) {
        self.leave_order();
        if let Some(links) = self.memory.links() {
            self.memory.log.set(self.len, key, value);
            links.enter(L::hash(key), self.len);
            self.key_bytes += L::Log::bytes_of(key);
            self.len += 1;
        }
    }

    /// Enters all entries in the table, if that was not done yet. The next place must be claimed.
    #[inline]
    fn leave_order(&mut self) {
        if self.is_sorted {
            self.memory.enter_all(self.len);
            self.is_sorted = false;
        }
    }
}

#[cfg(test)]
mod tests;
