//! The index itself: root and leaves, and the questions it answers.
//!
//! Made by `train` or `codec`; the last step of a lookup is in `search`, many lookups at once in
//! `batch`. Nothing here allocates.
//!
//! The leaves are read where they lie in the stored form, so an index that was read is as quick
//! to open as its checksum is to calculate. Leaf `l` is four bytes, its *start*: how many keys are
//! routed to leaves before it. After the last leaf comes the number of keys.
//!
//! Invariants: starts begin with 0, never decrease and end with the number of keys. The root only
//! names leaves that exist.
//!
//! Why [`Rmi::search_range`] holds for every key. Let `r` be the root's routing; it never
//! decreases. Take any `q` and `l = r(q)`.
//! * A key `k` with `r(k) < l` is below `q`, for `k >= q` would mean `r(k) >= l`. There are
//!   `start[l]` such keys, so the lower bound of `q`, the number of keys below `q`, is at least
//!   `start[l]`.
//! * A key `k` with `r(k) > l` is above `q`, likewise. All but those are `start[l + 1]` keys, so
//!   the upper bound of `q`, the number of keys not above `q`, is at most `start[l + 1]`.
//!
//! As the lower bound is never above the upper bound, both lie in the range. Equal keys are
//! routed alike, so a run of equal keys never straddles two leaves. Empty leaves, keys between,
//! before and after the stored ones need no special case. In a leaf with knots, these narrow the
//! range further: `knots` says why both bounds stay in it.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Error;
use crate::knots::{KNOT_BYTES, Knotted};
use crate::root::{Place, Root};
use crate::search::{self, Sight};
use crate::simd::{self, Isa, Kernel, Knots};
use crate::slots::Slots;

/// A learned index over a sorted sequence of `u64` keys: two layers of models (a *recursive model
/// index*) that narrow every possible key to a short range of positions.
///
/// The index does not hold the keys. Lookups that need them take them as an argument; it must be
/// the very sequence the index was trained on.
#[derive(Clone, Debug)]
pub struct Rmi {
    pub(crate) root: Root,
    /// Holds the stored form, at `stored`.
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) stored: Range<usize>,
    /// Where in `bytes` the leaves begin.
    pub(crate) leaves_at: usize,
    pub(crate) leaf_count: usize,
    /// Where in `bytes` the knots begin.
    pub(crate) knots_at: usize,
    pub(crate) knot_count: usize,
    pub(crate) len: usize,
}

/// Size and sharpness of an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmiStats {
    /// Number of keys indexed.
    pub keys: usize,
    /// Number of cells of the root.
    pub cells: usize,
    /// Number of leaves.
    pub leaves: usize,
    /// Number of knots, which take the place of leaves where keys lie on no line.
    pub knots: usize,
    /// Length of the stored form, in bytes.
    pub bytes: usize,
    /// Longest search range of any key, in positions.
    pub range_max: usize,
    /// Length of the search range of a stored key, averaged over the keys. 0 without keys.
    pub range_mean: f64,
}

impl Rmi {
    /// Number of keys the index was trained on.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the index was trained on no keys.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The positions worth looking at for `key`, be it stored or not.
    ///
    /// Both the lower bound of the key (first position with `keys[p] >= key`) and its upper bound
    /// (first position with `keys[p] > key`) satisfy `range.start <= p && p <= range.end`.
    #[inline]
    pub fn search_range(&self, key: u64) -> Range<usize> {
        self.locate(key).0
    }

    /// A guess at the position of `key`, inside its search range, ends included.
    #[inline]
    pub fn predict(&self, key: u64) -> usize {
        self.locate(key).1
    }

    /// [`Rmi::search_range`] and [`Rmi::predict`] at the price of one.
    #[inline]
    pub fn locate(&self, key: u64) -> (Range<usize>, usize) {
        simd::dispatch::<Locate, _, _, _>(self, key, ())
    }

    /// First position with `keys[p] >= key`, or `keys.len()`.
    ///
    /// # Panics
    /// If `keys` has another length than the keys the index was trained on. With other sorted
    /// keys of the same length the result is right, if slow to come by; with keys that are not
    /// sorted it is meaningless, but still at most `keys.len()`.
    #[inline]
    pub fn lower_bound(&self, keys: &[u64], key: u64) -> usize {
        self.assert_len(keys.len());
        simd::dispatch::<LowerBound, _, _, _>(self, keys, key)
    }

    /// First position with `keys[p] > key`, or `keys.len()`.
    ///
    /// # Panics
    /// As [`Rmi::lower_bound`].
    #[inline]
    pub fn upper_bound(&self, keys: &[u64], key: u64) -> usize {
        match key.checked_add(1) {
            Some(next) => self.lower_bound(keys, next),
            None => {
                self.assert_len(keys.len());
                keys.len()
            }
        }
    }

    /// Whether this index belongs to `keys`: if so, every lookup with them is exact.
    ///
    /// Reads all keys. Meant for integrity checks of an index stored apart from its keys.
    ///
    /// # Errors
    /// [`Error::Unsorted`] or [`Error::Mismatch`], with the first position in question.
    pub fn verify(&self, keys: &[u64]) -> Result<(), Error> {
        let mut previous = 0;
        for (position, &key) in keys.iter().enumerate() {
            if key < previous {
                return Err(Error::Unsorted { position });
            }
            if !self.search_range(key).contains(&position) {
                return Err(Error::Mismatch { position });
            }
            previous = key;
        }
        if keys.len() != self.len() {
            return Err(Error::Mismatch { position: keys.len() });
        }
        Ok(())
    }

    /// Bytes of memory, those of the stored form. (What [`Rmi::stats`] also says, looking at every
    /// leaf; this is asked at every write.)
    pub fn byte_size(&self) -> usize {
        self.stored.len()
    }

    /// Size and sharpness of the index.
    pub fn stats(&self) -> RmiStats {
        let (mut range_max, mut squares) = (0, 0.0);
        let mut add = |searched: u32, keys: u32| {
            range_max = range_max.max(searched);
            squares += f64::from(searched) * f64::from(keys);
        };
        for leaf in self.root.leaves().flatten() {
            let Range { start, end } = self.leaf_range(leaf);
            add(end - start, end - start);
        }
        for cell in self.root.knotted() {
            if let Some(knots) = self.knot_bytes(cell) {
                cell.for_each_range(knots, &mut add);
            }
        }
        RmiStats {
            keys: self.len,
            cells: self.root.cell_count(),
            leaves: self.leaf_count,
            knots: self.knot_count,
            bytes: self.byte_size(),
            range_max: range_max as usize,
            range_mean: if self.len == 0 { 0.0 } else { squares / self.len as f64 },
        }
    }

    /// The positions of a leaf's keys.
    #[inline(always)]
    pub(crate) fn leaf_range(&self, leaf: u32) -> Range<u32> {
        match self.leaf_entry(leaf) {
            Some(&[a, b, c, d, e, f, g, h]) => {
                u32::from_le_bytes([a, b, c, d])..u32::from_le_bytes([e, f, g, h])
            }
            None => 0..0, // never: the root only names leaves that exist
        }
    }

    /// The start of a leaf and of the next.
    #[inline(always)]
    pub(crate) fn leaf_entry(&self, leaf: u32) -> Option<&[u8; 8]> {
        self.bytes.get(self.leaves_at + 4 * leaf as usize..)?.first_chunk()
    }

    /// Refuses keys that cannot be the trained ones.
    #[inline]
    pub(crate) fn assert_len(&self, keys: usize) {
        assert!(keys == self.len, "not the keys this index was trained on");
    }

    /// The bytes from where the knots of a cell begin.
    #[inline(always)]
    pub(crate) fn knot_bytes(&self, cell: Knotted) -> Option<&Knots> {
        let from = self.knots_at + KNOT_BYTES * cell.before as usize;
        self.bytes.get(from..)?.first_chunk()
    }

    /// Where to search for `key`.
    #[inline(always)]
    pub(crate) fn locate_with<I: Isa>(&self, isa: I, key: u64) -> Sight {
        self.sight(isa, self.root.route(isa, key))
    }

    /// Where to search for a key that lands at `place`.
    #[inline(always)]
    pub(crate) fn sight<I: Isa>(&self, isa: I, place: Place) -> Sight {
        match place {
            Place::Leaf { leaf, fraction } => {
                let Range { start, end } = self.leaf_range(leaf);
                // Below 2^64: both factors are below 2^32.
                let ahead = (u64::from(fraction) * u64::from(end - start)) >> 32;
                let hint = start as usize + ahead as usize;
                Sight { range: start as usize..end as usize, hint }
            }
            Place::Knotted { cell, coordinate } => {
                let cell = self.root.knotted_cell(cell);
                match cell.and_then(|cell| Some((cell, self.knot_bytes(cell)?))) {
                    Some((cell, knots)) => cell.narrow(isa, knots, coordinate),
                    None => Sight { range: 0..self.len, hint: 0 }, // never, as above
                }
            }
        }
    }
}

impl PartialEq for Rmi {
    fn eq(&self, other: &Self) -> bool {
        self.stored_form() == other.stored_form()
    }
}

impl Eq for Rmi {}

/// [`Rmi::search_range`] and [`Rmi::predict`].
struct Locate;

impl Kernel<&Rmi, u64, ()> for Locate {
    type Output = (Range<usize>, usize);

    #[inline(always)]
    fn run<I: Isa>(isa: I, rmi: &Rmi, key: u64, (): ()) -> Self::Output {
        let Sight { range, hint } = rmi.locate_with(isa, key);
        // Blocks begin before their cell and end after it.
        let hint = hint.clamp(range.start, range.end);
        (range, hint)
    }
}

/// [`Rmi::lower_bound`].
pub(crate) struct LowerBound;

impl<S: Slots> Kernel<&Rmi, S, u64> for LowerBound {
    type Output = usize;

    #[inline(always)]
    fn run<I: Isa>(isa: I, rmi: &Rmi, keys: S, key: u64) -> usize {
        search::lower_bound_near(isa, keys, rmi.locate_with(isa, key), key)
    }
}
