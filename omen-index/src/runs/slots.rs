//! A list that grows at its end and whose clones share its memory.
//!
//! Under `Tail`. A clone remembers its own length: what is pushed to one list is not seen by its
//! clones. Pushing writes into the shared memory if nobody has pushed there since the lists parted,
//! and copies the entries otherwise, so one line of descent grows without copying more than what
//! larger memory takes.
//!
//! Invariant: entries below a list's length are set and never change.

use std::sync::{Arc, OnceLock};

/// Entries that the first memory of a list has room for.
const FIRST_CAPACITY: usize = 8;

/// A list of at most a fixed number of entries.
#[derive(Clone, Debug)]
pub(super) struct Slots<T> {
    shared: Arc<[OnceLock<T>]>,
    len: usize,
    most: usize,
}

impl<T: Clone> Slots<T> {
    /// An empty list that may have `most` entries.
    pub(super) fn new(most: usize) -> Self {
        Self { shared: Vec::new().into(), len: 0, most }
    }

    /// How many entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry; gives it back if the list is full.
    pub(super) fn push(&mut self, entry: T) -> Result<(), T> {
        if self.len == self.most {
            return Err(entry);
        }
        let refused = match self.shared.get(self.len) {
            Some(slot) => slot.set(entry).err().map(|entry| (entry, self.shared.len())),
            None => Some((entry, (2 * self.len).max(FIRST_CAPACITY))),
        };
        if let Some((entry, capacity)) = refused {
            self.shared = self.copy_with(entry, capacity);
        }
        self.len += 1;
        Ok(())
    }

    /// The entry at `index`, which must be below the length.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.shared[..self.len].get(index)?.get()
    }

    /// The entries in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.shared[..self.len].iter().map(|slot| match slot.get() {
            Some(entry) => entry,
            None => unreachable!("entries below the length are set"),
        })
    }

    /// How many entries at the front satisfy `before`, which must hold for those and no others.
    pub(super) fn partition_point(&self, before: impl Fn(&T) -> bool) -> usize {
        self.shared[..self.len].partition_point(|slot| slot.get().is_some_and(&before))
    }

    /// New memory with the visible entries and one more.
    fn copy_with(&self, entry: T, capacity: usize) -> Arc<[OnceLock<T>]> {
        let mut entries = self.iter().cloned().chain(std::iter::once(entry));
        (0..capacity).map(|_| entries.next().map_or_else(OnceLock::new, OnceLock::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_part_do_not_see_each_other() {
        let mut first = Slots::new(4);
        first.push(1).unwrap();
        let empty_twin = Slots { len: 0, ..first.clone() };
        let mut second = first.clone();
        first.push(2).unwrap();
        second.push(3).unwrap();
        second.push(4).unwrap();
        assert_eq!(first.iter().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(second.iter().copied().collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(empty_twin.get(0), None);
        second.push(5).unwrap();
        assert_eq!(second.push(6), Err(6));
        assert_eq!(second.partition_point(|&e| e < 4), 2);
    }

    #[test]
    fn one_line_of_descent_shares_its_memory() {
        let mut list = Slots::new(8);
        let mut snapshots = Vec::new();
        for entry in 0..8 {
            list.push(entry).unwrap();
            snapshots.push(list.clone());
        }
        for (i, snapshot) in snapshots.iter().enumerate() {
            assert!(Arc::ptr_eq(&snapshot.shared, &list.shared));
            assert_eq!(snapshot.iter().copied().collect::<Vec<_>>(), (0..=i).collect::<Vec<_>>());
        }
    }
}
