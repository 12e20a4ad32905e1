//! Sorted keys as the last-mile search wants them: counted in lines and windows.
//!
//! `search` and `batch` are written once, over [`Slots`]; a slice of keys implements it here, keys
//! in pages in `paged`. A stretch that is counted at once never straddles two pages.

use crate::simd::{self, Isa, LINE, WINDOW};

/// A sorted sequence of keys.
pub(crate) trait Slots: Copy {
    /// How many keys there are.
    fn len(self) -> usize;

    /// The key at `position`, which is below `len`; anything if it is not.
    fn key(self, position: usize) -> u64;

    /// Where a stretch of `N` keys around `hint` begins, if there are that many: on a cache line
    /// where possible; with a window the hint has half a line on either side.
    fn around<const N: usize>(self, hint: usize) -> usize;

    /// Where a stretch of `N` keys with the one at `position` begins: there, if so many follow.
    fn covering<const N: usize>(self, position: usize) -> usize;

    /// Where the stretch of `N` keys beside the one at `from` begins. It leaves no gap, and it
    /// may overlap.
    fn beside<const N: usize>(self, from: usize, is_right: bool) -> usize;

    /// How many of the `N` keys at `from` are below `bound`; `None` if there are fewer keys.
    fn count_below<const N: usize, I: Isa>(self, isa: I, from: usize, bound: u64) -> Option<usize>;

    /// Asks for the key at `position`.
    fn prefetch(self, position: usize);
}

impl Slots for &[u64] {
    #[inline(always)]
    fn len(self) -> usize {
        <[u64]>::len(self)
    }

    #[inline(always)]
    fn key(self, position: usize) -> u64 {
        self.get(position).copied().unwrap_or(u64::MAX)
    }

    #[inline(always)]
    fn around<const N: usize>(self, hint: usize) -> usize {
        // How many keys into a line the first key lies.
        let skew = (self.as_ptr().addr() / size_of::<u64>()) % LINE;
        let margin = (N - LINE) / 2;
        let line = (hint + skew + margin) & !(LINE - 1);
        line.saturating_sub(2 * margin + skew).min(self.len().saturating_sub(N))
    }

    #[inline(always)]
    fn covering<const N: usize>(self, position: usize) -> usize {
        position.min(self.len().saturating_sub(N))
    }

    #[inline(always)]
    fn beside<const N: usize>(self, from: usize, is_right: bool) -> usize {
        let right = (from + N).min(self.len().saturating_sub(N));
        if is_right { right } else { from.saturating_sub(N) }
    }

    #[inline(always)]
    fn count_below<const N: usize, I: Isa>(self, isa: I, from: usize, bound: u64) -> Option<usize> {
        Some(isa.count_below(self.get(from..)?.first_chunk::<N>()?, bound))
    }

    #[inline(always)]
    fn prefetch(self, position: usize) {
        simd::prefetch(self.get(position));
    }
}

const _: () = assert!(WINDOW == 2 * LINE && (WINDOW - LINE) / 2 == LINE / 2);
