//! Runs put one behind the other: what keys that arrive in order are kept in.
//!
//! Each run's keys are above those of the one before, so the whole is sorted, and adding a run
//! costs the same however many there are. A key is found by halving the runs (of which there are at
//! most [`Tail::CAPACITY`]) by their keys, then inside one run.
//!
//! Positions count through all runs. Invariant: `first` of a run is the number of positions before
//! it.

use super::slots::Slots;

/// A run and the position of its first key.
#[derive(Clone, Debug)]
struct Chunk<R> {
    run: R,
    first: u32,
}

/// Ascending runs. A clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Tail<R> {
    chunks: Slots<Chunk<R>>,
    len: u32,
}

impl<R> Tail<R> {
    /// Most runs of one tail.
    pub const CAPACITY: usize = 256;
}

impl<R: Clone> Tail<R> {
    /// A tail without runs.
    pub fn new() -> Self {
        Self { chunks: Slots::new(Self::CAPACITY), len: 0 }
    }

    /// Positions of all runs together.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no run.
    pub fn is_empty(&self) -> bool {
        self.chunks.len() == 0
    }

    /// Adds a run of `len` positions whose keys are above all keys so far.
    ///
    /// # Errors
    /// Gives the run back if there are [`Tail::CAPACITY`] runs already, or positions would exceed
    /// 32 bits.
    pub fn push(&mut self, run: R, len: u32) -> Result<(), R> {
        let Some(end) = self.len.checked_add(len) else { return Err(run) };
        self.chunks.push(Chunk { run, first: self.len }).map_err(|chunk| chunk.run)?;
        self.len = end;
        Ok(())
    }

    /// The last run.
    pub fn last(&self) -> Option<&R> {
        self.chunks.iter().next_back().map(|chunk| &chunk.run)
    }

    /// The runs in order, each with the position of its first key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&R, u32)> + ExactSizeIterator {
        self.chunks.iter().map(|chunk| (&chunk.run, chunk.first))
    }

    /// The first run not `before` the wanted place, with the position of its first key. `before`
    /// must hold for some first runs and for none after them.
    pub fn search(&self, before: impl Fn(&R) -> bool) -> Option<(&R, u32)> {
        let index = self.chunks.partition_point(|chunk| before(&chunk.run));
        self.chunks.get(index).map(|chunk| (&chunk.run, chunk.first))
    }

    /// The runs from the first that is not `before` the wanted place.
    pub(super) fn iter_from(&self, before: impl Fn(&R) -> bool) -> impl Iterator<Item = &R> {
        let index = self.chunks.partition_point(|chunk| before(&chunk.run));
        self.chunks.iter().skip(index).map(|chunk| &chunk.run)
    }

    /// A run by its number, with the position of its first key.
    pub fn get(&self, number: usize) -> Option<(&R, u32)> {
        self.chunks.get(number).map(|chunk| (&chunk.run, chunk.first))
    }

    /// The run of `position`, and the position inside it.
    pub fn at(&self, position: u32) -> Option<(&R, u32)> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= position);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        (position < self.len).then_some((&chunk.run, position - chunk.first))
    }
}

impl<R: Clone> Default for Tail<R> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_keys_lead_to_their_run() {
        let mut tail = Tail::new();
        for run in [vec![1, 3], vec![5], vec![7, 9, 11]] {
            let len = run.len() as u32;
            tail.push(run, len).unwrap();
        }
        let snapshot = tail.clone();
        tail.push(vec![20], 1).unwrap();
        let all: Vec<i32> = (0..tail.len())
            .map(|p| tail.at(p).map(|(run, within)| run[within as usize]).unwrap())
            .collect();
        assert_eq!(all, [1, 3, 5, 7, 9, 11, 20]);
        assert_eq!((snapshot.len(), snapshot.at(6)), (6, None));
        let run_of = |key: i32| tail.search(|run| run.last().is_some_and(|&max| max < key));
        assert_eq!(run_of(4), Some((&vec![5], 2)));
        assert_eq!(run_of(7), Some((&vec![7, 9, 11], 3)));
        assert_eq!(run_of(21), None);
    }

    #[test]
    fn a_full_tail_gives_the_run_back() {
        let mut tail = Tail::new();
        for run in 0..Tail::<usize>::CAPACITY {
            tail.push(run, 1).unwrap();
        }
        assert_eq!(tail.push(999, 1), Err(999));
        assert_eq!(tail.last(), Some(&255));
        let mut long = Tail::new();
        long.push(0, u32::MAX).unwrap();
        assert_eq!(long.push(1, 1), Err(1));
    }
}
