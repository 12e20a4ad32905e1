//! Many lookups at once.
//!
//! One lookup waits for memory twice, for its leaf and for its keys. A group of lookups taken
//! through the same stage together has those waits overlap: each stage asks for the memory that
//! the next one needs. Lookups whose cache line does not settle them are not followed up at once,
//! which would stall the rest on a mispredicted branch; they are put on a list, and the list goes
//! through the next stage together.
//!
//! The answers are those of [`Rmi::lower_bound`], in the order of the probes.

use std::ops::Range;

use crate::rmi::Rmi;
use crate::root::Place;
use crate::search::{self, Sight};
use crate::simd::{self, Isa, Kernel, LINE, WINDOW};
use crate::slots::Slots;

/// Lookups taken through the stages together.
pub(crate) const GROUP: usize = 128;

impl Rmi {
    /// Sets `positions[i]` to the lower bound of `probes[i]`, for all `i`. Probes need not be
    /// sorted.
    ///
    /// # Panics
    /// If `positions` and `probes` differ in length; else as [`Rmi::lower_bound`].
    pub fn lower_bound_batch(&self, keys: &[u64], probes: &[u64], positions: &mut [usize]) {
        self.assert_len(keys.len());
        assert!(probes.len() == positions.len(), "one position is needed per probe");
        simd::dispatch::<LowerBounds, _, _, _>(self, keys, (probes, positions));
    }

    /// Sets `ranges[i]` to the positions of the keys in `bounds[i]`, for all `i`: from the lower
    /// bound of its start to that of its end. Empty bounds give empty ranges.
    ///
    /// ```
    /// use omen_index::Rmi;
    ///
    /// let keys: Vec<u64> = (0..1_000).map(|i| i * 10).collect();
    /// let index = Rmi::train(&keys)?;
    /// let mut ranges = [0..0, 0..0];
    /// index.range_batch(&keys, &[15..40, 5_000..u64::MAX], &mut ranges);
    /// assert_eq!(ranges, [2..4, 500..1_000]);
    /// # Ok::<(), omen_index::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `ranges` and `bounds` differ in length; else as [`Rmi::lower_bound`].
    pub fn range_batch(&self, keys: &[u64], bounds: &[Range<u64>], ranges: &mut [Range<usize>]) {
        assert!(bounds.len() == ranges.len(), "one range is needed per pair of bounds");
        let mut probes = [0; GROUP];
        let mut positions = [0; GROUP];
        for (bounds, ranges) in bounds.chunks(GROUP / 2).zip(ranges.chunks_mut(GROUP / 2)) {
            let (starts, ends) = probes.split_at_mut(bounds.len());
            for ((bounds, start), end) in bounds.iter().zip(starts).zip(ends) {
                (*start, *end) = (bounds.start, bounds.end.max(bounds.start));
            }
            let count = 2 * bounds.len();
            self.lower_bound_batch(keys, &probes[..count], &mut positions[..count]);
            let (starts, ends) = positions.split_at(bounds.len());
            for ((range, start), end) in ranges.iter_mut().zip(starts).zip(ends) {
                *range = *start..*end;
            }
        }
    }
}

/// Lower bounds of many probes.
pub(crate) struct LowerBounds;

impl<S: Slots> Kernel<&Rmi, S, (&[u64], &mut [usize])> for LowerBounds {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(isa: I, rmi: &Rmi, keys: S, (probes, positions): (&[u64], &mut [usize])) {
        for (probes, positions) in probes.chunks(GROUP).zip(positions.chunks_mut(GROUP)) {
            // A block of keys between knots takes two lines; on a line, one mostly does.
            match 2 * WINDOW * rmi.knot_count > rmi.len() {
                false => lower_bound_group::<LINE, I, S>(isa, rmi, keys, probes, positions),
                true => lower_bound_group::<WINDOW, I, S>(isa, rmi, keys, probes, positions),
            }
        }
    }
}

/// One group of lookups, each of which compares `N` keys first.
#[inline(always)]
fn lower_bound_group<const N: usize, I: Isa, S: Slots>(
    isa: I,
    rmi: &Rmi,
    keys: S,
    probes: &[u64],
    positions: &mut [usize],
) {
    let mut places = [Place::Leaf { leaf: 0, fraction: 0 }; GROUP];
    for (place, &probe) in places.iter_mut().zip(probes) {
        *place = rmi.root.route(isa, probe);
        match *place {
            Place::Leaf { leaf, .. } => simd::prefetch(rmi.leaf_entry(leaf)),
            Place::Knotted { cell, .. } => {
                let cell = rmi.root.knotted_cell(cell);
                let knots = cell.and_then(|cell| rmi.knot_bytes(cell));
                // They lie anywhere in four lines.
                let lines = knots.iter().flat_map(|knots| knots.iter().step_by(64));
                lines.for_each(|line| simd::prefetch(Some(line)));
                simd::prefetch(knots.and_then(|knots| knots.last()));
            }
        }
    }

    let mut froms = [0u32; GROUP];
    for (from, &place) in froms.iter_mut().zip(&places[..probes.len()]) {
        *from = keys.around::<N>(rmi.sight(isa, place).hint) as u32;
        for line in (0..N).step_by(LINE) {
            keys.prefetch(*from as usize + line);
        }
    }

    let mut missed = List::new();
    for (i, (&probe, position)) in probes.iter().zip(&mut *positions).enumerate() {
        let from = froms[i] as usize;
        let count = keys.count_below::<N, I>(isa, from, probe).unwrap_or(0);
        *position = from + count;
        // Whether the answer is beyond the first or the last of these keys remains to be seen.
        missed.push_if((count == 0) | (count == N), i);
    }
    for i in missed.iter() {
        let from = froms[i] as usize;
        keys.prefetch(keys.beside::<N>(from, positions[i] > from));
    }

    let mut lost = List::new();
    let mut rests = [const { 0..0 }; GROUP];
    for i in missed.iter() {
        let from = froms[i] as usize;
        let is_right = positions[i] > from;
        // Pages may be shorter than what is compared.
        let was_counted = || keys.count_below::<N, I>(isa, from, probes[i]).is_some();
        let is_end = is_right & (from + N == keys.len()) | !is_right & (from == 0);
        if is_end && was_counted() {
            continue;
        }
        let next = keys.beside::<N>(from, is_right);
        let range = range_of(rmi.sight(isa, places[i]));
        let counted = keys.count_below::<N, I>(isa, next, probes[i]);
        let Some(count) = counted.filter(|_| is_right || was_counted()) else {
            rests[i] = range;
            lost.push_if(true, i);
            continue;
        };
        positions[i] = next + count;
        // Between the two lines there is no gap, so only the far side is open.
        let lost_left = !is_right & (count == 0) & (next > 0);
        let lost_right = is_right & (count == N) & (next + N < keys.len());
        rests[i] = match is_right {
            true => (next + N) as u32..range.end.max((next + N) as u32),
            false => range.start.min(next as u32)..next as u32,
        };
        lost.push_if(lost_left | lost_right, i);
    }

    narrow_together(keys, probes, &mut rests, &lost);
    for i in lost.iter() {
        let rest = rests[i].start as usize..rests[i].end as usize;
        positions[i] = search::halve_all(isa, keys, rest, probes[i]);
    }
}

/// A search range, whose positions have 32 bits.
#[inline(always)]
fn range_of(sight: Sight) -> Range<u32> {
    sight.range.start as u32..sight.range.end as u32
}

/// Halves the ranges of the lookups in the list, all by one step after the other, until they fit
/// a line.
#[inline(always)]
fn narrow_together<S: Slots>(
    keys: S,
    probes: &[u64],
    ranges: &mut [Range<u32>; GROUP],
    list: &List,
) {
    let mut active = List::new();
    for i in list.iter() {
        active.push_if(ranges[i].len() > LINE, i);
    }
    while active.len > 0 {
        for i in active.iter() {
            keys.prefetch(ranges[i].start as usize + ranges[i].len() / 2 - 1);
        }
        let mut left = List::new();
        for i in active.iter() {
            let len = ranges[i].len();
            let half = len / 2;
            let start = search::step(keys, ranges[i].start as usize, half, probes[i]);
            ranges[i] = start as u32..(start + len - half) as u32;
            left.push_if(len - half > LINE, i);
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
    #[inline(always)]
    fn new() -> Self {
        Self { lanes: [0; GROUP], len: 0 }
    }

    /// Without a branch: the place after the last is written in any case.
    #[inline(always)]
    fn push_if(&mut self, condition: bool, lane: usize) {
        self.lanes[self.len % GROUP] = lane as u8;
        self.len += usize::from(condition);
    }

    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.lanes[..self.len].iter().map(|&lane| usize::from(lane) % GROUP)
    }
}
