//! What the index is measured against, all behind one trait so that all are timed by the same
//! loops.
//!
//! A contender looks keys up in three ways: *independent* lookups, which the processor may overlap
//! as far as it can see; a *dependent* chain, in which each key is known only when the answer
//! before it is; a *batch*, if the contender has a way of its own to look many up together.
//!
//! A single lookup answers with the position of the key or [`MISS`], having compared the key: what
//! a map's `get` does. A batch answers with lower bounds. Either is checked by the bench, outside
//! the time that is measured.

pub mod allocator;
pub mod commits;

mod eytzinger;
mod growing;
mod learned;
mod mutable;
mod omen;
mod prefetch;
mod s_tree;
mod sorted;

pub use eytzinger::Eytzinger;
pub use growing::{Background, OneThread};
pub use learned::{Pgm, Spline};
pub use mutable::{MutableMap, TreeMap};
pub use omen::Omen;
pub use s_tree::STree;
pub use sorted::{BinarySearch, Floor, Tree};

use std::hint::{black_box, select_unpredictable};

use crate::workload::{MISS, Probes};

/// A structure that finds keys.
pub trait Contender {
    /// The name in tables and figures.
    fn name(&self) -> &'static str;

    /// The position of `key`, or [`MISS`].
    fn find(&self, key: u64) -> usize;

    /// Finds each probe by itself.
    fn independent(&self, probes: Probes<'_>, answers: &mut [usize]) {
        one_by_one(self, probes, answers);
    }

    /// Finds each probe when the one before it is found.
    fn dependent(&self, probes: Probes<'_>, answers: &mut [usize]) {
        one_after_another(self, probes, answers);
    }

    /// Sets the lower bounds of all probes; `false` if there is no way but one by one.
    fn batched(&self, _probes: Probes<'_>, _answers: &mut [usize]) -> bool {
        false
    }
}

#[inline(always)]
fn one_by_one<C: Contender + ?Sized>(contender: &C, probes: Probes<'_>, answers: &mut [usize]) {
    for (answer, &key) in answers.iter_mut().zip(probes.keys) {
        *answer = contender.find(key);
    }
}

/// Each key is mixed with nothing of the answer before it, which the compiler cannot know.
#[inline(always)]
fn one_after_another<C: Contender + ?Sized>(
    contender: &C,
    probes: Probes<'_>,
    answers: &mut [usize],
) {
    let (nothing, mut answer) = (black_box(0), 0);
    for (place, &key) in answers.iter_mut().zip(probes.keys) {
        answer = contender.find(key ^ (answer & nothing) as u64);
        *place = answer;
    }
}

/// The answer of a `get`, made of a lower bound in `keys`. Selected without a branch, so that the
/// next key of a dependent chain truly waits for the comparison.
#[inline(always)]
fn checked(keys: &[u64], position: usize, key: u64) -> usize {
    let found = keys.get(position).copied().unwrap_or(!key);
    select_unpredictable(found == key, position, MISS)
}

#[cfg(test)]
mod tests;
