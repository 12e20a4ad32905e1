//! The memory that an inbox shares with its clones: places for entries, and the table by which they
//! are found.
//!
//! Called by `inbox`. The table's slots begin chains: of the newest entry whose hash names the
//! slot, of the one before it, and so on. So entering is done without a look at what is there. Most
//! absent keys end at a mark already: one bit in sixteen is set when the inbox is full, so that is
//! easily predicted, which the way through a chain is not.
//!
//! Invariants: a place is written by the one who has claimed it, and once; an entry is written
//! before it is entered. Chains hold one more than a position, newer entries before older ones, and
//! end with zero.

use super::super::keys::{KeyList, Log};
use super::super::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use super::super::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, fence};
use super::super::sync::{Arc, OnceLock};

/// Bits of marks for each entry, of which it sets one.
const MARKS_PER_ENTRY: usize = 16;

/// What an inbox shares with its clones.
#[derive(Debug)]
pub(super) struct Memory<L: KeyList> {
    /// How many places are somebody's.
    claimed: AtomicUsize,
    pub(super) log: L::Log,
    /// Absent or empty as long as keys ascend.
    links: OnceLock<Links>,
}

impl<L: KeyList> Memory<L> {
    /// Memory for so many entries, of which the first `claimed` are somebody's.
    pub(super) fn new(capacity: usize, claimed: usize) -> Self {
        Self {
            claimed: AtomicUsize::new(claimed),
            log: L::Log::with_capacity(capacity),
            links: OnceLock::new(),
        }
    }

    /// How many entries there is memory for.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.log.capacity()
    }

    /// Claims the places from `len` to `end`; false if the first is claimed already.
    ///
    /// Need not order anything: an inbox of that length was handed on after all below it was
    /// written.
    #[inline]
    pub(super) fn claim(self: &Arc<Self>, len: usize, end: usize) -> bool {
        if Arc::strong_count(self) > 1 {
            return self.claimed.compare_exchange(len, end, Relaxed, Relaxed).is_ok();
        }
        // Nobody else has the memory: what others claimed, they did before they let go of it.
        fence(Acquire);
        let is_free = self.claimed.load(Relaxed) == len;
        if is_free {
            self.claimed.store(end, Relaxed);
        }
        is_free
    }

    /// Gives back what was claimed behind `len`, which nobody else can have claimed.
    pub(super) fn give_back(&self, len: usize) {
        self.claimed.store(len, Relaxed);
    }

    /// The table; none as long as keys ascend.
    #[inline]
    pub(super) fn links(&self) -> Option<&Links> {
        self.links.get()
    }

    /// Enters the first `len` entries in the table, which is empty: who has claimed the next place
    /// is the only one to leave order.
    #[cold]
    pub(super) fn enter_all(&self, len: usize) {
        let links = self.links.get_or_init(|| Links::new(self.capacity()));
        for position in 0..len {
            links.enter(L::hash(self.log.key(position)), position);
        }
    }

    /// Makes all places free again.
    pub(super) fn reset(&mut self) {
        self.claimed = AtomicUsize::new(0);
        self.log.reset();
        if let Some(links) = self.links.get_mut() {
            links.reset();
        }
    }

    pub(super) fn byte_size(&self) -> usize {
        self.log.byte_size() + self.links.get().map_or(0, Links::byte_size)
    }
}

/// The table by which entries are found.
#[derive(Debug)]
pub(super) struct Links {
    /// Twice as many slots as entries, so that few are in the way of others.
    table: Box<[AtomicU16]>,
    /// What comes after an entry in its chain.
    next: Box<[AtomicU16]>,
    marks: Box<[AtomicU64]>,
}

impl Links {
    /// For so many entries, a power of two.
    fn new(capacity: usize) -> Self {
        let words = capacity * MARKS_PER_ENTRY / u64::BITS as usize;
        Self {
            table: (0..2 * capacity).map(|_| AtomicU16::new(0)).collect(),
            next: (0..capacity).map(|_| AtomicU16::new(0)).collect(),
            marks: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Makes all slots empty; what comes after an entry is written with the entry.
    fn reset(&mut self) {
        self.table.iter_mut().for_each(|slot| *slot = AtomicU16::new(0));
        self.marks.iter_mut().for_each(|marks| *marks = AtomicU64::new(0));
    }

    /// Enters the entry at `position`, which has been written, before all others of its slot.
    ///
    /// Only one thread at a time enters: none of the steps need be an atomic update. Who comes
    /// upon the entry in its chain sees all that was written before.
    #[inline]
    pub(super) fn enter(&self, hash: u64, position: usize) {
        let (word, bit) = self.mark_of(hash);
        let marks = &self.marks[word];
        marks.store(marks.load(Relaxed) | bit, Relaxed);
        let first = &self.table[self.slot_of(hash)];
        self.next[position].store(first.load(Relaxed), Relaxed);
        first.store(position as u16 + 1, Release);
    }

    /// False if no entry has the hash.
    #[inline]
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let (word, bit) = self.mark_of(hash);
        self.marks[word].load(Relaxed) & bit != 0
    }

    /// The beginning of the chain of a hash.
    #[inline]
    pub(super) fn newest(&self, hash: u64) -> u16 {
        self.table[self.slot_of(hash)].load(Acquire)
    }

    /// What comes after an entry in its chain.
    #[inline]
    pub(super) fn after(&self, position: usize) -> u16 {
        self.next[position].load(Relaxed)
    }

    /// Word of the marks and the bit in it.
    #[inline]
    fn mark_of(&self, hash: u64) -> (usize, u64) {
        ((hash >> 54) as usize & (self.marks.len() - 1), 1 << ((hash >> 48) & 63))
    }

    #[inline]
    fn slot_of(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.table.len() - 1)
    }

    fn byte_size(&self) -> usize {
        (self.table.len() + self.next.len()) * size_of::<u16>()
            + self.marks.len() * size_of::<u64>()
    }
}
