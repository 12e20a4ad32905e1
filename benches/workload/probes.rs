//! Probes: the keys that lookups ask for, each with its right answer.
//!
//! A pool is drawn before a round and handed out in slices, so that no probe is used twice: a
//! probe that another contender asked for a moment ago would be found in the cache. Drawing a
//! pool reads the keys at random many times over, which leaves the same cache to everyone.

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

impl Pool {
    /// Stored keys at random positions.
    pub fn present(keys: &[u64], count: usize, random: &mut Random) -> Self {
        Self::drawn(count, || {
            let position = random.below(keys.len() as u64) as usize;
            (keys[position], position)
        })
    }

    /// Absent keys from gaps at random positions; above the last key if no gap is found, as with
    /// sequential ids.
    pub fn absent(keys: &[u64], count: usize, random: &mut Random) -> Self {
        const ATTEMPTS: usize = 16;
        let last = keys.last().copied().unwrap_or(0);
        Self::drawn(count, || {
            for _ in 0..ATTEMPTS {
                let position = 1 + random.below(keys.len() as u64 - 1) as usize;
                let gap = keys[position] - keys[position - 1];
                if gap > 1 {
                    return (keys[position - 1] + 1 + random.below(gap - 1), position);
                }
            }
            match u64::MAX - last {
                // No room above: the key below the first.
                0 => (keys[0] - 1, 0),
                room => (last + 1 + random.below(room), keys.len()),
            }
        })
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
