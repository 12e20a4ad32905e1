//! A list that grows at its end and whose clones share its memory.
//!
//! Under `Buffer` and `Tail`. A clone remembers its own length: what is pushed to one list is not
//! seen by its clones. Pushing writes into the shared memory if nobody has pushed there since the
//! lists parted, and copies the entries otherwise, so one line of descent grows without copying.
//!
//! Invariant: entries below a list's length are set and never change.

use std::sync::{Arc, OnceLock};

/// A list of at most a fixed number of entries.
#[derive(Clone, Debug)]
pub(super) struct Slots<T> {
    shared: Arc<[OnceLock<T>]>,
    len: usize,
}

impl<T: Clone> Slots<T> {
    /// An empty list with room for `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        Self { shared: (0..capacity).map(|_| OnceLock::new()).collect(), len: 0 }
    }

    /// How many entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry; gives it back if the list is full. True if the memory is a new one, because
    /// another list has added to the old one.
    ///
    /// Of all pushes to one memory that return false, each happens before the next: it takes the
    /// list that an earlier one left to find the next slot.
    #[inline]
    pub(super) fn push(&mut self, entry: T) -> Result<bool, T> {
        let Some(slot) = self.shared.get(self.len) else { return Err(entry) };
        let taken = slot.set(entry);
        let is_copied = taken.is_err();
        if let Err(entry) = taken {
            self.shared = self.copy_with(entry);
        }
        self.len += 1;
        Ok(is_copied)
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
    fn copy_with(&self, entry: T) -> Arc<[OnceLock<T>]> {
        let mut entries = self.iter().cloned().chain(std::iter::once(entry));
        let capacity = self.shared.len();
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
        assert_eq!(second.push(3), Ok(true));
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
            assert_eq!(list.push(entry), Ok(false));
            snapshots.push(list.clone());
        }
        for (i, snapshot) in snapshots.iter().enumerate() {
            assert!(Arc::ptr_eq(&snapshot.shared, &list.shared));
            assert_eq!(snapshot.iter().copied().collect::<Vec<_>>(), (0..=i).collect::<Vec<_>>());
        }
    }
}
