//! Keys that are not stored, of three kinds, each with its lower bound.
//!
//! *Near* ones lie in the gaps between neighbours, so that their places are spread over memory as
//! those of stored keys are. *Domain* ones are uniform between the first key and the last: where
//! keys are unevenly spread most fall into a few wide gaps. *Outside* ones lie below all keys or
//! above them.

use crate::random::Random;

/// Numbers of the domain tried before nearly all of it is taken to be stored.
const TRIES: usize = 64;

/// Where absent keys lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// In the gap between two random neighbours: beside either, midway or anywhere.
    Near,
    /// Anywhere between the first key and the last.
    Domain,
    /// Below all keys or above them.
    Outside,
}

/// A source of keys that are not stored.
#[derive(Debug)]
pub struct Absent<'a> {
    keys: &'a [u64],
    gaps: Gaps,
}

impl<'a> Absent<'a> {
    /// Of sorted keys, at least one.
    pub fn of(keys: &'a [u64]) -> Self {
        Self { keys, gaps: Gaps::of(keys) }
    }

    /// An absent key and its lower bound. Where there is none of this kind, as there is no gap
    /// between sequential ids, it is one of another kind.
    ///
    /// # Panics
    /// If there is no key that is absent.
    pub fn draw(&self, kind: Absence, random: &mut Random) -> (u64, usize) {
        let drawn = match kind {
            Absence::Near => self.near(random),
            Absence::Domain => self.in_domain(random),
            Absence::Outside => None,
        };
        match drawn.or_else(|| self.outside(random)).or_else(|| self.near(random)) {
            Some(drawn) => drawn,
            None => panic!("every key is stored"),
        }
    }

    fn near(&self, random: &mut Random) -> Option<(u64, usize)> {
        let above = self.gaps.draw(self.keys, random)?;
        let (low, high) = (self.keys[above - 1], self.keys[above]);
        let key = match random.below(4) {
            0 => low + 1,
            1 => high - 1,
            2 => low.midpoint(high),
            _ => low + 1 + random.below(high - low - 1),
        };
        Some((key, above))
    }

    fn in_domain(&self, random: &mut Random) -> Option<(u64, usize)> {
        let (first, last) = self.ends();
        if self.gaps.are_none() {
            return None;
        }
        let drawn = (0..TRIES).map(|_| {
            let key = first + random.below(last - first);
            (key, self.keys.partition_point(|&k| k < key))
        });
        drawn.into_iter().find(|&(key, position)| self.keys[position] != key)
    }

    fn outside(&self, random: &mut Random) -> Option<(u64, usize)> {
        let (first, last) = self.ends();
        let (room_below, room_above) = (first, u64::MAX - last);
        let is_below = match (room_below, room_above) {
            (0, 0) => return None,
            (0, _) => false,
            (_, 0) => true,
            _ => random.below(2) == 0,
        };
        Some(match is_below {
            true => (random.below(room_below), 0),
            false => (last + 1 + random.below(room_above), self.keys.len()),
        })
    }

    fn ends(&self) -> (u64, u64) {
        (self.keys[0], self.keys[self.keys.len() - 1])
    }
}

/// Where there is room for absent keys between stored ones.
#[derive(Debug)]
struct Gaps {
    /// Whether most neighbours have room between them: any position is as good.
    are_many: bool,
    /// Otherwise, the positions of the keys above the gaps.
    positions: Vec<u32>,
}

impl Gaps {
    /// The gaps of sorted keys.
    fn of(keys: &[u64]) -> Self {
        let has_room = |pair: &[u64]| pair[1] - pair[0] > 1;
        let count = keys.windows(2).filter(|pair| has_room(pair)).count();
        if count > keys.len() / 2 {
            return Self { are_many: true, positions: Vec::new() };
        }
        let above = (1..).zip(keys.windows(2)).filter(|(_, pair)| has_room(pair));
        Self { are_many: false, positions: above.map(|(position, _)| position).collect() }
    }

    fn are_none(&self) -> bool {
        !self.are_many && self.positions.is_empty()
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
