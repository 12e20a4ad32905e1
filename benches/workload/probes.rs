//! Probes: the keys that lookups ask for, each with its right answer.
//!
//! A pool is drawn before a round and handed out in slices, so that no probe is used twice: a
//! probe that another contender asked for a moment ago would be found in the cache. Drawing a
//! pool reads the keys at random many times over, which leaves the same cache to everyone.

use super::{Absence, Absent};
use crate::random::Random;

/// The answer for an absent key.
pub const MISS: usize = usize::MAX;

/// Many probes, used up slice by slice.
#[derive(Debug)]
pub struct Pool {
    keys: Vec<u64>,
    positions: Vec<usize>,
    used: usize,
}

/// A slice of a pool.
#[derive(Debug, Clone, Copy)]
pub struct Probes<'a> {
    /// The keys asked for.
    pub keys: &'a [u64],
    /// The lower bound of each.
    pub positions: &'a [usize],
}

impl<'a> Probes<'a> {
    /// Runs of at most `count` probes.
    pub fn chunks(self, count: usize) -> impl Iterator<Item = Probes<'a>> {
        let chunks = self.keys.chunks(count).zip(self.positions.chunks(count));
        chunks.map(|(keys, positions)| Probes { keys, positions })
    }
}

impl Pool {
    /// Stored keys at random positions.
    pub fn present(keys: &[u64], count: usize, random: &mut Random) -> Self {
        Self::drawn(count, || {
            let position = random.below(keys.len() as u64) as usize;
            (keys[position], position)
        })
    }

    /// Absent keys of a kind.
    pub fn absent(absent: &Absent<'_>, kind: Absence, count: usize, random: &mut Random) -> Self {
        Self::drawn(count, || absent.draw(kind, random))
    }

    fn drawn(count: usize, mut draw: impl FnMut() -> (u64, usize)) -> Self {
        let mut pool =
            Self { keys: Vec::with_capacity(count), positions: Vec::with_capacity(count), used: 0 };
        for _ in 0..count {
            let (key, position) = draw();
            pool.keys.push(key);
            pool.positions.push(position);
        }
        pool
    }

    /// All probes, used or not.
    pub fn all(&self) -> Probes<'_> {
        Probes { keys: &self.keys, positions: &self.positions }
    }

    /// The next probes that nobody has had.
    ///
    /// # Panics
    /// If the pool is used up.
    pub fn fresh(&mut self, count: usize) -> Probes<'_> {
        let slice = self.used..self.used + count;
        self.used = slice.end;
        Probes { keys: &self.keys[slice.clone()], positions: &self.positions[slice] }
    }
}
