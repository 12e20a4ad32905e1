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

    /// Absent keys from random gaps; above the last key if there is no gap, as with sequential
    /// ids.
    pub fn absent(keys: &[u64], gaps: &Gaps, count: usize, random: &mut Random) -> Self {
        let last = keys.last().copied().unwrap_or(0);
        Self::drawn(count, || match (gaps.draw(keys, random), u64::MAX - last) {
            (Some(position), _) => {
                let gap = keys[position] - keys[position - 1];
                (keys[position - 1] + 1 + random.below(gap - 1), position)
            }
            // No room above: the key below the first.
            (None, 0) => (keys[0] - 1, 0),
            (None, room) => (last + 1 + random.below(room), keys.len()),
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

/// Where there is room for absent keys between stored ones.
#[derive(Debug)]
pub struct Gaps {
    /// Whether most neighbours have room between them: any position is as good.
    are_many: bool,
    /// Otherwise, the positions of the keys above the gaps.
    positions: Vec<u32>,
}

impl Gaps {
    /// The gaps of sorted keys.
    pub fn of(keys: &[u64]) -> Self {
        let has_room = |pair: &[u64]| pair[1] - pair[0] > 1;
        let count = keys.windows(2).filter(|pair| has_room(pair)).count();
        if count > keys.len() / 2 {
            return Self { are_many: true, positions: Vec::new() };
        }
        let above = (1..).zip(keys.windows(2)).filter(|(_, pair)| has_room(pair));
        Self { are_many: false, positions: above.map(|(position, _)| position).collect() }
    }

    /// The position of a key with a gap below it.
    fn draw(&self, keys: &[u64], random: &mut Random) -> Option<usize> {
        if !self.are_many {
            let count = self.positions.len() as u64;
            return (count > 0).then(|| self.positions[random.below(count) as usize] as usize);
        }
        loop {
            let position = 1 + random.below(keys.len() as u64 - 1) as usize;
            if keys[position] - keys[position - 1] > 1 {
                return Some(position);
            }
        }
    }
}
