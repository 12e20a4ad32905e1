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

use crate::rmi::{self, Rmi};
use crate::root::Place;
use crate::search::{self, is_settled, window_at, window_start};
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

    let mut ranges: [Range<u32>; GROUP] = [const { 0..0 }; GROUP];
    let mut froms = [0; GROUP];
    for ((range, from), place) in ranges.iter_mut().zip(&mut froms).zip(&places[..probes.len()]) {
        *range = rmi.leaf_range(place.leaf);
        *from = window_start(keys, rmi::hint(range, *place));
        simd::prefetch(keys.get(*from));
        simd::prefetch(keys.get(*from + LINE));
    }

    let mut unsettled = [0u8; GROUP];
    let mut unsettled_count = 0;
    for (i, (&probe, position)) in probes.iter().zip(positions.iter_mut()).enumerate() {
        let from = froms[i];
        let Some(window) = window_at(keys, from) else {
            *position = keys.partition_point(|&key| key < probe);
            continue;
        };
        let count = isa.count_below(window, probe);
        *position = from + count;
        unsettled[unsettled_count & (GROUP - 1)] = i as u8;
        unsettled_count += usize::from(!is_settled(count, from, keys.len()));
    }

    for &i in &unsettled[..unsettled_count] {
        let i = usize::from(i);
        let range = ranges[i].start as usize..ranges[i].end as usize;
        let is_right = positions[i] > froms[i];
        positions[i] = search::follow_up(isa, keys, range, froms[i], is_right, probes[i]);
    }
    let _ = WINDOW;
}
