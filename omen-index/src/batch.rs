//! Many lookups at once.
//!
//! One lookup waits for memory twice, for its leaf and for its keys. A group of lookups taken
//! through the same stage together has those waits overlap. Lookups whose window does not settle
//! them are not followed up at once, which would stall the rest on a mispredicted branch; they
//! are put on a list and finished when the group is through.
//!
//! The answers are those of [`Rmi::lower_bound`], in the order of the probes.

use std::ops::Range;

use crate::rmi::{self, Rmi};
use crate::root::Place;
use crate::search::{self, WINDOW};

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
        for (probes, positions) in probes.chunks(GROUP).zip(positions.chunks_mut(GROUP)) {
            if keys.len() < WINDOW {
                for (probe, position) in probes.iter().zip(positions) {
                    *position = self.lower_bound(keys, *probe);
                }
            } else {
                self.lower_bound_group(keys, probes, positions);
            }
        }
    }

    /// One group of lookups in at least [`WINDOW`] keys.
    fn lower_bound_group(&self, keys: &[u64], probes: &[u64], positions: &mut [usize]) {
        let mut places = [Place::default(); GROUP];
        for (place, &probe) in places.iter_mut().zip(probes) {
            *place = self.root.route(probe);
        }

        let mut ranges: [Range<usize>; GROUP] = [const { 0..0 }; GROUP];
        let mut froms = [0; GROUP];
        for (i, place) in places.iter().take(probes.len()).enumerate() {
            ranges[i] = self.leaf_range(place.leaf);
            froms[i] = search::window_start(keys.len(), rmi::hint(&ranges[i], *place));
        }

        let mut unsettled = [0; GROUP];
        let mut unsettled_count = 0;
        for (i, &probe) in probes.iter().enumerate() {
            let from = froms[i];
            let count = match keys[from..].first_chunk::<WINDOW>() {
                Some(window) => search::partition_16(window, |k| k < probe),
                None => 0, // never: there are at least as many keys
            };
            positions[i] = from + count;
            unsettled[unsettled_count] = i;
            let settled = search::is_settled(&ranges[i], from, count, WINDOW);
            unsettled_count += usize::from(!settled);
        }

        for &i in &unsettled[..unsettled_count] {
            let range = ranges[i].clone();
            positions[i] = search::partition_near(keys, range, positions[i], |k| k < probes[i]);
        }
    }
}
