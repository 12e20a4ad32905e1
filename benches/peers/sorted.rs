//! What the standard library offers, and the floor under everything.

use std::collections::BTreeMap;

use super::{Contender, checked};
use crate::workload::{MISS, Probes};

/// `BTreeMap` from key to position.
#[derive(Debug)]
pub struct Tree(BTreeMap<u64, u32>);

impl Tree {
    /// Built in one go from sorted keys, which fills its nodes: the best case for it.
    pub fn new(keys: &[u64]) -> Self {
        Self(keys.iter().copied().zip(0..).collect())
    }
}

impl Contender for Tree {
    fn name(&self) -> &'static str {
        "BTreeMap"
    }

    #[inline(always)]
    fn find(&self, key: u64) -> usize {
        self.0.get(&key).map_or(MISS, |&position| position as usize)
    }
}

/// `partition_point` over the sorted keys.
#[derive(Debug)]
pub struct BinarySearch<'a>(pub &'a [u64]);

impl Contender for BinarySearch<'_> {
    fn name(&self) -> &'static str {
        "partition_point"
    }

    #[inline(always)]
    fn find(&self, key: u64) -> usize {
        checked(self.0, self.0.partition_point(|&k| k < key), key)
    }
}

/// One load at a known position: what no lookup can do without.
#[derive(Debug)]
pub struct Floor<'a>(pub &'a [u64]);

impl Contender for Floor<'_> {
    fn name(&self) -> &'static str {
        "floor"
    }

    /// Not told the position, it cannot find anything.
    fn find(&self, _key: u64) -> usize {
        MISS
    }

    fn independent(&self, probes: Probes<'_>, answers: &mut [usize]) {
        let known = probes.keys.iter().zip(probes.positions);
        for (answer, (&key, &position)) in answers.iter_mut().zip(known) {
            *answer = checked(self.0, position, key);
        }
    }

    fn dependent(&self, probes: Probes<'_>, answers: &mut [usize]) {
        let (nothing, mut answer) = (std::hint::black_box(0), 0);
        let known = probes.keys.iter().zip(probes.positions);
        for (place, (&key, &position)) in answers.iter_mut().zip(known) {
            // The key loaded decides the answer: no guessing ahead.
            answer = checked(self.0, position + (answer & nothing), key);
            *place = answer;
        }
    }
}
