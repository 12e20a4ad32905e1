//! Many lookups at once.
//!
//! One lookup waits for memory twice, for its leaf and for its keys. A group of lookups taken
//! through the same stage together has those waits overlap: each stage asks for the memory that
//! the next one needs. Lookups whose window does not settle them are not followed up at once,
//! which would stall the rest on a mispredicted branch; they are put on a list and finished when
//! the group is through.
//!
//! The answers are those of [`Rmi::lower_bound`], in the order of the probes.

use std::ops::Range;

use crate::rmi::Rmi;
use crate::root::Place;
use crate::search;
use crate::simd::{self, Isa, Kernel, LINE, WINDOW};

/// Lookups taken through the stages together.
const GROUP: usize = 128;

impl Rmi {
    /// Sets `positions[i]` to the lower bound of `probes[i]`, for all `i`. Probes need not be
    /// sorted.
    ///
    /// # Panics
    /// If `positions` and `probes` differ in length; else as [`Rmi::lower_bound`].
    pub fn lower_bound_batch(&self, keys: &[u64], probes: &[u64], positions: &mut [usize]) {
        self.assert_len(keys);
        assert!(probes.len() == positions.len(), "one position is needed per probe");
        simd::dispatch::<LowerBounds, _, _, _>(self, keys, (probes, positions));
    }
}

/// [`Rmi::lower_bound_batch`].
struct LowerBounds;

impl Kernel<&Rmi, &[u64], (&[u64], &mut [usize])> for LowerBounds {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(isa: I, rmi: &Rmi, keys: &[u64], (probes, positions): (&[u64], &mut [usize])) {
        for (probes, positions) in probes.chunks(GROUP).zip(positions.chunks_mut(GROUP)) {
            lower_bound_group(isa, rmi, keys, probes, positions);
        }
    }
}

/// One group of lookups.
#[inline(always)]
fn lower_bound_group<I: Isa>(
    isa: I,
    rmi: &Rmi,
    keys: &[u64],
    probes: &[u64],
    positions: &mut [usize],
) {
    let mut places = [Place::default(); GROUP];
    for (place, &probe) in places.iter_mut().zip(probes) {
        *place = rmi.root.route(isa, probe);
        simd::prefetch(rmi.leaf_entry(place.leaf));
    }

    let mut froms = [0u32; GROUP];
    let mut rests = [const { 0..0 }; GROUP];
    let mut wide = List::new();
    for (i, place) in places[..probes.len()].iter().enumerate() {
        let sight = rmi.sight(*place);
        let near = sight.near();
        froms[i] = search::line_start(keys, sight.hint) as u32;
        wide.push_if(near.len() > WINDOW, i);
        rests[i] = near.start as u32..near.end as u32;
        simd::prefetch(keys.get(froms[i] as usize));
    }
    narrow_together(keys, probes, &mut rests, &wide);
    for i in wide.iter() {
        let middle = rests[i].start.midpoint(rests[i].end);
        froms[i] = search::line_start(keys, middle as usize) as u32;
        simd::prefetch(keys.get(froms[i] as usize));
    }

    let mut missed = List::new();
    for (i, ((&probe, position), &from)) in probes.iter().zip(&mut *positions).zip(&froms).enumerate()
    {
        let from = from as usize;
        let count = search::line_at(keys, from).map_or(0, |line| isa.count_below(line, probe));
        *position = from + count;
        let is_left = (count == 0) & (from > 0);
        let is_right = (count == LINE) & (from + LINE < keys.len());
        missed.push_if(is_left | is_right, i);
        simd::prefetch(keys.get(neighbour(keys, from, is_right)));
    }

    let mut lost = List::new();
    for i in missed.iter() {
        let from = froms[i] as usize;
        let is_right = positions[i] > from;
        let next = neighbour(keys, from, is_right);
        let count = search::line_at(keys, next).map_or(0, |line| isa.count_below(line, probes[i]));
        positions[i] = next + count;
        let range = rmi.leaf_range(places[i].leaf);
        let (is_lost, rest) = match is_right {
            true => (
                (count == LINE) & (next + LINE < keys.len()),
                (next + LINE) as u32..range.end.max((next + LINE) as u32),
            ),
            false => ((count == 0) & (next > 0), range.start.min(next as u32)..next as u32),
        };
        rests[i] = rest;
        lost.push_if(is_lost, i);
    }
    narrow_together(keys, probes, &mut rests, &lost);
    for i in lost.iter() {
        let rest = rests[i].start as usize..rests[i].end as usize;
        positions[i] = search::halve_all(isa, keys, rest, probes[i]);
    }
}

/// Where the line next to the one at `from` begins.
#[inline(always)]
fn neighbour(keys: &[u64], from: usize, is_right: bool) -> usize {
    let right = (from + LINE).min(keys.len().saturating_sub(LINE));
    if is_right { right } else { from.saturating_sub(LINE) }
}

/// Halves the ranges of the lookups in the list, all by one step after the other, until they fit
/// a line.
#[inline(always)]
fn narrow_together(keys: &[u64], probes: &[u64], ranges: &mut [Range<u32>; GROUP], list: &List) {
    let mut active = List::new();
    for i in list.iter() {
        active.push_if(ranges[i].len() > LINE, i);
    }
    while active.len > 0 {
        for i in active.iter() {
            let middle = ranges[i].start + ranges[i].len() as u32 / 2 - 1;
            simd::prefetch(keys.get(middle as usize));
        }
        let mut left = List::new();
        for i in active.iter() {
            let Range { start, end } = ranges[i];
            let half = (end - start) / 2;
            let key = keys.get((start + half - 1) as usize).copied().unwrap_or(u64::MAX);
            let start = search::select(key < probes[i], (start + half) as usize, start as usize) as u32;
            let len = ranges[i].len() as u32 - half;
            ranges[i] = start..start + len;
            left.push_if(len as usize > LINE, i);
        }
        active = left;
    }
}

/// Lookups of a group that are not through.
struct List {
    lanes: [u8; GROUP],
    len: usize,
}

impl List {
    fn new() -> Self {
        Self { lanes: [0; GROUP], len: 0 }
    }

    /// Without a branch: the place after the last is written in any case.
    #[inline(always)]
    fn push_if(&mut self, condition: bool, lane: usize) {
        self.lanes[self.len % GROUP] = lane as u8;
        self.len += usize::from(condition);
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.lanes[..self.len].iter().map(|&lane| usize::from(lane))
    }
}
